/** What has come, in order, for somebody who waits for the next. Bounded: who floods a check loses the oldest. */
import type { Timer } from '../client/timer.ts';

const MOST = 4_096;

export class Mailbox<T> {
  readonly #timer: Timer;
  #held: T[] = [];
  #waiting: (() => void) | undefined;

  constructor(timer: Timer) {
    this.#timer = timer;
  }

  put(item: T): void {
    this.#held.push(item);
    if (this.#held.length > MOST) this.#held.shift();
    this.#waiting?.();
  }

  /** The oldest; undefined when none comes within so many milliseconds. One waits at a time. */
  async take(within: number): Promise<T | undefined> {
    if (this.#held.length === 0) {
      await new Promise<void>((resolve) => {
        const cancel = this.#timer.after(within, resolve);
        this.#waiting = () => {
          cancel();
          resolve();
        };
      });
      this.#waiting = undefined;
    }
    return this.#held.shift();
  }

  /** Empties it, and returns what was in it. */
  clear(): T[] {
    const held = this.#held;
    this.#held = [];
    return held;
  }
}
