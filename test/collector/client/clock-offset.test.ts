import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createClockOffset } from '../../../collector/client/clock-offset.ts';

describe('the clock offset', () => {
  it('is unknown before the first answer', () => {
    expect(createClockOffset().value()).toBeNull();
  });

  it('is the server time less the midpoint of the request', () => {
    const offset = createClockOffset();
    offset.learn(1_000, 1_100, 61_050);
    expect(offset.value()).toBe(60_000);
  });

  it('trusts the answer with the shortest round trip', () => {
    const offset = createClockOffset();
    offset.learn(1_000, 1_020, 6_010);
    offset.learn(2_000, 2_800, 7_100);
    expect(offset.value()).toBe(5_000);
  });

  it('starts anew when a clock has stepped', () => {
    const offset = createClockOffset();
    offset.learn(1_000, 1_020, 6_010);
    offset.learn(2_000, 2_400, 3_602_200);
    expect(offset.value()).toBe(3_600_000);
  });

  it('ignores an answer without a usable time', () => {
    const offset = createClockOffset();
    offset.learn(1_000, 900, 6_000);
    offset.learn(1_000, 1_100, Number.NaN);
    expect(offset.value()).toBeNull();
  });

  it('is never further from the truth than half the shortest round trip', () => {
    const delays = fc.array(fc.tuple(fc.nat(2_000), fc.nat(2_000)), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(fc.integer({ min: -1e9, max: 1e9 }), delays, (truth, exchanges) => {
        const offset = createClockOffset();
        exchanges.forEach(([up, down], index) => {
          const sentAt = 1e12 + index * 5_000;
          offset.learn(sentAt, sentAt + up + down, sentAt + up + truth);
        });
        const shortest = Math.min(...exchanges.map(([up, down]) => up + down));
        expect(Math.abs((offset.value() ?? Number.NaN) - truth)).toBeLessThanOrEqual(shortest / 2 + 0.1);
      }),
    );
  });
});
