/**
 * Usage on its way to the collector, on disk: records that are not acknowledged yet, a checkpoint for every live
 * allocation, and records that the collector refuses. One LMDB environment, so that a record and the checkpoint that
 * follows it are written together or not at all: whatever moment the process dies at, no (boot, allocation, seq) is ever
 * used twice with different totals, and no counted byte is older than the last checkpoint.
 *
 * Beside them stands what a successor needs to go on with an allocation (relay/restart/): in the same environment, so that
 * what an allocation has spent and what it may still spend never part.
 */
import { chmodSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { open } from 'lmdb';
import type { Database, RootDatabase } from 'lmdb';
import { usageRecord } from '../contract.ts';
import type { UsageRecord } from '../contract.ts';
import type { Counters } from '../planes/plane.ts';
import { isAtBoundary } from './meter.ts';
import type { Entries } from './meter.ts';
import { isAtLeast, recordText, totalsOf } from './reading.ts';

/**
 * `[allocation_id, seq, kept]`. Allocation ids are UUIDv7, so the oldest allocation comes first and each allocation's
 * readings in order. `kept` is 1 for a record that no later one makes redundant: the last one, and those at quarter hours.
 */
export type RecordKey = readonly [allocation: string, seq: number, kept: 0 | 1];

export interface SpooledRecord {
  readonly key: RecordKey;
  /** The record as JSON. */
  readonly text: string;
}

export interface SpoolOptions {
  readonly directory: string;
  /**
   * Records kept before older readings of an allocation give way to newer ones; nothing that a bill needs is dropped.
   * A record takes about 1 kB.
   */
  readonly maxRecords?: number;
  /** What a boot that is gone had counted, where a plane has kept it: newer than any checkpoint. */
  readonly counted?: (bootId: string) => ReadonlyMap<string, Counters>;
}

export const DEFAULT_MAX_RECORDS = 1_000_000;
/** Keys looked at in one go while making room, so that the event loop is never held for long. */
const SLICE = 5_000;

export interface Recovery {
  /** Checkpoints of a process that died, now final records. */
  readonly finals: number;
  /** Records refused in an earlier life, which get another chance: the collector may have learnt. */
  readonly readmitted: number;
}

/** An allocation as its last process left it. */
export interface LeftAllocation {
  readonly allocation: string;
  /** As it was given to `write`. */
  readonly text: string;
  /** Bytes that all of its processes had sent to its client. */
  readonly spent: bigint;
}

export class Spool {
  readonly #root: RootDatabase<string, string>;
  readonly #pending: Database<string, [string, number, 0 | 1]>;
  readonly #checkpoints: Database<string, string>;
  readonly #refused: Database<string, [string, number, 0 | 1]>;
  readonly #states: Database<string, string>;
  readonly #spent: Database<string, string>;
  readonly #epochs: Database<string, string>;
  readonly #epoch: number;
  readonly #maxRecords: number;
  #makingRoom: Promise<void> | undefined;
  /** Pending records above which making room is worth another walk. */
  #crowded: number;
  readonly recovery: Recovery;

  constructor(options: SpoolOptions) {
    mkdirSync(options.directory, { recursive: true, mode: 0o700 });
    this.#maxRecords = options.maxRecords ?? DEFAULT_MAX_RECORDS;
    this.#crowded = this.#maxRecords;
    this.#root = open<string, string>({ path: options.directory, encoding: 'string', maxDbs: 6 });
    for (const file of readdirSync(options.directory)) chmodSync(join(options.directory, file), 0o600);
    this.#pending = this.#root.openDB({ name: 'pending', encoding: 'string' });
    this.#checkpoints = this.#root.openDB({ name: 'checkpoints', encoding: 'string' });
    this.#refused = this.#root.openDB({ name: 'refused', encoding: 'string' });
    this.#states = this.#root.openDB({ name: 'states', encoding: 'string' });
    this.#spent = this.#root.openDB({ name: 'spent', encoding: 'string' });
    this.#epochs = this.#root.openDB({ name: 'epochs', encoding: 'string', useVersions: true });
    this.#epoch = this.#root.transactionSync(() => {
      const epoch = (this.#epochs.getEntry('writer')?.version ?? 0) + 1;
      this.#epochs.putSync('writer', '', epoch);
      return epoch;
    });
    this.recovery = this.#root.transactionSync(() => ({ finals: this.#finish(options), readmitted: this.#readmit() }));
  }

  /** Keeps a moment's entries, all or none. Rejects when they could not be written, or when another process took over. */
  async write(entries: Entries): Promise<void> {
    const { states = [] } = entries;
    if (entries.records.length + entries.checkpoints.length + entries.ended.length + states.length === 0) return;
    await this.#change(() => {
      for (const record of entries.records) void this.#pending.put(keyOf(record), recordText(record));
      for (const record of entries.checkpoints) void this.#checkpoints.put(record.allocation_id, recordText(record));
      for (const { allocation, text } of states) void this.#states.put(allocation, text);
      for (const allocation of entries.ended) {
        for (const database of [this.#checkpoints, this.#states, this.#spent]) void database.remove(allocation);
      }
    });
    const pending = this.pending();
    if (pending <= this.#maxRecords) this.#crowded = this.#maxRecords;
    // Should this fail, so will the next write, and that is where it is told.
    if (pending > this.#crowded) this.#makingRoom ??= this.#makeRoom().catch(() => undefined);
  }

  /** What a process that is gone has left; each stays until it is written again or has ended. */
  left(): LeftAllocation[] {
    return Array.from(this.#states.getRange(), ({ key, value }) => {
      return { allocation: key, text: value, spent: BigInt(this.#spent.get(key) ?? 0) };
    });
  }

  /**
   * Up to `limit` records, oldest first. They are on the disk itself, not only committed: were one sent and then lost
   * with the machine's power, the checkpoint before it would use its seq again.
   */
  async oldest(limit: number): Promise<SpooledRecord[]> {
    const found = [...this.#pending.getRange({ limit })].map(({ key, value }) => ({ key, text: value }));
    if (found.length > 0) await this.#root.flushed;
    return found;
  }

  /** Forgets what the collector has acknowledged. */
  settle(keys: readonly RecordKey[]): Promise<void> {
    return this.#change(() => {
      for (const key of keys) void this.#pending.remove([...key]);
    });
  }

  /** Sets a record aside with the collector's reason. */
  refuse(record: SpooledRecord, reason: string, at: number): Promise<void> {
    return this.#change(() => {
      void this.#pending.remove([...record.key]);
      void this.#refused.put([...record.key], JSON.stringify({ at, reason, record: record.text }));
    });
  }

  /** Records not yet acknowledged. */
  pending(): number {
    return entriesOf(this.#pending);
  }

  /** Records set aside. */
  refused(): number {
    return entriesOf(this.#refused);
  }

  /** Waits for what was written to be on disk. */
  async close(): Promise<void> {
    await this.#makingRoom;
    await this.#root.flushed;
    await this.#root.close();
  }

  /** One transaction, run off this thread, under the condition that no other process has opened the spool since. */
  async #change(writes: () => void): Promise<void> {
    const mine = await this.#epochs.ifVersion('writer', this.#epoch, writes);
    if (!mine) throw new Error('another process has taken over the usage spool');
  }

  #finish({ counted = () => new Map() }: SpoolOptions): number {
    const left = Array.from(this.#checkpoints.getRange());
    const boots = new Map<string, ReadonlyMap<string, Counters>>();
    for (const { key, value } of left) {
      const { boot_id: boot, seq } = JSON.parse(value) as Checkpoint;
      const counters = boots.get(boot) ?? counted(boot);
      boots.set(boot, counters);
      const text = newest(value, counters.get(key));
      this.#pending.putSync([key, seq, 1], text);
      if (this.#states.doesExist(key)) {
        const sent = sentToClient(JSON.parse(text) as Checkpoint);
        this.#spent.putSync(key, `${BigInt(this.#spent.get(key) ?? 0) + sent}`);
      }
      this.#checkpoints.removeSync(key);
    }
    return left.length;
  }

  #readmit(): number {
    const aside = Array.from(this.#refused.getRange());
    for (const { key, value } of aside) {
      this.#pending.putSync(key, (JSON.parse(value) as { record: string }).record);
      this.#refused.removeSync(key);
    }
    return aside.length;
  }

  /** Drops readings that a later reading of the same allocation contains; totals are cumulative. */
  async #makeRoom(): Promise<void> {
    try {
      for (const database of [this.#pending, this.#refused]) {
        let last: [string, number, 0 | 1] | undefined;
        for (;;) {
          const keys = [...database.getKeys({ ...(last === undefined ? {} : { start: last }), limit: SLICE })];
          const redundant = keys.filter((key, index) => key[2] === 0 && keys[index + 1]?.[0] === key[0]);
          if (redundant.length > 0) {
            await this.#change(() => {
              for (const key of redundant) void database.remove(key);
            });
          }
          last = keys.at(-1);
          if (keys.length < SLICE) break;
        }
      }
    } finally {
      this.#crowded = Math.max(this.#maxRecords, Math.ceil(this.pending() * 1.1));
      this.#makingRoom = undefined;
    }
  }
}

