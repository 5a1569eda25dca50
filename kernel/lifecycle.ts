/** Ordered shutdown: what was opened last is closed first, each step once, a failing step never skips the rest. */
import type { Logger } from './log.ts';

export class Lifecycle {
  readonly #closers: { name: string; close: () => Promise<void> | void }[] = [];
  readonly #log: Logger;
  #closing: Promise<void> | undefined;
  constructor(log: Logger) {
    this.#log = log;
  }
  /** Registers what undoes a step that has just succeeded. */
  onClose(name: string, close: () => Promise<void> | void): void {
    this.#closers.push({ name, close });
  }
  /** Runs every closer, newest first. Later calls return the first call's promise. */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }
  async #closeAll(): Promise<void> {
    for (const { name, close } of this.#closers.toReversed()) {
      try {
        await close();
      } catch (error) {
        this.#log.error({ err: error, step: name }, 'a shutdown step failed');
      }
    }
  }
}

/** Calls `stop` once on SIGINT or SIGTERM. Returns a function that removes the handlers. */
export function onStopSignal(stop: (signal: NodeJS.Signals) => void): () => void {
  const signals: NodeJS.Signals[] = ['SIGINT', 'SIGTERM'];
  for (const signal of signals) process.once(signal, stop);
  return () => {
    for (const signal of signals) process.off(signal, stop);
  };
}
