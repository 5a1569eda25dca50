/** Asks one server for its counters, again and again, and stores what it says. */
import type { Clock } from '../../kernel/clock.ts';
import { egressRow } from '../intake/metering.ts';
import type { StoreReader, StoreWriter } from '../store/store.ts';
import { type Get, viewersOf } from './ant-media.ts';
import { Counters } from './counters.ts';
import { GaleneRates } from './galene.ts';
import { countersIn, meterOf, type Seen } from './scraped.ts';
import type { PulledSettings } from './source-settings.ts';
import { SourceLoop, type SourceLoopOptions } from './source-loop.ts';

/** Gets a page. Rejects, saying why, when there is none in time or it is too long. */
export type Fetch = (url: string, authorization: string | undefined, signal: AbortSignal) => Promise<string>;

export interface PollerOptions extends SourceLoopOptions {
  readonly settings: PulledSettings & { readonly app: string };
  readonly reader: StoreReader;
  readonly writer: StoreWriter;
  readonly fetch: Fetch;
  readonly clock: Clock;
}

export class Poller extends SourceLoop {
  readonly #options: PollerOptions;
  readonly #read: (get: Get) => Promise<readonly Seen[]>;
  #counters: Counters | undefined;

  constructor(options: PollerOptions) {
    super(options);
    this.#options = options;
    this.#read = readerOf(options.settings, options.clock);
  }

  async tick(): Promise<number> {
    const { metrics, settings } = this.#options;
    try {
      metrics.heard(settings.name, await this.#look());
      this.up();
    } catch (error) {
      this.down(error, 'the source does not tell its counters');
    }
    return settings.intervalSeconds * 1000;
  }

  async #look(): Promise<number> {
    const { clock, fetch, reader, settings, writer } = this.#options;
    // Before the first counter is judged, what was known of it when this collector last ran.
    if (this.#counters === undefined) {
      const counters = new Counters();
      await counters.restore(reader, settings.name, clock.now());
      this.#counters = counters;
    }
    const found = await this.#read((path) => fetch(`${settings.url}${path}`, settings.authorization, this.signal));
    const at = clock.now();
    const counters = this.#counters;
    const nobody = { app: settings.app, customId: '', call: '', participant: '' };
    // A series that was not there when the source was last heard has come to be since.
    const rest = { ...nobody, packets: 0n, at, isYoung: counters.size > 0, final: false };
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

function readerOf(settings: PulledSettings, clock: Clock): (get: Get) => Promise<readonly Seen[]> {
  if (settings.kind === 'ant-media') return (get) => viewersOf(settings.name, get);
  if (settings.kind !== 'galene') return async (get) => countersIn(settings, await get(''));
  const rates = new GaleneRates(settings);
  return async (get) => {
    const text = await get('');
    return rates.read(text, clock.now());
  };
}

/** That the source was heard, in the same ledger: a counter that is always 0. */
function sourceItself(name: string): Seen {
  return { serverId: name, objectId: 'source', bytes: 0n, run: undefined };
}
