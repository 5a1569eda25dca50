/**
 * ChannelData messages (RFC 8656 §12.4): two octets of channel number, two of length, then the payload.
 *
 *     0                   1                   2                   3
 *     |         Channel Number        |            Length             |
 */
import { padded, readU16, writeU16 } from './header.ts';

export const CHANNEL_DATA_HEADER_LENGTH = 4;
/** RFC 8656 §12 narrowed the range of RFC 5766 (to 0x7FFF): 0x5000 and above are reserved and dropped. */
export const FIRST_CHANNEL = 0x4000;
export const LAST_CHANNEL = 0x4fff;

export function isChannelNumber(channel: number): boolean {
  return channel >= FIRST_CHANNEL && channel <= LAST_CHANNEL;
}

/** Whether these bytes claim to be ChannelData, judged by the first octet alone (0x40 to 0x4F). */
export function isChannelData(bytes: Uint8Array): boolean {
  return ((bytes[0] ?? 0) & 0xf0) === 0x40;
}

/** The channel number of bytes that `isChannelData`. */
export function channelNumberOf(bytes: Uint8Array): number {
  return readU16(bytes, 0);
}

/**
 * Octets of payload in one received datagram, which begins at CHANNEL_DATA_HEADER_LENGTH; -1 when the datagram is shorter
 * than its length field says or longer than padding explains. Over UDP padding is optional (§12.5).
 */
export function channelDataLength(datagram: Uint8Array): number {
  if (datagram.length < CHANNEL_DATA_HEADER_LENGTH) return -1;
  const length = readU16(datagram, 2);
  const present = datagram.length - CHANNEL_DATA_HEADER_LENGTH;
  return present >= length && present <= padded(length) ? length : -1;
}

/** Writes the four octets that belong in front of `length` octets of payload. */
export function writeChannelDataHeader(into: Uint8Array, at: number, channel: number, length: number): void {
  writeU16(into, at, channel);
  writeU16(into, at + 2, length);
}
