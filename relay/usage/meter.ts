/**
 * Turns a plane's cumulative counters into usage records: it reads and compares, it never adds packets.
 *
 * Of every allocation there is one record each 10 s of its life, one at every UTC quarter hour and one at its end. In
 * between stand checkpoints: the record that the allocation would leave behind if the process died now. Pure over the
 * time it is told; what it returns of one allocation is to be kept in one transaction (relay/usage/spool.ts).
 *
 * It works in slices, between which the relay carries packets. At a quarter hour all counters are read in one go, which is
 * quick; the records of those readings follow in slices, each before anything else is said of its allocation.
 */
import type { UsageRecord } from '../contract.ts';
import type { AllocationId, Counters } from '../planes/plane.ts';
import type { Instant } from '../turn/authenticator.ts';
import { NO_TOTALS, recordOf, sameTotals, totalsOf } from './reading.ts';
import type { MeteredAllocation, MeterIdentity, Totals } from './reading.ts';

/** Milliseconds between an allocation's records, counted from its own start so that a relay's records are spread. */
export const RECORD_INTERVAL = 10_000;
/** Milliseconds within which a counted byte is in a checkpoint; with a tick's delay still well under a second. */
export const CHECKPOINT_INTERVAL = 500;
/** Milliseconds of a quarter hour. Every time zone's midnight is one, so no billing period needs interpolation. */
export const BOUNDARY_INTERVAL = 900_000;

/**
 * Work of one slice, in units of a look at an allocation's counters: some milliseconds at most. Making and writing an entry
 * takes about ten times as long as a look.
 */
const SLICE = 2_000;
const ENTRY = 10;

/** What a successor needs to go on with an allocation. */
export interface AllocationState {
  readonly allocation: AllocationId;
  readonly text: string;
}

/** What one moment adds to the spool. */
export interface Entries {
  /** To be delivered. */
  readonly records: readonly UsageRecord[];
  /** Each replaces its allocation's checkpoint. */
  readonly checkpoints: readonly UsageRecord[];
  /** Each replaces its allocation's. */
  readonly states?: readonly AllocationState[];
  /** Allocations that have had their last record: their checkpoints and states go. */
  readonly ended: readonly AllocationId[];
}

interface Tracked {
  readonly facts: MeteredAllocation;
  /** Unix milliseconds. */
  readonly openedAt: number;
  /** Of the next record. */
  seq: number;
  /** Unix milliseconds of the last record; a clock that steps back never makes a record older than the one before. */
  windowEnd: number;
  /** Monotonic milliseconds. */
  recordDue: number;
  checkpointDue: number;
  /** As of the last checkpoint. */
  kept: Totals;
  /** What was read at a quarter hour whose record is still to be made; its last counters where it was just closing. */
  held: { readonly boundary: number; readonly counters: Counters | undefined } | undefined;
}

export class Meter {
  readonly #identity: MeterIdentity;
  readonly #tracked = new Map<AllocationId, Tracked>();
  #boundary: number;
  #behind = false;

  /** `now` is Unix milliseconds. */
  constructor(identity: MeterIdentity, now: number) {
    this.#identity = identity;
    this.#boundary = boundaryAfter(now);
  }

  /** Unix milliseconds of the next quarter hour, at which `due` wants to be asked. */
  get boundary(): number {
    return this.#boundary;
  }

  /** Whether the last slice left something undone: `due` wants to be asked again soon. */
  get behind(): boolean {
    return this.#behind;
  }

