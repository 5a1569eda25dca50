/**
 * Packets on their way over an impaired leg, in the order of their arrival. One timer for all of them; `release` lets go what is
 * due by the injected clock, whoever calls it. What waits is bounded in octets, for each allocation and in all.
 */
import type { Clock } from '../../kernel/clock.ts';

/** Octets that may wait for one allocation, both directions together, and for all. */
export const WAITING_OCTETS = { each: 8 << 20, all: 256 << 20 } as const;

/** Whose packets they are. */
export interface Waiting {
  /** Octets of its packets that wait. */
  waitingOctets: number;
}

interface Entry {
  readonly at: number;
  /** Of two that arrive at once the one that came first. */
  readonly order: number;
  readonly owner: Waiting;
  readonly octets: number;
  readonly arrive: () => void;
}

export class DelayQueue {
  readonly #clock: Clock;
  /** A binary heap. */
  readonly #entries: Entry[] = [];
  #octets = 0;
  #order = 0;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Number.POSITIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#entries.length;
  }

  /** Has `arrive` called at `at` (monotonic milliseconds). False, and nothing kept, when too much waits already. */
  add(at: number, owner: Waiting, octets: number, arrive: () => void): boolean {
    if (owner.waitingOctets + octets > WAITING_OCTETS.each || this.#octets + octets > WAITING_OCTETS.all) return false;
    owner.waitingOctets += octets;
    this.#octets += octets;
    this.#order += 1;
    this.#rise({ at, order: this.#order, owner, octets, arrive });
    this.#arm();
    return true;
  }

  /** Lets every packet arrive that is due. */
  release(): void {
    const now = this.#clock.monotonic();
    for (let first = this.#entries[0]; first !== undefined && first.at <= now; first = this.#entries[0]) {
      this.#sink();
      first.owner.waitingOctets -= first.octets;
      this.#octets -= first.octets;
      first.arrive();
    }
    this.#arm();
  }

  /** Forgets everything; nothing arrives any more. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
    for (const { owner } of this.#entries) owner.waitingOctets = 0;
    this.#entries.length = 0;
    this.#octets = 0;
  }

  #arm(): void {
    const at = this.#entries[0]?.at ?? Number.POSITIVE_INFINITY;
    if (at >= this.#timerAt && this.#timer !== undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#timerAt = at;
    if (at === Number.POSITIVE_INFINITY) return;
    const wait = Math.max(0, Math.ceil(at - this.#clock.monotonic()));
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#timerAt = Number.POSITIVE_INFINITY;
      this.release();
    }, wait);
    this.#timer.unref();
  }

  #rise(entry: Entry): void {
    const entries = this.#entries;
    let at = entries.length;
    entries.push(entry);
    for (;;) {
      const above = (at - 1) >> 1;
      const parent = entries[above];
      if (at === 0 || parent === undefined || !before(entry, parent)) break;
      entries[at] = parent;
      at = above;
    }
    entries[at] = entry;
  }

  /** Takes the first out. */
  #sink(): void {
    const entries = this.#entries;
    const last = entries.pop();
    if (last === undefined || entries.length === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      const [left, right] = [entries[below], entries[below + 1]];
      if (left === undefined) break;
      let child = left;
      if (right !== undefined && before(right, left)) [child, below] = [right, below + 1];
      if (!before(child, last)) break;
      entries[at] = child;
      at = below;
    }
    entries[at] = last;
  }
}

function before(one: Entry, other: Entry): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}
