/** What guessing costs a relay, counted in cryptographic operations: a clock on the wire can tell no more than they do. */
import * as crypto from 'node:crypto';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { ManualClock } from '../../../kernel/clock.ts';
import { createAuthority } from '../../../kernel/principals.ts';
import { systemRandom } from '../../../kernel/random.ts';
import { createAuthenticator } from '../../../relay/credentials/authenticator.ts';
import { issueIceServers } from '../../../relay/credentials/ice-servers.ts';
import { passwordOf } from '../../../relay/credentials/username.ts';
import { Bench, START, tuple } from '../turn/bench.ts';

const work: string[] = vi.hoisted(() => []);

vi.mock('node:crypto', async (original) => {
  const real = await original<typeof crypto>();
  const counted = <A extends unknown[], R>(name: string, make: (...args: A) => R) => {
    return (...args: A): R => {
      work.push(name);
      return make(...args);
    };
  };
  return {
    ...real,
    createHmac: counted('HMAC', real.createHmac),
    createHash: counted('hash', real.createHash),
    createDecipheriv: counted('decipher', real.createDecipheriv),
    timingSafeEqual: counted('compare', real.timingSafeEqual),
  };
});

const SECRETS = ['new secret', 'old secret'];
const clock = new ManualClock(START);
const authority = createAuthority(
  {
    apps: [
      { id: 'shop', tokenHashes: [], keys: [{ id: 'main', secrets: SECRETS, plainUsernames: true }], origins: [] },
    ],
    relayTokenHash: '',
    sourceTokenHash: '',
    operatorTokenHash: '',
  },
  clock,
);
const expiry = START / 1000 + 3600;

function issued(): { username: string; credential: string } {
  const found = authority.key('main');
  if (found === undefined) throw new Error('no key');
  const urls = { stunUrls: [], turnUrls: ['turn:relay.test'], reportUrl: '' };
  const by = { app: 'shop', key: found.key, urls, clock, random: systemRandom };
  const { username = '', credential = '' } = issueIceServers({ ttl: 3600 }, by).iceServers[0] ?? {};
  return { username, credential };
}

/** What the relay does for an Allocate in this name, under a password that is wrong. */
function workFor(bench: Bench, username: string): { code: number | undefined; work: string[] } {
  const from = tuple('203.0.113.66:6666');
  const request = bench.client(username, 'a guess', from).allocate();
  work.length = 0;
  const { answer } = bench.send(request, from);
  return { code: answer?.code, work: [...work] };
}

describe('who guesses', () => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench({ authenticator: createAuthenticator(authority) });
  });

  it('a plain name costs the relay the same, whether a customer of that name is on a call or never was', () => {
    const name = `${expiry}:ann`;
    bench.accounts.set(name, { passwords: [passwordOf(name, 'new secret')] });
    bench.allocated(name);
    const [used, unused] = [workFor(bench, name), workFor(bench, `${expiry}:eve`)];
    expect(used).toEqual(unused);
    expect(used.code).toBe(401);
    // A password for each secret, its keys, and the message under them; the rest is the nonce of question and answer.
    expect(used.work.filter((operation) => operation === 'HMAC').length).toBeGreaterThanOrEqual(2 * SECRETS.length);
  });

  it('a sealed name costs the relay the same, however near it comes to one that was issued', () => {
    const { username, credential } = issued();
    bench.accounts.set(username, { passwords: [credential] });
    bench.allocated(username);
    const seal = username.slice(username.indexOf('.') + 1);
    const near = `${expiry}:main.${seal[0] === 'A' ? 'B' : 'A'}${seal.slice(1)}`;
    const far = `${expiry}:main.${Buffer.from(systemRandom.bytes(Buffer.from(seal, 'base64url').length)).toString('base64url')}`;
    const [nearly, wildly] = [workFor(bench, near), workFor(bench, far)];
    expect(nearly).toEqual(wildly);
    expect(nearly.code).toBe(401);
    expect(nearly.work.filter((operation) => operation === 'decipher')).toHaveLength(SECRETS.length);
  });
});
