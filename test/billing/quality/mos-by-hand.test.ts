import { describe, expect, it } from 'vitest';
import { TurnpikeError } from '../../../kernel/errors.ts';
import { codecs } from '../../../billing/quality/mos/codecs.ts';
import { mosByHand } from '../../../billing/quality/mos/by-hand.ts';
import { modelParameters, models } from '../../../billing/quality/mos/parameters.ts';

function faultsOf(act: () => unknown): { path: string; message: string }[] {
  try {
    act();
  } catch (error) {
    if (error instanceof TurnpikeError && error.code === 'TP_BILLING_PARAMETER') return [...error.issues];
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('the E-model by hand', () => {
  it('rates G.107 at its defaults and shows all 23 parameters that went in', () => {
    const answer = mosByHand({ model: 'g107' });
    expect(answer.r).toBeCloseTo(93.2062, 4);
    expect(answer.parameters).toHaveLength(23);
    expect(answer.parameters.every(({ source }) => source === 'default')).toBe(true);
  });
  it('says where the codec parameters come from, and that ITU has none for Opus', () => {
    const { parameters } = mosByHand({ model: 'g107.2', codec: 'opus', params: { Ppl: 5, Ta: 150 } });
    expect(parameters).toContainEqual({ name: 'Ppl', value: 5, unit: '%', source: 'given' });
    const Ie = parameters.find(({ name }) => name === 'Ie');
    expect(Ie).toMatchObject({ value: 10.2, source: expect.stringContaining('none published by ITU') });
  });
  it('lets a given value win over the codec’s', () => {
    const { r } = mosByHand({ model: 'g107.2', codec: 'opus', params: { Bpl: 4.3, Ppl: 5, Ta: 20 } });
    expect(r).toBeCloseTo(48.8622, 4);
  });
  it.each(models)('adds the advantage factor of %s to the rating, on the model’s own scale', (model) => {
    const scale = { g107: 1, 'g107.1': 1.29, 'g107.2': 1.48 }[model];
    const r = (A: number) => mosByHand({ model, params: { A, Ta: 400 } }).r;
    expect(r(10) - r(0)).toBeCloseTo(10 / scale, 6);
  });
  it('hears delay less when the use is less sensitive to it', () => {
    const r = (params: Record<string, number>) => mosByHand({ model: 'g107', params }).r;
    // G.107 equation 7-27 with X = log2(300 / 100), worked out apart from this code; 6·sT is 6, then 2.4
    expect(r({}) - r({ Ta: 300 })).toBeCloseTo(14.760695, 5);
    expect(r({}) - r({ Ta: 300, sT: 0.4 })).toBeCloseTo(13.264532, 5);
  });
  it('takes an echo within a millisecond for sidetone, and counts it from there', () => {
    const r = (T: number) => mosByHand({ model: 'g107', params: { T, TELR: 20 } }).r;
    expect(r(0.9)).toBeCloseTo(r(0.99), 0);
    expect(r(0.99) - r(1)).toBeGreaterThan(3);
  });
  it('refuses all faults together, naming what there is', () => {
    const faults = faultsOf(() => mosByHand({ model: 'g107', params: { Ppl: 21, loss: 3, Ta: Number.NaN } }));
    expect(faults.map(({ path }) => path)).toEqual(['Ppl', 'loss', 'Ta']);
    expect(faults[0]?.message).toBe('must be a number from 0 to 20 %');
    expect(faults[1]?.message).toContain('SLR, RLR, STMR');
  });
  it('refuses an unknown model, a codec of another model, and names of Object.prototype', () => {
    expect(faultsOf(() => mosByHand({ model: 'p800' }))).toEqual([
      { path: 'model', message: 'must be one of g107, g107.1, g107.2' },
    ]);
    expect(faultsOf(() => mosByHand({ model: 'g107', codec: 'opus' }))[0]?.message).toContain('PCMU');
    expect(faultsOf(() => mosByHand({ model: 'g107', params: { constructor: 1 } }))[0]?.path).toBe('constructor');
  });
  it('does not rate loss on a codec without a published Bpl until one is given', () => {
    const request = { model: 'g107.1', codec: 'AMR-WB-12.65' };
    expect(faultsOf(() => mosByHand({ ...request, params: { Ppl: 1 } }))[0]?.path).toBe('Bpl');
    expect(mosByHand({ ...request, params: { Ppl: 1, Bpl: 4.3 } }).mos).toBeLessThan(mosByHand(request).mos);
  });
});

describe('the tables', () => {
  it('hold defaults that are within their own range', () => {
    for (const model of models) {
      for (const parameter of Object.values(modelParameters[model])) {
        expect(parameter.default).toBeGreaterThanOrEqual(parameter.min);
        expect(parameter.default).toBeLessThanOrEqual(parameter.max);
      }
    }
  });
  it('hold codecs that the models accept, each once a model and with a source', () => {
    expect(new Set(codecs.map(({ codec, model }) => `${model}/${codec.toLowerCase()}`)).size).toBe(codecs.length);
    for (const { codec, model, source } of codecs) {
      expect(mosByHand({ model, codec }).mos).toBeGreaterThan(3.4);
      expect(source).toContain('G.113');
    }
  });
});
