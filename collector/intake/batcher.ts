/**
 * Group commit: the rows of requests that arrive together go into the store in one insert a table, and each request waits
 * until its own rows are in. Small inserts are what ClickHouse does worst.
 */
import { TurnpikeError } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/log.ts';
import type { Row, StoreWriter } from '../store/store.ts';
import type { TableName } from '../store/tables.ts';

export type TableRows = Readonly<Partial<Record<TableName, readonly Row[]>>>;

export interface BatcherOptions {
  readonly writer: StoreWriter;
  readonly log: Logger;
  /** How long the first rows of a group wait for others. Default 200 ms. */
  readonly maxWaitMs?: number;
  /** Rows at which a group no longer waits. Default 5,000. */
  readonly enoughRows?: number;
  /** Rows of one group at most: what came in while the store was slow goes together. Default 25,000. */
  readonly maxRows?: number;
  /** Rows waiting or under way beyond which requests are turned away. Default 100,000. */
  readonly maxPendingRows?: number;
}

interface Entry {
  readonly rows: TableRows;
  readonly size: number;
  readonly since: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class Batcher {
  readonly #options: BatcherOptions;
  readonly #maxWaitMs: number;
  readonly #enoughRows: number;
  readonly #maxRows: number;
  readonly #maxPendingRows: number;
  #queue: Entry[] = [];
  #queuedRows = 0;
  #pendingRows = 0;
  #timer: NodeJS.Timeout | undefined;
  #committing: Promise<void> | undefined;
  #closed = false;

  constructor(options: BatcherOptions) {
    this.#options = options;
    this.#maxWaitMs = options.maxWaitMs ?? 200;
    this.#enoughRows = options.enoughRows ?? 5_000;
    this.#maxRows = options.maxRows ?? 25_000;
    this.#maxPendingRows = options.maxPendingRows ?? 100_000;
  }

  /**
   * Resolves when every row is in the store. Rejects with TP_COLLECTOR_STORE_UNAVAILABLE when they are not known to be, or
   * when too many are waiting already.
   */
  write(rows: TableRows): Promise<void> {
    const size = Object.values(rows).reduce((sum, list) => sum + list.length, 0);
    if (size === 0) return Promise.resolve();
    if (this.#closed || this.#pendingRows + size > this.#maxPendingRows) {
      return Promise.reject(new TurnpikeError('TP_COLLECTOR_STORE_UNAVAILABLE'));
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ rows, size, since: performance.now(), resolve, reject });
      this.#queuedRows += size;
      this.#pendingRows += size;
      this.#arm();
    });
  }

  /** Takes nothing more, and resolves when what was taken is stored or refused. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#arm();
    while (this.#committing !== undefined) await this.#committing;
  }

  /** Commits now, later, or when the commit under way is done. */
  #arm(): void {
    const [first] = this.#queue;
    if (first === undefined || this.#committing !== undefined) return;
    clearTimeout(this.#timer);
    const waited = performance.now() - first.since;
    const due = this.#closed || this.#queuedRows >= this.#enoughRows || waited >= this.#maxWaitMs;
    if (due) this.#start();
    else this.#timer = setTimeout(() => this.#start(), this.#maxWaitMs - waited);
  }

  #start(): void {
    clearTimeout(this.#timer);
    this.#committing = this.#commit(this.#takeGroup()).finally(() => {
      this.#committing = undefined;
      this.#arm();
    });
  }

  #takeGroup(): Entry[] {
    let [count, size] = [0, 0];
    for (const entry of this.#queue) {
      if (count > 0 && size + entry.size > this.#maxRows) break;
      count += 1;
      size += entry.size;
    }
    this.#queuedRows -= size;
    return this.#queue.splice(0, count);
  }

  async #commit(group: readonly Entry[]): Promise<void> {
    const faults = new Map<Entry, unknown>();
    const names = new Set(group.flatMap(({ rows }) => Object.keys(rows) as TableName[]));
    await Promise.all([...names].map((table) => this.#insert(table, group, faults)));
    for (const entry of group) {
      this.#pendingRows -= entry.size;
      if (faults.has(entry)) entry.reject(faults.get(entry));
      else entry.resolve();
    }
  }

  async #insert(table: TableName, group: readonly Entry[], faults: Map<Entry, unknown>): Promise<void> {
    const concerned = group.filter(({ rows }) => (rows[table]?.length ?? 0) > 0);
    try {
      await this.#options.writer.insert(
        table,
        concerned.flatMap(({ rows }) => rows[table] ?? []),
      );
    } catch (error) {
      const away = error instanceof TurnpikeError;
      if (!away) this.#options.log.error({ err: error, table }, 'the store refused rows');
      // One request's rows must not cost the others theirs.
      if (!away && concerned.length > 1) for (const entry of concerned) await this.#insert(table, [entry], faults);
      else for (const entry of concerned) faults.set(entry, error);
    }
  }
}
