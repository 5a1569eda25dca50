/**
 * The writing side of the store for those who promise durability: rows go into ClickHouse, and while that is slow or away onto the
 * disk, from where they follow, those of each table in order. As long as any of them waits, later ones queue behind.
 *
 * The disk takes rows faster than the store does. So that it does not fill while the store takes them again, however many ask, senders
 * are slowed down from half of it on: two rows leave it before one that came is acknowledged.
 *
 * An insert whose answer was lost may have arrived all the same, and a process killed between an insert and its forgetting brings it
 * again. Both are harmless: a row is known by its content, and replaces its twin.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { TurnpikeError } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/log.ts';
import type { Metrics } from '../../kernel/metrics.ts';
import type { Sleep } from '../../kernel/sleep.ts';
import type { Row, StoreWriter } from '../store/store.ts';
import type { TableName } from '../store/tables.ts';
import type { IntakeSpool, SpooledRows } from './intake-spool.ts';

export interface DurableWriterOptions {
  readonly store: StoreWriter;
  readonly spool: IntakeSpool;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly sleep: Sleep;
}

/** Milliseconds that an insert may take before its rows go to the disk instead. */
const SLOW_AFTER = 2_000;
/** How full the disk is when acknowledgements begin to wait for it to grow shorter, and how long they do when it is full, milliseconds. */
const HOLD_FROM = 0.5;
const HOLD_MOST = 2_000;
/** Rows that leave the disk for each that came. */
const LEAVING = 2;
/** Milliseconds that what the store was slow to take may be under way before it is brought a second time. */
const LATE_AFTER = 30_000;
/** Milliseconds between two attempts to bring the store what waits. */
const RETRY_AFTER = 1_000;
/** Rows of one insert from the disk. */
const MAX_ROWS = 20_000;

const isAway = (error: unknown): boolean =>
  error instanceof TurnpikeError && error.code === 'TP_COLLECTOR_STORE_UNAVAILABLE';

export class DurableWriter implements StoreWriter {
  readonly #options: DurableWriterOptions;
  readonly #stopping = new AbortController();
  /** Inserts that were slow, whose rows are on the disk meanwhile. */
  readonly #late = new Set<Promise<void>>();
  /** Those whose rows are on the disk, first come first served, and how many rows must leave it before. */
  readonly #held = new Set<{ rows: number; readonly release: () => void }>();
  #isAway = false;
  #following: Promise<void> | undefined;

  constructor(options: DurableWriterOptions) {
    this.#options = options;
    const { metrics, spool } = options;
    metrics.gauge('turnpike_collector_spool_rows', (gauge) => gauge.set(spool.rows));
    metrics.gauge('turnpike_collector_spool_bytes', (gauge) => gauge.set(spool.bytes));
    metrics.gauge('turnpike_collector_spool_age_seconds', (gauge) => gauge.set(spool.age / 1000));
    metrics.gauge('turnpike_collector_spool_refused', (gauge) => gauge.set(spool.refused));
    this.#follow();
  }

  /**
   * Resolves when every row is in the store or on the disk. Rejects with TP_COLLECTOR_SPOOL_FULL when neither has room, and with
   * the store's own error when it refuses them for what they are.
   */
  async insert(table: TableName, rows: readonly Row[]): Promise<void> {
    if (rows.length === 0) return;
    const { metrics, spool } = this.#options;
    const inserted = spool.isEmpty ? this.#tryInsert(table, rows) : undefined;
    if (inserted !== undefined && (await this.#isInTime(inserted, table, rows))) return;
    const appended = spool.append(table, rows);
    if (inserted !== undefined) this.#forgetWhenInserted(appended, inserted);
    await appended;
    metrics.counter('turnpike_collector_spooled_rows_total').inc({ table }, rows.length);
    this.#follow();
    await this.#hold(rows.length);
  }

  /** Leaves what waits on the disk to the next process. The spool is the caller's to close. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#releaseAll();
    await this.#following;
  }

  /** Whether the store has them; it does not while it is away. */
  async #tryInsert(table: TableName, rows: readonly Row[]): Promise<boolean> {
    try {
      await this.#options.store.insert(table, rows);
      this.#isAway = false;
      return true;
    } catch (error) {
      if (!isAway(error)) throw error;
      this.#isAway = true;
      return false;
    }
  }

  async #isInTime(inserted: Promise<boolean>, table: TableName, rows: readonly Row[]): Promise<boolean> {
    const { log, sleep } = this.#options;
    const known = new AbortController();
    const late = sleep(SLOW_AFTER, known.signal).then(() => undefined);
    try {
      const outcome = await Promise.race([inserted, late]);
      if (outcome !== undefined) return outcome;
    } finally {
      known.abort();
    }
    log.warn({ table, rows: rows.length }, 'the store is slow; rows go to the disk');
    return false;
  }

