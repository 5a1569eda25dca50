/**
 * Turns a plane's cumulative counters into usage records: it reads and compares, it never adds packets.
 *
 * Of every allocation there is one record each 10 s of its life, one at every UTC quarter hour and one at its end. In
 * between stand checkpoints: the record that the allocation would leave behind if the process died now. Pure over the
 * time it is told; what it returns is to be kept in one transaction (relay/usage/spool.ts).
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

/** What one moment adds to the spool. */
export interface Entries {
  /** To be delivered. */
  readonly records: readonly UsageRecord[];
  /** Each replaces its allocation's checkpoint. */
  readonly checkpoints: readonly UsageRecord[];
  /** Allocations that have had their last record: their checkpoints go. */
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
}

export class Meter {
  readonly #identity: MeterIdentity;
  readonly #tracked = new Map<AllocationId, Tracked>();
  #boundary: number;

  /** `now` is Unix milliseconds. */
  constructor(identity: MeterIdentity, now: number) {
    this.#identity = identity;
    this.#boundary = boundaryAfter(now);
  }

  /** Unix milliseconds of the next quarter hour, at which `due` wants to be asked. */
  get boundary(): number {
    return this.#boundary;
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
    });
  }

  /** Everything that is due by `at`. `read` gives a live allocation's counters, undefined when it is already closed. */
  due(at: Instant, read: (allocation: AllocationId) => Counters | undefined): Entries {
    const records: UsageRecord[] = [];
    const checkpoints: UsageRecord[] = [];
    const boundary = this.#passed(at.now);
    for (const tracked of this.#tracked.values()) {
      const atBoundary = boundary !== undefined && crosses(tracked, boundary);
      if (!atBoundary && at.monotonic < tracked.recordDue && at.monotonic < tracked.checkpointDue) continue;
      const counters = read(tracked.facts.allocation);
      if (counters === undefined) continue; // its `closed` event is on the way with the last word
      const totals = totalsOf(counters);
      // A record at the boundary stands in for the periodic one that falls due with it: their totals are the same.
      const recorded = atBoundary || at.monotonic >= tracked.recordDue;
      if (recorded) records.push(this.#record(tracked, totals, atBoundary ? boundary : at.now, false));
      while (tracked.recordDue <= at.monotonic) tracked.recordDue += RECORD_INTERVAL;
      tracked.checkpointDue = at.monotonic + CHECKPOINT_INTERVAL;
      if (!recorded && sameTotals(totals, tracked.kept)) continue;
      tracked.kept = totals;
      checkpoints.push(this.#reading(tracked, totals, at.now, true));
    }
    if (boundary !== undefined) this.#boundary = boundaryAfter(at.now);
    return { records, checkpoints, ended: [] };
  }

  /** The allocation's last records, from the counters that its `closed` event carried. Empty when it never began. */
  closed(allocation: AllocationId, counters: Counters, at: Instant): Entries {
    const tracked = this.#tracked.get(allocation);
    if (tracked === undefined) return { records: [], checkpoints: [], ended: [] };
    this.#tracked.delete(allocation);
    const totals = totalsOf(counters);
    const records: UsageRecord[] = [];
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
