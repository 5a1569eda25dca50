/**
 * ITU-T G.107.2 (06/2019), the fullband E-model in the form that a receiver can fill: Ro = 148, Is = 0, echo is not part
 * of the model, delay weighs 1.48 times its narrowband impairment, loss tends to 132, and MOS is read at R / 1.48.
 */
import { clampRating, delayImpairment, lossImpairment } from './rating.ts';
import { withDefaults } from './parameters.ts';
import type { ParametersOf } from './parameters.ts';

const SCALE = 1.48;
const RO = 148;

/** Rating mapped to 0…100 (R / 1.48) for the given parameters; the rest are at their defaults. */
export function g1072Rating(given: Partial<ParametersOf<'g107.2'>> = {}): number {
  const p = withDefaults('g107.2', given);
  const R = RO - SCALE * delayImpairment(p.Ta) - lossImpairment(132, p) + p.A;
  return clampRating(R / SCALE);
}
