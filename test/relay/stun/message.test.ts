import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatAddress } from '../../../kernel/address.ts';
import { readAddress, readAddresses, xorAddress } from '../../../relay/stun/address-attributes.ts';
import { attributes } from '../../../relay/stun/attributes.ts';
import {
  addressErrorCode,
  errorCode,
  readErrorCode,
  readUnknownAttributeTypes,
  unknownAttributeTypes,
} from '../../../relay/stun/error-code.ts';
import { type ErrorName, errorCodes } from '../../../relay/stun/error-codes.ts';
import { classOf, messageClasses, methodOf, packType } from '../../../relay/stun/header.ts';
import { integrityIsRight, longTermKey } from '../../../relay/stun/integrity.ts';
import { opaqueString } from '../../../relay/stun/opaque-string.ts';
import {
  type Decoded,
  decodeMessage,
  isWellFormed,
  MOST_ATTRIBUTES,
  type StunMessage,
  unknownAttributes,
} from '../../../relay/stun/message.ts';
import { encodeMessage, type Seals, type Setter } from '../../../relay/stun/message-writer.ts';
import { methods } from '../../../relay/stun/methods.ts';
import {
  addressFamily,
  channelNumber,
  evenPort,
  lifetime,
  readAddressFamily,
  readChannelNumber,
  readEvenPort,
  readLifetime,
  readRequestedTransport,
  requestedTransport,
} from '../../../relay/stun/number-attributes.ts';
import { readText, text } from '../../../relay/stun/text-attributes.ts';
import { request as sample } from '../../vectors/rfc5769.ts';

const transactionId = Uint8Array.from({ length: 12 }, (_, index) => index + 1);
const head = { method: methods.ALLOCATE.code, messageClass: 'request', transactionId } as const;
const key = longTermKey('user', 'realm', 'pass');

const encoded = (setters: readonly Setter[], seals: Seals = {}) =>
  Uint8Array.from(encodeMessage(new Uint8Array(4096).fill(0xee), head, setters, seals));
const bytesOf =
  (type: number, value: Uint8Array = new Uint8Array(4)): Setter =>
  (writer) =>
    writer.into.set(value, writer.add(type, value.length));

function decoded(bytes: Uint8Array): StunMessage {
  const result = decodeMessage(bytes);
  if (!result.ok) throw new Error(result.fault);
  return result.message;
}
const faultOf = (result: Decoded) => (result.ok ? 'none' : result.fault);

describe('STUN header (RFC 8489 §5)', () => {
  it('packs and unpacks every method and class', () => {
    for (let method = 0; method <= 0xfff; method += 1) {
      for (const messageClass of messageClasses) {
        const type = packType(method, messageClass);
        expect([type & 0xc000, methodOf(type), classOf(type)]).toEqual([0, method, messageClass]);
      }
    }
    expect(packType(methods.BINDING.code, 'request')).toBe(0x0001);
    expect(packType(methods.BINDING.code, 'success')).toBe(0x0101);
    expect(packType(methods.ALLOCATE.code, 'error')).toBe(0x0113);
    expect(packType(methods.SEND.code, 'indication')).toBe(0x0016);
  });

  it('drops what is too short, not STUN, without the cookie, misaligned, or not as long as it says', () => {
    const whole = encoded([]);
    const changed = (at: number, value: number) => {
      const copy = Uint8Array.from(whole);
      copy[at] = value;
      return copy;
    };
    expect(faultOf(decodeMessage(whole.subarray(0, 19)))).toBe('truncated');
    expect(faultOf(decodeMessage(changed(0, 0x40)))).toBe('not_stun');
    expect(faultOf(decodeMessage(changed(0, 0x80)))).toBe('not_stun');
    expect(faultOf(decodeMessage(changed(4, 0x22)))).toBe('magic_cookie');
    expect(faultOf(decodeMessage(changed(3, 2)))).toBe('misaligned');
    expect(faultOf(decodeMessage(changed(3, 4)))).toBe('length_mismatch');
    expect(faultOf(decodeMessage(Uint8Array.from([...whole, 0, 0, 0, 0])))).toBe('length_mismatch');
    expect(faultOf(decodeMessage(whole))).toBe('none');
  });
});

