/**
 * Turnpike's username: `<expiry>:<keyId>.<sealed claims>`, with the TURN REST draft's password
 * (draft-uberti-behave-turn-rest-00 §2.2), so that coturn, eturnal and pion accept what Turnpike issues.
 *
 * The claims are sealed with AES-256-GCM under a key derived for that purpose alone; expiry and key id are
 * authenticated with them. The seal keeps names from readers on the path; what lets a client in is the password, a MAC
 * over the whole username, so not even a nonce collision under one secret would open the relay.
 */
import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import type { CredentialClaims } from '../contract.ts';
import type { Random } from '../../kernel/random.ts';
import { decodeClaims, encodeClaims, MAX_CLAIMS_BYTES, MIN_CLAIMS_BYTES } from './claims.ts';

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const MIN_SEALED_BYTES = NONCE_BYTES + MIN_CLAIMS_BYTES + TAG_BYTES;
const MAX_SEALED_BYTES = NONCE_BYTES + MAX_CLAIMS_BYTES + TAG_BYTES;
const MAX_KEY_ID_BYTES = 64;

/** Longest USERNAME that STUN carries: fewer than 509 bytes (RFC 8489 §14.3). */
export const MAX_USERNAME_BYTES = 508;
/** Bytes of the AES key that `sealName` and `unsealName` take. */
export const SEAL_KEY_BYTES = 32;

/** A username taken apart; nothing of it is believed yet. */
export interface NameParts {
  /** Unix seconds. */
  readonly expiry: number;
  /** What stands behind the expiry: a key id and a seal, or somebody else's user name. */
  readonly rest: string;
}

/** Splits `<expiry>:<rest>`; undefined for a name that is no TURN REST name. */
export function splitName(username: string): NameParts | undefined {
  if (Buffer.byteLength(username) > MAX_USERNAME_BYTES) return undefined;
  const match = /^([1-9]\d{0,10}):(.+)$/s.exec(username);
  return match?.[1] === undefined || match[2] === undefined ? undefined : { expiry: Number(match[1]), rest: match[2] };
}

/** Splits `<keyId>.<seal>` at the last dot; undefined when there is none. */
export function splitRest(rest: string): { readonly keyId: string; readonly seal: string } | undefined {
  const dot = rest.lastIndexOf('.');
  return dot <= 0 ? undefined : { keyId: rest.slice(0, dot), seal: rest.slice(dot + 1) };
}

/** The latest expiry that a name may have to be plain or to be revoked (2096): a later one could not be kept in the store. */
export const MAX_EXPIRY = 4_000_000_000;

/**
 * Splits a plain TURN REST name: `<expiry>:<user>`, or the expiry alone, as the draft allows and Prosody mints. Undefined
 * for what is neither, or claims to live for ever.
 */
export function splitPlainName(username: string): NameParts | undefined {
  const parts = /^[1-9]\d{0,10}$/.test(username) ? { expiry: Number(username), rest: '' } : splitName(username);
  return parts === undefined || parts.expiry > MAX_EXPIRY ? undefined : parts;
}

/**
 * Whether this is, or was, a name that Turnpike sealed, whoever's key it names. A key may be gone from the configuration
 * and its secret live on under another one: were its names taken for plain ones, they would lose their limits.
 */
export function looksSealed(rest: string): boolean {
  const parts = splitRest(rest);
  return parts !== undefined && sealedBytes(parts.seal) !== undefined;
}

/** A username of ours, at most 508 bytes. `expiry` is Unix seconds; throws RangeError for ids over 64 UTF-8 bytes. */
export function sealName(
  claims: CredentialClaims,
  to: { readonly expiry: number; readonly keyId: string; readonly sealKey: Buffer },
  random: Random,
): string {
  if (Buffer.byteLength(to.keyId) > MAX_KEY_ID_BYTES) throw new RangeError('a key id is longer than 64 bytes');
  const head = `${to.expiry}:${to.keyId}`;
  const nonce = random.bytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, to.sealKey, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(Buffer.from(head));
  const sealed = Buffer.concat([nonce, cipher.update(encodeClaims(claims)), cipher.final(), cipher.getAuthTag()]);
  return `${head}.${sealed.toString('base64url')}`;
}

export type Unsealed =
  | { readonly ok: true; readonly claims: CredentialClaims; readonly sealKey: Buffer }
  /** `malformed`: no seal could look like this (truncated, not base64url). `forged`: no live key opens it. */
  | { readonly ok: false; readonly reason: 'malformed' | 'forged' };

/** Opens a seal with whichever of the keys made it. */
export function unsealName(
  parts: { expiry: number; keyId: string; seal: string },
  sealKeys: Iterable<Buffer>,
): Unsealed {
  const sealed = sealedBytes(parts.seal);
  if (sealed === undefined) return { ok: false, reason: 'malformed' };
  for (const sealKey of sealKeys) {
    const plain = open(sealed, `${parts.expiry}:${parts.keyId}`, sealKey);
    if (plain === undefined) continue;
    const claims = decodeClaims(plain);
    return claims === undefined ? { ok: false, reason: 'malformed' } : { ok: true, claims, sealKey };
  }
  return { ok: false, reason: 'forged' };
}

/** The bytes of what could be a seal: base64url in its one canonical spelling, of a length that claims can have. */
function sealedBytes(seal: string): Buffer | undefined {
  const bytes = Buffer.from(seal, 'base64url');
  // The decoder skips what it does not know.
  if (bytes.toString('base64url') !== seal) return undefined;
  return bytes.length < MIN_SEALED_BYTES || bytes.length > MAX_SEALED_BYTES ? undefined : bytes;
}

function open(sealed: Buffer, aad: string, sealKey: Buffer): Buffer | undefined {
  const tagAt = sealed.length - TAG_BYTES;
  const decipher = createDecipheriv(CIPHER, sealKey, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(aad));
  decipher.setAuthTag(sealed.subarray(tagAt));
  const plain = decipher.update(sealed.subarray(NONCE_BYTES, tagAt));
  try {
    decipher.final();
    return plain;
  } catch {
    return undefined; // the tag does not fit: another key's, or tampered with
  }
}

/** `base64(HMAC-SHA1(secret, username))`: the password of any TURN REST username. */
export function passwordOf(username: string, secret: string): string {
  return createHmac('sha1', secret).update(username).digest('base64');
}
