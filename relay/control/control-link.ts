/**
 * Asks the collector, again and again, for what a relay must know between two credentials: revocations. A question is held
 * until there is news, so that news arrives at once; a collector that is away is asked again within two seconds.
 */
import type { Clock } from '../../kernel/clock.ts';
import type { Logger } from '../../kernel/log.ts';
import { randomBelow } from '../../kernel/random.ts';
import type { Random } from '../../kernel/random.ts';
import type { ControlAnswer } from '../contract.ts';
import type { Sleep } from '../../kernel/sleep.ts';
import type { AskControl } from './control-client.ts';

export interface ControlLinkOptions {
  readonly ask: AskControl;
  /** Takes an answer in; says whether there was news in it. */
  readonly onAnswer: (answer: ControlAnswer) => boolean;
  readonly sleep: Sleep;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** Milliseconds: the first retry's longest wait, and every retry's. */
const BACK_OFF_BASE = 200;
const BACK_OFF_CAP = 2_000;
/** Milliseconds between questions to a collector that answers at once and says nothing new, again: it does not hold them. */
const PACE = 1_000;

export class ControlLink {
  readonly #options: ControlLinkOptions;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #cursor: string | undefined;
  #attempts = 0;
  /** Answers in a row that came at once and said nothing new. The first one of a collector does: that it is there. */
  #empty = 0;
  #heardAt: number;
  #failure: string | undefined;

  constructor(options: ControlLinkOptions) {
    this.#options = options;
    this.#heardAt = options.clock.monotonic();
  }

  /** Milliseconds since the last answer; since the link was made when there was none. */
  get age(): number {
    return this.#options.clock.monotonic() - this.#heardAt;
  }

  /** Why the last question was not answered; undefined when it was. */
  get failure(): string | undefined {
    return this.#failure;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const wait = await this.#attempt();
      if (wait > 0 && !this.#stop.signal.aborted) await this.#options.sleep(wait, this.#stop.signal);
    }
  }

  /** Asks once. Says how many milliseconds to wait before the next time. */
  async #attempt(): Promise<number> {
    const { ask, onAnswer, clock, log } = this.#options;
    const asked = clock.monotonic();
    try {
      const answer = await ask(this.#cursor, this.#stop.signal);
      const hasNews = onAnswer(answer);
      this.#cursor = answer.cursor;
      this.#heardAt = clock.monotonic();
      if (this.#failure !== undefined) log.info('the collector answers for revocations again');
      this.#failure = undefined;
      this.#attempts = 0;
      this.#empty = hasNews || this.#heardAt - asked >= PACE ? 0 : this.#empty + 1;
      return this.#empty < 2 ? 0 : PACE;
    } catch (error) {
      if (this.#stop.signal.aborted) return 0;
      if (this.#failure === undefined) log.warn({ err: error }, 'revocations cannot be asked for; will retry');
      this.#failure = error instanceof Error ? error.message : String(error);
      return this.#backOff();
    }
  }

  /** Exponential with full jitter: after an outage, a fleet does not come back in step. */
  #backOff(): number {
    const ceiling = Math.min(BACK_OFF_CAP, BACK_OFF_BASE * 2 ** this.#attempts);
    this.#attempts = Math.min(this.#attempts + 1, 16);
    return 1 + randomBelow(this.#options.random, ceiling);
  }
}
