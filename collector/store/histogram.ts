/**
 * Fixed-bucket histograms, as rollups keep them: one count for each bucket and one for all above. They add up exactly,
 * which no sketch of quantiles does, and a minute costs a few bytes, where a t-digest's costs hundreds.
 */

export interface Histogram {
  /** Where the first bucket begins, for interpolation. */
  readonly low: number;
  /** Upper bounds, inclusive, rising. */
  readonly bounds: readonly number[];
}

/** Bounds as a person reads them, close where calls are: an error of one bucket is no error of judgement. */
export const histograms = {
  /** Tenths of the scale; 4.5 is the most that narrow- and wideband models give. */
  mos: { low: 1, bounds: Array.from({ length: 40 }, (_, index) => (11 + index) / 10) },
  jitterMs: {
    low: 0,
    bounds: [0.5, 1, 2, 3, 4, 5, 7.5, 10, 12.5, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200, 300, 500, 1_000],
  },
  rttMs: {
    low: 0,
    bounds: [
      1, 2, 5, 10, 15, 20, 30, 40, 50, 60, 75, 100, 125, 150, 175, 200, 250, 300, 400, 500, 750, 1_000, 2_000, 5_000,
    ],
  },
  firstFrameMs: {
    low: 0,
    bounds: [
      100, 200, 300, 400, 500, 600, 700, 800, 1_000, 1_250, 1_500, 1_750, 2_000, 2_500, 3_000, 4_000, 5_000, 7_500,
      10_000, 15_000, 30_000,
    ],
  },
} as const satisfies Record<string, Histogram>;

/** Aggregate: the histogram of a nullable expression, as Array(UInt64) of one more count than there are bounds. */
export function histogramSql(expression: string, { bounds }: Histogram, condition = '1'): string {
  const buckets = bounds.length + 1;
  // No value falls into the bucket after the last, which is not counted.
  const bucket = `if(isNull(${expression}) OR NOT (${condition}), ${buckets}, if(${expression} > ${bounds.at(-1)}, ${bounds.length}, arrayFirstIndex(bound -> bound >= assumeNotNull(toFloat64(${expression})), [${bounds.join(', ')}]) - 1))`;
  return `countResample(0, ${buckets}, 1)(assumeNotNull(toUInt32(${bucket})))`;
}

/**
 * The quantile of a histogram, by linear interpolation within its bucket; NULL of an empty one. Values above the last bound
 * count as that bound. `expression` is one Array(UInt64), such as `sumForEach(mos_histogram)`.
 */
export function quantileSql(level: number, expression: string, { low, bounds }: Histogram): string {
  const edges = `[${[low, ...bounds, bounds.at(-1)].join(', ')}]`;
  const rank = `(arraySum(counts) * ${level})`;
  const within = `(${rank} - arraySum(arraySlice(counts, 1, at - 1))) / counts[at]`;
  return `arrayMap(counts -> if(arraySum(counts) = 0, NULL,
  arrayMap(at -> ${edges}[at] + (${edges}[at + 1] - ${edges}[at]) * ${within},
    [arrayFirstIndex(upTo -> upTo >= ${rank}, arrayCumSum(counts))])[1]), [${expression}])[1]`;
}
