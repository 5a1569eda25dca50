import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatAddress, parseAddress } from '../../../kernel/address.ts';
import { attributes } from '../../../relay/stun/attributes.ts';
import {
  dataIndicationHeaderLength,
  dataIndicationLength,
  encodeDataIndication,
  frameDataIndication,
  isDataIndication,
} from '../../../relay/stun/data-indication.ts';
import { writeFingerprint } from '../../../relay/stun/fingerprint.ts';
import { writeU16 } from '../../../relay/stun/header.ts';
import { emptySendIndication, isSendIndication, parseSendIndication } from '../../../relay/stun/send-indication.ts';

const transactionId = Uint8Array.from({ length: 12 }, (_, index) => 200 + index);
const peerOf = (text: string) => parseAddress(text) ?? new Uint8Array(0);

/** A Send indication has a Data indication's attributes and another method. */
function send(address: string, port: number, payload: Uint8Array): Uint8Array {
  const peer = peerOf(address);
  const bytes = new Uint8Array(dataIndicationLength(peer.length === 4 ? 4 : 6, payload.length));
  encodeDataIndication(bytes, 0, transactionId, peer, port, payload);
  bytes[1] = 0x16;
  return bytes;
}

/** The message with one more attribute behind. */
function appended(message: Uint8Array, type: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(message.length + 4 + ((value.length + 3) & ~3));
  bytes.set(message);
  writeU16(bytes, message.length, type);
  writeU16(bytes, message.length + 2, value.length);
  bytes.set(value, message.length + 4);
  writeU16(bytes, 2, bytes.length - 20);
  return bytes;
}

function withFingerprint(message: Uint8Array): Uint8Array {
  const bytes = appended(message, attributes.FINGERPRINT.type, new Uint8Array(4));
  writeFingerprint(bytes, 0, message.length);
  return bytes;
}

const ipv4 = fc.uint8Array({ minLength: 4, maxLength: 4 });
const ipv6 = fc.uint8Array({ minLength: 16, maxLength: 16 });
const port = fc.integer({ min: 0, max: 65535 });
const payload = fc.uint8Array({ maxLength: 200 });

describe('Send and Data indications (RFC 8656 §11)', () => {
  it('gives back the peer and the payload that went in, IPv4 and IPv6', () => {
    fc.assert(
      fc.property(fc.oneof(ipv4, ipv6), port, payload, (peer, port, data) => {
        const bytes = send(formatAddress(peer), port, data);
        const result = emptySendIndication();
        expect(isSendIndication(bytes)).toBe(true);
        expect(parseSendIndication(bytes, result)).toBeUndefined();
        expect(result).toMatchObject({ address: formatAddress(peer), port, family: peer.length === 4 ? 4 : 6 });
        expect(bytes.subarray(result.dataStart, result.dataEnd)).toEqual(data);
      }),
    );
  });

  it('frames a payload where it lies, at any offset, and clears the padding', () => {
    const into = new Uint8Array(200).fill(0xee);
    const peer = peerOf('203.0.113.9');
    const at = 8;
    into.set([1, 2, 3, 4, 5], at + dataIndicationHeaderLength(4));
    const length = frameDataIndication(into, at, transactionId, peer, 4000, 5);
    const copied = new Uint8Array(length);
    expect(encodeDataIndication(copied, 0, transactionId, peer, 4000, Uint8Array.of(1, 2, 3, 4, 5))).toBe(length);
    expect(into.subarray(at, at + length)).toEqual(copied);
    expect(isDataIndication(copied)).toBe(true);
    expect(copied.subarray(length - 3)).toEqual(new Uint8Array(3));
    expect(into[at + length]).toBe(0xee);
  });

  it('accepts DATA of zero octets', () => {
    const result = emptySendIndication();
    expect(parseSendIndication(send('192.0.2.1', 9, new Uint8Array(0)), result)).toBeUndefined();
    expect(result.dataEnd - result.dataStart).toBe(0);
  });

  it('refuses one without DATA or without a peer', () => {
    const whole = send('192.0.2.1', 9, Uint8Array.of(1, 2, 3, 4));
    const noData = whole.slice(0, 32);
    writeU16(noData, 2, 12);
    const noPeer = new Uint8Array(whole.length - 12);
    noPeer.set(whole.subarray(0, 20));
    noPeer.set(whole.subarray(32), 20);
    writeU16(noPeer, 2, noPeer.length - 20);
    expect(parseSendIndication(noData, emptySendIndication())).toBe('incomplete');
    expect(parseSendIndication(noPeer, emptySendIndication())).toBe('incomplete');
  });

  it('refuses a peer whose family and length disagree', () => {
    const bytes = send('192.0.2.1', 9, Uint8Array.of(1));
    bytes[25] = 0x02;
    expect(parseSendIndication(bytes, emptySendIndication())).toBe('incomplete');
  });

  it('refuses an unknown comprehension-required attribute and DONT-FRAGMENT, ignores an optional one', () => {
    const bytes = send('192.0.2.1', 9, Uint8Array.of(1));
    expect(parseSendIndication(appended(bytes, 0x7777, new Uint8Array(4)), emptySendIndication())).toBe(
      'unknown_attribute',
    );
    expect(parseSendIndication(appended(bytes, 0x001a, new Uint8Array(0)), emptySendIndication())).toBe(
      'unknown_attribute',
    );
    expect(parseSendIndication(appended(bytes, 0xc057, new Uint8Array(4)), emptySendIndication())).toBeUndefined();
  });

  it('takes the first of two peers, and nothing behind MESSAGE-INTEGRITY', () => {
    const bytes = send('192.0.2.1', 9, Uint8Array.of(1));
    const second = send('192.0.2.2', 10, new Uint8Array(0)).slice(24, 32);
    const result = emptySendIndication();
    expect(parseSendIndication(appended(bytes, 0x0012, second), result)).toBeUndefined();
    expect(result).toMatchObject({ address: '192.0.2.1', port: 9 });

    const onlyPeer = bytes.slice(0, 32);
    writeU16(onlyPeer, 2, 12);
    const sealed = appended(appended(onlyPeer, 0x0008, new Uint8Array(20)), 0x0013, Uint8Array.of(7));
    expect(parseSendIndication(sealed, result)).toBe('incomplete');
  });

  it('wants FINGERPRINT last and right when there is one', () => {
    const right = withFingerprint(send('192.0.2.1', 9, Uint8Array.of(1)));
    expect(parseSendIndication(right, emptySendIndication())).toBeUndefined();
    const wrong = Uint8Array.from(right);
    wrong[36] = (wrong[36] ?? 0) ^ 1;
    expect(parseSendIndication(wrong, emptySendIndication())).toBe('fingerprint');
    expect(parseSendIndication(appended(right, 0x8022, new Uint8Array(4)), emptySendIndication())).toBe('fingerprint');
  });

  it('never throws and never points outside the datagram, whatever arrives', () => {
    const seed = withFingerprint(send('2001:db8::1', 9, Uint8Array.of(1, 2, 3)));
    const mutated = fc
      .array(fc.tuple(fc.nat(seed.length - 1), fc.nat(255)), { maxLength: 6 })
      .map((changes) => changes.reduce((bytes, [at, value]) => ((bytes[at] = value), bytes), Uint8Array.from(seed)));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 80 }), mutated), (bytes) => {
        const result = emptySendIndication();
        const fault = parseSendIndication(bytes, result);
        const inside = result.dataStart >= 24 && result.dataStart <= result.dataEnd && result.dataEnd <= bytes.length;
        expect(fault !== undefined || inside).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});
