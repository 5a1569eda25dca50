/** Stores a whole recording, read as it arrives: bytes become records, records samples, samples rows. */
import { TurnpikeError } from '../../kernel/errors.ts';
import type { AudioScorer, DumpAnswer, FormatName } from '../contract.ts';
import { shortName } from '../../relay/contract.ts';
import { normaliseReport } from '../normalise/report.ts';
import type { ReportRows } from '../normalise/report.ts';
import { windowAround } from './checks.ts';
import { callOfPage } from './connection-id.ts';
import { plainBytes } from './decompression.ts';
import { formatOf } from './formats.ts';
import type { Origin } from './formats/format.ts';
import { recordsOf } from './records.ts';
import { Recording } from './recording.ts';

/** Largest recording after decompression, bytes. */
export const MAX_RECORDING = 256 * 1_048_576;

export interface DumpOptions {
  readonly app: string;
  /** Name its call and participant instead of what the recording says. */
  readonly call?: string | undefined;
  readonly participant?: string | undefined;
  /** Content-Encoding of the bytes. A compressed file is known by itself. */
  readonly encoding?: string | undefined;
  readonly score: AudioScorer;
  /** Unix milliseconds. */
  readonly now: number;
  /** How long the store keeps what it gets, milliseconds: what is older would be gone at once. */
  readonly keptMs: number;
  /** Resolves when all of the rows are in the store. */
  readonly write: (rows: ReportRows) => Promise<void>;
}

/**
 * Resolves when every row is stored. Rows are known by what is in the recording alone, so the same one may come again; what
 * was stored before a failure stays and does no harm.
 */
export async function storeDump(source: AsyncIterable<Buffer>, options: DumpOptions): Promise<DumpAnswer> {
  const { now, keptMs, encoding } = options;
  const window = windowAround(now, keptMs);
  const recording = new Recording(window);
  const sink = new Sink(options);
  let format: FormatName | undefined;
  let reader;
  for await (const { value, at, isBroken } of recordsOf(plainBytes(source, encoding, MAX_RECORDING))) {
    if (isBroken) {
      recording.add({ path: at, message: 'is no JSON' });
      continue;
    }
    if (reader === undefined) {
      const found = formatOf(value);
      format = found.name;
      reader = found.open();
    }
    for (const said of reader.read(value, at)) {
      recording.add(said);
      if (recording.full) await sink.store(recording.take());
    }
  }
  await sink.store(recording.take());
  if (format === undefined || recording.kept === 0) throw nothingKept(recording);
  return {
    format,
    calls: [...sink.calls],
    connections: recording.connections,
    stored: sink.stored,
    ...(recording.rejections.count === 0 ? {} : { rejected: recording.rejections.list() }),
    ...(recording.notes.size === 0 ? {} : { notes: [...recording.notes] }),
  };
}

function nothingKept({ rejections, mistimed, desynced }: Recording): TurnpikeError {
  const issues = rejections.list();
  if (issues.length === 0) return new TurnpikeError('TP_COLLECTOR_EMPTY');
  if (mistimed > 0) return new TurnpikeError('TP_COLLECTOR_RETENTION', undefined, { issues });
  return new TurnpikeError(desynced > 0 ? 'TP_COLLECTOR_DESYNC' : 'TP_KERNEL_INVALID', undefined, { issues });
}

/** Names, normalises and writes batches, and counts. */
class Sink {
  readonly calls = new Set<string>();
  stored = { streams: 0, connections: 0, events: 0 };
  readonly #options: DumpOptions;
  /** Of a recording that names no call: after its first connection. */
  #made: string | undefined;

  constructor(options: DumpOptions) {
    this.#options = options;
  }

  async store(batches: ReturnType<Recording['take']>): Promise<void> {
    const { app, participant, score, write } = this.#options;
    const namesake = batches.find(({ origin }) => origin.connection !== '')?.origin.connection;
    for (const { origin, batch } of batches) {
      const call = this.#callOf(origin, namesake ?? callOfPage(batch.events[0]?.t ?? 0));
      this.calls.add(call);
      const reporter = { app, call, participant: participant ?? named(origin.participant) ?? '' };
      const rows = normaliseReport(batch, reporter, score);
      await write(rows);
      this.stored.streams += rows.stream_intervals.length;
      this.stored.connections += rows.connection_intervals.length;
      this.stored.events += rows.call_events.length;
    }
  }

  #callOf({ call }: Origin, namesake: string): string {
    const given = this.#options.call ?? named(call);
    if (given !== undefined) return given;
    this.#made ??= `recording-${namesake}`;
    return this.#made;
  }
}

/** A name that fits; another is as good as none. */
function named(name: string | undefined): string | undefined {
  return name !== undefined && name !== '' && shortName.safeParse(name).success ? name : undefined;
}
