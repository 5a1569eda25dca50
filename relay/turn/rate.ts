/**
 * A token bucket as one number (the generic cell rate algorithm): the moment at which everything spent so far has come back. State
 * of any number of buckets is an array of numbers.
 */

/** A bucket that nobody has used, on any clock. */
export const UNUSED = Number.NEGATIVE_INFINITY;

export interface Rate {
  /** Infinite: never refused. */
  readonly perSecond: number;
  /** What may be spent at once after a pause. */
  readonly burst: number;
}

/**
 * Spends `amount` at `now` (milliseconds): the bucket's new value, or undefined when it is empty. A bucket that is not empty gives
 * any amount and owes the rest, so that a request for more than the burst is late rather than impossible.
 */
export function spend(bucket: number, now: number, amount: number, { perSecond, burst }: Rate): number | undefined {
  const full = Math.max(bucket, now);
  const left = burst - ((full - now) * perSecond) / 1000;
  // A whole unit, but for what floating point makes of a third of a second.
  return left < 1 - 1e-6 ? undefined : full + (amount * 1000) / perSecond;
}
