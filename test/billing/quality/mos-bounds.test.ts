import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AudioScore } from '../../../collector/contract.ts';
import { g107Rating } from '../../../billing/quality/mos/g107.ts';
import { g1071Rating } from '../../../billing/quality/mos/g107-1.ts';
import { g1072Rating } from '../../../billing/quality/mos/g107-2.ts';
import { mosToRating, ratingToMos } from '../../../billing/quality/mos/rating.ts';
import { audioScorer } from '../../../billing/quality/mos/scorer.ts';

function scored(codec: string, lossPercent: number, delayMs: number): AudioScore {
  const score = audioScorer({ codec, lossPercent, delayMs });
  if (score === null) throw new Error('not scored');
  return score;
}

// Each of these is a defect that was shipped by somebody's MOS: quality of the formula's edges, units and signs.
describe('what others got wrong', () => {
  it('never scores total loss above 1.4, let alone 5 (R was not clamped before the cubic)', () => {
    expect(scored('opus', 100, 20).mos).toBeLessThan(1.4);
    expect(scored('PCMU', 100, 20).mos).toBeLessThan(1.8);
    expect(ratingToMos(-200)).toBe(1);
    expect(ratingToMos(250)).toBe(4.5);
  });
  it('scores a round trip of 10 s as worse than one of 1 s, and neither out of range', () => {
    expect(scored('opus', 0, 5_000).mos).toBeLessThan(scored('opus', 0, 500).mos);
    expect(scored('opus', 8, 500).mos).toBeLessThan(2.5);
  });
  it('takes negative loss, as when late packets arrive, for none', () => {
    expect(scored('opus', -12, 40)).toEqual(scored('opus', 0, 40));
  });
  it('counts delay at all (1/6 was an integer division somewhere)', () => {
    expect(g1072Rating({ Ta: 100 }) - g1072Rating({ Ta: 400 })).toBeGreaterThan(20);
  });
  it('takes loss in percent: 10 % on Opus costs more than a whole point', () => {
    expect(scored('opus', 0, 20).mos - scored('opus', 10, 20).mos).toBeGreaterThan(1.7);
  });
  it('does not dip below 1 where the cubic does', () => {
    expect(ratingToMos(3)).toBe(1);
  });
});

const anyNumber = fc.double({ min: -1e6, max: 1e6, noNaN: true });

describe('for any input', () => {
  it('MOS stays within [1, 4.5] and R within [0, 100]', () => {
    fc.assert(
      fc.property(fc.constantFrom('opus', 'PCMU', 'PCMA', 'EVS-9.6'), anyNumber, anyNumber, (codec, loss, delay) => {
        const { mos, r } = scored(codec, loss, delay);
        expect(mos).toBeGreaterThanOrEqual(1);
        expect(mos).toBeLessThanOrEqual(4.5);
        expect(r).toBeGreaterThanOrEqual(0);
        expect(r).toBeLessThanOrEqual(100);
      }),
    );
  });
  it('more loss and more delay never sound better, on any model', () => {
    const within = (max: number) => fc.double({ min: 0, max, noNaN: true });
    fc.assert(
      fc.property(within(100), within(100), within(3000), within(3000), (lossA, lossB, delayA, delayB) => {
        const better = { Ppl: Math.min(lossA, lossB), Ta: Math.min(delayA, delayB), Ie: 10, Bpl: 9.6 };
        const worse = { Ppl: Math.max(lossA, lossB), Ta: Math.max(delayA, delayB), Ie: 10, Bpl: 9.6 };
        for (const rating of [g107Rating, g1071Rating, g1072Rating]) {
          expect(rating(better)).toBeGreaterThanOrEqual(rating(worse) - 1e-9);
        }
      }),
    );
  });
  it('the inverse leads back to the same MOS', () => {
    fc.assert(
      fc.property(fc.double({ min: 6.6, max: 100, noNaN: true }), (r) => {
        expect(mosToRating(ratingToMos(r))).toBeCloseTo(r, 3);
      }),
    );
  });
});

describe('the scorer', () => {
  it('scores Opus on the fullband model and G.711 on the narrowband one', () => {
    expect(scored('opus', 0, 20)).toEqual({
      model: 'g107.2',
      r: expect.closeTo(93.108, 2),
      mos: expect.closeTo(4.408, 2),
    });
    expect(scored('PCMA', 5, 0)).toEqual({ model: 'g107', r: expect.closeTo(77.43, 1), mos: expect.closeTo(3.923, 2) });
  });
  it('reads codec names without regard to case, as SDP does', () => {
    expect(scored('OPUS', 0, 20)).toEqual(scored('opus', 0, 20));
  });
  it('does not guess: an unknown codec or delay is not scored', () => {
    expect(audioScorer({ codec: null, lossPercent: 0, delayMs: 20 })).toBeNull();
    expect(audioScorer({ codec: 'CN', lossPercent: 0, delayMs: 20 })).toBeNull();
    expect(audioScorer({ codec: 'opus', lossPercent: 0, delayMs: null })).toBeNull();
    expect(audioScorer({ codec: 'opus', lossPercent: Number.NaN, delayMs: 20 })).toBeNull();
  });
  it('does not score loss on a codec without a published robustness', () => {
    expect(audioScorer({ codec: 'AMR-WB-12.65', lossPercent: 0, delayMs: 20 })?.model).toBe('g107.1');
    expect(audioScorer({ codec: 'AMR-WB-12.65', lossPercent: 1, delayMs: 20 })).toBeNull();
  });
});
