import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { attributes } from '../../../relay/stun/attributes.ts';
import { integrityHashOf, integrityIsRight, longTermKey } from '../../../relay/stun/integrity.ts';
import { decodeMessage, type StunMessage } from '../../../relay/stun/message.ts';
import { encodeMessage, type Setter } from '../../../relay/stun/message-writer.ts';
import { methods } from '../../../relay/stun/methods.ts';
import {
  echoesOfferedAlgorithms,
  passwordAlgorithm,
  passwordAlgorithmList,
  readPasswordAlgorithm,
} from '../../../relay/stun/password-algorithm.ts';
import { nonceCookie, nonceOffers } from '../../../relay/stun/security-features.ts';
import { readText, text } from '../../../relay/stun/text-attributes.ts';
import { longTerm } from '../../vectors/rfc5769.ts';
import { sha256Nonce, sha256Request } from '../../vectors/rfc8489.ts';
import { attribute } from '../turn-client.ts';

const key = longTermKey(longTerm.username, longTerm.realm, longTerm.password, 'SHA_256');
const head = {
  method: methods.BINDING.code,
  messageClass: 'request',
  transactionId: sha256Request.slice(8, 20),
} as const;

function decoded(bytes: Uint8Array): StunMessage {
  const result = decodeMessage(bytes);
  if (!result.ok) throw new Error(result.fault);
  return result.message;
}
const written = (setters: readonly Setter[], seals = {}) => encodeMessage(new Uint8Array(400), head, setters, seals);

/** A message whose MESSAGE-INTEGRITY-SHA256 has only so many octets; the length it covers is that of the short attribute. */
function truncated(length: number): Uint8Array {
  const bytes = written([attribute(attributes.MESSAGE_INTEGRITY_SHA256.type, new Uint8Array(length))]).slice();
  const hmac = createHmac('sha256', key).update(bytes.subarray(0, 20)).digest();
  bytes.set(hmac.subarray(0, length), 24);
  return bytes;
}

describe('RFC 8489 appendix B.1 (with erratum 6268)', () => {
  it('decodes, verifies and is written again octet for octet', () => {
    const message = decoded(sha256Request);
    expect(integrityHashOf(message)).toBe('sha256');
    expect(integrityIsRight(message, key, 'sha256')).toBe(true);
    expect(integrityIsRight(message, longTermKey(longTerm.username, longTerm.realm, longTerm.password), 'sha256')).toBe(
      false,
    );
    expect(integrityIsRight(message, key, 'sha1')).toBe(false);
    expect(readPasswordAlgorithm(message)).toBe('SHA_256');
    expect(readText(message, attributes.NONCE)).toBe(sha256Nonce);
    const again = written(
      [
        attribute(attributes.USERHASH.type, message.value(attributes.USERHASH.type)),
        text(attributes.NONCE, sha256Nonce),
        text(attributes.REALM, longTerm.realm),
        passwordAlgorithm('SHA_256'),
      ],
      { key, hash: 'sha256' },
    );
    expect(again).toEqual(sha256Request);
  });

  it('has the bit for an anonymous username where the erratum puts it', () => {
    expect(nonceOffers(sha256Nonce, 'USERNAME_ANONYMITY')).toBe(true);
    expect(nonceOffers(sha256Nonce, 'PASSWORD_ALGORITHMS')).toBe(false);
    expect(nonceCookie(['USERNAME_ANONYMITY'])).toBe(sha256Nonce.slice(0, 13));
    expect(nonceCookie([])).toBe('obMatJos2AAAA');
    expect(nonceOffers('obMatJos2!', 'PASSWORD_ALGORITHMS')).toBe(false);
  });

  it('makes the keys of §9.2.2 and §18.5.1', () => {
    expect(Buffer.from(longTermKey('user', 'realm', 'pass')).toString('hex')).toBe('8493fbc53ba582fb4c044c456bdc40eb');
    expect(longTermKey('user', 'realm', 'pass', 'SHA_256')).toHaveLength(32);
    expect(() => longTermKey('user', 'realm', 'a\u0000b')).toThrow(RangeError);
  });
});

describe('MESSAGE-INTEGRITY-SHA256', () => {
  it.each([
    [16, true],
    [20, true],
    [28, true],
    [32, true],
    [12, false],
    [18, false],
    [36, false],
  ])('of %i octets counts: %s', (length, counts) => {
    const bytes = truncated(length);
    expect(integrityIsRight(decoded(bytes), key, 'sha256')).toBe(counts);
    bytes[24] = (bytes[24] ?? 0) ^ 1;
    expect(integrityIsRight(decoded(bytes), key, 'sha256')).toBe(false);
  });

  it('decides where both are there, and what stands behind it is ignored', () => {
    const both = written([
      text(attributes.REALM, 'r'),
      (writer) => writer.integrity(key, 'sha1'),
      (writer) => writer.integrity(key, 'sha256'),
      text(attributes.SOFTWARE, 'late'),
    ]);
    const message = decoded(both);
    expect(integrityHashOf(message)).toBe('sha256');
    expect(integrityIsRight(message, key, 'sha256')).toBe(true);
    expect(integrityIsRight(message, key, 'sha1')).toBe(true);
    expect(message.has(attributes.SOFTWARE.type)).toBe(false);
  });
});

describe('PASSWORD-ALGORITHM and PASSWORD-ALGORITHMS', () => {
  it('are read as written', () => {
    const message = decoded(written([passwordAlgorithmList(), passwordAlgorithm('MD5')]));
    expect(message.value(attributes.PASSWORD_ALGORITHMS.type)).toEqual(Uint8Array.of(0, 2, 0, 0, 0, 1, 0, 0));
    expect(readPasswordAlgorithm(message)).toBe('MD5');
    expect(echoesOfferedAlgorithms(message)).toBe(true);
  });

  it.each([
    ['the better one taken out', Uint8Array.of(0, 1, 0, 0)],
    ['the order turned', Uint8Array.of(0, 1, 0, 0, 0, 2, 0, 0)],
    ['one more', Uint8Array.of(0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0)],
    ['parameters given', Uint8Array.of(0, 2, 0, 4, 0, 0, 0, 0)],
    ['cut short', Uint8Array.of(0, 2, 0, 0, 0, 1)],
    ['nothing', new Uint8Array(0)],
  ])('a list is not the one offered: %s', (_name, value) => {
    expect(echoesOfferedAlgorithms(decoded(written([attribute(attributes.PASSWORD_ALGORITHMS.type, value)])))).toBe(
      false,
    );
  });

  it.each([
    ['an unassigned number', Uint8Array.of(0, 3, 0, 0)],
    ['parameters', Uint8Array.of(0, 1, 0, 4, 0, 0, 0, 0)],
    ['nothing', new Uint8Array(0)],
  ])('an algorithm is none of ours with %s', (_name, value) => {
    const message = decoded(written([attribute(attributes.PASSWORD_ALGORITHM.type, value)]));
    expect(readPasswordAlgorithm(message)).toBeUndefined();
  });
});
