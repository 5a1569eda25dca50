/** Timer and clock in one, moved by hand: what is due runs in order of its time. */
import { ManualClock } from '../../../kernel/clock.ts';
import type { Timer } from '../../../relay/client/timer.ts';

export class ManualTimer extends ManualClock implements Timer {
  readonly #due = new Set<{ at: number; call: () => void }>();

  constructor() {
    super(0);
  }

  after(milliseconds: number, call: () => void): () => void {
    const entry = { at: this.monotonic() + milliseconds, call };
    this.#due.add(entry);
    return () => this.#due.delete(entry);
  }

  /** How many still wait. */
  get size(): number {
    return this.#due.size;
  }

  override advance(milliseconds: number): void {
    const until = this.monotonic() + milliseconds;
    for (;;) {
      const [next] = [...this.#due].filter(({ at }) => at <= until).toSorted((left, right) => left.at - right.at);
      if (next === undefined) break;
      this.#due.delete(next);
      super.advance(next.at - this.monotonic());
      next.call();
    }
    super.advance(until - this.monotonic());
  }
}
