import fc from 'fast-check';
import { expect, it } from 'vitest';
import { rangesOf } from '../../../collector/store/window-ranges.ts';
import type { WindowRange } from '../../../collector/store/window-ranges.ts';

const LENGTH = 60;
const starts = fc.array(fc.nat(200).map((index) => index * LENGTH));
const windowsIn = ({ start, end }: WindowRange): number[] =>
  Array.from({ length: (end - start) / LENGTH }, (_, index) => start + index * LENGTH);

it('covers exactly the windows that it was given, each once and in order, in ranges no longer than allowed', () => {
  fc.assert(
    fc.property(starts, fc.integer({ min: 1, max: 9 }), (given, most) => {
      const ranges = rangesOf(given, LENGTH, most);
      expect(ranges.flatMap(windowsIn)).toEqual([...new Set(given)].toSorted((left, right) => left - right));
      expect(ranges.every((range) => windowsIn(range).length <= most)).toBe(true);
    }),
  );
});

it('makes as few ranges as that allows', () => {
  expect(rangesOf([120, 0, 60, 180, 600, 60], LENGTH, 3)).toEqual([
    { start: 0, end: 180 },
    { start: 180, end: 240 },
    { start: 600, end: 660 },
  ]);
});

it('has nothing to fill where nothing changed', () => {
  expect(rangesOf([], LENGTH, 60)).toEqual([]);
});