/** What is read of a checkpoint, which an earlier version may have written. */
interface Checkpoint {
  readonly boot_id: string;
  readonly seq: number;
  readonly classes: Readonly<Record<string, { readonly client_tx_bytes: string }>>;
}

/**
 * A checkpoint with what its allocation had counted in the end. Counters that are behind it in anything are not those of that
 * end: their file was not on the disk when the machine went down.
 */
function newest(checkpoint: string, counters: Counters | undefined): string {
  if (counters === undefined) return checkpoint;
  const { data: record } = usageRecord.safeParse(JSON.parse(checkpoint));
  const totals = totalsOf(counters);
  return record !== undefined && isAtLeast(totals, record) ? recordText({ ...record, ...totals }) : checkpoint;
}

/** What counts against a credential's quota of bytes. */
function sentToClient({ classes }: Checkpoint): bigint {
  return Object.values(classes).reduce((sum, { client_tx_bytes }) => sum + BigInt(client_tx_bytes), 0n);
}

function keyOf(record: UsageRecord): [string, number, 0 | 1] {
  return [record.allocation_id, record.seq, record.final || isAtBoundary(record) ? 1 : 0];
}

function entriesOf(database: Database<string, [string, number, 0 | 1]>): number {
  return (database.getStats() as { entryCount: number }).entryCount;
}
