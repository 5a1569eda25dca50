/**
 * Puts the meter's entries into the spool, one write at a time, an allocation's own in order and together, and no more in
 * one write than holds the event loop for some milliseconds. What a slow, full or failing disk has not taken waits here;
 * newer readings take the place of older ones that they contain, so that the memory is bounded by the number of
 * allocations, not by how long the disk is away.
 */
import type { Counter } from 'prom-client';
import type { Logger } from '../../kernel/log.ts';
import type { Metrics } from '../../kernel/metrics.ts';
import type { UsageRecord } from '../contract.ts';
import type { AllocationId } from '../planes/plane.ts';
import { isAtBoundary } from './meter.ts';
import type { AllocationState, Entries } from './meter.ts';

export interface UsageWriterOptions {
  readonly spool: { write(entries: Entries): Promise<void> };
  /** Called after each successful write that held records. */
  readonly onRecords: () => void;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Entries of one write, give or take one allocation's. */
const MOST = 256;

/** What one allocation has waiting. */
interface Waiting {
  readonly records: readonly UsageRecord[];
  readonly checkpoint: UsageRecord | undefined;
  readonly state: AllocationState | undefined;
  readonly ended: boolean;
}

const NOTHING: Waiting = { records: [], checkpoint: undefined, state: undefined, ended: false };

export class UsageWriter {
  readonly #options: UsageWriterOptions;
  readonly #written: Counter;
  readonly #waiting = new Map<AllocationId, Waiting>();
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
    for (const [allocation, later] of byAllocation(entries)) {
      this.#waiting.set(allocation, joined(this.#waiting.get(allocation) ?? NOTHING, later));
    }
    if (this.#waiting.size > 0) this.#writing ??= this.#drain();
  }

  /** Resolves when everything given so far is written, or has failed once more. */
  async settled(): Promise<void> {
    if (this.#waiting.size > 0) this.#writing ??= this.#drain();
    await this.#writing;
  }

  async #drain(): Promise<void> {
    while (this.#waiting.size > 0) {
      const taken = this.#take();
      const entries = entriesOf(taken);
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
        for (const [allocation, earlier] of taken) {
          this.#waiting.set(allocation, joined(earlier, this.#waiting.get(allocation) ?? NOTHING));
        }
        break; // the next entries come with the next tick, and are the next attempt
      }
    }
    this.#writing = undefined;
  }

  /** The allocations that have waited longest, with all that is theirs. */
  #take(): Map<AllocationId, Waiting> {
    const taken = new Map<AllocationId, Waiting>();
    let size = 0;
    for (const [allocation, waiting] of this.#waiting) {
      if (size >= MOST) break;
      size += waiting.records.length + 1;
      taken.set(allocation, waiting);
      this.#waiting.delete(allocation);
    }
    return taken;
  }
}

function byAllocation({ records, checkpoints, states = [], ended }: Entries): Map<AllocationId, Waiting> {
  const found = new Map<AllocationId, Waiting>();
  const add = (allocation: AllocationId, change: Partial<Waiting>) =>
    void found.set(allocation, joined(found.get(allocation) ?? NOTHING, { ...NOTHING, ...change }));
  for (const record of records) add(record.allocation_id, { records: [record] });
  for (const checkpoint of checkpoints) add(checkpoint.allocation_id, { checkpoint });
  for (const state of states) add(state.allocation, { state });
  for (const allocation of ended) add(allocation, { ended: true });
  return found;
}

/** `later` after `earlier`, without readings that a later one contains, and without checkpoint and state of what has ended. */
function joined(earlier: Waiting, later: Waiting): Waiting {
  const ended = earlier.ended || later.ended;
  const kept = later.records.length === 0 ? earlier.records : earlier.records.filter(standsAlone);
  return {
    records: [...kept, ...later.records],
    checkpoint: ended ? undefined : (later.checkpoint ?? earlier.checkpoint),
    state: ended ? undefined : (later.state ?? earlier.state),
    ended,
  };
}

/** Whether no later reading makes this one redundant. */
function standsAlone(record: UsageRecord): boolean {
  return record.final || isAtBoundary(record);
}

function entriesOf(waiting: ReadonlyMap<AllocationId, Waiting>): Entries {
  return {
    records: [...waiting.values()].flatMap(({ records }) => records),
    checkpoints: [...waiting.values()].flatMap(({ checkpoint }) => checkpoint ?? []),
    states: [...waiting.values()].flatMap(({ state }) => state ?? []),
    ended: [...waiting].flatMap(([allocation, { ended }]) => (ended ? [allocation] : [])),
  };
}
