/**
 * What the three E-models share: the way from a rating R to a mean opinion score and back, the impairment by delay, and
 * the impairment by a codec under loss. All of it is arithmetic on planning values; none of it measures a voice.
 */

const MOS_MIN = 1;
const MOS_MAX = 4.5;

const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));

/** R held to 0…100. The cubic below is only meant for that range: beyond it, it climbs to 5 and falls to minus infinity. */
export function clampRating(r: number): number {
  return clamp(r, 0, 100);
}

/**
 * MOS-CQE of a rating on the 0…100 scale (G.107 Annex B, equation B-4). R is clamped first; then MOS is, because the
 * cubic dips below 1 between R = 0 and R = 6.5. Always within [1, 4.5].
 */
export function ratingToMos(rating: number): number {
  const r = clampRating(rating);
  return clamp(1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6, MOS_MIN, MOS_MAX);
}

/** The rating behind a MOS (G.107 Appendix I), 6.5…100. A MOS outside [1, 4.5] is taken as the nearer end. */
export function mosToRating(score: number): number {
  const mos = clamp(score, MOS_MIN, MOS_MAX);
  const root = 15 * Math.sqrt(-903_522 + 1_113_960 * mos - 202_500 * mos ** 2);
  const h = Math.atan2(root, 18_566 - 6_750 * mos) / 3;
  return (20 / 3) * (8 - Math.sqrt(226) * Math.cos(h + Math.PI / 3));
}

/**
 * Idd, the impairment by absolute one-way delay Ta (G.107 equations 7-27 and 7-28), in R of the narrowband scale; the
 * wideband and fullband models multiply it. Milliseconds. `mT` is the smallest delay that is perceived and `sT` how
 * sensitive the use is to delay (Table 1; ordinary conversation is 100 ms and 1).
 */
export function delayImpairment(Ta: number, mT = 100, sT = 1): number {
  if (Ta <= mT) return 0;
  const x = Math.log2(Ta / mT);
  const power = 6 * sT;
  const bend = (value: number): number => (1 + value ** power) ** (1 / power);
  return 25 * (bend(x) - 3 * bend(x / 3) + 2);
}

export interface LossParameters {
  /** Equipment impairment factor of the codec without loss. */
  readonly Ie: number;
  /** Packet-loss robustness factor. */
  readonly Bpl: number;
  /** Packet loss in percent, 0…100. */
  readonly Ppl: number;
  /** Burst ratio; 1 = losses are independent of one another. */
  readonly BurstR?: number;
}

/**
 * Ie,eff, the codec's impairment under loss (G.107 equation 7-29, G.107.1 equation 7-15, G.107.2 clause 7.5). `limit` is
 * what it tends to as everything is lost: 95 for narrowband and wideband, 132 for fullband.
 */
export function lossImpairment(limit: 95 | 132, { Ie, Bpl, Ppl, BurstR = 1 }: LossParameters): number {
  return Ppl <= 0 ? Ie : Ie + ((limit - Ie) * Ppl) / (Ppl / BurstR + Bpl);
}
