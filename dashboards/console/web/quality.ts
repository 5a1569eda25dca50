/** From a measure to its quality step, and from a step to its word. */
import { qualityScales } from '../../quality-steps.ts';
import type { QualityScale, QualityStep } from '../../quality-steps.ts';

export type { QualityStep } from '../../quality-steps.ts';

export const stepWords: Readonly<Record<QualityStep, string>> = {
  excellent: 'Excellent',
  good: 'Good',
  fair: 'Fair',
  poor: 'Poor',
};

const RISING: readonly QualityStep[] = ['poor', 'fair', 'good', 'excellent'];

/** A bound belongs to the better step when more is better, to the worse one otherwise. */
export function stepOf(measure: keyof typeof qualityScales, value: number): QualityStep {
  const { better, bounds }: QualityScale = qualityScales[measure];
  const passed = bounds.filter((bound) => value >= bound).length;
  return (better === 'more' ? RISING[passed] : RISING[RISING.length - 1 - passed]) ?? 'poor';
}

/** By the value as it is read, to one decimal: a MOS shown as 3.5 is good. */
export const mosStep = (mos: number): QualityStep => stepOf('mos', Math.round(mos * 10) / 10);

/** The worst of several steps; undefined when nothing was measured. */
export function worst(steps: readonly (QualityStep | undefined)[]): QualityStep | undefined {
  const known = new Set(steps);
  return RISING.find((step) => known.has(step));
}
