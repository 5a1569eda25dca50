import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../kernel/clock.ts';
import { createAuthority } from '../../../kernel/principals.ts';
import type { AppSettings } from '../../../kernel/principals.ts';
import { systemRandom } from '../../../kernel/random.ts';
import { createAuthenticator } from '../../../relay/credentials/authenticator.ts';
import { issueIceServers } from '../../../relay/credentials/ice-servers.ts';
import { passwordOf } from '../../../relay/credentials/username.ts';

const START = Date.UTC(2026, 10, 20, 12);
const urls = {
  stunUrls: [],
  turnUrls: ['turn:relay.test:3478?transport=udp'],
  reportUrl: 'http://relay.test/v1/stats',
};

function app(id: string, keyId: string, secrets: string[]): AppSettings {
  return { id, tokenHashes: [], keys: [{ id: keyId, secrets }], origins: [] };
}

/** A service whose only app holds `secrets`, newest first. */
function service(secrets: string[], clock: ManualClock) {
  const apps = [app('shop', 'main', secrets), app('rival', 'other', ['rival secret'])];
  const hashes = { relayTokenHash: '', sourceTokenHash: '', operatorTokenHash: '' };
  const authority = createAuthority({ apps, ...hashes }, clock);
  const authenticator = createAuthenticator(authority);
  return {
    issue: (ttl = 3600) => {
      const found = authority.key('main');
      if (found === undefined) throw new Error('no key');
      const request = { ttl, customIdentifier: 'c-1', call: 'room', participant: 'ann', limits: { bytes: 10n } };
      const answer = issueIceServers(request, { app: 'shop', key: found.key, urls, clock, random: systemRandom });
      const { username = '', credential = '' } = answer.iceServers[0] ?? {};
      return { username, credential };
    },
    lookup: (username: string) => authenticator.lookup(username, { now: clock.now(), monotonic: clock.monotonic() }),
  };
}

describe('the authenticator', () => {
  it('knows app, key, claims, expiry and password of a credential it was not told about', () => {
    const clock = new ManualClock(START);
    const { issue, lookup } = service(['s1'], clock);
    const { username, credential } = issue();
    expect(lookup(username)).toEqual({
      ok: true,
      app: 'shop',
      keyId: 'main',
      passwords: [credential],
      claims: { customId: 'c-1', call: 'room', participant: 'ann', limits: { bytes: 10n } },
      expiresAt: START + 3_600_000,
    });
  });

  it('accepts a credential until the very millisecond of its expiry, and then says expired', () => {
    const clock = new ManualClock(START);
    const { issue, lookup } = service(['s1'], clock);
    const { username } = issue(1);
    clock.advance(999);
    expect(lookup(username).ok).toBe(true);
    clock.advance(1);
    expect(lookup(username)).toEqual({ ok: false, reason: 'expired' });
  });

  it('lets a credential live its whole ttl when it was issued within a second', () => {
    const clock = new ManualClock(START + 999);
    const { issue, lookup } = service(['s1'], clock);
    const { username } = issue(1);
    clock.advance(1000);
    expect(lookup(username).ok).toBe(true);
  });

  it('accepts what any live secret signed, with that secret alone, and refuses a retired one as forged', () => {
    const clock = new ManualClock(START);
    const old = service(['old'], clock).issue();
    expect(service(['new', 'old'], clock).lookup(old.username)).toMatchObject({
      ok: true,
      passwords: [passwordOf(old.username, 'old')],
    });
    expect(service(['new'], clock).lookup(old.username)).toEqual({ ok: false, reason: 'forged' });
  });

  it('refuses a name moved to another key, or to a later expiry, as forged', () => {
    const clock = new ManualClock(START);
    const { issue, lookup } = service(['s1'], clock);
    const { username } = issue();
    expect(lookup(username.replace(':main.', ':other.'))).toEqual({ ok: false, reason: 'forged' });
    expect(lookup(username.replace(/^\d+/, String(START / 1000 + 86_400)))).toEqual({ ok: false, reason: 'forged' });
  });

  it('refuses a truncated or misspelt seal as malformed', () => {
    const clock = new ManualClock(START);
    const { issue, lookup } = service(['s1'], clock);
    const { username } = issue();
    const head = username.slice(0, username.lastIndexOf('.') + 1);
    for (const name of [head, `${head}AAAA`, `${username}=`, `${username} `, `${head}${'A'.repeat(440)}`]) {
      expect(lookup(name)).toEqual({ ok: false, reason: 'malformed' });
    }
  });

  it('knows nothing of plain REST names, keys of other deployments, and names that are no names', () => {
    const clock = new ManualClock(START);
    const { issue, lookup } = service(['s1'], clock);
    const { username } = issue();
    const later = START / 1000 + 60;
    const names = [
      '',
      'alice',
      `${later}:alice`,
      `${later}:`,
      `${later}:.`,
      `:main.AAAA`,
      `-1:main.AAAA`,
      username.replace(':main.', ':nobody.'),
      `${username}${'A'.repeat(600)}`,
    ];
    for (const name of names) expect(lookup(name)).toEqual({ ok: false, reason: 'unknown' });
  });
});
