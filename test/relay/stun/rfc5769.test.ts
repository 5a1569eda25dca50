import { describe, expect, it } from 'vitest';
import { readAddress, xorAddress } from '../../../relay/stun/address-attributes.ts';
import { attributes } from '../../../relay/stun/attributes.ts';
import { methods } from '../../../relay/stun/methods.ts';
import { integrityIsRight, longTermKey } from '../../../relay/stun/integrity.ts';
import { decodeMessage, type StunMessage } from '../../../relay/stun/message.ts';
import { encodeMessage, type Setter } from '../../../relay/stun/message-writer.ts';
import { readText, text } from '../../../relay/stun/text-attributes.ts';
import {
  ipv4Response,
  ipv6Response,
  longTerm,
  longTermRequest,
  request,
  shortTermPassword,
  transactionId,
} from '../../vectors/rfc5769.ts';

function decoded(bytes: Uint8Array): StunMessage {
  const result = decodeMessage(bytes);
  if (!result.ok) throw new Error(result.fault);
  return result.message;
}

const key = Buffer.from(shortTermPassword);

/** An attribute padded with spaces, as the vectors' author chose to, where this writer chooses zeros. */
const spacePadded =
  (type: number, value: string): Setter =>
  (writer) => {
    const at = writer.add(type, value.length);
    writer.into.fill(0x20, at, at + ((value.length + 3) & ~3));
    writer.into.set(Buffer.from(value), at);
  };
const raw =
  (type: number, hex: string): Setter =>
  (writer) =>
    writer.into.set(Buffer.from(hex, 'hex'), writer.add(type, hex.length / 2));

describe('RFC 5769 test vectors', () => {
  it('§2.1 request: decodes, verifies and is written again octet for octet', () => {
    const message = decoded(request);
    expect([message.method, message.messageClass]).toEqual([methods.BINDING.code, 'request']);
    expect(readText(message, attributes.SOFTWARE)).toBe('STUN test client');
    expect(readText(message, attributes.USERNAME)).toBe('evtj:h6vY');
    expect(integrityIsRight(message, key)).toBe(true);
    const written = encodeMessage(
      new Uint8Array(200),
      { method: methods.BINDING.code, messageClass: 'request', transactionId },
      [
        text(attributes.SOFTWARE, 'STUN test client'),
        raw(attributes.PRIORITY.type, '6e0001ff'),
        raw(attributes.ICE_CONTROLLED.type, '932ff9b151263b36'),
        spacePadded(attributes.USERNAME.type, 'evtj:h6vY'),
      ],
      { key, fingerprint: true },
    );
    expect(written).toEqual(request);
  });

  it.each([
    ['§2.2 IPv4 response', ipv4Response, '192.0.2.1'],
    ['§2.3 IPv6 response', ipv6Response, '2001:db8:1234:5678:11:2233:4455:6677'],
  ])('%s: decodes, verifies and is written again octet for octet', (_name, vector, address) => {
    const message = decoded(vector);
    expect([message.method, message.messageClass]).toEqual([methods.BINDING.code, 'success']);
    expect(readAddress(message, attributes.XOR_MAPPED_ADDRESS)).toEqual({ address, port: 32853 });
    expect(integrityIsRight(message, key)).toBe(true);
    const written = encodeMessage(
      new Uint8Array(200),
      { method: methods.BINDING.code, messageClass: 'success', transactionId },
      [
        spacePadded(attributes.SOFTWARE.type, 'test vector'),
        xorAddress(attributes.XOR_MAPPED_ADDRESS, { address, port: 32853 }),
      ],
      { key, fingerprint: true },
    );
    expect(written).toEqual(vector);
  });

  it('§2.4 long-term request: decodes, verifies and is written again octet for octet', () => {
    const message = decoded(longTermRequest);
    expect(readText(message, attributes.USERNAME)).toBe(longTerm.username);
    expect(readText(message, attributes.NONCE)).toBe(longTerm.nonce);
    expect(readText(message, attributes.REALM)).toBe(longTerm.realm);
    const longKey = longTermKey(longTerm.username, longTerm.realm, longTerm.password);
    expect(integrityIsRight(message, longKey)).toBe(true);
    const written = encodeMessage(
      new Uint8Array(200).fill(0xee),
      { method: methods.BINDING.code, messageClass: 'request', transactionId: longTermRequest.slice(8, 20) },
      [
        text(attributes.USERNAME, longTerm.username),
        text(attributes.NONCE, longTerm.nonce),
        text(attributes.REALM, longTerm.realm),
      ],
      { key: longKey },
    );
    expect(written).toEqual(longTermRequest);
  });

  it('refuses each vector under another key, and after any octet that the integrity covers has changed', () => {
    for (const vector of [request, ipv4Response, ipv6Response]) {
      expect(integrityIsRight(decoded(vector), Buffer.from('another'))).toBe(false);
    }
    const longKey = longTermKey(longTerm.username, longTerm.realm, longTerm.password);
    for (const at of [1, 9, 24, 50, 70, 80]) {
      const changed = Uint8Array.from(longTermRequest);
      changed[at] = (changed[at] ?? 0) ^ 0x01;
      const result = decodeMessage(changed);
      expect(result.ok && integrityIsRight(result.message, longKey)).toBe(false);
    }
  });
});
