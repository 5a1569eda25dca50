/**
 * A credential's claims as bytes. They ride inside a TURN username (≤ 508 bytes, RFC 8489 §14.3), so the form is binary
 * and length-prefixed rather than JSON:
 *
 *   version (1) · customId (1 + n) · call (1 + n) · participant (1 + n) · what else (1) · the limits present, in order ·
 *   the impairment, if there is one (10)
 *
 * A later version may say more; a reader that does not know a version refuses it rather than guess.
 */
import { impairment } from '../contract.ts';
import type { CredentialClaims, CredentialLimits, Impairment } from '../contract.ts';

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
/** Bit of the presence byte that says that an impairment follows the limits. */
const IMPAIRED = 32;
/** Hundredths of a percent (2), milliseconds of delay (2) and of jitter (2), kilobits a second (4; 0 = unlimited). */
const IMPAIRMENT_BYTES = 10;
const KNOWN_BITS = limitFields.reduce((bits, field) => bits | field.bit, IMPAIRED);

/** The least and the most that `encodeClaims` can give. */
export const MIN_CLAIMS_BYTES = 2 + 3;
export const MAX_CLAIMS_BYTES =
  2 + 3 * (1 + MAX_NAME_BYTES) + limitFields.reduce((total, field) => total + field.width, IMPAIRMENT_BYTES);

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
  if (claims.impairment === undefined) return Buffer.concat([...parts, Uint8Array.of(present), ...limits]);
  return Buffer.concat([...parts, Uint8Array.of(present | IMPAIRED), ...limits, encodeImpairment(claims.impairment)]);
}

function encodeImpairment({ lossPercent = 0, delayMs = 0, jitterMs = 0, rateKbps = 0 }: Impairment): Buffer {
  const bytes = Buffer.alloc(IMPAIRMENT_BYTES);
  bytes.writeUInt16BE(Math.round(lossPercent * 100), 0);
  bytes.writeUInt16BE(delayMs, 2);
  bytes.writeUInt16BE(jitterMs, 4);
  bytes.writeUInt32BE(rateKbps, 6);
  return bytes;
}

/** Undefined when the bytes say what no credential may ask for. */
function decodeImpairment(bytes: Buffer): Impairment | undefined {
  const rateKbps = bytes.readUInt32BE(6);
  const read = impairment.safeParse({
    lossPercent: bytes.readUInt16BE(0) / 100,
    delayMs: bytes.readUInt16BE(2),
    jitterMs: bytes.readUInt16BE(4),
    ...(rateKbps === 0 ? {} : { rateKbps }),
  });
  return read.success ? read.data : undefined;
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
  if (present === undefined || (present & ~KNOWN_BITS) !== 0) return undefined;
  const limits: { -readonly [K in keyof CredentialLimits]: CredentialLimits[K] } = {};
  for (const { name, bit, width } of limitFields) {
    if ((present & bit) === 0) continue;
    const field = take(width);
    if (field === undefined) return undefined;
    if (name === 'bytes') limits.bytes = field.readBigUInt64BE();
    else limits[name] = field.readUIntBE(0, width);
  }
  const isImpaired = (present & IMPAIRED) !== 0;
  const impairedBytes = isImpaired ? take(IMPAIRMENT_BYTES) : undefined;
  const conditions = impairedBytes === undefined ? undefined : decodeImpairment(impairedBytes);
  if (offset !== bytes.length || isImpaired !== (conditions !== undefined)) return undefined;
  const [customId = '', call = '', participant = ''] = names;
  return { customId, call, participant, limits, ...(conditions === undefined ? {} : { impairment: conditions }) };
}
