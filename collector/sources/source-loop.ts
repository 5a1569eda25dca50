/**
 * What every source that is asked or listened to has in common: one turn after the other until it is stopped, and its first failure
 * and its recovery told once each.
 */
import type { Logger } from '../../kernel/log.ts';
import type { Sleep } from '../../kernel/sleep.ts';
import type { SourceMetrics } from './source-metrics.ts';

export interface SourceLoopOptions {
  readonly settings: { readonly name: string };
  readonly sleep: Sleep;
  readonly log: Logger;
  readonly metrics: SourceMetrics;
}

export abstract class SourceLoop {
  readonly #options: SourceLoopOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #wasUp: boolean | undefined;

  constructor(options: SourceLoopOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Resolves when no turn is taken any more. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  /** One turn; answers the milliseconds until the next. Never rejects: what fails is told with `down`, and tried again. */
  abstract tick(): Promise<number>;

  /** Aborted when the source is to stop. */
  protected get signal(): AbortSignal {
    return this.#stopping.signal;
  }

  protected up(): void {
    const { log, settings } = this.#options;
    if (this.#wasUp === false) log.info({ source: settings.name }, 'the source answers again');
    this.#wasUp = true;
  }

  /** What breaks off because the source is stopped is no failure. */
  protected down(error: unknown, what: string): void {
    if (this.signal.aborted) return;
    const { log, metrics, settings } = this.#options;
    metrics.failed(settings.name);
    if (this.#wasUp !== false) log.warn({ err: error, source: settings.name }, what);
    this.#wasUp = false;
  }

  async #run(): Promise<void> {
    while (!this.signal.aborted) await this.#options.sleep(await this.tick(), this.signal);
  }
}
