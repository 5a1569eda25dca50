/** What a stream of reports answers, in the words of each format. docs/wire-format.md has them. */
import { TurnpikeError } from '../../kernel/errors.ts';
import type { FormatName, Rejected, StoredRows } from '../contract.ts';
import { isObject } from './formats/format.ts';
import type { Numbered } from './formats/format.ts';
import { sequenceNumber } from './formats/rtcstats-legacy.ts';

/** A message, read. */
export interface Heard {
  readonly message: unknown;
  /** Unix milliseconds. */
  readonly receivedAt: number;
  readonly batches: readonly Numbered[];
  /** Why nothing of it is kept. */
  readonly refusal: TurnpikeError | undefined;
  readonly isDesynced: boolean;
  readonly rejected: readonly Rejected[];
}

export interface Settled {
  readonly heard: readonly Heard[];
  /** Of each. */
  readonly stored: readonly StoredRows[];
  /** Messages of the stream that are settled, these counted. */
  readonly settled: number;
  readonly client: object | undefined;
}

/** What is said before anything is heard: Jitsi's recorder waits for it, and then sends all that was never acknowledged. */
export function greetingOf(format: FormatName): object | undefined {
  return format === 'rtcstats-legacy' ? sequence(0, 'initial') : undefined;
}

export function answersTo(format: FormatName, settled: Settled): object[] {
  if (settled.heard.length === 0) return [];
  if (format === 'native') return reportAnswers(settled);
  return [...faultsOf(settled.heard), acknowledgement(format, settled)];
}

/** To each report what POST /v1/stats answers, and which report it was. */
function reportAnswers({ heard, stored, client }: Settled): object[] {
  return heard.map(({ message, receivedAt, refusal, rejected }, index) => {
    const { connection, seq } = isObject(message) ? message : {};
    if (refusal !== undefined) return { ...named({ connection, seq }), ...refusal.toBody() };
    const answer = { connection, seq, stored: stored[index], serverTime: receivedAt };
    return { ...answer, ...(client === undefined ? {} : { client }), ...(rejected.length === 0 ? {} : { rejected }) };
  });
}

function named({ connection, seq }: { readonly connection?: unknown; readonly seq?: unknown }): object {
  return typeof connection === 'string' && connection.length <= 64 && typeof seq === 'number'
    ? { connection, seq }
    : {};
}

/** One fault of these messages, so that a client that has lost its base is told once for all of them. */
function faultsOf(heard: readonly Heard[]): object[] {
  const lost = heard.find(({ isDesynced }) => isDesynced);
  if (lost !== undefined)
    return [new TurnpikeError('TP_COLLECTOR_DESYNC', undefined, { issues: lost.rejected }).toBody()];
  const refused = heard.find(({ refusal }) => refusal !== undefined)?.refusal;
  return refused === undefined ? [] : [refused.toBody()];
}

function acknowledgement(format: FormatName, { heard, settled }: Settled): object {
  const [last] = heard.flatMap(({ message }) => sequenceNumber(message) ?? []).slice(-1);
  if (format === 'rtcstats-legacy' && last !== undefined) return sequence(last);
  const rejected = heard.flatMap((one) => one.rejected).slice(0, 20);
  return { ack: settled, ...(rejected.length === 0 ? {} : { rejected }) };
}

function sequence(value: number, state?: 'initial'): object {
  return { type: 'sn', body: { value, ...(state === undefined ? {} : { state }) } };
}
