import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Allowance } from '../../../../relay/planes/dgram/allowance.ts';
import type { Limits } from '../../../../relay/planes/plane.ts';

function allowanceOf(limits: Limits): Allowance {
  const allowance = Allowance.of(limits, 0);
  if (allowance === undefined) throw new Error('nothing is limited');
  return allowance;
}

describe('an allowance', () => {
  it('is nothing at all where nothing is limited', () => {
    expect(Allowance.of({}, 0)).toBeUndefined();
  });

  it('admits one second of packets at once, and over any time no more than the rate', () => {
    const gaps = fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), gaps, (packetsPerSecond, steps) => {
        const allowance = allowanceOf({ packetsPerSecond });
        let now = 0;
        let admitted = 0;
        for (const gap of steps) {
          now += gap;
          if (allowance.exceeded(100, now) === undefined) admitted += 1;
          expect(admitted).toBeLessThanOrEqual(packetsPerSecond + Math.ceil((now * packetsPerSecond) / 1000));
        }
      }),
    );
  });

  it('lets a packet larger than a second of bits pass, and then waits until it is paid for', () => {
    const allowance = allowanceOf({ bitsPerSecond: 800 });
    expect(allowance.exceeded(1000, 0)).toBeUndefined();
    expect(allowance.exceeded(1, 8999)).toBe('bit_rate');
    expect(allowance.exceeded(1, 9001)).toBeUndefined();
  });

  it('charges neither rate for a packet that one of them refuses', () => {
    const allowance = allowanceOf({ packetsPerSecond: 2, bitsPerSecond: 800 });
    expect(allowance.exceeded(100, 0)).toBeUndefined();
    for (let count = 0; count < 5; count += 1) expect(allowance.exceeded(100, 0)).toBe('bit_rate');
    expect(allowance.exceeded(100, 1)).toBeUndefined();
    expect(allowance.exceeded(100, 1)).toBe('bit_rate');
  });

  it('reserves a quota to the last byte, takes nothing when it does not fit, and takes back', () => {
    const allowance = allowanceOf({ bytes: 100n });
    expect(allowance.reserve(60)).toBe(true);
    expect(allowance.reserve(41)).toBe(false);
    expect(allowance.reserve(40)).toBe(true);
    expect(allowance.spent).toBe(true);
    allowance.refund(40);
    expect(allowance.spent).toBe(false);
    expect(allowance.reserve(40)).toBe(true);
  });

  it('counts a quota of nothing as spent from the start, and one beyond 2^53 as large', () => {
    expect(allowanceOf({ bytes: 0n }).reserve(4)).toBe(false);
    expect(allowanceOf({ bytes: 2n ** 64n - 1n }).reserve(65_507)).toBe(true);
  });
});
