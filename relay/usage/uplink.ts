/**
 * Carries the spool to the collector: oldest first, in batches, and forgets a record only after the collector has
 * answered 2xx for it. Sending a record twice is harmless (relay/contract.ts), so every doubt is settled by sending again.
 */
import { once } from 'node:events';
import type { Counter } from 'prom-client';
import type { Clock } from '../../kernel/clock.ts';
import type { Logger } from '../../kernel/log.ts';
import type { Metrics } from '../../kernel/metrics.ts';
import { randomBelow } from '../../kernel/random.ts';
import type { Random } from '../../kernel/random.ts';
import type { Sleep } from '../../kernel/sleep.ts';
import type { RecordKey, SpooledRecord } from './spool.ts';

export interface PostAnswer {
  readonly status: number;
  /** The beginning of the answer's body. */
  readonly detail: string;
}
/** Sends one body; rejects when no answer came. */
export type Post = (body: string, signal: AbortSignal) => Promise<PostAnswer>;

export interface UplinkOptions {
  readonly spool: {
    oldest(limit: number): Promise<SpooledRecord[]>;
    settle(keys: readonly RecordKey[]): Promise<void>;
    refuse(record: SpooledRecord, reason: string, at: number): Promise<void>;
    pending(): number;
  };
  readonly post: Post;
  readonly sleep: Sleep;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Records in one request: about 500 kB, well within what a collector accepts. */
export const BATCH_RECORDS = 500;
/** Milliseconds between requests when there is less than a batch to send. */
const LINGER = 1_000;
/** Milliseconds: the first retry's longest wait, and every retry's. */
const BACK_OFF_BASE = 200;
const BACK_OFF_CAP = 5_000;
/** 4xx that say nothing about the records: wrong token or address, or try again later. Everything else 4xx is about them. */
const ABOUT_THE_CALL = new Set([401, 403, 404, 405, 407, 408, 421, 425, 426, 429]);

export class Uplink {
  readonly #options: UplinkOptions;
  readonly #records: Counter;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  /** Whether records may have come since the spool was last read; what an idle uplink waits for. */
  #woken = false;
  #onWake: (() => void) | undefined;
  #pause = new AbortController();
  readonly #flushes = new Set<() => void>();
  #attempts = 0;
  #lastSuccess: number | undefined;
  #failure: string | undefined;

  constructor(options: UplinkOptions) {
    this.#options = options;
    this.#records = options.metrics.counter('turnpike_relay_usage_records_total');
  }

  /** Unix milliseconds of the last acknowledged batch. */
  get lastSuccess(): number | undefined {
    return this.#lastSuccess;
  }

  /** Why the last batch was not delivered; undefined when it was. */
  get failure(): string | undefined {
    return this.#failure;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Says that there are new records. */
  wake(): void {
    this.#woken = true;
    this.#onWake?.();
  }

  /** Sends without lingering until nothing is pending or the signal is aborted; whether nothing is. */
  async flush(signal: AbortSignal): Promise<boolean> {
    if (this.#running !== undefined && !signal.aborted) {
      const done = new AbortController();
      const resolve = () => done.abort();
      signal.addEventListener('abort', resolve, { once: true });
      this.#flushes.add(resolve);
      this.#attempts = 0;
      this.#pause.abort();
      this.wake();
      await once(done.signal, 'abort');
      this.#flushes.delete(resolve);
      signal.removeEventListener('abort', resolve);
    }
    return this.#options.spool.pending() === 0;
  }

  /** Ends the sending; what is pending stays in the spool. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#pause.abort();
    this.wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      this.#woken = false;
      const wait = await this.#attempt();
      if (wait === 'idle') await this.#idle();
      else if (wait > 0) await this.#rest(wait);
    }
    for (const resolve of this.#flushes) resolve();
  }

  /** Sends one batch. Says how many milliseconds to wait before the next, or that there was nothing to send. */
  async #attempt(): Promise<number | 'idle'> {
    try {
      const batch = await this.#options.spool.oldest(BATCH_RECORDS);
      if (batch.length === 0) {
        for (const resolve of this.#flushes) resolve();
        return 'idle';
      }
      await this.#deliver(batch);
      if (this.#failure !== undefined) this.#options.log.info('usage is delivered again');
      this.#attempts = 0;
      this.#failure = undefined;
      return batch.length < BATCH_RECORDS && this.#flushes.size === 0 ? LINGER : 0;
    } catch (error) {
      if (this.#stop.signal.aborted) return 0;
      if (this.#failure === undefined) this.#options.log.warn({ err: error }, 'usage is not delivered; will retry');
      this.#failure = error instanceof Error ? error.message : String(error);
      return this.#backOff();
    }
  }

  /** Settles every record of the batch, as delivered or as refused; throws when some of it has to be sent again. */
  async #deliver(batch: readonly SpooledRecord[]): Promise<void> {
    const body = `{"records":[${batch.map((record) => record.text).join(',')}]}`;
    const { status, detail } = await this.#options.post(body, this.#stop.signal);
    if (status >= 200 && status < 300) {
      await this.#options.spool.settle(batch.map((record) => record.key));
      this.#lastSuccess = this.#options.clock.now();
      this.#records.inc({ result: 'delivered' }, batch.length);
      return;
    }
    const reason = `${status} ${detail}`.trim();
    if (status < 400 || status >= 500 || ABOUT_THE_CALL.has(status))
      throw new Error(`the collector answered ${reason}`);
    const [first] = batch;
    if (batch.length === 1 && first !== undefined) return this.#setAside(first, reason);
    // Something in it is refused: halve until it stands alone, so that it never holds up the rest.
    const middle = batch.length >> 1;
    await this.#deliver(batch.slice(0, middle));
    await this.#deliver(batch.slice(middle));
  }

  async #setAside(record: SpooledRecord, reason: string): Promise<void> {
    const [allocation, seq] = record.key;
    this.#options.log.error({ allocation, seq, reason }, 'the collector refuses a usage record; it is set aside');
    await this.#options.spool.refuse(record, reason, this.#options.clock.now());
    this.#records.inc({ result: 'refused' });
  }

  /** Exponential with full jitter: after an outage, a fleet does not come back in step. */
  #backOff(): number {
    const ceiling = Math.min(BACK_OFF_CAP, BACK_OFF_BASE * 2 ** this.#attempts);
    this.#attempts = Math.min(this.#attempts + 1, 16);
    return 1 + randomBelow(this.#options.random, ceiling);
  }

  #idle(): Promise<void> {
    if (this.#woken) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onWake = () => {
        this.#onWake = undefined;
        resolve();
      };
    });
  }

  async #rest(milliseconds: number): Promise<void> {
    this.#pause = new AbortController();
    if (!this.#stop.signal.aborted) await this.#options.sleep(milliseconds, this.#pause.signal);
  }
}
