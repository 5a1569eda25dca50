/** Lets so many through at a time and keeps a bounded number waiting, first come, first served. */
import { TurnpikeError } from '../../kernel/errors.ts';

export class Turnstile {
  readonly #width: number;
  readonly #maxWaiting: number;
  #inside = 0;
  readonly #waiting = new Set<() => void>();

  constructor(options: { readonly width: number; readonly maxWaiting: number }) {
    this.#width = options.width;
    this.#maxWaiting = options.maxWaiting;
  }

  /**
   * Resolves when there is room; the place is given back when the signal is aborted, and by nothing else. Throws
   * TP_KERNEL_RATE_LIMITED when too many wait already.
   */
  async enter(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#inside < this.#width) this.#inside += 1;
    else await this.#wait(signal);
    if (signal.aborted) this.#leave();
    signal.throwIfAborted();
    signal.addEventListener('abort', () => this.#leave(), { once: true });
  }

  /** Resolves with the place of one that leaves. */
  async #wait(signal: AbortSignal): Promise<void> {
    if (this.#waiting.size >= this.#maxWaiting) throw new TurnpikeError('TP_KERNEL_RATE_LIMITED');
    await new Promise<void>((resolve, reject) => {
      const giveUp = () => {
        this.#waiting.delete(proceed);
        reject(signal.reason as Error);
      };
      const proceed = () => {
        signal.removeEventListener('abort', giveUp);
        resolve();
      };
      this.#waiting.add(proceed);
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }

  #leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#inside -= 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
