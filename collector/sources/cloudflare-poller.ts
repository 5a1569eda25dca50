/**
 * Takes what Cloudflare's SFU or TURN sent to clients, a quarter of an hour at a time, each once.
 *
 * Cloudflare has no counters but sums of a time: a window is therefore a run of its own that counts from 0, and one that is
 * asked for twice (by two collectors, or after a crash) is two readings of one run, of which the higher counts. Windows are
 * half-open, so no byte is in two; they end at UTC quarter hours, as the relays' readings do, so no billing period cuts one. Every
 * window leaves a reading, also without traffic: the last one says where the next collector goes on.
 */
import { z } from 'zod';
import type { Clock } from '../../kernel/clock.ts';
import { shortName } from '../../relay/contract.ts';
import type { EgressReading } from '../contract.ts';
import { egressRow } from '../intake/metering.ts';
import type { StoreReader, StoreWriter } from '../store/store.ts';
import { AskLater } from './cloudflare-client.ts';
import type { Ask } from './cloudflare-client.ts';
import { limitsQuestion, readLimits, readUsage, usageQuestion } from './cloudflare-usage.ts';
import type { DatasetLimits, UsageWindow, WindowUsage } from './cloudflare-usage.ts';
import { hashedObject } from './counters.ts';
import { SourceLoop, type SourceLoopOptions } from './source-loop.ts';
import type { CloudflareSettings } from './source-settings.ts';

const WINDOW = 900_000;
/** Longest silence, in milliseconds: a source that is well is heard more often than it counts as lost. */
const LISTEN = 300_000;
/** Milliseconds between two questions while there is something to catch up: 200 in five minutes, of the 300 that a user has. */
const PACE = 1_500;
/** Milliseconds until what failed is tried again, doubled each time up to the longest. */
const RETRY = 15_000;
const LONGEST_RETRY = 900_000;

export interface CloudflarePollerOptions extends SourceLoopOptions {
  readonly settings: CloudflareSettings & { readonly app: string };
  readonly ask: Ask;
  readonly reader: StoreReader;
  readonly writer: StoreWriter;
  readonly clock: Clock;
}

export class CloudflarePoller extends SourceLoop {
  readonly #options: CloudflarePollerOptions;
  #limits: DatasetLimits | undefined;
  /** Start of the next window to be asked for. */
  #next: number | undefined;
  #failures = 0;

  constructor(options: CloudflarePollerOptions) {
    super(options);
    this.#options = options;
  }

  /** Takes one window, if one is due. */
  async tick(): Promise<number> {
    try {
      const wait = await this.#look();
      this.up();
      this.#failures = 0;
      return wait;
    } catch (error) {
      this.down(error, 'the source does not tell its usage');
      this.#failures += 1;
      return error instanceof AskLater
        ? error.milliseconds
        : Math.min(RETRY * 2 ** (this.#failures - 1), LONGEST_RETRY);
    }
  }

  async #look(): Promise<number> {
    const { clock, settings } = this.#options;
    this.#next ??= await this.#resume();
    const dueIn = this.#next + WINDOW + settings.settleSeconds * 1_000 - clock.now();
    // With nothing to take, at least whether it answers, and what may be asked from now on.
    if (this.#limits === undefined || dueIn > 0) this.#limits = await this.#learnLimits();
    if (dueIn > 0) return Math.min(dueIn, LISTEN);
    const start = this.#withinReach(this.#limits, this.#next);
    await this.#take({ start, end: start + WINDOW }, this.#limits);
    this.#next = start + WINDOW;
    return PACE;
  }

  async #learnLimits(): Promise<DatasetLimits> {
    const { ask, metrics, settings } = this.#options;
    const question = limitsQuestion(settings.dataset, settings.account);
    const limits = readLimits(settings.dataset, await ask(question, this.signal));
    if (limits.maxDuration < WINDOW) throw new Error('this account may not ask for a quarter of an hour at once');
    metrics.heard(settings.name, 0);
    return limits;
  }

  /** After the last window in the store; without any, with the one that runs now: what was before anybody looked is nobody's bill. */
  async #resume(): Promise<number> {
    const { clock, reader, settings } = this.#options;
    const [last] = await reader.select(
      z.object({ windows: z.coerce.number(), at: z.coerce.number() }),
      `SELECT count() AS windows, toUnixTimestamp64Milli(max(window_end)) AS at
       FROM egress_samples
       WHERE app_id = {app:String} AND server_id = {account:String} AND object_id = {object:String}`,
      { app: settings.app, account: settings.account, object: restOf(settings) },
    );
    return last !== undefined && last.windows > 0 ? last.at : clock.now() - (clock.now() % WINDOW);
  }

  /** The first window from there on that Cloudflare still knows of. What it does not is lost, and said to be. */
  #withinReach({ notOlderThan }: DatasetLimits, start: number): number {
    const { clock, log, metrics, settings } = this.#options;
    const oldest = Math.ceil((clock.now() - notOlderThan) / WINDOW + 1) * WINDOW;
    if (start >= oldest) return start;
    const [from, to] = [new Date(start), new Date(oldest)];
    log.error({ source: settings.name, from, to }, 'usage was not asked for in time, and can no longer be');
    metrics.lost(settings.name, (oldest - start) / 1_000);
    this.#next = oldest;
    return oldest;
  }

  async #take(window: UsageWindow, { maxPageSize: pageSize }: DatasetLimits): Promise<void> {
    const { ask, clock, log, metrics, settings, writer } = this.#options;
    const { account, dataset, owner } = settings;
    const question = usageQuestion({ dataset, account, owner, window, pageSize });
    const usage = readUsage(dataset, await ask(question, this.signal));
    if (usage.parties.length >= pageSize) {
      log.warn(
        { source: settings.name, parties: pageSize },
        'more parties than fit an answer: the smallest are told as a rest',
      );
    }
    const rows = readingsOf(settings, window, usage, clock.now());
    await writer.insert(
      'egress_samples',
      rows.map((reading) => egressRow(settings.name, reading, dataset)),
    );
    metrics.heard(settings.name, rows.length);
  }
}

/** A customIdentifier is the customer's; a session is told as a participant, and is none of a call that reports know. */
function readingsOf(
  settings: CloudflarePollerOptions['settings'],
  window: UsageWindow,
  { parties, restBytes }: WindowUsage,
  askedAt: number,
): EgressReading[] {
  const shared = {
    server_id: settings.account,
    boot_id: new Date(window.start).toISOString(),
    // Asked for again, it is another reading of the same run.
    seq: askedAt,
    window_end: window.end,
    app_id: settings.app,
    custom_id: '',
    call_id: '',
    participant_id: '',
    egress_packets: 0n,
    final: true,
  };
  const read = parties.map(({ bytes, owner, party }) => ({
    ...shared,
    object_id: hashedObject(`${settings.dataset}/${owner}/${party}`),
    [settings.dataset === 'turn' ? 'custom_id' : 'participant_id']: shortName.safeParse(party).data ?? '',
    egress_bytes: bytes,
  }));
  return [...read, { ...shared, object_id: restOf(settings), egress_bytes: restBytes }];
}

/** The object of what belongs to no party, which every window has. */
function restOf({ dataset, owner }: CloudflareSettings): string {
  const name = `rest/${dataset}/${owner ?? ''}`;
  return /^[\x20-\x7e]{1,128}$/.test(name) ? name : hashedObject(name);
}
