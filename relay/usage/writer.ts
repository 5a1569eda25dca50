/**
 * Puts the meter's entries into the spool, one write at a time and in order. What a full or failing disk does not take is
 * kept and tried again with the next entries; meanwhile older readings give way to newer ones, so that the memory is
 * bounded by the number of allocations, not by how long the disk is away.
 */
import type { Counter } from 'prom-client';
import type { Logger } from '../../kernel/log.ts';
import type { Metrics } from '../../kernel/metrics.ts';
import type { UsageRecord } from '../contract.ts';
import { isAtBoundary } from './meter.ts';
import type { Entries } from './meter.ts';

export interface UsageWriterOptions {
  readonly spool: { write(entries: Entries): Promise<void> };
  /** Called after each successful write that held records. */
  readonly onRecords: () => void;
  readonly log: Logger;
  readonly metrics: Metrics;
}

const NOTHING: Entries = { records: [], checkpoints: [], ended: [] };

export class UsageWriter {
  readonly #options: UsageWriterOptions;
  readonly #written: Counter;
  #waiting: Entries = NOTHING;
  #writing: Promise<void> | undefined;
  #failure: string | undefined;

  constructor(options: UsageWriterOptions) {
    this.#options = options;
    this.#written = options.metrics.counter('turnpike_relay_usage_records_total');
  }

  /** Why the last write failed; undefined when it did not. */
  get failure(): string | undefined {
    return this.#failure;
  }

  write(entries: Entries): void {
    this.#waiting = join(this.#waiting, entries, this.#failure !== undefined);
    if (!isEmpty(this.#waiting)) this.#writing ??= this.#drain();
  }

  /** Resolves when everything given so far is written, or has failed once more. */
  async settled(): Promise<void> {
    if (!isEmpty(this.#waiting)) this.#writing ??= this.#drain();
    await this.#writing;
  }

  async #drain(): Promise<void> {
    while (!isEmpty(this.#waiting)) {
      const entries = this.#waiting;
      this.#waiting = NOTHING;
      try {
        await this.#options.spool.write(entries);
        if (this.#failure !== undefined) this.#options.log.info('usage is written to disk again');
        this.#failure = undefined;
        if (entries.records.length === 0) continue;
        this.#written.inc({ result: 'written' }, entries.records.length);
        this.#options.onRecords();
      } catch (error) {
        if (this.#failure === undefined) this.#options.log.error({ err: error }, 'usage cannot be written to disk');
        this.#failure = error instanceof Error ? error.message : String(error);
        this.#waiting = join(entries, this.#waiting, true);
        break; // the next entries come with the next tick, and are the next attempt
      }
    }
    this.#writing = undefined;
  }
}

/** `later` after `earlier`; with `shrink`, without readings that a later one of the same allocation contains. */
function join(earlier: Entries, later: Entries, shrink: boolean): Entries {
  if (isEmpty(earlier)) return later;
  const ended = [...earlier.ended, ...later.ended];
  const gone = new Set(ended);
  const checkpoints = new Map<string, UsageRecord>();
  for (const checkpoint of [...earlier.checkpoints, ...later.checkpoints]) {
    if (!gone.has(checkpoint.allocation_id)) checkpoints.set(checkpoint.allocation_id, checkpoint);
  }
  const records = [...earlier.records, ...later.records];
  return { records: shrink ? withoutContained(records) : records, checkpoints: [...checkpoints.values()], ended };
}

function withoutContained(records: readonly UsageRecord[]): UsageRecord[] {
  const newest = new Map(records.map((record) => [record.allocation_id, record.seq]));
  return records.filter(
    (record) => record.final || isAtBoundary(record) || newest.get(record.allocation_id) === record.seq,
  );
}

function isEmpty(entries: Entries): boolean {
  return entries.records.length + entries.checkpoints.length + entries.ended.length === 0;
}
