/**
 * A credential's claims as bytes. They ride inside a TURN username (≤ 508 bytes, RFC 8489 §14.3), so the form is binary
 * and length-prefixed rather than JSON:
 *
 *   version (1) · customId (1 + n) · call (1 + n) · participant (1 + n) · which limits (1) · the limits present, in order
 *
 * A later version may say more; a reader that does not know a version refuses it rather than guess.
 */
import type { CredentialClaims, CredentialLimits } from '../contract.ts';

const VERSION = 1;
/** Longest identifier in UTF-8 bytes, here and in the contract's `shortName`. */
const MAX_NAME_BYTES = 64;

/** One limit: its bit in the presence byte and its width on the wire, big-endian. The order is the wire's. */
const limitFields = [
  { name: 'allocations', bit: 1, width: 2 },
  { name: 'bytes', bit: 2, width: 8 },
  { name: 'packetsPerSecond', bit: 4, width: 4 },
  { name: 'bitsPerSecond', bit: 8, width: 6 },
  { name: 'newPeersPerSecond', bit: 16, width: 4 },
] as const satisfies readonly { name: keyof CredentialLimits; bit: number; width: number }[];
const ALL_LIMITS = limitFields.reduce((bits, field) => bits | field.bit, 0);

/** The least and the most that `encodeClaims` can give. */
export const MIN_CLAIMS_BYTES = 2 + 3;
export const MAX_CLAIMS_BYTES =
  2 + 3 * (1 + MAX_NAME_BYTES) + limitFields.reduce((total, field) => total + field.width, 0);

/** Claims in wire form. Throws RangeError for an identifier over 64 UTF-8 bytes or a limit wider than its field. */
export function encodeClaims(claims: CredentialClaims): Buffer {
  const parts: Uint8Array[] = [Uint8Array.of(VERSION)];
  for (const text of [claims.customId, claims.call, claims.participant]) {
    const bytes = Buffer.from(text, 'utf8');
    if (bytes.length > MAX_NAME_BYTES) throw new RangeError(`an identifier is longer than ${MAX_NAME_BYTES} bytes`);
    parts.push(Uint8Array.of(bytes.length), bytes);
  }
  let present = 0;
  const limits: Buffer[] = [];
  for (const { name, bit, width } of limitFields) {
    const value = claims.limits[name];
    if (value === undefined) continue;
    present |= bit;
    const field = Buffer.alloc(8);
    field.writeBigUInt64BE(BigInt(value));
    if (field.subarray(0, 8 - width).some((byte) => byte !== 0)) throw new RangeError(`limit ${name} is too large`);
    limits.push(field.subarray(8 - width));
  }
  return Buffer.concat([...parts, Uint8Array.of(present), ...limits]);
}

/** The claims, or undefined when the bytes are not exactly one encoding of this version. */
export function decodeClaims(bytes: Buffer): CredentialClaims | undefined {
  let offset = 0;
  const take = (length: number): Buffer | undefined => {
    if (offset + length > bytes.length) return undefined;
    offset += length;
    return bytes.subarray(offset - length, offset);
  };
  if (take(1)?.[0] !== VERSION) return undefined;
  const names: string[] = [];
  for (let index = 0; index < 3; index += 1) {
    const length = take(1)?.[0];
    const text = length === undefined || length > MAX_NAME_BYTES ? undefined : take(length);
    if (text === undefined) return undefined;
    names.push(text.toString('utf8'));
  }
  const present = take(1)?.[0];
  if (present === undefined || (present & ~ALL_LIMITS) !== 0) return undefined;
  const limits: { -readonly [K in keyof CredentialLimits]: CredentialLimits[K] } = {};
  for (const { name, bit, width } of limitFields) {
    if ((present & bit) === 0) continue;
    const field = take(width);
    if (field === undefined) return undefined;
    if (name === 'bytes') limits.bytes = field.readBigUInt64BE();
    else limits[name] = field.readUIntBE(0, width);
  }
  const [customId = '', call = '', participant = ''] = names;
  return offset === bytes.length ? { customId, call, participant, limits } : undefined;
}