  /** Else the store, which is slow, would have all of it to do again. */
  #forgetWhenInserted(appended: Promise<SpooledRows>, inserted: Promise<boolean>): void {
    const { log, spool } = this.#options;
    const forget = async () => {
      if (!(await inserted) || this.#stopping.signal.aborted) return;
      const entry = await appended;
      await spool.settle([entry]);
      this.#release(entry.rows.length);
    };
    const late = forget()
      .catch((error: unknown) => log.error({ err: error }, 'rows that the store was slow to take are brought again'))
      .finally(() => this.#late.delete(late));
    this.#late.add(late);
  }

  /** Resolves when no slow insert is under way, or none is worth waiting for. */
  async #lateAreOver(): Promise<void> {
    if (this.#late.size === 0) return;
    const over = new AbortController();
    const enough = this.#options.sleep(LATE_AFTER, AbortSignal.any([over.signal, this.#stopping.signal]));
    await Promise.race([Promise.all(this.#late), enough]);
    over.abort();
  }

  /** Resolves when so many rows may be acknowledged: nobody waits for a store that is away. */
  async #hold(rows: number): Promise<void> {
    const { sleep, spool } = this.#options;
    const share = (spool.fill - HOLD_FROM) / (1 - HOLD_FROM);
    if (this.#isAway || share <= 0 || this.#stopping.signal.aborted) return;
    const done = new AbortController();
    const held = { rows: rows * LEAVING, release: () => done.abort() };
    this.#held.add(held);
    await sleep(share * HOLD_MOST, done.signal);
    this.#held.delete(held);
  }

  /** So many rows have left the disk. */
  #release(rows: number): void {
    let left = rows;
    for (const held of this.#held) {
      const taken = Math.min(left, held.rows);
      held.rows -= taken;
      left -= taken;
      if (held.rows === 0) held.release();
      if (left === 0) return;
    }
  }

  #releaseAll(): void {
    for (const { release } of this.#held) release();
  }

  /** Brings the store what waits, until nothing does. */
  #follow(): void {
    this.#following ??= this.#bring().finally(() => {
      this.#following = undefined;
      // Something may have come between the last look and here.
      if (!this.#options.spool.isEmpty && !this.#stopping.signal.aborted) this.#follow();
    });
  }

  async #bring(): Promise<void> {
    const { log, sleep, spool } = this.#options;
    const { signal } = this.#stopping;
    while (!spool.isEmpty && !signal.aborted) {
      try {
        await this.#lateAreOver();
        const entries = spool.oldest(MAX_ROWS);
        if (entries.length === 0) {
          await turn(); // they are on their way to the disk
          continue;
        }
        await this.#bringOldest(entries);
        this.#isAway = false;
        if (spool.isEmpty) log.info('the store has everything that waited on the disk');
      } catch (error) {
        this.#isAway = true;
        this.#releaseAll();
        if (!isAway(error)) log.error({ err: error }, 'rows on the disk cannot be brought to the store; trying again');
        await sleep(RETRY_AFTER, signal);
      }
    }
    this.#releaseAll();
  }

  async #bringOldest(entries: readonly SpooledRows[]): Promise<void> {
    const { log, spool, store } = this.#options;
    const [first] = entries;
    if (first === undefined) return;
    try {
      await store.insert(
        first.table,
        entries.flatMap(({ rows }) => rows),
      );
      await spool.settle(entries);
      this.#release(entries.reduce((sum, { rows }) => sum + rows.length, 0));
    } catch (error) {
      if (isAway(error)) throw error;
      // One request's rows must not keep the others' waiting for ever.
      if (entries.length > 1) for (const entry of entries) await this.#bringOldest([entry]);
      else {
        log.error(
          { err: error, table: first.table, rows: first.rows.length },
          'the store refused rows; they are set aside',
        );
        await spool.refuse(first, error instanceof Error ? error.message : String(error));
      }
    }
  }
}
