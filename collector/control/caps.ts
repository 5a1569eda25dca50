/**
 * Which apps have carried this month what they may. Every relay knows only its own part; the sum over all of them is in the store,
 * where a reading that was sent twice counts once.
 */
import type { Clock } from '../../kernel/clock.ts';
import type { Logger } from '../../kernel/log.ts';
import { monthOf } from '../../kernel/period.ts';
import type { AppCap } from '../../relay/contract.ts';
import type { EgressReader } from '../calls/egress-hours.ts';
import { usageOf } from '../calls/usage.ts';
import { RELAY_SOURCE } from '../intake/metering.ts';

export interface CapWatchOptions extends EgressReader {
  /** App → bytes sent to clients of our relays in a calendar month (UTC). Apps that are not named are not capped. */
  readonly ceilings: ReadonlyMap<string, bigint>;
  /** Told after every look all the caps in force; none is lifted in any other way than by being left out. */
  readonly tell: (caps: readonly AppCap[]) => void;
  readonly clock: Clock;
  readonly log: Logger;
  /** Milliseconds between two looks. Default 5 s. */
  readonly lookMs?: number;
}

const LOOK_MS = 5_000;

export class CapWatch {
  readonly #options: CapWatchOptions;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: CapWatchOptions) {
    this.#options = options;
  }

  /** Looks now, and from then on again and again. */
  async start(): Promise<void> {
    await this.#lookSafely();
    this.#schedule();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#looking;
  }

  /** Reads the sums and tells; rejects, and tells nothing, when they cannot be read: what was said last stays in force. */
  async look(): Promise<void> {
    const { ceilings, clock, tell } = this.#options;
    const { start, end } = monthOf(clock.now());
    if (ceilings.size === 0) return tell([]);
    const { usage } = await usageOf(this.#options, {
      app: '',
      from: start,
      to: end,
      group: 'app',
      source: RELAY_SOURCE,
    });
    return tell(
      usage.flatMap(({ app, turnBytes }) => {
        const ceiling = ceilings.get(app);
        return ceiling !== undefined && BigInt(turnBytes) >= ceiling ? [{ app, until: end }] : [];
      }),
    );
  }

  async #lookSafely(): Promise<void> {
    try {
      await this.look();
    } catch (error) {
      this.#options.log.warn(
        { err: error },
        'the apps’ bytes of this month could not be summed; caps stay as they are',
      );
    }
  }

  #schedule(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#looking = this.#lookSafely().then(() => this.#schedule());
    }, this.#options.lookMs ?? LOOK_MS);
    this.#timer.unref();
  }
}
