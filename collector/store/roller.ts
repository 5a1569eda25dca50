/**
 * Fills the rollups from deduplicated raw rows, and again where rows came late.
 *
 * Why any mix of retries, reorderings, crashes and other collectors gives the same rollups:
 * - A round looks for rows stored since the last one by the server's clock, fills every window that they are in as a whole, and
 *   only then writes down how far it has come. Whatever ends in between is done again by the next round, here or elsewhere.
 * - Rows are looked for only once they are so old that no insert can still be under way with an earlier time: the server gives
 *   an insert up after `INSERT_SECONDS`.
 * - A filling has the version of a moment before it read anything, and the highest version wins. So of two fillings the winner
 *   read later than the moment at which any row that either had looked for was visible: it has them all.
 */
import { z } from 'zod';
import type { Clock } from '../../kernel/clock.ts';
import type { Logger } from '../../kernel/log.ts';
import type { Metrics } from '../../kernel/metrics.ts';
import type { Sleep } from '../../kernel/sleep.ts';
import { INSERT_SECONDS } from './clickhouse.ts';
import type { ClickHouseStore } from './clickhouse.ts';
import type { Kept } from './ddl.ts';
import { rollups } from './rollups.ts';
import type { RawTable, Rollup } from './rollups.ts';
import { rangesOf } from './window-ranges.ts';
import type { WindowRange } from './window-ranges.ts';

export interface RollerOptions {
  readonly store: Pick<ClickHouseStore, 'select' | 'command'>;
  readonly clock: Clock;
  readonly sleep: Sleep;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** How long raw tables keep their rows. */
  readonly keptOf: (table: RawTable) => Kept;
  /** Milliseconds between two rounds; more when one takes long, so that they take at most half of the time. */
  readonly interval: number;
  /** Age in milliseconds at which stored rows are looked for. Default: twice as long as an insert may take. */
  readonly settleMs?: number;
}

const progressRow = z.object({ now: z.coerce.number(), from: z.coerce.number() });
const windowRow = z.object({ window: z.number() });

export class Roller {
  readonly #options: RollerOptions;
  readonly #settleMs: number;
  readonly #stop = new AbortController();
  /** When each rollup was last brought up to date, by the monotonic clock. */
  readonly #rolledAt = new Map<string, number>();
  #running: Promise<void> | undefined;

  constructor(options: RollerOptions) {
    this.#options = options;
    this.#settleMs = options.settleMs ?? 2_000 * INSERT_SECONDS;
  }

  /** Goes round until it is stopped. */
  start(): void {
    const { clock, metrics } = this.#options;
    const began = clock.monotonic();
    metrics.gauge('turnpike_collector_rollup_lag_seconds', (gauge) => {
      for (const { table } of rollups) {
        const since = clock.monotonic() - (this.#rolledAt.get(table.name) ?? began);
        gauge.set({ rollup: table.name }, (since + this.#settleMs) / 1_000);
      }
    });
    this.#running ??= this.#goRound();
  }

  /** Resolves once no statement of ours is running any more. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Brings every rollup up to date. Never rejects: what fails is logged, and done with the next round. */
  async round(): Promise<void> {
    const { clock, log } = this.#options;
    for (const rollup of rollups) {
      const began = clock.monotonic();
      try {
        if (await this.#roll(rollup)) this.#rolledAt.set(rollup.table.name, began);
      } catch (error) {
        log.error({ err: error, rollup: rollup.table.name }, 'a rollup could not be brought up to date');
      }
    }
  }

  async #goRound(): Promise<void> {
    const { clock, interval, sleep } = this.#options;
    while (!this.#stop.signal.aborted) {
      const began = clock.monotonic();
      await this.round();
      await sleep(Math.max(interval, clock.monotonic() - began), this.#stop.signal);
    }
  }

  /** Whether it got to the end: it does not when it is stopped. */
  async #roll(rollup: Rollup): Promise<boolean> {
    const { keptOf, store } = this.#options;
    const name = rollup.table.name;
    const [progress] = await store.select(
      progressRow,
      `SELECT toUnixTimestamp64Milli(now64(3)) AS now, toUnixTimestamp64Milli(max(stored_until)) AS from
FROM rollup_progress WHERE rollup = {name:String}`,
      { name },
    );
    if (progress === undefined) return false;
    const { now } = progress;
    const until = now - this.#settleMs;
    // Before the first round nothing has been looked at, not even what was stored at the beginning of time.
    const from = progress.from === 0 ? -1 : progress.from;
    if (until <= from) return true;
    const changed = await store.select(windowRow, rollup.changedSql, { from, until });
    const { maxWindows, windowSeconds } = rollup;
    const fillSql = rollup.fillSql(rollup.sources.map(keptOf));
    const starts = changed.map(({ window }) => window);
    for (const { start, end } of rangesOf(starts, windowSeconds, maxWindows)) {
      if (this.#stop.signal.aborted) return false;
      await this.#fill(rollup, fillSql, { start, end }, now);
    }
    await store.command(
      `INSERT INTO rollup_progress (rollup, stored_until) SELECT {name:String}, fromUnixTimestamp64Milli({until:Int64}, 'UTC')`,
      { name, until },
    );
    return true;
  }

  /** A range that is too much for one statement, for its time or the server's memory, is filled in halves. */
  async #fill(rollup: Rollup, fillSql: string, { start, end }: WindowRange, now: number): Promise<void> {
    const { log, metrics, store } = this.#options;
    const windows = (end - start) / rollup.windowSeconds;
    try {
      await store.command(fillSql, { start, end, now });
      metrics.counter('turnpike_collector_rolled_windows_total').inc({ rollup: rollup.table.name }, windows);
    } catch (error) {
      if (windows === 1 || this.#stop.signal.aborted) throw error;
      log.warn(
        { err: error, rollup: rollup.table.name, windows },
        'windows could not be filled at once; in halves now',
      );
      const middle = start + Math.floor(windows / 2) * rollup.windowSeconds;
      await this.#fill(rollup, fillSql, { start, end: middle }, now);
      await this.#fill(rollup, fillSql, { start: middle, end }, now);
    }
  }
}
