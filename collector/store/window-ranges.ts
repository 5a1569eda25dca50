/** Windows of time next to each other, joined into ranges that one statement fills. */

/** Seconds since 1970; `end` is outside. */
export interface WindowRange {
  readonly start: number;
  readonly end: number;
}

/**
 * Ranges that hold exactly these windows, in order, none of more than `maxWindows`. Windows are given by their start, in any
 * order, and may be given twice.
 */
export function rangesOf(starts: Iterable<number>, windowSeconds: number, maxWindows: number): WindowRange[] {
  const ranges: WindowRange[] = [];
  for (const start of [...new Set(starts)].toSorted((left, right) => left - right)) {
    const last = ranges.at(-1);
    const end = start + windowSeconds;
    if (last?.end === start && end - last.start <= windowSeconds * maxWindows)
      ranges[ranges.length - 1] = { start: last.start, end };
    else ranges.push({ start, end });
  }
  return ranges;
}
