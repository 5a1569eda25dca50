/** The counters of all allocations in the engine's memory, where its threads count and this one does. */
import { dropReasons } from '../plane.ts';
import type { Counters } from '../plane.ts';
import { countersFrom, ROW as VALUES } from '../dgram/counters.ts';
import type { ClassIndex, CounterRows, Leg, Row } from '../dgram/counters.ts';

/** Words of a row, and rows of drops in front of the first (addon/counters.hpp, addon/engine.hpp). */
const WORDS = 32;
const DROP_ROWS = 256;
const CONTROL = VALUES - 1;

/** What of the engine is counted with. */
export interface CountedMemory {
  readonly words: BigUint64Array;
  /** Rows there are; row 0 holds what allocations of the past had counted. */
  readonly rows: number;
  readonly threads: number;
  /** One packet, in a row that the engine's threads may count in at the same moment. */
  readonly count: (row: Row, peerClass: ClassIndex, leg: Leg, bytes: number) => void;
}

export class MappedCounters implements CounterRows {
  readonly #memory: CountedMemory;
  readonly #free: Row[] = [];
  readonly #used = new Set<Row>();
  #unused: Row = 1;

  constructor(memory: CountedMemory) {
    this.#memory = memory;
  }

  acquire(): Row {
    const row = this.#free.pop() ?? this.#unused;
    // Each allocation has a port of a family, and there are as many rows as ports.
    if (row >= this.#memory.rows) throw new RangeError('more allocations than ports');
    if (row === this.#unused) this.#unused += 1;
    this.#used.add(row);
    return row;
  }

  release(row: Row): void {
    const { words } = this.#memory;
    for (let offset = 0; offset < VALUES; offset += 1) {
      words[at(0, offset)] = this.#value(0, offset) + this.#value(row, offset);
      words[at(row, offset)] = 0n;
    }
    this.#used.delete(row);
    this.#free.push(row);
  }

  count(row: Row, peerClass: ClassIndex, leg: Leg, bytes: number): void {
    this.#memory.count(row, peerClass, leg, bytes);
  }

  countControl(row: Row, bytes: number): void {
    const { words } = this.#memory;
    words[at(row, CONTROL)] = this.#value(row, CONTROL) + BigInt(bytes);
  }

  read(row: Row): Counters {
    return countersFrom((offset) => this.#value(row, offset));
  }

  totals(): Counters {
    const rows = [0, ...this.#used];
    return countersFrom((offset) => rows.reduce((sum, row) => sum + this.#value(row, offset), 0n));
  }

  /** What the threads dropped, by the index of the reason. */
  dropped(reason: number): bigint {
    const { threads, words } = this.#memory;
    let sum = 0n;
    for (let thread = 0; thread < threads && reason < dropReasons.length; thread += 1) {
      sum += words[thread * WORDS + reason] ?? 0n;
    }
    return sum;
  }

  #value(row: Row, offset: number): bigint {
    return this.#memory.words[at(row, offset)] ?? 0n;
  }
}

function at(row: Row, offset: number): number {
  return (DROP_ROWS + row) * WORDS + offset;
}
