/**
 * The parameters of the three models as data: ITU's name, default, permitted range and unit, with the table they come
 * from. Functions that score what was measured accept values beyond the range (a lost call has a Ppl of 100); the
 * range binds a person who sets a parameter by hand.
 */

export const models = ['g107', 'g107.1', 'g107.2'] as const;
export type MosModel = (typeof models)[number];

export interface ModelParameter {
  readonly default: number;
  readonly min: number;
  readonly max: number;
  readonly unit: string;
  readonly meaning: string;
}

const row = (initial: number, min: number, max: number, unit: string, meaning: string): ModelParameter => ({
  default: initial,
  min,
  max,
  unit,
  meaning,
});

/** G.107 (06/2015), Table 3; sT and mT from Table 1. Nfor and Dr have no range there; the one here keeps them sane. */
export const g107Parameters = {
  SLR: row(8, 0, 18, 'dB', 'send loudness rating'),
  RLR: row(2, -5, 14, 'dB', 'receive loudness rating'),
  STMR: row(15, 10, 20, 'dB', 'sidetone masking rating'),
  LSTR: row(18, 13, 23, 'dB', 'listener sidetone rating'),
  Ds: row(3, -3, 3, 'dB', 'D-value of the telephone, send side'),
  Dr: row(3, -3, 3, 'dB', 'D-value of the telephone, receive side (LSTR = STMR + Dr)'),
  TELR: row(65, 5, 65, 'dB', 'talker echo loudness rating'),
  WEPL: row(110, 5, 110, 'dB', 'weighted echo path loss'),
  T: row(0, 0, 500, 'ms', 'mean one-way delay of the echo path'),
  Tr: row(0, 0, 1000, 'ms', 'round-trip delay in a four-wire loop'),
  Ta: row(0, 0, 500, 'ms', 'absolute one-way delay'),
  sT: row(1, 0.4, 1, '', 'delay sensitivity'),
  mT: row(100, 20, 150, 'ms', 'minimum perceivable delay'),
  qdu: row(1, 1, 14, 'qdu', 'quantization distortion units'),
  Ie: row(0, 0, 40, '', 'equipment impairment factor'),
  Bpl: row(4.3, 4.3, 40, '', 'packet-loss robustness factor'),
  Ppl: row(0, 0, 20, '%', 'packet-loss probability'),
  BurstR: row(1, 1, 8, '', 'burst ratio'),
  Nc: row(-70, -80, -40, 'dBm0p', 'circuit noise at the 0 dBr point'),
  Nfor: row(-64, -96, -40, 'dBmp', 'noise floor at the receive side'),
  Ps: row(35, 35, 85, 'dB(A)', 'room noise at the send side'),
  Pr: row(35, 35, 85, 'dB(A)', 'room noise at the receive side'),
  A: row(0, 0, 20, '', 'advantage factor'),
} as const satisfies Record<string, ModelParameter>;

/**
 * What G.107.1 and G.107.2 leave variable once Ro is fixed and Is is zero. Ie and Bpl are held to where the formula means
 * something; `limit` is the impairment that loss tends to, which no codec exceeds.
 */
const wider = (limit: number) =>
  ({
    Ta: row(0, 0, 500, 'ms', 'absolute one-way delay'),
    Ie: row(0, 0, limit, '', 'equipment impairment factor'),
    Bpl: row(4.3, 1, 40, '', 'packet-loss robustness factor'),
    Ppl: row(0, 0, 20, '%', 'packet-loss probability'),
    A: row(0, 0, 20, '', 'advantage factor'),
  }) as const satisfies Record<string, ModelParameter>;

export const modelParameters = {
  g107: g107Parameters,
  'g107.1': wider(95),
  'g107.2': wider(132),
} as const satisfies Record<MosModel, Record<string, ModelParameter>>;

export type ParametersOf<M extends MosModel> = Readonly<Record<keyof (typeof modelParameters)[M], number>>;

/** Every parameter of the model, the given ones in place of their defaults. */
export function withDefaults<M extends MosModel>(model: M, given: Partial<ParametersOf<M>>): ParametersOf<M> {
  const defaults = Object.entries(modelParameters[model]).map(([name, { default: value }]) => [name, value]);
  return { ...(Object.fromEntries(defaults) as ParametersOf<M>), ...given };
}
