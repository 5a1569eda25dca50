/** Asks one server for its counters, again and again, and stores what it says. */
import type { Clock } from '../../kernel/clock.ts';
import type { Logger } from '../../kernel/log.ts';
import type { Sleep } from '../../kernel/sleep.ts';
import { egressRow } from '../intake/metering.ts';
import type { StoreReader, StoreWriter } from '../store/store.ts';
import { Counters } from './counters.ts';
import { GaleneRates } from './galene.ts';
import { countersIn, meterOf, type Seen } from './scraped.ts';
import type { PulledSettings } from './source-settings.ts';
import type { SourceMetrics } from './source-metrics.ts';

/** Gets a page. Rejects, saying why, when there is none in time or it is too long. */
export type Fetch = (url: string, authorization: string | undefined, signal: AbortSignal) => Promise<string>;

export interface PollerOptions {
  readonly settings: PulledSettings & { readonly app: string };
  readonly reader: StoreReader;
  readonly writer: StoreWriter;
  readonly fetch: Fetch;
  readonly sleep: Sleep;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: SourceMetrics;
}

export class Poller {
  readonly #options: PollerOptions;
  readonly #stopping = new AbortController();
  readonly #read: (text: string, at: number) => readonly Seen[];
  #counters: Counters | undefined;
  #running: Promise<void> | undefined;
  #wasUp: boolean | undefined;

  constructor(options: PollerOptions) {
    this.#options = options;
    this.#read = readerOf(options.settings);
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Resolves when nothing is asked or stored any more. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { settings, sleep } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.tick();
      await sleep(settings.intervalSeconds * 1000, signal);
    }
  }

  /** One look. Never rejects: what fails is told, and tried again with the next. */
  async tick(): Promise<void> {
    const { log, metrics, settings } = this.#options;
    try {
      const readings = await this.#look();
      metrics.heard(settings.name, readings);
      if (this.#wasUp === false) log.info({ source: settings.name }, 'the source answers again');
      this.#wasUp = true;
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      metrics.failed(settings.name);
      if (this.#wasUp !== false)
        log.warn({ err: error, source: settings.name }, 'the source does not tell its counters');
      this.#wasUp = false;
    }
  }

  async #look(): Promise<number> {
    const { clock, fetch, reader, settings, writer } = this.#options;
    // Before the first counter is judged, what was known of it when this collector last ran.
    if (this.#counters === undefined) {
      const counters = new Counters();
      await counters.restore(reader, settings.name, clock.now());
      this.#counters = counters;
    }
    const text = await fetch(settings.url, settings.authorization, this.#stopping.signal);
    const at = clock.now();
    const counters = this.#counters;
    const nobody = { app: settings.app, customId: '', call: '', participant: '' };
    // A series that was not there when the source was last heard has come to be since.
    const rest = { ...nobody, packets: 0n, at, isYoung: counters.size > 0, final: false };
    const found = this.#read(text, at);
    const readings = [...found, sourceItself(settings.name)].flatMap(
      (seen) => counters.read({ ...rest, ...seen }) ?? [],
    );
    await writer.insert(
      'egress_samples',
      readings.map((reading) => egressRow(settings.name, reading, meterOf(settings))),
    );
    return found.length;
  }
}

function readerOf(settings: PulledSettings): (text: string, at: number) => readonly Seen[] {
  if (settings.kind !== 'galene') return (text) => countersIn(settings, text);
  const rates = new GaleneRates(settings);
  return (text, at) => rates.read(text, at);
}

/** That the source was heard, in the same ledger: a counter that is always 0. */
function sourceItself(name: string): Seen {
  return { serverId: name, objectId: 'source', bytes: 0n, run: undefined };
}
