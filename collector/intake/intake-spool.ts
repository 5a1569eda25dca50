/**
 * Rows that were taken while the store could not take them, on disk and in order. What `append` has resolved for is flushed to the
 * disk itself, so that neither a killed process nor lost power loses it.
 */
import { chmodSync, mkdirSync, readdirSync } from 'node:fs';
import { open } from 'lmdb';
import type { Database, RootDatabase } from 'lmdb';
import { join } from 'node:path';
import { bigintAsString } from '../../kernel/bytes.ts';
import type { Clock } from '../../kernel/clock.ts';
import { TurnpikeError } from '../../kernel/errors.ts';
import type { Random } from '../../kernel/random.ts';
import { uuidV7 } from '../../kernel/uuid.ts';
import type { Row } from '../store/store.ts';
import type { TableName } from '../store/tables.ts';

/**
 * In the order in which they were appended: a process has a UUIDv7, in which it numbers. What is known of an entry without reading
 * it stands in its key.
 */
type EntryKey = [writer: string, number: number, table: TableName, rows: number, bytes: number, at: number];

/** Entries that are looked through for those of one table. */
const LOOK_AHEAD = 10_000;

export interface SpooledRows {
  readonly key: EntryKey;
  readonly table: TableName;
  readonly rows: readonly Row[];
}

export interface IntakeSpoolOptions {
  readonly directory: string;
  /** Bytes of rows, as JSON, beyond which nothing more is taken. */
  readonly maxBytes: number;
  readonly clock: Clock;
  readonly random: Random;
}

export class IntakeSpool {
  readonly #root: RootDatabase<string, string>;
  readonly #waiting: Database<string, EntryKey>;
  readonly #refused: Database<string, EntryKey>;
  readonly #maxBytes: number;
  readonly #clock: Clock;
  readonly #writer: string;
  #closing: Promise<void> | undefined;
  #number = 0;
  #rows = 0;
  #bytes = 0;
  #entries = 0;

  constructor({ clock, directory, maxBytes, random }: IntakeSpoolOptions) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#root = open<string, string>({ path: directory, encoding: 'string', maxDbs: 2 });
    for (const file of readdirSync(directory)) chmodSync(join(directory, file), 0o600);
    this.#waiting = this.#root.openDB({ name: 'waiting', encoding: 'string' });
    this.#refused = this.#root.openDB({ name: 'refused', encoding: 'string' });
    this.#maxBytes = maxBytes;
    this.#clock = clock;
    this.#writer = uuidV7(clock, random);
    for (const key of this.#waiting.getKeys()) this.#count(key, 1);
  }

  get isEmpty(): boolean {
    return this.#entries === 0;
  }

  /** Waiting for the store. */
  get rows(): number {
    return this.#rows;
  }
  get bytes(): number {
    return this.#bytes;
  }

  /** Of what it may hold, from 0 to 1. */
  get fill(): number {
    return this.#bytes / this.#maxBytes;
  }

  get hasRoom(): boolean {
    return this.#bytes < this.#maxBytes;
  }

  /** Milliseconds that the oldest row has waited; 0 when none does. */
  get age(): number {
    const [first] = this.#waiting.getKeys({ limit: 1 });
    return first === undefined ? 0 : Math.max(0, this.#clock.now() - first[5]);
  }

  /** Entries that the store refused for what is in them. */
  get refused(): number {
    return (this.#refused.getStats() as { entryCount: number }).entryCount;
  }

  /** Resolves when the rows are on the disk. Rejects with TP_COLLECTOR_SPOOL_FULL when there is no room for them; none of them is kept. */
  async append(table: TableName, rows: readonly Row[]): Promise<SpooledRows> {
    const text = JSON.stringify(rows, bigintAsString);
    const bytes = Buffer.byteLength(text);
    if (this.#bytes + bytes > this.#maxBytes) throw new TurnpikeError('TP_COLLECTOR_SPOOL_FULL');
    this.#number += 1;
    const key: EntryKey = [this.#writer, this.#number, table, rows.length, bytes, this.#clock.now()];
    // Taken at once, so that what is on its way counts against the limit.
    this.#count(key, 1);
    try {
      await this.#waiting.put(key, text);
      await this.#root.flushed;
    } catch (error) {
      this.#count(key, -1);
      throw error;
    }
    return { key, table, rows };
  }

  /** The oldest entries of the table that has waited longest, up to so many rows, one entry at least; empty when none is on the disk. */
  oldest(maxRows: number): readonly SpooledRows[] {
    const found: SpooledRows[] = [];
    let size = 0;
    for (const key of this.#waiting.getKeys({ limit: LOOK_AHEAD })) {
      const [, , table, rows] = key;
      if (table !== (found[0]?.table ?? table)) continue;
      if (found.length > 0 && size + rows > maxRows) break;
      found.push({ key, table, rows: JSON.parse(this.#waiting.get(key) ?? '[]') as Row[] });
      size += rows;
    }
    return found;
  }

  /** Forgets what the store has; what is forgotten already is no matter. */
  async settle(entries: readonly SpooledRows[]): Promise<void> {
    const known: EntryKey[] = [];
    await this.#waiting.transaction(() => {
      for (const { key } of entries) {
        if (!this.#waiting.doesExist(key)) continue;
        known.push(key);
        void this.#waiting.remove(key);
      }
    });
    for (const key of known) this.#count(key, -1);
  }

  /** Sets aside what the store will never take, with its reason. */
  async refuse(entry: SpooledRows, reason: string): Promise<void> {
    await this.#root.transaction(() => {
      void this.#waiting.remove(entry.key);
      void this.#refused.put(entry.key, JSON.stringify({ reason, rows: entry.rows }));
    });
    this.#count(entry.key, -1);
  }

  /** Resolves when nothing more is written; may be called again. */
  close(): Promise<void> {
    this.#closing ??= this.#root.flushed.then(() => this.#root.close());
    return this.#closing;
  }

  #count([, , , rows, bytes]: EntryKey, sign: 1 | -1): void {
    this.#entries += sign;
    this.#rows += sign * rows;
    this.#bytes += sign * bytes;
  }
}
