/** One Janus of the configuration: it pushes, and what it should have pushed is missed. */
import type { Clock } from '../../kernel/clock.ts';
import { egressRow, windowIssues } from '../intake/metering.ts';
import type { StoreReader, StoreWriter } from '../store/store.ts';
import { Counters } from './counters.ts';
import { JanusEvents, type OwnedJanusSettings } from './janus.ts';
import { SourceLoop, type SourceLoopOptions } from './source-loop.ts';

export interface JanusSourceOptions extends SourceLoopOptions {
  readonly settings: OwnedJanusSettings;
  readonly reader: StoreReader;
  readonly writer: StoreWriter;
  readonly clock: Clock;
}

export class JanusSource extends SourceLoop {
  readonly #options: JanusSourceOptions;
  #events: Promise<JanusEvents> | undefined;

  constructor(options: JanusSourceOptions) {
    super(options);
    this.#options = options;
  }

  get name(): string {
    return this.#options.settings.name;
  }

  /** Stores what one POST tells. */
  async take(body: unknown): Promise<{ stored: number; ignored: number }> {
    const { clock, metrics, settings, writer } = this.#options;
    const now = clock.now();
    const { ignored, readings } = (await this.#known()).read(body, now);
    const timely = readings.filter((reading) => windowIssues([reading], '', now).length === 0);
    await writer.insert(
      'egress_samples',
      timely.map((reading) => egressRow(settings.name, reading)),
    );
    metrics.heard(settings.name, timely.length);
    this.up();
    return { stored: timely.length, ignored: ignored + readings.length - timely.length };
  }

  async tick(): Promise<number> {
    const { clock, settings } = this.#options;
    const events = await this.#events?.catch(() => undefined);
    if (events?.isSilent(clock.now()) === true) {
      this.down(
        new Error(`nothing for ${settings.silentSeconds} s`),
        'the source tells nothing of the calls that it carries',
      );
    }
    return settings.silentSeconds * 500;
  }

  /** With what the store remembers; asked for with the first event. */
  #known(): Promise<JanusEvents> {
    this.#events ??= this.#restored().catch((error: unknown) => {
      this.#events = undefined;
      throw error;
    });
    return this.#events;
  }

  async #restored(): Promise<JanusEvents> {
    const { clock, reader, settings } = this.#options;
    const counters = new Counters();
    await counters.restore(reader, settings.name, clock.now());
    return new JanusEvents(settings, counters);
  }
}
