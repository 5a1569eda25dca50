/**
 * The 20 octets every STUN message begins with (RFC 8489 §5), and how to tell them from ChannelData on the same
 * port (RFC 8656 §12): the first two bits of STUN are 00, those of a channel number are 01.
 */
import { type Fault } from './fault.ts';

export const HEADER_LENGTH = 20;
export const MAGIC_COOKIE = 0x2112a442;
export const TRANSACTION_ID_LENGTH = 12;
/** The octets of an attribute before its value: type and length. */
export const ATTRIBUTE_HEADER_LENGTH = 4;

export const messageClasses = ['request', 'indication', 'success', 'error'] as const;
export type MessageClass = (typeof messageClasses)[number];

/** Interleaves method and class into the 14-bit message type (RFC 8489 §5, figure 3). */
export function packType(method: number, messageClass: MessageClass): number {
  const bits = messageClasses.indexOf(messageClass);
  return (
    (method & 0x000f) |
    ((method & 0x0070) << 1) |
    ((method & 0x0f80) << 2) |
    ((bits & 0b01) << 4) |
    ((bits & 0b10) << 7)
  );
}

export function methodOf(type: number): number {
  return (type & 0x000f) | ((type & 0x00e0) >> 1) | ((type & 0x3e00) >> 2);
}

export function classOf(type: number): MessageClass {
  return messageClasses[((type & 0x0010) >> 4) | ((type & 0x0100) >> 7)] ?? 'request';
}

/** The next multiple of four: attributes are padded to it (RFC 8489 §14), the padding not counted in their length. */
export function padded(length: number): number {
  return (length + 3) & ~3;
}

export function readU16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}

export function readU32(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at) * 0x1_0000 + readU16(bytes, at + 2);
}

export function writeU16(into: Uint8Array, at: number, value: number): void {
  into[at] = value >>> 8;
  into[at + 1] = value;
}

export function writeU32(into: Uint8Array, at: number, value: number): void {
  into[at] = value >>> 24;
  into[at + 1] = value >>> 16;
  into[at + 2] = value >>> 8;
  into[at + 3] = value;
}

/**
 * Judges the header of one whole datagram or frame: undefined when it is STUN and exactly as long as it says, else what is
 * wrong with it. Allocates nothing.
 */
export function headerFault(bytes: Uint8Array): Fault | undefined {
  if (bytes.length < HEADER_LENGTH) return 'truncated';
  if (((bytes[0] ?? 0) & 0xc0) !== 0) return 'not_stun';
  if (readU32(bytes, 4) !== MAGIC_COOKIE) return 'magic_cookie';
  const length = readU16(bytes, 2);
  if ((length & 3) !== 0) return 'misaligned';
  if (length + HEADER_LENGTH !== bytes.length) return 'length_mismatch';
  return undefined;
}
