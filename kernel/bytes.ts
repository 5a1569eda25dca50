/**
 * Byte counts are `bigint` in memory, UInt64 in the store and decimal strings in JSON: a JavaScript number is
 * exact only to 2^53, and a byte that is rounded away is a byte that is not billed.
 */
import { timingSafeEqual, createHash } from 'node:crypto';
import { z } from 'zod';

const U64_MAX = 0xffff_ffff_ffff_ffffn;

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
  });

/** JSON.stringify replacer by convention of this project: bigint becomes a decimal string. */
export function bigintAsString(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}

/** Compares two secrets in time that depends on neither's content nor length. */
export function secretsEqual(left: string | Uint8Array, right: string | Uint8Array): boolean {
  const digest = (value: string | Uint8Array) => createHash('sha256').update(value).digest();
  return timingSafeEqual(digest(left), digest(right));
}

const DECIMAL_UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB'] as const;

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
