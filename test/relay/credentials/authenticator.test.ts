import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../kernel/clock.ts';
import { createAuthority } from '../../../kernel/principals.ts';
import type { AppSettings } from '../../../kernel/principals.ts';
import { seededRandom, systemRandom } from '../../../kernel/random.ts';
import { deriveKey } from '../../../kernel/report-token.ts';
import { createAuthenticator } from '../../../relay/credentials/authenticator.ts';
import { issueIceServers } from '../../../relay/credentials/ice-servers.ts';
import { MAX_EXPIRY, passwordOf, sealName } from '../../../relay/credentials/username.ts';

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

describe('the authenticator with a key that takes plain names', () => {
  const NOW = START / 1000;
  const ceilings = { allocations: 3, bitsPerSecond: 64_000, bytesPerMonth: 10n };
  const apps: AppSettings[] = [
    app('shop', 'main', ['s1']),
    {
      ...app('jitsi', 'prosody', []),
      keys: [{ id: 'prosody', secrets: ['new', 'old'], plainUsernames: true }],
      ceilings,
    },
  ];
  const clock = new ManualClock(START);
  const hashes = { relayTokenHash: '', sourceTokenHash: '', operatorTokenHash: '' };
  const authenticator = createAuthenticator(createAuthority({ apps, ...hashes }, clock));
  const lookup = (username: string) => authenticator.lookup(username, { now: clock.now(), monotonic: 0 });

  it('takes what somebody else minted: each live secret may have signed, the rest of the name is the customer', () => {
    const username = `${NOW + 60}:alice`;
    expect(lookup(username)).toEqual({
      ok: true,
      app: 'jitsi',
      keyId: 'prosody',
      passwords: [passwordOf(username, 'new'), passwordOf(username, 'old')],
      claims: { customId: 'alice', call: '', participant: '', limits: { allocations: 3, bitsPerSecond: 64_000 } },
      expiresAt: START + 60_000,
    });
  });

  it.each([
    ['colons', `${NOW + 60}:a:b:c`, 'a:b:c'],
    ['a dot behind no key of ours', `${NOW + 60}:john.smith`, 'john.smith'],
    ['an address', `${NOW + 60}:@john:matrix.example`, '@john:matrix.example'],
    ['nothing but the expiry', `${NOW + 60}`, ''],
    ['64 UTF-8 bytes', `${NOW + 60}:${'é'.repeat(32)}`, 'é'.repeat(32)],
  ])('takes a name with %s', (_what, username, customId) => {
    expect(lookup(username)).toMatchObject({ ok: true, app: 'jitsi', claims: { customId } });
  });

  it.each([
    ['expired', `${NOW}:alice`, 'expired'],
    ['over 64 UTF-8 bytes', `${NOW + 60}:${'é'.repeat(33)}`, 'malformed'],
    ['with a control character', `${NOW + 60}:al\u0007ice`, 'malformed'],
    ['without an expiry', 'alice', 'unknown'],
    ['with an empty user', `${NOW + 60}:`, 'unknown'],
    ['that would live for ever', `${MAX_EXPIRY + 1}:alice`, 'unknown'],
    ["that begins with a key's id and a dot", `${NOW + 60}:main.alice`, 'malformed'],
  ])('refuses a name %s', (_what, username, reason) => {
    expect(lookup(username)).toEqual({ ok: false, reason });
  });

  it('never takes a name that Turnpike sealed, or that claims it did, for a plain one', () => {
    const text = fc.string({ maxLength: 16 });
    const keyId = fc.constantFrom('main', 'prosody', 'gone', 'a.b');
    const secret = fc.constantFrom('s1', 'new', 'old', 'another');
    const ttl = fc.integer({ min: 1, max: 172_800 });
    const random = seededRandom('sealed names');
    fc.assert(
      fc.property(text, keyId, secret, ttl, fc.nat(), fc.nat(255), (customId, id, key, seconds, at, flip) => {
        const sealKey = deriveKey(key, 'seal', 32);
        const claims = { customId, call: '', participant: '', limits: {} };
        const name = sealName(claims, { expiry: NOW + seconds, keyId: id, sealKey }, random);
        const right = (id === 'main' && key === 's1') || (id === 'prosody' && (key === 'new' || key === 'old'));
        expect(lookup(name).ok).toBe(right);

        // One byte of the seal changed, another expiry: forged, for whichever key.
        const dot = name.lastIndexOf('.');
        const seal = Buffer.from(name.slice(dot + 1), 'base64url');
        seal[at % seal.length]! ^= flip === 0 ? 1 : flip;
        expect(lookup(`${name.slice(0, dot)}.${seal.toString('base64url')}`).ok).toBe(false);
        expect(lookup(name.replace(/^\d+/, String(NOW + seconds + 1))).ok).toBe(false);

        // Behind the id of one of our keys nothing is anybody else's, whatever its length.
        const known = id === 'gone' || id === 'a.b' ? 'prosody' : id;
        const cut = name.slice(dot + 1, dot + 1 + (at % (name.length - dot - 1)));
        expect(lookup(`${NOW + seconds}:${known}.${cut}`).ok).toBe(false);
      }),
    );
  });

  it('takes no plain name where no key does', () => {
    const strict = createAuthenticator(createAuthority({ apps: apps.slice(0, 1), ...hashes }, clock));
    expect(strict.lookup(`${NOW + 60}:alice`, { now: START, monotonic: 0 })).toEqual({ ok: false, reason: 'unknown' });
  });
});