describe('attributes (RFC 8489 §14)', () => {
  it('drops a message whose attribute ends outside it', () => {
    const bytes = encoded([bytesOf(0x8022)]);
    bytes[23] = 5;
    expect(faultOf(decodeMessage(bytes))).toBe('truncated');
  });

  it('drops a message with more attributes than anybody needs', () => {
    const many = (count: number) => encoded(Array.from({ length: count }, () => bytesOf(0x8022, new Uint8Array(0))));
    expect(faultOf(decodeMessage(many(MOST_ATTRIBUTES)))).toBe('none');
    expect(faultOf(decodeMessage(many(MOST_ATTRIBUTES + 1)))).toBe('too_many_attributes');
  });

  it('takes the first of equal attributes', () => {
    const message = decoded(encoded([lifetime(1), lifetime(2)]));
    expect(readLifetime(message)).toBe(1);
  });

  it('ignores the padding of others and zeroes its own', () => {
    const bytes = encoded([text(attributes.USERNAME, 'abcde')]);
    expect(bytes.subarray(29)).toEqual(new Uint8Array(3));
    bytes.fill(0x7f, 29);
    expect(readText(decoded(bytes), attributes.USERNAME)).toBe('abcde');
  });

  it('ignores what stands behind MESSAGE-INTEGRITY except MESSAGE-INTEGRITY-SHA256 and FINGERPRINT', () => {
    const integrity: Setter = (writer) => writer.integrity(key);
    const sha256 = bytesOf(attributes.MESSAGE_INTEGRITY_SHA256.type, new Uint8Array(32));
    const message = decoded(
      encoded([lifetime(7), integrity, bytesOf(0x7777), sha256, lifetime(9), integrity], { fingerprint: true }),
    );
    expect(message.attributes.map(({ type }) => type)).toEqual([0x000d, 0x0008, 0x001c, 0x8028]);
    expect(unknownAttributes(message)).toEqual([]);
    expect(integrityIsRight(message, key)).toBe(true);
    const behindSha256 = decoded(encoded([sha256, integrity, lifetime(9)]));
    expect(behindSha256.attributes.map(({ type }) => type)).toEqual([0x001c]);
  });

  it('drops a message whose FINGERPRINT is wrong, of the wrong length, or not last', () => {
    const right = encoded([lifetime(1)], { fingerprint: true });
    expect(faultOf(decodeMessage(right))).toBe('none');
    const wrong = Uint8Array.from(right);
    wrong[27] = (wrong[27] ?? 0) ^ 1;
    expect(faultOf(decodeMessage(wrong))).toBe('fingerprint');
    const notLast = encoded([(writer) => writer.fingerprint(), lifetime(1)]);
    expect(faultOf(decodeMessage(notLast))).toBe('fingerprint');
    expect(faultOf(decodeMessage(encoded([bytesOf(0x8028, new Uint8Array(8))])))).toBe('fingerprint');
  });

  it('lists unknown comprehension-required types once each, in order', () => {
    const message = decoded(encoded([bytesOf(0x7777), bytesOf(0x0024), bytesOf(0x7777), bytesOf(0xc057), lifetime(1)]));
    expect(unknownAttributes(message)).toEqual([0x7777, 0x0024]);
  });

  it('finds attributes of ours with impossible lengths, and leaves others alone', () => {
    expect(isWellFormed(decoded(encoded([bytesOf(0x000d, new Uint8Array(3))])))).toBe(false);
    expect(isWellFormed(decoded(encoded([bytesOf(0x0006, new Uint8Array(509))])))).toBe(false);
    expect(isWellFormed(decoded(encoded([bytesOf(0x7777, new Uint8Array(3)), lifetime(4)])))).toBe(true);
    expect(isWellFormed(decoded(sample))).toBe(true);
  });

  it('reads no number from a value of another length', () => {
    const message = decoded(
      encoded([0x000d, 0x000c, 0x0019, 0x0017, 0x0018].map((type) => bytesOf(type, new Uint8Array(5)))),
    );
    expect([
      readLifetime(message),
      readChannelNumber(message),
      readRequestedTransport(message),
      readAddressFamily(message, attributes.REQUESTED_ADDRESS_FAMILY),
      readEvenPort(message),
    ]).toEqual([undefined, undefined, undefined, undefined, undefined]);
  });

  it('reads no text that is not UTF-8', () => {
    const message = decoded(encoded([bytesOf(attributes.USERNAME.type, Uint8Array.of(0xff, 0xfe))]));
    expect(readText(message, attributes.USERNAME)).toBeUndefined();
  });

  it('reads no error code outside 300 to 699', () => {
    const code = (hundreds: number, number: number) =>
      readErrorCode(decoded(encoded([bytesOf(attributes.ERROR_CODE.type, Uint8Array.of(0, 0, hundreds, number))])));
    expect([code(2, 99), code(7, 0), code(4, 100), code(6, 99)]).toEqual([undefined, undefined, undefined, 699]);
  });

  it('refuses to write past the end of the buffer', () => {
    expect(() => encodeMessage(new Uint8Array(30), head, [text(attributes.SOFTWARE, 'too long')])).toThrow(RangeError);
    expect(() => encodeMessage(new Uint8Array(24), head, [], { key })).toThrow(RangeError);
    expect(() => encodeMessage(new Uint8Array(24), head, [], { fingerprint: true })).toThrow(RangeError);
    expect(() =>
      encodeMessage(new Uint8Array(64), head, [xorAddress(attributes.XOR_PEER_ADDRESS, { address: 'x', port: 1 })]),
    ).toThrow(TypeError);
  });

  it('prepares realm and password as OpaqueString: spaces become U+0020, composed form', () => {
    expect(opaqueString('a\u00a0b\u3000c')).toBe('a b c');
    expect(opaqueString('e\u0301')).toBe('\u00e9');
    expect(longTermKey('u', 'e\u0301', 'p\u00a0q')).toEqual(longTermKey('u', '\u00e9', 'p q'));
  });
});

