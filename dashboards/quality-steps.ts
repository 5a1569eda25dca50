/**
 * The four quality steps, as every view colours them: they differ in lightness as well as hue, so that they are told
 * apart without seeing colour. Boundaries belong to the better step when more is better, to the worse one otherwise.
 */
export const qualityColours = {
  excellent: '#0b7a75',
  good: '#4c9a2a',
  fair: '#c98a00',
  poor: '#c8321e',
} as const;
export type QualityStep = keyof typeof qualityColours;

/** Where one measure passes from step to step. */
export interface QualityScale {
  readonly better: 'more' | 'less';
  /** Boundaries in rising order, in the measure's own unit. */
  readonly bounds: readonly [number, number, number];
}

export const qualityScales = {
  /** Mean opinion score, 1 to 4.5; the standard alert fires below 3.5. */
  mos: { better: 'more', bounds: [2.5, 3.5, 4.2] },
  /** Lost share of packets, 0 to 1; the standard alert fires above 5 %. */
  lossRatio: { better: 'less', bounds: [0.01, 0.03, 0.05] },
  /** Interarrival jitter in milliseconds; the standard alert fires above 100 ms. */
  jitterMs: { better: 'less', bounds: [20, 50, 100] },
  /** Round trip in milliseconds; G.114 holds 150 ms one way transparent and 400 ms the limit. */
  rttMs: { better: 'less', bounds: [150, 300, 500] },
  /** Share of set-ups that reached `connected`; the standard alert fires below 95 %. */
  successRatio: { better: 'more', bounds: [0.9, 0.95, 0.99] },
  /** Milliseconds to the first decoded frame; the standard alert fires above 3 s. */
  firstFrameMs: { better: 'less', bounds: [1_000, 2_000, 3_000] },
  /** Share of the free allowance used, 0 and up. */
  allowanceRatio: { better: 'less', bounds: [0.5, 0.8, 1] },
} as const satisfies Record<string, QualityScale>;

/** Steps in the order in which a rising value meets them. */
export function risingSteps(
  scale: QualityScale,
): readonly { readonly from: number | null; readonly step: QualityStep }[] {
  const order: readonly QualityStep[] = ['excellent', 'good', 'fair', 'poor'];
  const rising = scale.better === 'less' ? order : order.toReversed();
  return rising.map((step, index) => ({ from: index === 0 ? null : (scale.bounds[index - 1] ?? null), step }));
}
