/**
 * MESSAGE-INTEGRITY (RFC 8489 §14.5): HMAC-SHA1 over the message before it, with the header's length adjusted to end behind it.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { attributes } from './attributes.ts';
import { ATTRIBUTE_HEADER_LENGTH, HEADER_LENGTH, writeU16 } from './header.ts';
import type { StunMessage } from './message.ts';

const HMAC_LENGTH = 20;
/** Octets of the whole attribute. */
export const INTEGRITY_LENGTH = ATTRIBUTE_HEADER_LENGTH + HMAC_LENGTH;

/**
 * The OpaqueString profile (RFC 8265 §4.2) as far as it changes anything: every space becomes U+0020, then NFC. What it forbids
 * (control characters, unassigned code points) is left to the HMAC to refuse.
 */
export function opaqueString(text: string): string {
  return text.replace(/\p{Zs}/gu, ' ').normalize('NFC');
}

/** The long-term credential key (RFC 8489 §9.2.2): MD5(username ":" OpaqueString(realm) ":" OpaqueString(password)); 16 octets. */
export function longTermKey(username: string, realm: string, password: string): Buffer {
  return createHash('md5')
    .update(`${username}:${opaqueString(realm)}:${opaqueString(password)}`)
    .digest();
}

/** The HMAC of a message that begins at `start`, covering it up to the attribute at `at`. */
function integrityOf(bytes: Uint8Array, start: number, at: number, key: Uint8Array): Buffer {
  // The length that was true when the attribute was the last one, whatever follows it now.
  const length = new Uint8Array(2);
  writeU16(length, 0, at + INTEGRITY_LENGTH - start - HEADER_LENGTH);
  return createHmac('sha1', key)
    .update(bytes.subarray(start, start + 2))
    .update(length)
    .update(bytes.subarray(start + 4, at))
    .digest();
}

/** Writes the attribute at `at`, behind a message that begins at `start`. */
export function writeIntegrity(into: Uint8Array, start: number, at: number, key: Uint8Array): void {
  writeU16(into, at, attributes.MESSAGE_INTEGRITY.type);
  writeU16(into, at + 2, HMAC_LENGTH);
  into.set(integrityOf(into, start, at, key), at + ATTRIBUTE_HEADER_LENGTH);
}

/** Whether the message carries a MESSAGE-INTEGRITY made with this key. The comparison takes the same time wherever they differ. */
export function integrityIsRight(message: StunMessage, key: Uint8Array): boolean {
  const found = message.find(attributes.MESSAGE_INTEGRITY.type);
  if (found === undefined || found.length !== HMAC_LENGTH) return false;
  const expected = integrityOf(message.raw, 0, found.at - ATTRIBUTE_HEADER_LENGTH, key);
  return timingSafeEqual(expected, message.raw.subarray(found.at, found.at + found.length));
}
