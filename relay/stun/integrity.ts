/**
 * MESSAGE-INTEGRITY (RFC 8489 §14.5) and MESSAGE-INTEGRITY-SHA256 (§14.6): HMAC-SHA1 or HMAC-SHA256 over the message before it, with
 * the header's length adjusted to end behind it.
 */
import { createHmac, hash as digest, timingSafeEqual } from 'node:crypto';
import { attributes } from './attributes.ts';
import { ATTRIBUTE_HEADER_LENGTH, HEADER_LENGTH, readU16, writeU16 } from './header.ts';
import type { StunMessage } from './message.ts';
import { opaqueString } from './opaque-string.ts';
import { type PasswordAlgorithm, passwordAlgorithms } from './password-algorithm.ts';

/**
 * The long-term credential key (§9.2.2, §18.5.1): digest(username ":" OpaqueString(realm) ":" OpaqueString(password)); 16 octets
 * with MD5, 32 with SHA-256. The username is taken as it stands in USERNAME. Throws RangeError when the profile forbids realm or
 * password: both are of our own making.
 */
export function longTermKey(
  username: string,
  realm: string,
  password: string,
  algorithm: PasswordAlgorithm = 'MD5',
): Buffer {
  const parts = [opaqueString(realm), opaqueString(password)];
  if (parts.includes(undefined)) throw new RangeError('OpaqueString (RFC 8265) forbids this realm or password');
  return digest(passwordAlgorithms[algorithm].digest, [username, ...parts].join(':'), 'buffer');
}

/** Under which key, and with which of the two attributes, a message is sealed. */
export interface Seal {
  readonly key: Uint8Array;
  readonly hash: IntegrityHash;
}

const hashes = {
  sha1: { type: attributes.MESSAGE_INTEGRITY.type, length: 20 },
  sha256: { type: attributes.MESSAGE_INTEGRITY_SHA256.type, length: 32 },
} as const;
export type IntegrityHash = keyof typeof hashes;

/** Octets of the whole attribute as we write it: never truncated. */
export function integrityLength(hash: IntegrityHash): number {
  return ATTRIBUTE_HEADER_LENGTH + hashes[hash].length;
}

/** The attribute that decides: SHA-256 where both are there (§9.2.4); undefined where neither is. */
export function integrityHashOf(message: StunMessage): IntegrityHash | undefined {
  if (message.has(hashes.sha256.type)) return 'sha256';
  return message.has(hashes.sha1.type) ? 'sha1' : undefined;
}

/** The value of the attribute that decides, a view; empty where there is none. */
export function integrityValueOf(message: StunMessage): Uint8Array {
  const hash = integrityHashOf(message);
  return (hash === undefined ? undefined : message.value(hashes[hash].type)) ?? new Uint8Array(0);
}

/** The HMAC of a message that begins at `start`, covering it up to the attribute at `at` that has `length` octets of value. */
function integrityOf(bytes: Uint8Array, start: number, at: number, length: number, { key, hash }: Seal): Buffer {
  // The length that was true when the attribute was the last one, whatever follows it now.
  const total = at + ATTRIBUTE_HEADER_LENGTH + length - start - HEADER_LENGTH;
  const hmac = createHmac(hash, key);
  if (readU16(bytes, start + 2) === total) return hmac.update(bytes.subarray(start, at)).digest();
  const head = Uint8Array.from(bytes.subarray(start, start + 4));
  writeU16(head, 2, total);
  return hmac
    .update(head)
    .update(bytes.subarray(start + 4, at))
    .digest();
}

/** Writes the attribute at `at`, behind a message that begins at `start`. */
export function writeIntegrity(into: Uint8Array, start: number, at: number, seal: Seal): void {
  const { type, length } = hashes[seal.hash];
  writeU16(into, at, type);
  writeU16(into, at + 2, length);
  into.set(integrityOf(into, start, at, length, seal), at + ATTRIBUTE_HEADER_LENGTH);
}

/**
 * Whether the message carries the attribute of `hash`, made with this key. SHA-256 may be cut to 16 octets or more in steps of four.
 * The comparison takes the same time wherever they differ.
 */
export function integrityIsRight(message: StunMessage, key: Uint8Array, hash: IntegrityHash = 'sha1'): boolean {
  const found = message.find(hashes[hash].type);
  if (found === undefined || !lengthIsRight(found.length, hash)) return false;
  const expected = integrityOf(message.raw, 0, found.at - ATTRIBUTE_HEADER_LENGTH, found.length, { key, hash });
  return timingSafeEqual(expected.subarray(0, found.length), message.raw.subarray(found.at, found.at + found.length));
}

function lengthIsRight(length: number, hash: IntegrityHash): boolean {
  return hash === 'sha1' ? length === hashes.sha1.length : length >= 16 && length <= 32 && length % 4 === 0;
}
