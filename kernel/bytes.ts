/**
 * Byte counts are `bigint` in memory, UInt64 in the store and decimal strings in JSON: a JavaScript number is
 * exact only to 2^53, and a byte that is rounded away is a byte that is not billed.
 */
import { hash, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';

const U64_MAX = 0xffff_ffff_ffff_ffffn;
const DECIMAL_UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB'] as const;

/** An unsigned 64-bit count written as a decimal string, or as a safe integer. Parsed to bigint. */
export const u64 = z
  .union([
    z.string().regex(/^(0|[1-9]\d{0,19})$/, 'must be a decimal string of an unsigned integer'),
    z.int().nonnegative(),
  ])
  .transform((value, context) => {
    const parsed = BigInt(value);
    if (parsed > U64_MAX) {
      context.addIssue({ code: 'custom', message: 'must fit in 64 bits' });
      return z.NEVER;
    }
    return parsed;
  })
  .describe('A decimal string, or a number where that is exact.');

/** A count of bytes as answers have it. */
export const bytesText = z
  .string()
  .regex(/^(0|[1-9]\d*)$/)
  .describe('Bytes, as a decimal string.');

/** Bytes as an operator writes them: a `u64`, or decimal units as text such as `50 GB` or `1.5 TB`. Parsed to bigint, exactly. */
export const byteSize = z.union([
  u64,
  z
    .string()
    .regex(/^\d{1,12}(\.\d{1,9})? ?(kB|MB|GB|TB)$/, 'must be a number of bytes, or such as 50 GB')
    .transform((text, context) => {
      const [, whole = '0', fraction = '', unit] = /^(\d+)(?:\.(\d+))? ?(\w+)$/.exec(text) ?? [];
      const digits = 3 * DECIMAL_UNITS.findIndex((name) => name === unit) - fraction.length;
      const bytes = digits < 0 ? undefined : BigInt(whole + fraction) * 10n ** BigInt(digits);
      if (bytes !== undefined && bytes <= U64_MAX) return bytes;
      context.addIssue({ code: 'custom', message: 'must be a whole number of bytes that fits in 64 bits' });
      return z.NEVER;
    }),
]);

/** JSON.stringify replacer by convention of this project: bigint becomes a decimal string. */
export function bigintAsString(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}

/** Compares two secrets in time that depends on neither's content nor length. */
export function secretsEqual(left: string | Uint8Array, right: string | Uint8Array): boolean {
  const digest = (value: string | Uint8Array) => hash('sha256', value, 'buffer');
  return timingSafeEqual(digest(left), digest(right));
}

/** `14203112n` → `14.2 MB`. Decimal units (GB = 10^9), three significant digits, for people only. */
export function formatBytes(bytes: bigint): string {
  let unit = 0;
  let scaled = bytes * 1000n;
  while (scaled >= 1_000_000n && unit < DECIMAL_UNITS.length - 1) {
    scaled /= 1000n;
    unit += 1;
  }
  const value = Number(scaled) / 1000;
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toFixed(digits)} ${DECIMAL_UNITS[unit]}`;
}
