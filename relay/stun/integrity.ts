/**
 * MESSAGE-INTEGRITY (RFC 8489 §14.5) and MESSAGE-INTEGRITY-SHA256 (§14.6): HMAC-SHA1 or HMAC-SHA256 over the message before it, with
 * the header's length adjusted to end behind it.
 */
import { timingSafeEqual } from 'node:crypto';
import { attributes } from './attributes.ts';
import { type Hashes, nodeHashes } from './hashes.ts';
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
  hashes: Hashes = nodeHashes,
): Uint8Array {
  const parts = [opaqueString(realm), opaqueString(password)];
  if (parts.includes(undefined)) throw new RangeError('OpaqueString (RFC 8265) forbids this realm or password');
  return hashes.digest(passwordAlgorithms[algorithm].digest, [username, ...parts].join(':'));
}

/** Under which key, and with which of the two attributes, a message is sealed. */
export interface Seal {
  readonly key: Uint8Array;
  readonly hash: IntegrityHash;
}

const integrities = {
  sha1: { type: attributes.MESSAGE_INTEGRITY.type, length: 20 },
  sha256: { type: attributes.MESSAGE_INTEGRITY_SHA256.type, length: 32 },
} as const;
export type IntegrityHash = keyof typeof integrities;

/** Octets of the whole attribute as we write it: never truncated. */
export function integrityLength(hash: IntegrityHash): number {
  return ATTRIBUTE_HEADER_LENGTH + integrities[hash].length;
}

/** The attribute that decides: SHA-256 where both are there (§9.2.4); undefined where neither is. */
export function integrityHashOf(message: StunMessage): IntegrityHash | undefined {
  if (message.has(integrities.sha256.type)) return 'sha256';
  return message.has(integrities.sha1.type) ? 'sha1' : undefined;
}

/** The value of the attribute that decides, a view; empty where there is none. */
export function integrityValueOf(message: StunMessage): Uint8Array {
  const hash = integrityHashOf(message);
  return (hash === undefined ? undefined : message.value(integrities[hash].type)) ?? new Uint8Array(0);
}

/** What is sealed: a message that begins at `start`, up to the attribute at `at` that has `length` octets of value. */
function covered(bytes: Uint8Array, start: number, at: number, length: number): Uint8Array {
  // The length that was true when the attribute was the last one, whatever follows it now.
  const total = at + ATTRIBUTE_HEADER_LENGTH + length - start - HEADER_LENGTH;
  const message = bytes.subarray(start, at);
  if (readU16(message, 2) === total) return message;
  const adjusted = Uint8Array.from(message);
  writeU16(adjusted, 2, total);
  return adjusted;
}

/** Writes the attribute at `at`, behind a message that begins at `start`. */
export function writeIntegrity(
  into: Uint8Array,
  start: number,
  at: number,
  { key, hash }: Seal,
  hashes: Hashes = nodeHashes,
): void {
  const { type, length } = integrities[hash];
  writeU16(into, at, type);
  writeU16(into, at + 2, length);
  into.set(hashes.hmac(hash, key, covered(into, start, at, length)), at + ATTRIBUTE_HEADER_LENGTH);
}

/**
 * Whether the message carries the attribute of `hash`, made with this key. SHA-256 may be cut to 16 octets or more in steps of four.
 * The comparison takes the same time wherever they differ.
 */
export function integrityIsRight(
  message: StunMessage,
  key: Uint8Array,
  hash: IntegrityHash = 'sha1',
  hashes: Hashes = nodeHashes,
): boolean {
  const found = message.find(integrities[hash].type);
  if (found === undefined || !lengthIsRight(found.length, hash)) return false;
  const text = covered(message.raw, 0, found.at - ATTRIBUTE_HEADER_LENGTH, found.length);
  const expected = hashes.hmac(hash, key, text);
  return timingSafeEqual(expected.subarray(0, found.length), message.raw.subarray(found.at, found.at + found.length));
}

function lengthIsRight(length: number, hash: IntegrityHash): boolean {
  return hash === 'sha1' ? length === integrities.sha1.length : length >= 16 && length <= 32 && length % 4 === 0;
}
