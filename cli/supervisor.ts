/**
 * Keeps a part running: when it ends it is started again, after a pause that doubles while it keeps failing. The first
 * start is different: whoever starts the service wants to know at once that it cannot start.
 */
import type { Logger } from '../kernel/log.ts';

/** One run of a part. */
export interface Run {
  /** Resolves, never rejects, when the run has ended, with a word on how. */
  readonly ended: Promise<string>;
  stop(): Promise<void>;
  /** Tells the part to read its files again, where it can. */
  reload?(): void;
}

export interface SupervisedPart {
  readonly name: string;
  /** Starts a run and resolves once it is ready. After an abort nobody waits for that any more: the start ends soon, either way. */
  start(abort: AbortSignal): Promise<Run>;
}

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;
/** A run this long counts as healthy: its end starts again at the shortest pause. */
const HEALTHY_MS = 10_000;

export class Supervisor {
  readonly #log: Logger;
  readonly #part: SupervisedPart;
  #run: Run | undefined;
  readonly #abort = new AbortController();
  /** Settles with the start under way, never rejects. */
  #starting: Promise<void> = Promise.resolve();
  #wake: (() => void) | undefined;
  #loop: Promise<void> = Promise.resolve();

  constructor(part: SupervisedPart, log: Logger) {
    this.#part = part;
    this.#log = log.child({ part: part.name });
  }

  /** Starts the part, and from then on keeps it running. Rejects when the first start fails. */
  async start(): Promise<void> {
    await this.#begin();
    this.#loop = this.#keepRunning();
  }

  /** Stops the part for good, also in the middle of a start. Nothing of it runs any more once this resolves. */
  async stop(): Promise<void> {
    this.#abort.abort();
    this.#wake?.();
    await this.#starting;
    await this.#run?.stop();
    await this.#loop;
  }

  /** A part that is being started again reads its files anyway. */
  reload(): void {
    this.#run?.reload?.();
  }

  async #keepRunning(): Promise<void> {
    let pause = FIRST_PAUSE_MS;
    while (!this.#isStopping()) {
      if (this.#run !== undefined) {
        const since = performance.now();
        const reason = await this.#run.ended;
        this.#run = undefined;
        if (this.#isStopping()) return;
        if (performance.now() - since > HEALTHY_MS) pause = FIRST_PAUSE_MS;
        this.#log.warn({ reason, pause }, 'ended; starting it again');
      }
      await this.#sleep(pause);
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
      if (!this.#isStopping()) await this.#restart();
    }
  }

  async #restart(): Promise<void> {
    try {
      await this.#begin();
    } catch (error) {
      if (!this.#isStopping()) this.#log.error({ err: error }, 'did not start; trying again');
    }
  }

  /** One start. Its run is kept, or stopped at once when the part was stopped meanwhile. */
  #begin(): Promise<void> {
    const begin = async () => {
      const run = await this.#part.start(this.#abort.signal);
      if (this.#isStopping()) await run.stop();
      else this.#run = run;
    };
    const begun = begin();
    this.#starting = begun.catch(() => undefined);
    return begun;
  }

  /** A method, because the answer changes while a run is awaited. */
  #isStopping(): boolean {
    return this.#abort.signal.aborted;
  }

  #sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