  /** Allocations that have begun and not ended. */
  live(): AllocationId[] {
    return [...this.#tracked.keys()];
  }

  opened(facts: MeteredAllocation, at: Instant): void {
    this.#tracked.set(facts.allocation, {
      facts,
      openedAt: at.now,
      seq: 0,
      windowEnd: at.now,
      recordDue: at.monotonic + RECORD_INTERVAL,
      checkpointDue: at.monotonic,
      kept: NO_TOTALS,
      held: undefined,
    });
  }

  /**
   * What is due by `at`, as much of it as a slice takes; at a quarter hour nothing yet but a reading of every counter.
   * `read` gives a live allocation's counters, undefined when it is already closed.
   */
  due(at: Instant, read: (allocation: AllocationId) => Counters | undefined): Entries {
    const records: UsageRecord[] = [];
    const checkpoints: UsageRecord[] = [];
    const boundary = this.#passed(at.now);
    if (boundary !== undefined) {
      this.#hold(boundary, read);
      this.#boundary = boundaryAfter(at.now);
      this.#behind = true;
      return { records, checkpoints, ended: [] };
    }
    this.#behind = false;
    let work = 0;
    for (const [allocation, tracked] of this.#tracked) {
      if (!isDue(tracked, at)) continue;
      this.#behind = work + ENTRY * (records.length + checkpoints.length) >= SLICE;
      if (this.#behind) break;
      work += 1;
      // Whom the next slice looks at first: those that waited longest.
      this.#tracked.delete(allocation);
      this.#tracked.set(allocation, tracked);
      const counters = read(allocation);
      if (counters === undefined) continue; // its `closed` event is on the way with the last word
      const totals = totalsOf(counters);
      const record = this.#periodic(tracked, totals, at);
      if (record !== undefined) records.push(record);
      tracked.checkpointDue = at.monotonic + CHECKPOINT_INTERVAL;
      if (record === undefined && sameTotals(totals, tracked.kept)) continue;
      tracked.kept = totals;
      checkpoints.push(this.#reading(tracked, totals, at.now, true));
    }
    return { records, checkpoints, ended: [] };
  }

  /** The record of a quarter hour, or the one that falls due each ten seconds. */
  #periodic(tracked: Tracked, totals: Totals, at: Instant): UsageRecord | undefined {
    const due = at.monotonic >= tracked.recordDue;
    while (tracked.recordDue <= at.monotonic) tracked.recordDue += RECORD_INTERVAL;
    return this.#released(tracked, totals) ?? (due ? this.#record(tracked, totals, at.now, false) : undefined);
  }

  /** Reads every counter now, for a record at `boundary`. */
  #hold(boundary: number, read: (allocation: AllocationId) => Counters | undefined): void {
    for (const [allocation, tracked] of this.#tracked) {
      if (tracked.held !== undefined || !crosses(tracked, boundary)) continue;
      tracked.held = { boundary, counters: read(allocation) };
    }
  }

  /** The record of the quarter hour at which the allocation was read, if it is still to be made. */
  #released(tracked: Tracked, latest: Totals): UsageRecord | undefined {
    const { held } = tracked;
    if (held === undefined) return undefined;
    tracked.held = undefined;
    const totals = held.counters === undefined ? latest : totalsOf(held.counters);
    return this.#record(tracked, totals, held.boundary, false);
  }

  /** The allocation's last records, from the counters that its `closed` event carried. Empty when it never began. */
  closed(allocation: AllocationId, counters: Counters, at: Instant): Entries {
    const tracked = this.#tracked.get(allocation);
    if (tracked === undefined) return { records: [], checkpoints: [], ended: [] };
    this.#tracked.delete(allocation);
    const totals = totalsOf(counters);
    const records: UsageRecord[] = [];
    const released = this.#released(tracked, totals);
    if (released !== undefined) records.push(released);
    const boundary = this.#passed(at.now);
    if (boundary !== undefined && crosses(tracked, boundary)) {
      records.push(this.#record(tracked, totals, boundary, false));
    }
    records.push(this.#record(tracked, totals, at.now, true));
    return { records, checkpoints: [], ended: [allocation] };
  }

  /**
   * The first quarter hour passed since the last look, if any. After a pause that passed several (a suspended machine),
   * what was counted before the pause belongs before the first; the later ones would only repeat it.
   */
  #passed(now: number): number | undefined {
    if (now >= this.#boundary) return this.#boundary;
    if (this.#boundary - now > BOUNDARY_INTERVAL) this.#boundary = boundaryAfter(now); // the clock was set back
    return undefined;
  }

  #record(tracked: Tracked, totals: Totals, now: number, final: boolean): UsageRecord {
    const record = this.#reading(tracked, totals, now, final);
    tracked.seq += 1;
    tracked.windowEnd = record.window_end;
    return record;
  }

  #reading(tracked: Tracked, totals: Totals, now: number, final: boolean): UsageRecord {
    const windowEnd = Math.max(now, tracked.windowEnd);
    return recordOf(this.#identity, tracked.facts, { seq: tracked.seq, windowEnd, final, totals });
  }
}

function isDue(tracked: Tracked, at: Instant): boolean {
  return tracked.held !== undefined || at.monotonic >= tracked.recordDue || at.monotonic >= tracked.checkpointDue;
}

/** Whether the quarter hour lies in the part of the allocation's life that no record covers yet. */
function crosses(tracked: Tracked, boundary: number): boolean {
  return tracked.openedAt < boundary && tracked.windowEnd < boundary;
}

function boundaryAfter(now: number): number {
  return (Math.floor(now / BOUNDARY_INTERVAL) + 1) * BOUNDARY_INTERVAL;
}

/** Whether a record stands at a quarter hour, and so closes somebody's billing period. */
export function isAtBoundary(record: Pick<UsageRecord, 'window_end'>): boolean {
  return record.window_end % BOUNDARY_INTERVAL === 0;
}
