/**
 * The writing side of the store for those who promise durability: rows go into ClickHouse, and while that is slow or away onto the
 * disk, from where they follow in order. As long as any of them waits, later ones queue behind.
 *
 * An insert that was given up for slow, or whose answer was lost, may have arrived all the same, and a process killed between an
 * insert and its forgetting brings it again. Both are harmless: a row is known by its content, and replaces its twin.
 */
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
/** Milliseconds between two attempts to bring the store what waits. */
const RETRY_AFTER = 1_000;
/** Rows of one insert from the disk. */
const MAX_ROWS = 20_000;

const isAway = (error: unknown): boolean =>
  error instanceof TurnpikeError && error.code === 'TP_COLLECTOR_STORE_UNAVAILABLE';

export class DurableWriter implements StoreWriter {
  readonly #options: DurableWriterOptions;
  readonly #stopping = new AbortController();
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
    if (spool.isEmpty && (await this.#arrives(table, rows))) return;
    await spool.append(table, rows);
    metrics.counter('turnpike_collector_spooled_rows_total').inc({ table }, rows.length);
    this.#follow();
  }

  /** Leaves what waits on the disk to the next process. The spool is the caller's to close. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#following;
  }

  /** Whether the store has them in good time. */
  async #arrives(table: TableName, rows: readonly Row[]): Promise<boolean> {
    const { log, sleep, store } = this.#options;
    const arrived = new AbortController();
    const inserted = store.insert(table, rows).then(
      () => true,
      (error: unknown) => {
        if (isAway(error)) return false;
        throw error;
      },
    );
    const late = sleep(SLOW_AFTER, arrived.signal).then(() => undefined);
    try {
      const outcome = await Promise.race([inserted, late]);
      if (outcome !== undefined) return outcome;
    } finally {
      arrived.abort();
    }
    log.warn({ table, rows: rows.length }, 'the store is slow; rows go to the disk');
    inserted.catch((error: unknown) => log.error({ err: error, table }, 'the store refused rows that are on the disk'));
    return false;
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
        await this.#bringOldest(spool.oldest(MAX_ROWS));
        if (spool.isEmpty) log.info('the store has everything that waited on the disk');
      } catch (error) {
        if (!isAway(error)) log.error({ err: error }, 'rows on the disk cannot be brought to the store; trying again');
        await sleep(RETRY_AFTER, signal);
      }
    }
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
