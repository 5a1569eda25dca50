/** The E-model by hand, for `turnpike mos`: every parameter that went into the figure comes back beside it. */
import { TurnpikeError } from '../../../kernel/errors.ts';
import type { Issue } from '../../../kernel/errors.ts';
import { codecs, findCodec } from './codecs.ts';
import type { CodecRow } from './codecs.ts';
import { ratings } from './models.ts';
import { modelParameters, models } from './parameters.ts';
import type { ModelParameter, MosModel } from './parameters.ts';
import { ratingToMos } from './rating.ts';

export interface MosRequest {
  /** `g107`, `g107.1` or `g107.2`. */
  readonly model: string;
  /** A name of the table of codecs; sets Ie and Bpl. */
  readonly codec?: string;
  /** Values by ITU's parameter names; they win over the codec's. */
  readonly params?: Readonly<Record<string, number>>;
}

export interface UsedParameter {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** `given`, `default`, or where the codec's value comes from. */
  readonly source: string;
}

export interface MosByHand {
  readonly model: MosModel;
  /** On 0…100, whatever the model's own scale. */
  readonly r: number;
  readonly mos: number;
  readonly parameters: readonly UsedParameter[];
}

/** Throws TP_BILLING_PARAMETER with every fault: an unknown model, codec or name, a value out of ITU's range. */
export function mosByHand({ model: wanted, codec, params = {} }: MosRequest): MosByHand {
  const model = models.find((known) => known === wanted);
  if (model === undefined) return refuse([{ path: 'model', message: `must be one of ${models.join(', ')}` }]);
  const table: Readonly<Record<string, ModelParameter>> = modelParameters[model];
  const row = codec === undefined ? undefined : findCodec(codec, model);
  const faults = [...codecFaults(model, codec, row, params), ...parameterFaults(table, params)];
  if (faults.length > 0) return refuse(faults);
  const parameters = Object.entries(table).map(([name, parameter]) => used(name, parameter, row, params));
  const r = ratings[model](Object.fromEntries(parameters.map(({ name, value }) => [name, value])));
  return { model, r, mos: ratingToMos(r), parameters };
}

function used(
  name: string,
  { default: initial, unit }: ModelParameter,
  row: CodecRow | undefined,
  params: Readonly<Record<string, number>>,
): UsedParameter {
  const given = params[name];
  if (given !== undefined) return { name, value: given, unit, source: 'given' };
  const ofCodec = name === 'Ie' ? row?.Ie : name === 'Bpl' ? row?.Bpl : undefined;
  if (row !== undefined && typeof ofCodec === 'number') {
    return { name, value: ofCodec, unit, source: `${row.codec}: ${row.source}` };
  }
  return { name, value: initial, unit, source: 'default' };
}

function codecFaults(
  model: MosModel,
  codec: string | undefined,
  row: CodecRow | undefined,
  params: Readonly<Record<string, number>>,
): Issue[] {
  if (codec === undefined) return [];
  if (row === undefined) {
    const known = codecs.filter((candidate) => candidate.model === model).map((candidate) => candidate.codec);
    return [{ path: 'codec', message: `must be a codec with parameters on ${model}: ${known.join(', ')}` }];
  }
  if (row.Bpl === null && params['Bpl'] === undefined && (params['Ppl'] ?? 0) > 0) {
    return [{ path: 'Bpl', message: `must be given: ITU publishes none for ${row.codec}, so loss cannot be rated` }];
  }
  return [];
}

function parameterFaults(
  table: Readonly<Record<string, ModelParameter>>,
  params: Readonly<Record<string, number>>,
): Issue[] {
  return Object.entries(params).flatMap(([name, value]) => {
    const parameter = Object.hasOwn(table, name) ? table[name] : undefined;
    if (parameter === undefined) {
      return [{ path: name, message: `is not a parameter of this model; it has ${Object.keys(table).join(', ')}` }];
    }
    if (Number.isFinite(value) && value >= parameter.min && value <= parameter.max) return [];
    const unit = parameter.unit === '' ? '' : ` ${parameter.unit}`;
    return [{ path: name, message: `must be a number from ${parameter.min} to ${parameter.max}${unit}` }];
  });
}

function refuse(issues: readonly Issue[]): never {
  const sentence = issues.map(({ path, message }) => `${path} ${message}`).join('; ');
  throw new TurnpikeError('TP_BILLING_PARAMETER', sentence, { issues });
}
