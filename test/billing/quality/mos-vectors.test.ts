import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { g107Rating } from '../../../billing/quality/mos/g107.ts';
import { g1071Rating } from '../../../billing/quality/mos/g107-1.ts';
import { g1072Rating } from '../../../billing/quality/mos/g107-2.ts';
import { mosToRating, ratingToMos } from '../../../billing/quality/mos/rating.ts';

const vector = z.object({
  model: z.enum(['g107-nb', 'g107-nb-idd-only', 'g107.2-fb', 'r-to-mos']),
  input: z.looseObject({}),
  R: z.number(),
  mos: z.number(),
  source: z.string(),
});
const vectors = z
  .array(vector)
  .parse(JSON.parse(readFileSync(new URL('../../vectors/mos-vectors.json', import.meta.url), 'utf8')));

const numbers = (input: Record<string, unknown>): Record<string, number> =>
  Object.fromEntries(
    Object.entries(input)
      .filter((entry): entry is [string, number] => typeof entry[1] === 'number')
      .map(([name, value]) => [name.replace('_fb', ''), value]),
  );

function ratingOf({ model, input }: z.output<typeof vector>): number {
  const given = numbers(input);
  if (model === 'r-to-mos') return given['R'] ?? Number.NaN;
  return model === 'g107.2-fb' ? g1072Rating(given) : g107Rating(given);
}

describe('the published vectors', () => {
  it('are all there', () => {
    expect(vectors).toHaveLength(49);
  });
  it.each(vectors.map((row) => [`${row.model} ${JSON.stringify(row.input)}`, row] as const))('%s', (_name, row) => {
    const rating = ratingOf(row);
    expect(Math.abs(rating - row.R)).toBeLessThan(0.001);
    expect(Math.abs(ratingToMos(rating) - row.mos)).toBeLessThan(0.005);
  });
});

describe('G.107', () => {
  it('rates all defaults at R = 93.2 and MOS 4.41, as the Recommendation states', () => {
    expect(g107Rating()).toBeCloseTo(93.2062, 4);
    expect(ratingToMos(g107Rating())).toBeCloseTo(4.41, 2);
  });
  it.each([
    [0, 93.21],
    [50, 91.76],
    [100, 90.66],
    [150, 89.54],
    [200, 85.8],
    [250, 79.18],
    [300, 72.67],
    [400, 62.25],
    [500, 54.8],
  ])('counts the echo of a delay of %i ms (T = Ta, Tr = 2T) to R = %f', (Ta, expected) => {
    expect(g107Rating({ Ta, T: Ta, Tr: 2 * Ta })).toBeCloseTo(expected, 1);
  });
  it.each([
    [1, 77.43],
    [1.5, 76.5],
    [2, 76],
    [4, 75.18],
  ])('makes 5 %% loss in bursts of ratio %f worse: R = %f', (BurstR, expected) => {
    expect(g107Rating({ Bpl: 25.1, Ppl: 5, BurstR })).toBeCloseTo(expected, 1);
  });
  it('lets low sensitivity to delay forgive what ordinary conversation does not', () => {
    expect(g107Rating({ Ta: 300, sT: 0.4, mT: 150 })).toBeGreaterThan(g107Rating({ Ta: 300 }));
  });
});

describe('G.107.1', () => {
  it('scores AMR-WB 12.65 at 4.337096 without loss', () => {
    expect(ratingToMos(g1071Rating({ Ie: 13 }))).toBeCloseTo(4.337096, 6);
  });
  it('weighs delay 1.29 times: the rating on 0…100 falls as in the narrowband model', () => {
    const fall = (rating: (given: { Ta: number; Ie: number }) => number) =>
      rating({ Ta: 0, Ie: 20 }) - rating({ Ta: 300, Ie: 20 });
    expect(fall(g1071Rating)).toBeCloseTo(fall(g107Rating), 9);
  });
});

describe('G.107.2', () => {
  it.each([
    [0, 100, 93.11],
    [1, 100, 85.34],
    [2, 100, 78.92],
    [5, 100, 64.92],
    [10, 100, 51.12],
    [5, 200, 61.88],
    [5, 300, 50.16],
    [10, 400, 27.05],
  ])('rates Opus (10.2, 9.6) with %f %% loss at %i ms as R = %f', (Ppl, Ta, expected) => {
    expect(g1072Rating({ Ie: 10.2, Bpl: 9.6, Ppl, Ta })).toBeCloseTo(expected, 1);
  });
});

describe('the way from R to MOS', () => {
  it.each([
    [90, 4.339],
    [80, 4.024],
    [70, 3.597],
    [60, 3.1],
    [50, 2.575],
  ])('R = %i is MOS %f', (r, mos) => {
    expect(ratingToMos(r)).toBeCloseTo(mos, 3);
  });
  it.each([
    [4.41, 93.24],
    [3.6, 70.06],
    [3.1, 60],
    [2.58, 50.1],
  ])('and MOS %f comes from R = %f', (mos, r) => {
    expect(mosToRating(mos)).toBeCloseTo(r, 1);
  });
});