describe('what is written is read back', () => {
  const address = fc
    .oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 }))
    .map(formatAddress);
  const endpoint = fc.record({ address, port: fc.integer({ min: 0, max: 0xffff }) });
  const name = fc.constantFrom(...(Object.keys(errorCodes) as ErrorName[]));

  it('for every kind of attribute, under integrity and fingerprint', () => {
    fc.assert(
      fc.property(
        fc.record({
          mapped: endpoint,
          peers: fc.array(endpoint, { maxLength: 5 }),
          seconds: fc.integer({ min: 0, max: 0xffff_ffff }),
          channel: fc.integer({ min: 0, max: 0xffff }),
          protocol: fc.integer({ min: 0, max: 255 }),
          family: fc.constantFrom<4 | 6>(4, 6),
          even: fc.boolean(),
          username: fc.string({ unit: 'binary', maxLength: 40 }),
          error: name,
          unknown: fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 9 }),
          fingerprint: fc.boolean(),
        }),
        (given) => {
          const bytes = encoded(
            [
              xorAddress(attributes.XOR_MAPPED_ADDRESS, given.mapped),
              ...given.peers.map((peer) => xorAddress(attributes.XOR_PEER_ADDRESS, peer)),
              lifetime(given.seconds),
              channelNumber(given.channel),
              requestedTransport(given.protocol),
              addressFamily(attributes.REQUESTED_ADDRESS_FAMILY, given.family),
              evenPort(given.even),
              text(attributes.USERNAME, given.username),
              errorCode(given.error),
              addressErrorCode(given.family, given.error),
              unknownAttributeTypes(given.unknown),
            ],
            { key, fingerprint: given.fingerprint },
          );
          const message = decoded(bytes);
          expect({
            mapped: readAddress(message, attributes.XOR_MAPPED_ADDRESS),
            peers: readAddresses(message, attributes.XOR_PEER_ADDRESS),
            seconds: readLifetime(message),
            channel: readChannelNumber(message),
            protocol: readRequestedTransport(message),
            family: readAddressFamily(message, attributes.REQUESTED_ADDRESS_FAMILY),
            even: readEvenPort(message)?.reserveNext,
            username: readText(message, attributes.USERNAME),
            error: readErrorCode(message),
            unknown: readUnknownAttributeTypes(message),
            fingerprint: message.has(attributes.FINGERPRINT.type),
          }).toEqual({ ...given, error: errorCodes[given.error].code });
          expect(message.transactionId).toEqual(transactionId);
          expect(isWellFormed(message)).toBe(true);
          expect(integrityIsRight(message, key)).toBe(true);
        },
      ),
    );
  });

  it('never throws and never points outside the message, whatever arrives', () => {
    const changes = fc.array(fc.tuple(fc.nat(sample.length - 1), fc.nat(255)), { maxLength: 8 });
    const mutated = changes.map((list) => {
      const bytes = Uint8Array.from(sample);
      for (const [at, value] of list) bytes[at] = value;
      return bytes;
    });
    const framed = fc.uint8Array({ maxLength: 120 }).map((body) => {
      const bytes = encoded([]);
      const whole = Uint8Array.from([...bytes, ...body.subarray(0, body.length & ~3)]);
      whole[3] = whole.length - 20;
      return whole;
    });
    const cut = fc.nat(sample.length).map((length) => sample.slice(0, length));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), mutated, framed, cut), (bytes) => {
        const result = decodeMessage(bytes);
        const list = result.ok ? result.message.attributes : [];
        expect(list.every(({ at, length }) => at >= 24 && at + length <= bytes.length)).toBe(true);
        if (!result.ok) return;
        readAddresses(result.message, attributes.XOR_PEER_ADDRESS);
        readText(result.message, attributes.USERNAME);
        readErrorCode(result.message);
        readUnknownAttributeTypes(result.message);
        isWellFormed(result.message);
        integrityIsRight(result.message, key);
      }),
      { numRuns: 5000 },
    );
  });
});
