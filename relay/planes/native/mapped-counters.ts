/** The counters of all allocations in the engine's memory, where its threads count and this one does. */
import { dropReasons } from '../plane.ts';
import type { AllocationId, Counters } from '../plane.ts';
import { countersFrom, ROW as VALUES } from '../dgram/counters.ts';
import type { ClassIndex, CounterRows, Leg, Row } from '../dgram/counters.ts';
import { ROW_WORDS, rowAt, writeId } from './counter-rows.ts';

const CONTROL = VALUES - 1;

/** What of the engine is counted with. */
export interface CountedMemory {
  readonly words: BigUint64Array;
  /** Rows there are, row 0 included, which nobody has. */
  readonly rows: number;
  readonly threads: number;
  /** One packet, in a row that the engine's threads may count in at the same moment. */
  readonly count: (row: Row, peerClass: ClassIndex, leg: Leg, bytes: number) => void;
}

export class MappedCounters implements CounterRows {
  readonly #memory: CountedMemory;
  /** In the order in which they were given back: each stands as it was for as long as possible. */
  readonly #free: Row[] = [];
  readonly #used = new Set<Row>();
  readonly #past = new BigUint64Array(VALUES);
  #unused: Row = 1;

  constructor(memory: CountedMemory) {
    this.#memory = memory;
  }

  acquire(id: AllocationId): Row | undefined {
    const row = this.#free.shift() ?? this.#unused;
    if (row >= this.#memory.rows) return undefined;
    if (row === this.#unused) this.#unused += 1;
    this.#used.add(row);
    const { words } = this.#memory;
    // In this order: whoever had the row before must not be found with zeros.
    writeId(words, rowAt(row), id);
    words.fill(0n, rowAt(row), rowAt(row) + VALUES);
    return row;
  }

  /** What was counted stays in memory until the row is needed: its last reading may not be on disk yet. */
  release(row: Row): void {
    for (let offset = 0; offset < VALUES; offset += 1) {
      this.#past[offset] = (this.#past[offset] ?? 0n) + this.#value(row, offset);
    }
    this.#used.delete(row);
    this.#free.push(row);
  }

  count(row: Row, peerClass: ClassIndex, leg: Leg, bytes: number): void {
    this.#memory.count(row, peerClass, leg, bytes);
  }

  countControl(row: Row, bytes: number): void {
    this.#memory.words[rowAt(row) + CONTROL] = this.#value(row, CONTROL) + BigInt(bytes);
  }

  read(row: Row): Counters {
    return countersFrom((offset) => this.#value(row, offset));
  }

  totals(): Counters {
    return countersFrom((offset) => {
      let sum = this.#past[offset] ?? 0n;
      for (const row of this.#used) sum += this.#value(row, offset);
      return sum;
    });
  }

  /** What the threads dropped, by the index of the reason. */
  dropped(reason: number): bigint {
    const { threads, words } = this.#memory;
    let sum = 0n;
    for (let thread = 0; thread < threads && reason < dropReasons.length; thread += 1) {
      sum += words[thread * ROW_WORDS + reason] ?? 0n;
    }
    return sum;
  }

  #value(row: Row, offset: number): bigint {
    return this.#memory.words[rowAt(row) + offset] ?? 0n;
  }
}
