/** FINGERPRINT (RFC 8489 §14.7): CRC-32 of the message before it, XOR 0x5354554e; always the last attribute. */
import { crc32 } from 'node:zlib';
import { attributes } from './attributes.ts';
import { ATTRIBUTE_HEADER_LENGTH, readU16, readU32, writeU16, writeU32 } from './header.ts';

/** "STUN": sets our checksum apart from one that the protocol in the packet computes over the same octets. */
const XOR = 0x5354554e;
/** Octets of the whole attribute. */
export const FINGERPRINT_LENGTH = 8;

/** The value for a message of which `covered` are the octets before the attribute, its header's length already counting it. */
export function fingerprintOf(covered: Uint8Array): number {
  return (crc32(covered) ^ XOR) >>> 0;
}

/** Whether the FINGERPRINT attribute that begins at `at` is the last of this whole message and right. */
export function fingerprintIsRight(message: Uint8Array, at: number): boolean {
  return (
    at + FINGERPRINT_LENGTH === message.length &&
    readU16(message, at) === attributes.FINGERPRINT.type &&
    readU16(message, at + 2) === 4 &&
    readU32(message, at + ATTRIBUTE_HEADER_LENGTH) === fingerprintOf(message.subarray(0, at))
  );
}

/** Writes the attribute at `at`, after a message that begins at `start` and whose length field already counts it. */
export function writeFingerprint(into: Uint8Array, start: number, at: number): void {
  writeU16(into, at, attributes.FINGERPRINT.type);
  writeU16(into, at + 2, 4);
  writeU32(into, at + ATTRIBUTE_HEADER_LENGTH, fingerprintOf(into.subarray(start, at)));
}
