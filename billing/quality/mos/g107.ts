/**
 * ITU-T G.107 (06/2015), the narrowband E-model in its complete form: R = Ro − Is − Id − Ie,eff + A. With every
 * parameter at its default R is 93.2 and MOS 4.41, as clause 7.7 states.
 */
import { clampRating, delayImpairment, lossImpairment } from './rating.ts';
import { withDefaults } from './parameters.ts';
import type { ParametersOf } from './parameters.ts';

type Parameters = ParametersOf<'g107'>;

/** Rating on 0…100 for the given parameters; the rest are at their defaults. */
export function g107Rating(given: Partial<Parameters> = {}): number {
  const p = withDefaults('g107', given);
  const No = noise(p);
  const Ro = 15 - 1.5 * (p.SLR + No); // 7-2
  const Is = loudness(p, No) + sidetone(p) + quantization(p, Ro); // 7-8
  const Id = talkerEcho(p, No) + listenerEcho(p, Ro) + delayImpairment(p.Ta, p.mT, p.sT); // 7-18
  return clampRating(Ro - Is - Id - lossImpairment(95, p) + p.A); // 7-1
}

/** No, all noise as one source at the 0 dBr point, dBm0p (clause 7.2, equations 7-3 to 7-7). */
function noise({ SLR, RLR, LSTR, Ds, Nc, Nfor, Ps, Pr }: Parameters): number {
  const OLR = SLR + RLR;
  const Nos = Ps - SLR - Ds - 100 + 0.004 * (Ps - OLR - Ds - 14) ** 2;
  const Pre = Pr + 10 * Math.log10(1 + 10 ** ((10 - LSTR) / 10));
  const Nor = RLR - 121 + Pre + 0.008 * (Pre - 35) ** 2;
  const Nfo = Nfor + RLR;
  return 10 * Math.log10([Nc, Nos, Nor, Nfo].reduce((power, level) => power + 10 ** (level / 10), 0));
}

/** Iolr, too low an overall loudness rating (clause 7.3). */
function loudness({ SLR, RLR }: Parameters, No: number): number {
  const x = (SLR + RLR + 0.2 * (64 + No - RLR)) / 8;
  return 20 * ((1 + x ** 8) ** (1 / 8) - x);
}

/** Ist, sidetone away from its optimum (clause 7.3). */
function sidetone({ STMR, TELR, T }: Parameters): number {
  const STMRo = -10 * Math.log10(10 ** (-STMR / 10) + Math.exp(-T / 4) * 10 ** (-TELR / 10));
  const bend = (value: number, power: number): number => (1 + value ** power) ** (1 / power);
  return 12 * bend((STMRo - 13) / 6, 8) - 28 * bend((STMRo + 1) / 19.4, 35) - 13 * bend((STMRo - 3) / 33, 13) + 29;
}

/** Iq, quantizing distortion (clause 7.3). */
function quantization({ qdu }: Parameters, Ro: number): number {
  const Q = 37 - 15 * Math.log10(qdu);
  const G = 1.07 + 0.258 * Q + 0.0602 * Q ** 2;
  const Y = (Ro - 100) / 15 + 46 / 8.4 - G / 9;
  const Z = 46 / 30 - G / 40;
  return 15 * Math.log10(1 + 10 ** Y + 10 ** Z);
}

/** Idte, talker echo (clause 7.4). Below 1 ms an echo is heard as sidetone. STMR beyond 10…20 dB is not permitted here. */
function talkerEcho({ RLR, TELR, T }: Parameters, No: number): number {
  if (T < 1) return 0;
  const TERV = TELR - 40 * Math.log10((1 + T / 10) / (1 + T / 150)) + 6 * Math.exp(-0.3 * T ** 2);
  const Roe = -1.5 * (No - RLR);
  const Re = 80 + 2.5 * (TERV - 14);
  return ((Roe - Re) / 2 + Math.sqrt((Roe - Re) ** 2 / 4 + 100) - 1) * (1 - Math.exp(-T));
}

/** Idle, listener echo (clause 7.4). */
function listenerEcho({ WEPL, Tr }: Parameters, Ro: number): number {
  const Rle = 10.5 * (WEPL + 7) * (Tr + 1) ** -0.25;
  return (Ro - Rle) / 2 + Math.sqrt((Ro - Rle) ** 2 / 4 + 169);
}
