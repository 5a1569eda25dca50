import { expect, it } from 'vitest';
import { gapOf } from '../../../../dashboards/console/web/chart.ts';

const everyMs = (step: number, count = 20) => ({
  name: 'MOS',
  points: Array.from({ length: count }, (_, index) => [index * step, 4] as const),
});

it('joins points that are seconds apart, and leaves a gap where reports were missing', () => {
  expect(gapOf(everyMs(2_000))).toBe(12_000);
});

it('joins the points of a long call, which is thinned to a point a minute, and of slow reporters', () => {
  expect(gapOf(everyMs(60_000))).toBe(180_000);
});

it('is not misled by one long pause, by missing values, or by a line of one point', () => {
  const paused = [...everyMs(2_000).points, [10_000_000, 4] as const];
  expect(gapOf({ name: 'MOS', points: paused })).toBe(12_000);
  const sparse = everyMs(2_000).points.map(([time], index) => [time, index % 10 === 0 ? 4 : null] as const);
  expect(gapOf({ name: 'round trip', points: sparse })).toBe(60_000);
  expect(gapOf(everyMs(2_000, 1))).toBe(12_000);
  expect(gapOf({ name: 'MOS', points: [] })).toBe(12_000);
});
