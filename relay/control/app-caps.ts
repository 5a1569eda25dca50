/**
 * Apps that may carry nothing more. Some the collector has named; the others are those that have a cap at all and must not go on
 * unwatched (`fail_closed`), once the collector has been silent for too long.
 */
export interface AppCapsOptions {
  /** What the collector has said last: whether an app is capped at this moment (Unix milliseconds). */
  readonly named: { isCapped(app: string, now: number): boolean };
  /** Milliseconds since the collector's last answer; since the start when there was none. */
  readonly silence: () => number;
  /** Milliseconds of silence after which the apps of `closed` are capped. */
  readonly timeout: number;
  readonly closed: ReadonlySet<string>;
}

export class AppCaps {
  readonly #options: AppCapsOptions;
  #isLost = false;

  constructor(options: AppCapsOptions) {
    this.#options = options;
  }

  has(app: string, now: number): boolean {
    const { named, closed } = this.#options;
    return named.isCapped(app, now) || (closed.has(app) && this.#isSilent);
  }

  /** The apps that this moment's silence caps and the last look's did not: what they have is to be ended. */
  lost(): readonly string[] {
    const wasLost = this.#isLost;
    this.#isLost = this.#isSilent;
    return this.#isLost && !wasLost ? [...this.#options.closed] : [];
  }

  get #isSilent(): boolean {
    return this.#options.silence() >= this.#options.timeout;
  }
}
