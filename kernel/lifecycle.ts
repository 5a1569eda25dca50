/**
 * What a running role does when it is told to: shut down in order (what was opened last is closed first, each step once), and
 * read again what can be replaced while it runs. A failing step never skips the rest.
 */
import type { Logger } from './log.ts';

export class Lifecycle {
  readonly #closers: { name: string; close: () => Promise<void> | void }[] = [];
  readonly #reloaders: { name: string; reload: () => Promise<void> | void }[] = [];
  readonly #log: Logger;
  #closing: Promise<void> | undefined;
  constructor(log: Logger) {
    this.#log = log;
  }
  /** Registers what undoes a step that has just succeeded. It is undone at once when the closing has begun already. */
  onClose(name: string, close: () => Promise<void> | void): void {
    if (this.#closing === undefined) this.#closers.push({ name, close });
    else this.#closing = Promise.all([this.#closing, this.#closeOne(name, close)]).then(() => undefined);
  }
  /** Runs every closer, newest first, once; resolves when all that were registered by now have run. */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }
  /** Registers what reads something again. When it throws, what was there before stays. */
  onReload(name: string, reload: () => Promise<void> | void): void {
    this.#reloaders.push({ name, reload });
  }
  /** Runs every reloader in the order of their registration. */
  async reload(): Promise<void> {
    for (const { name, reload } of this.#reloaders) {
      try {
        await reload();
        this.#log.info({ what: name }, 'reloaded');
      } catch (error) {
        this.#log.error({ err: error, what: name }, 'could not be reloaded; what was there before stays');
      }
    }
  }
  async #closeAll(): Promise<void> {
    for (const { name, close } of this.#closers.toReversed()) await this.#closeOne(name, close);
  }
  async #closeOne(name: string, close: () => Promise<void> | void): Promise<void> {
    try {
      await close();
    } catch (error) {
      this.#log.error({ err: error, step: name }, 'a shutdown step failed');
    }
  }
}

/** Milliseconds in which a signal that comes again is the same wish: npm passes on a Ctrl-C that the terminal has sent already. */
const ECHO_MS = 1_000;

/**
 * Calls `stop` once on SIGINT or SIGTERM. Asked again later, the process ends at once, as if it had never listened. `now` in
 * milliseconds. Returns a function that removes the handlers.
 */
export function onStopSignal(stop: (signal: NodeJS.Signals) => void, now = () => performance.now()): () => void {
  const signals: NodeJS.Signals[] = ['SIGINT', 'SIGTERM'];
  let asked: number | undefined;
  const handle = (signal: NodeJS.Signals) => {
    if (asked === undefined) {
      asked = now();
      stop(signal);
    } else if (now() - asked >= ECHO_MS) {
      remove();
      process.kill(process.pid, signal);
    }
  };
  const remove = () => {
    for (const signal of signals) process.off(signal, handle);
  };
  for (const signal of signals) process.on(signal, handle);
  return remove;
}

/** Calls `reload` at every SIGHUP, which would otherwise end the process. Returns a function that removes the handler. */
export function onReloadSignal(reload: () => void): () => void {
  process.on('SIGHUP', reload);
  return () => process.off('SIGHUP', reload);
}
