/**
 * The counters of each boot in a file of its own, which the engine maps: what was counted is there although the process is not,
 * whatever ended it. A file outlives its boot until a successor has made last readings of it.
 */
import { closeSync, mkdirSync, openSync, readdirSync, readSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { AllocationId, Counters } from '../plane.ts';
import { countersFrom } from '../dgram/counters.ts';
import { idOf, ROW_BYTES, rowAt } from './counter-rows.ts';

/** Rows read in one go. */
const ROWS_AT_ONCE = 4096;

export class CounterFiles {
  readonly #directory: string;
  readonly #bootId: string;

  constructor(directory: string, bootId: string) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#directory = directory;
    this.#bootId = bootId;
  }

  /** Where this boot counts. */
  get path(): string {
    return join(this.#directory, this.#bootId);
  }

  /** What a boot that is gone had counted of its allocations; those that had ended may be among them. */
  read(bootId: string): ReadonlyMap<AllocationId, Counters> {
    const counted = new Map<AllocationId, Counters>();
    // A boot's id comes out of a record, and is a name of a file only if it is one of these.
    if (bootId === this.#bootId || !readdirSync(this.#directory).includes(bootId)) return counted;
    const file = openSync(join(this.#directory, bootId), 'r');
    try {
      const words = new BigUint64Array((ROWS_AT_ONCE * ROW_BYTES) / 8);
      for (let row = 1; ; row += ROWS_AT_ONCE) {
        const read = readSync(file, words, 0, words.byteLength, rowAt(row) * 8);
        const whole = Math.floor(read / ROW_BYTES);
        for (let index = 0; index < whole; index += 1) {
          const first = (index * ROW_BYTES) / 8;
          const id = idOf(words, first);
          // Rows are taken in order: behind the first that nobody had there is nothing.
          if (id === undefined) return counted;
          counted.set(
            id,
            countersFrom((offset) => words[first + offset] ?? 0n),
          );
        }
        if (whole < ROWS_AT_ONCE) return counted;
      }
    } finally {
      closeSync(file);
    }
  }

  /** Deletes what other boots have left. */
  forget(): void {
    for (const name of readdirSync(this.#directory)) {
      if (name !== this.#bootId) rmSync(join(this.#directory, name), { force: true });
    }
  }
}
