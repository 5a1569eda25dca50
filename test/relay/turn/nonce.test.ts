import { describe, expect, it } from 'vitest';
import { nonceOffers } from '../../../relay/stun/security-features.ts';
import { NONCE_LENGTH, NonceMint } from '../../../relay/turn/nonce.ts';
import { START, tuple } from './bench.ts';

const key = Buffer.alloc(32, 1);
const mint = new NonceMint(key, 600);
const from = tuple();

describe('stateless nonces', () => {
  it('are fresh for their lifetime and stale from then on', () => {
    const nonce = mint.issue(from, START, true);
    expect(nonce).toHaveLength(NONCE_LENGTH);
    expect(mint.verify(nonce, from, START + 599_999)).toBe('fresh');
    expect(mint.verify(nonce, from, START + 600_000)).toBe('stale');
  });

  it('are good on every worker with the same key and on none with another', () => {
    const nonce = mint.issue(from, START, true);
    expect(new NonceMint(Buffer.from(key), 600).verify(nonce, from, START)).toBe('fresh');
    expect(new NonceMint(Buffer.alloc(32, 2), 600).verify(nonce, from, START)).toBe('forged');
  });

  it('are worth nothing from another address, port or transport', () => {
    const nonce = mint.issue(from, START, true);
    for (const other of [
      tuple('198.51.100.8:50000'),
      tuple('198.51.100.7:50001'),
      tuple('198.51.100.7:50000', 'tcp'),
    ]) {
      expect(mint.verify(nonce, other, START)).toBe('forged');
    }
  });

  it('are forged after any change, and when of another length or alphabet', () => {
    const nonce = mint.issue(from, START, true);
    for (let at = 0; at < nonce.length; at += 1) {
      const changed = `${nonce.slice(0, at)}${nonce[at] === 'A' ? 'B' : 'A'}${nonce.slice(at + 1)}`;
      expect(mint.verify(changed, from, START)).toBe('forged');
    }
    for (const other of ['', nonce.slice(1), `${nonce}A`, '!'.repeat(NONCE_LENGTH), `${nonce.slice(0, 15)}\u00e9`]) {
      expect(mint.verify(other, from, START)).toBe('forged');
    }
  });

  it('issued by a clock a minute ahead are fresh, further ahead stale', () => {
    expect(mint.verify(mint.issue(from, START + 60_000, true), from, START)).toBe('fresh');
    expect(mint.verify(mint.issue(from, START + 61_000, true), from, START)).toBe('stale');
  });

  it('say in their cookie that password algorithms are offered, which cannot be taken out', () => {
    const nonce = mint.issue(from, START, true);
    expect(nonceOffers(nonce, 'PASSWORD_ALGORITHMS')).toBe(true);
    expect(nonceOffers(nonce, 'USERNAME_ANONYMITY')).toBe(false);
    expect(mint.verify(nonce.slice(13), from, START)).toBe('forged');
    expect(mint.verify(nonce.replace('AAAB', 'AAAA'), from, START)).toBe('forged');
    const plain = mint.issue(from, START, false);
    expect([plain.length, mint.verify(plain, from, START)]).toEqual([15, 'fresh']);
    expect(mint.verify(nonce.slice(0, 13) + plain, from, START)).toBe('forged');
  });

  it('have one spelling', () => {
    const nonce = mint.issue(from, START, true);
    const last = Buffer.from(nonce.slice(13), 'base64url');
    const twins = Array.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_')
      .map((letter) => nonce.slice(0, -1) + letter)
      .filter((text) => Buffer.from(text.slice(13), 'base64url').equals(last));
    expect(twins.length).toBeGreaterThan(1);
    expect(twins.filter((text) => mint.verify(text, from, START) === 'fresh')).toEqual([nonce]);
  });

  it('do not become fresh again when their 24 bits of time come round', () => {
    const nonce = mint.issue(from, START, true);
    expect(mint.verify(nonce, from, START + 2 ** 24 * 1000)).toBe('forged');
    const before = 2 ** 24 * 1000 * 106;
    expect(mint.verify(mint.issue(from, before - 5_000, true), from, before + 5_000)).toBe('fresh');
  });

  it('need a key of 16 octets or more', () => {
    expect(() => new NonceMint(new Uint8Array(15), 600)).toThrow(RangeError);
  });
});
