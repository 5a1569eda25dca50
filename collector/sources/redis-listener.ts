/**
 * Listens to a coturn's Redis for as long as it runs. Messages are gathered for a second and stored together; as sums go on, a
 * later reading of an allocation takes the place of one that could not be stored yet.
 */
import { createClient } from '@redis/client';
import type { Clock } from '../../kernel/clock.ts';
import type { EgressReading } from '../contract.ts';
import { egressRow } from '../intake/metering.ts';
import type { StoreReader, StoreWriter } from '../store/store.ts';
import { channels, CoturnMessages } from './coturn-redis.ts';
import { Counters } from './counters.ts';
import { SourceLoop, type SourceLoopOptions } from './source-loop.ts';

export interface RedisListenerOptions extends SourceLoopOptions {
  readonly settings: { readonly name: string; readonly app: string; readonly url: string };
  readonly reader: StoreReader;
  readonly writer: StoreWriter;
  readonly clock: Clock;
  /** Default: a connection to the Redis at the URL. */
  readonly client?: (url: string) => Subscriber;
}

/** As much of a Redis client as is used here. */
export interface Subscriber {
  on(event: 'error', listener: (error: Error) => void): unknown;
  connect(): Promise<unknown>;
  pSubscribe(patterns: string[], listener: (message: string, channel: string) => void): Promise<unknown>;
  destroy(): void;
}

const redisClient = (url: string): Subscriber => createClient({ url, socket: { reconnectStrategy: false } });

const GATHER = 1_000;
const RECONNECT = 5_000;

export class RedisListener extends SourceLoop {
  readonly #options: RedisListenerOptions;
  /** Not stored yet; the newest of each allocation. */
  readonly #waiting = new Map<string, EgressReading>();

  constructor(options: RedisListenerOptions) {
    super(options);
    this.#options = options;
  }

  /** Stores what was heard, if that is possible now. */
  override async stop(): Promise<void> {
    await super.stop();
    const { log, settings } = this.#options;
    await this.#store().catch((error: unknown) =>
      log.error({ err: error, source: settings.name }, 'readings are lost'),
    );
  }

  async tick(): Promise<number> {
    try {
      await this.#listen();
    } catch (error) {
      this.down(error, 'the source cannot be heard');
    }
    return RECONNECT;
  }

  /** Resolves when this is stopped; rejects when the connection is lost. */
  async #listen(): Promise<void> {
    const { client: clientFor = redisClient, clock, metrics, reader, settings, sleep } = this.#options;
    const { signal } = this;
    const counters = new Counters();
    await counters.restore(reader, settings.name, clock.now());
    const messages = new CoturnMessages(settings, counters);
    const client = clientFor(settings.url);
    const lost = new Promise<never>((_, reject) => client.on('error', reject));
    // Whoever waits for it hears of it; nobody does between two waits.
    lost.catch(() => undefined);
    try {
      await Promise.race([client.connect(), lost]);
      const hear = (payload: string, channel: string) => {
        const reading = messages.read(channel, payload, clock.now());
        if (reading !== undefined) this.#waiting.set(`${reading.object_id} ${reading.boot_id}`, reading);
      };
      await Promise.race([client.pSubscribe(channels, hear), lost]);
      this.up();
      metrics.heard(settings.name, 0);
      while (!signal.aborted) {
        await Promise.race([sleep(GATHER, signal), lost]);
        metrics.heard(settings.name, await this.#store());
      }
    } finally {
      client.destroy();
    }
  }

  async #store(): Promise<number> {
    const { settings, writer } = this.#options;
    const readings = [...this.#waiting.values()];
    await writer.insert(
      'egress_samples',
      readings.map((reading) => egressRow(settings.name, reading, 'turn')),
    );
    for (const reading of readings) {
      const key = `${reading.object_id} ${reading.boot_id}`;
      if (this.#waiting.get(key) === reading) this.#waiting.delete(key);
    }
    return readings.length;
  }
}
