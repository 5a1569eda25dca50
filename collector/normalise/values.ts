/** Single members of hostile statistics, read one by one: what is not what it should be is missing, and costs only itself. */
import type { RtcStats } from '../contract.ts';

type Stats = RtcStats | undefined;

/** A finite number that is not negative, or null. */
export function amount(stats: Stats, member: string): number | null {
  const value = stats?.[member];
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : null;
}

/** A count: an exact whole number, not negative unless `signed`. */
export function count(stats: Stats, member: string, signed = false): number | null {
  const value = stats?.[member];
  return typeof value === 'number' && Number.isSafeInteger(value) && (signed || value >= 0) ? value : null;
}

export function text(stats: Stats, member: string): string | null {
  const value = stats?.[member];
  return typeof value === 'string' ? value : null;
}

/** One of the listed words. */
export function word(stats: Stats, member: string, allowed: readonly string[]): string | null {
  const value = text(stats, member);
  return value !== null && allowed.includes(value) ? value : null;
}

/**
 * A Decimal32 with that many digits after the point: rounded, and null where nine digits do not hold it or it is above
 * `most`.
 */
export function decimal(value: number | null, digits: number, most = Number.POSITIVE_INFINITY): number | null {
  if (value === null || !Number.isFinite(value) || value > most) return null;
  const scale = 10 ** digits;
  const scaled = Math.round(value * scale);
  return Math.abs(scaled) < 1e9 ? scaled / scale : null;
}

/** A counter that fell: the stream began anew. */
export class CounterReset extends Error {}

/** What a rising member gained; null when either end is missing. Throws CounterReset when it fell. */
export function gain(before: number | null, after: number | null): number | null {
  if (before === null || after === null) return null;
  if (after < before) throw new CounterReset();
  return after - before;
}
