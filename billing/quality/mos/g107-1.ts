/**
 * ITU-T G.107.1 (06/2019), the wideband E-model: Ro = 129 (equation 7-2), Is = 0 (7-3), delay weighs 1.29 times its
 * narrowband impairment (7-13), and MOS is read at R / 1.29 (Annex A). Echo is taken as cancelled, as in every browser:
 * the talker echo term needs No,WB, which the Recommendation leaves for further study.
 */
import { clampRating, delayImpairment, lossImpairment } from './rating.ts';
import { withDefaults } from './parameters.ts';
import type { ParametersOf } from './parameters.ts';

const SCALE = 1.29;
const RO = 129;

/** Rating mapped to 0…100 (R / 1.29) for the given parameters; the rest are at their defaults. */
export function g1071Rating(given: Partial<ParametersOf<'g107.1'>> = {}): number {
  const p = withDefaults('g107.1', given);
  const R = RO - SCALE * delayImpairment(p.Ta) - lossImpairment(95, p) + p.A;
  return clampRating(R / SCALE);
}
