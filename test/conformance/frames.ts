/**
 * Frames written and read by hand from RFC 8489 and RFC 8656, on purpose without the codec of the product: a mistake there
 * must not hide itself here.
 */
import type { Endpoint } from '../../kernel/address.ts';
import { formatAddress, parseAddress } from '../../kernel/address.ts';

const COOKIE = Buffer.from('2112a442', 'hex');
const TRANSACTION = Buffer.from('0102030405060708090a0b0c', 'hex');

/** RFC 8656 §12.4, with `padding` octets behind the payload. */
export function channelData(channel: number, payload: Buffer, padding = 0): Buffer {
  const header = Buffer.alloc(4);
  header.writeUInt16BE(channel, 0);
  header.writeUInt16BE(payload.length, 2);
  return Buffer.concat([header, payload, Buffer.alloc(padding)]);
}

/** A STUN message of that type with those attributes, each padded to four octets. */
export function stun(type: number, attributes: readonly (readonly [number, Buffer])[] = []): Buffer {
  const body = Buffer.concat(
    attributes.map(([attribute, value]) => {
      const header = Buffer.alloc(4);
      header.writeUInt16BE(attribute, 0);
      header.writeUInt16BE(value.length, 2);
      return Buffer.concat([header, value, Buffer.alloc(-value.length & 3)]);
    }),
  );
  const head = Buffer.alloc(4);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(body.length, 2);
  return Buffer.concat([head, COOKIE, TRANSACTION, body]);
}

function xor(bytes: Buffer, mask: Buffer): Buffer {
  return Buffer.from(bytes.map((byte, index) => byte ^ (mask[index] ?? 0)));
}

function xorAddress({ address, port }: Endpoint, transaction: Buffer): Buffer {
  const bytes = parseAddress(address);
  if (bytes === undefined) throw new Error(`not an address: ${address}`);
  const value = Buffer.alloc(4);
  value[1] = bytes.length === 4 ? 1 : 2;
  value.writeUInt16BE(port ^ 0x2112, 2);
  return Buffer.concat([value, xor(Buffer.from(bytes), Buffer.concat([COOKIE, transaction]))]);
}

const BINDING_REQUEST = 0x0001;
const SEND_INDICATION = 0x0016;
const DATA_INDICATION = 0x0017;
const XOR_PEER_ADDRESS = 0x0012;
const DATA = 0x0013;

export const bindingRequest = stun(BINDING_REQUEST);

/** With attributes of any kind behind what belongs there. */
export function sendIndication(
  peer: Endpoint,
  payload: Buffer,
  more: readonly (readonly [number, Buffer])[] = [],
): Buffer {
  return stun(SEND_INDICATION, [[XOR_PEER_ADDRESS, xorAddress(peer, TRANSACTION)], [DATA, payload], ...more]);
}

export function sendIndicationWithoutData(peer: Endpoint): Buffer {
  return stun(SEND_INDICATION, [[XOR_PEER_ADDRESS, xorAddress(peer, TRANSACTION)]]);
}

/** Octets of a Send or Data indication with both attributes: header, XOR-PEER-ADDRESS, DATA, padding. */
export function indicationLength(payload: number, family: 4 | 6 = 4): number {
  return 20 + (4 + (family === 4 ? 8 : 20)) + 4 + payload + (-payload & 3);
}

/** Reads a Data indication strictly: any deviation throws. */
export function readDataIndication(message: Buffer): { peer: Endpoint; payload: Buffer } {
  if (message.readUInt16BE(0) !== DATA_INDICATION) throw new Error(`no Data indication: ${message.toString('hex')}`);
  if (message.readUInt16BE(2) !== message.length - 20) throw new Error('the length of the message is wrong');
  if (!message.subarray(4, 8).equals(COOKIE)) throw new Error('the magic cookie is wrong');
  const found = new Map<number, Buffer>();
  for (let at = 20; at < message.length;) {
    const length = message.readUInt16BE(at + 2);
    found.set(message.readUInt16BE(at), message.subarray(at + 4, at + 4 + length));
    const padding = message.subarray(at + 4 + length, at + 4 + length + (-length & 3));
    if (padding.some((byte) => byte !== 0)) throw new Error('the padding tells something');
    at += 4 + length + (-length & 3);
  }
  const address = found.get(XOR_PEER_ADDRESS);
  const payload = found.get(DATA);
  if (address === undefined || payload === undefined) throw new Error('an attribute is missing');
  if (address[1] !== (address.length === 8 ? 1 : 2)) throw new Error('the family does not fit the length');
  return {
    peer: {
      address: formatAddress(xor(address.subarray(4), message.subarray(4, 20))),
      port: address.readUInt16BE(2) ^ 0x2112,
    },
    payload,
  };
}

/** The first frame of a byte stream, ChannelData with its padding; undefined while it is not whole. */
export function firstFrame(stream: Buffer): Buffer | undefined {
  if (stream.length < 4) return undefined;
  const length = stream.readUInt16BE(2);
  const whole = (stream[0] ?? 0) < 0x40 ? 20 + length : 4 + length + (-length & 3);
  return stream.length < whole ? undefined : stream.subarray(0, whole);
}
