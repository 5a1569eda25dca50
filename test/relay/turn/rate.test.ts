import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { spend, UNUSED } from '../../../relay/turn/rate.ts';

describe('a token bucket as one number', () => {
  it('does what a count of tokens that come back one by one does', () => {
    const rate = { perSecond: 4, burst: 6 };
    fc.assert(
      fc.property(fc.array(fc.nat(20), { maxLength: 60 }), (pauses) => {
        // Quarter seconds, in which exactly one token comes back: the model counts whole ones.
        let [bucket, tokens, now] = [0, rate.burst, 0];
        for (const pause of pauses) {
          now += pause * 250;
          tokens = Math.min(rate.burst, tokens + pause);
          const spent = spend(bucket, now, 1, rate);
          expect(spent !== undefined).toBe(tokens > 0);
          if (spent !== undefined) [bucket, tokens] = [spent, tokens - 1];
        }
      }),
    );
  });

  it('gives more than its burst to one who waited, and takes it back before it gives again', () => {
    const rate = { perSecond: 1, burst: 5 };
    const owing = spend(0, 10_000, 20, rate) ?? 0;
    expect(spend(owing, 25_000, 1, rate)).toBeUndefined();
    expect(spend(owing, 26_000, 1, rate)).toBeDefined();
  });

  it('is full before anybody has used it, on a clock of any beginning', () => {
    const rate = { perSecond: 5, burst: 25 };
    for (const now of [-1e9, -5_000, 0, 1e9]) expect(spend(UNUSED, now, 25, rate)).toBe(now + 5_000);
  });

  it('never refuses at an infinite rate', () => {
    const rate = { perSecond: Number.POSITIVE_INFINITY, burst: Number.POSITIVE_INFINITY };
    let bucket: number | undefined = 0;
    for (let count = 0; count < 10_000; count += 1) bucket = spend(bucket ?? Number.NaN, 0, 1, rate);
    expect(bucket).toBe(0);
  });
});
