/**
 * A relay node: the TURN core decides, the plane moves and counts, the meter reads the counts, the uplink reports them.
 * Here they are joined; what each of them does is theirs. One timer drives deadlines, records and checkpoints.
 */
import { join } from 'node:path';
import type { FastifyPluginAsync } from 'fastify';
import type { Clock } from '../kernel/clock.ts';
import { TurnpikeError } from '../kernel/errors.ts';
import type { Logger } from '../kernel/log.ts';
import type { Metrics } from '../kernel/metrics.ts';
import { probes } from '../kernel/probes.ts';
import type { Readiness } from '../kernel/probes.ts';
import type { Random } from '../kernel/random.ts';
import { systemSleep } from '../kernel/sleep.ts';
import { uuidV7 } from '../kernel/uuid.ts';
import { ControlFollower } from './control/control-follower.ts';
import type { CapRules } from './control/control-follower.ts';
import { revocable } from './control/revocable.ts';
import { countingObserver, showConnections, showPlane } from './node-metrics.ts';
import type { AllocationId, Command, Counters, Listener, Plane, PlaneEvent } from './planes/plane.ts';
import { keptNonceKey } from './nonce-key.ts';
import { Journal } from './restart/journal.ts';
import { Resumption } from './restart/resumption.ts';
import { keptServerId } from './server-id.ts';
import type { Allocation } from './turn/allocation.ts';
import type { Instant } from './turn/authenticator.ts';
import { TurnCore } from './turn/core.ts';
import type { TurnOptions } from './turn/settings.ts';
import { postUsage } from './usage/collector-client.ts';
import { Meter } from './usage/meter.ts';
import { DEFAULT_MAX_RECORDS, Spool } from './usage/spool.ts';
import { Uplink } from './usage/uplink.ts';
import { UsageWriter } from './usage/writer.ts';

export interface RelayNodeOptions {
  /** Not started yet; the node starts and closes it. */
  readonly plane: Plane;
  readonly turn: Omit<TurnOptions, 'observer' | 'random' | 'nonceKey' | 'isCapped'>;
  /** What becomes of apps that have a cap while the collector is lost. Absent: they go on. */
  readonly caps?: CapRules;
  /** What `stop` makes of live allocations: ends them (default), or leaves them to the node that starts here next. */
  readonly onStop?: 'end' | 'keep';
  /** The relay's own directory (`<data>/relay`): usage spool and journal, revocations, server id, nonce key. */
  readonly directory: string;
  /** Name in usage records; made up once and kept when absent. */
  readonly serverId?: string;
  /** A UUIDv7, new for each node made; made up when absent. */
  readonly bootId?: string;
  /** What planes that keep their counters on disk have left there. */
  readonly counted?: LeftCounters;
  /** Where usage goes and revocations come from, and the relay token. */
  readonly collector: { readonly url: string; readonly token: string };
  /** Usage records kept on disk before older readings give way to newer ones. */
  readonly maxSpooledRecords?: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export interface LeftCounters {
  /** What a boot that is gone had counted of its allocations. */
  read(bootId: string): ReadonlyMap<AllocationId, Counters>;
  /** Its last readings are made. */
  forget(): void;
}

/** Milliseconds between two looks at deadlines, records and checkpoints. */
const TICK = 100;
/** Milliseconds between two slices of the meter's work. */
const PAUSE = 3;
/** Milliseconds that `stop` gives the allocations to close, and then the collector to take the last records. */
const CLOSE_WITHIN = 2_000;
const DELIVER_WITHIN = 3_000;

export interface RelayNode {
  readonly serverId: string;
  /** UUIDv7, new for each node made. */
  readonly bootId: string;
  /** Opens the listeners. Throws TP_RELAY_START when one cannot be had. */
  start(): Promise<void>;
  /**
   * Gives no new allocation any more, and resolves when the last has ended, after `milliseconds`, or when `cut` is aborted. Usage
   * goes on being reported; `stop` comes after.
   */
  drain(milliseconds: number, cut: AbortSignal): Promise<void>;
  /**
   * Ends every allocation with its final record and delivers what can be delivered soon; the rest waits on disk. Where
   * allocations are kept, so do the last records of those that a successor can go on with.
   */
  stop(): Promise<void>;
  listening(): readonly Listener[];
  /** Allocations alive or being opened. */
  allocations(): number;
  /** What must hold for this node to take traffic. */
  readonly checks: Readonly<Record<'listeners' | 'spool' | 'uplink' | 'control', () => Readiness>>;
}

/** Opens the usage spool, in which a predecessor that was killed may have left its last words. */
export function createRelayNode(options: RelayNodeOptions): RelayNode {
  return new Node(options);
}

/** The relay's own port, which is private: `/metrics`, `/healthz`, `/readyz`. */
export const relayRoutes: FastifyPluginAsync<{ node: RelayNode; metrics: Metrics }> = async (app, options) => {
  await app.register(probes, { metrics: options.metrics, checks: options.node.checks, metricsFor: 'anyone' });
};

class Node implements RelayNode {
  readonly serverId: string;
  readonly bootId: string;
  readonly #options: RelayNodeOptions;
  readonly #plane: Plane;
  readonly #core: TurnCore;
  readonly #meter: Meter;
  readonly #spool: Spool;
  readonly #writer: UsageWriter;
  readonly #uplink: Uplink;
  readonly #control: ControlFollower;
  readonly #journal: Journal;
  readonly #resumption: Resumption;
  readonly #maxSpooled: number;
  #timer: NodeJS.Timeout | undefined;
  #state: 'made' | 'started' | 'stopping' = 'made';
  #stopping: Promise<void> | undefined;
  /** Called when a draining relay has no allocation left. */
  #onDrained: () => void = () => undefined;

  constructor(options: RelayNodeOptions) {
    const { clock, random, log, metrics, plane } = options;
    this.#options = options;
    this.#plane = plane;
    this.serverId = options.serverId ?? keptServerId(options.directory, random);
    this.bootId = options.bootId ?? uuidV7(clock, random);
    this.#control = openIn(join(options.directory, 'control'), (directory) => {
      return new ControlFollower({
        directory,
        collector: options.collector,
        end: (username) => this.#endAll(username),
        endApp: (app) => this.#endApp(app),
        caps: options.caps ?? { closed: new Set(), timeout: Number.POSITIVE_INFINITY },
        clock,
        random,
        log,
        metrics,
      });
    });
    const authenticator = revocable(options.turn.authenticator, this.#control);
    const nonceKey = keptNonceKey(options.directory, random);
    this.#core = new TurnCore({
      ...options.turn,
      nonceKey,
      authenticator,
      isCapped: (app, at) => this.#control.isCapped(app, at.now),
      random,
      observer: { ...countingObserver(metrics), onLive: (allocation) => this.#begin(allocation) },
    });
    this.#meter = new Meter(this, clock.now());
    this.#maxSpooled = options.maxSpooledRecords ?? DEFAULT_MAX_RECORDS;
    this.#spool = openIn(
      join(options.directory, 'usage'),
      (directory) =>
        new Spool({
          directory,
          maxRecords: this.#maxSpooled,
          counted: (bootId) => options.counted?.read(bootId) ?? new Map(),
        }),
    );
    options.counted?.forget();
    const { url, token } = options.collector;
    this.#uplink = new Uplink({
      spool: this.#spool,
      post: postUsage(url, token),
      sleep: systemSleep,
      clock,
      random,
      log,
      metrics,
    });
    this.#writer = new UsageWriter({ spool: this.#spool, onRecords: () => this.#uplink.wake(), log, metrics });
    this.#journal = new Journal({
      core: this.#core,
      keep: (states) => this.#writer.write({ ...NOTHING, states }),
      now: () => this.#now(),
    });
    this.#resumption = new Resumption({
      core: this.#core,
      apply: (command) => plane.apply(command),
      forget: (ended) => this.#writer.write({ ...NOTHING, ended }),
      log,
      metrics,
    });
    showPlane(plane, metrics);
    showConnections(plane, metrics);
    metrics.gauge('turnpike_relay_allocations', (gauge) => gauge.set(this.#core.size));
    metrics.gauge('turnpike_relay_usage_pending', (gauge) => gauge.set(this.#spool.pending()));
  }

  async start(): Promise<void> {
    const { finals, readmitted } = this.#spool.recovery;
    if (finals > 0)
      this.#options.log.warn({ allocations: finals }, 'the last run left allocations; their usage is recovered');
    if (readmitted > 0) this.#options.log.info({ records: readmitted }, 'refused usage records are tried again');
    await this.#plane.start((event) => this.#onEvent(event));
    this.#state = 'started';
    this.#resumption.begin(this.#spool.left(), this.#now());
    this.#uplink.start();
    this.#control.start();
    this.#schedule();
  }

  async drain(milliseconds: number, cut: AbortSignal): Promise<void> {
    this.#core.drain();
    const waiting = new AbortController();
    const drained = new Promise<void>((resolve) => {
      this.#onDrained = resolve;
    });
    this.#options.log.info({ allocations: this.#core.size, milliseconds }, 'draining: no new allocations');
    if (this.#core.size > 0) {
      await Promise.race([drained, systemSleep(milliseconds, AbortSignal.any([cut, waiting.signal]))]);
    }
    waiting.abort();
    if (this.#core.size > 0) this.#options.log.warn({ allocations: this.#core.size }, 'not drained in time');
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  listening(): readonly Listener[] {
    return this.#plane.listening();
  }

  allocations(): number {
    return this.#core.size;
  }

  readonly checks = {
    listeners: (): Readiness => {
      const listening = this.#plane
        .listening()
        .map(({ transport, address, port }) => `${address} port ${port} (${transport.toUpperCase()})`);
      const detail = this.#core.isDraining ? 'draining' : listening.join(', ');
      return { ok: this.#state === 'started' && listening.length > 0 && !this.#core.isDraining, detail };
    },
    spool: (): Readiness => {
      const { failure } = this.#writer;
      return failure === undefined ? { ok: true } : { ok: false, detail: failure };
    },
    // A collector that is away is no reason to send callers elsewhere: usage waits on disk. A full disk would be.
    uplink: (): Readiness => {
      const pending = this.#spool.pending();
      const { failure, lastSuccess } = this.#uplink;
      const age =
        lastSuccess === undefined ? 'never' : `${Math.round((this.#options.clock.now() - lastSuccess) / 1000)} s ago`;
      const trouble = failure === undefined ? '' : `; ${failure}`;
      return { ok: pending <= this.#maxSpooled, detail: `${pending} records pending, last delivered ${age}${trouble}` };
    },
    // Nor is it that revocations come late: those that came already are kept.
    control: (): Readiness => ({ ok: true, detail: this.#control.detail }),
  };

  #now(): Instant {
    return { now: this.#options.clock.now(), monotonic: this.#options.clock.monotonic() };
  }

  #onEvent(event: PlaneEvent): void {
    // A client that was here before the start is not told that it has nothing; it asks again in half a second.
    if (event.type === 'control' && event.from.transport === 'udp' && this.#state === 'made') return;
    const at = this.#now();
    if (event.type === 'closed') this.#closed(event, at);
    const commands = this.#ask(event, at);
    if (event.type === 'opened' || event.type === 'exhausted') {
      this.#resumption.answered(event.allocation, this.#core.allocation(event.allocation)?.state === 'live');
    }
    this.#apply(commands);
  }

  #apply(commands: readonly Command[]): void {
    for (const command of commands) this.#plane.apply(command);
    this.#journal.commanded(commands);
  }

  #closed({ allocation, reason, counters }: PlaneEvent & { type: 'closed' }, at: Instant): void {
    const isLeft = this.#options.onStop === 'keep' && reason === 'shutdown' && this.#journal.keeps(allocation);
    const { records } = this.#meter.closed(allocation, counters, at);
    const last = records.at(-1);
    // What is left to a successor looks as if this process had been killed, with its very last word as the checkpoint.
    if (!isLeft) this.#writer.write({ ...NOTHING, records, ended: [allocation] });
    else if (last !== undefined) this.#writer.write({ ...NOTHING, records: records.slice(0, -1), checkpoints: [last] });
  }

  #ask(event: PlaneEvent, at: Instant): readonly Command[] {
    try {
      return this.#core.handleEvent(event, at);
    } catch (error) {
      // One client's packet must not end everybody's call.
      this.#options.log.error({ err: error, event: event.type }, 'the TURN core failed on an event; it is dropped');
      return [];
    }
  }

  /** Before the answer is sent: it is the first thing that the new allocation counts. */
  #begin({ id, app, keyId, claims, fiveTuple, clientFamily, relayFamily }: Allocation): void {
    this.#journal.opened(id);
    const { customId, call, participant } = claims;
    const { transport } = fiveTuple;
    this.#meter.opened(
      { allocation: id, app, keyId, customId, call, participant, transport, clientFamily, relayFamily },
      this.#now(),
    );
  }

  /** Ends every allocation of a credential that was revoked. */
  #endAll(username: string): void {
    for (const { id } of this.#core.allocationsOf(username)) {
      this.#apply(this.#core.close(id, 'revoked'));
    }
  }

  /** Ends every allocation of an app that may carry nothing more. */
  #endApp(app: string): void {
    const own = [...this.#core.allocations()].filter((allocation) => allocation.app === app);
    for (const { id } of own) this.#apply(this.#core.close(id, 'quota'));
  }

  #tick(): void {
    this.#plane.tick();
    this.#control.watch();
    const at = this.#now();
    this.#control.forget(at.now, (username) => this.#core.allocationsOf(username).length > 0);
    this.#apply(this.#core.expire(at));
    this.#writer.write(this.#meter.due(at, (allocation) => this.#plane.counters(allocation)));
    if (this.#core.isDraining && this.#core.size === 0) this.#onDrained();
    this.#schedule();
  }

  /**
   * The next tick, or the quarter hour if that comes sooner: the readings there are worth being exact. While the meter is
   * behind, after a pause that is as long as a slice: packets are carried meanwhile.
   */
  #schedule(): void {
    const toBoundary = Math.max(this.#meter.boundary - this.#options.clock.now(), 0);
    this.#timer = setTimeout(() => this.#tick(), Math.min(this.#meter.behind ? PAUSE : TICK, toBoundary));
  }

  async #stop(): Promise<void> {
    this.#state = 'stopping';
    clearTimeout(this.#timer);
    await this.#control.stop();
    this.#journal.flush();
    await Promise.race([this.#plane.close(), systemSleep(CLOSE_WITHIN, new AbortController().signal)]);
    await this.#writer.settled();
    const delivered = await this.#uplink.flush(AbortSignal.timeout(DELIVER_WITHIN));
    if (!delivered) {
      this.#options.log.warn({ records: this.#spool.pending() }, 'usage stays on disk until the relay runs again');
    }
    await this.#uplink.stop();
    await this.#spool.close();
  }
}

const NOTHING = { records: [], checkpoints: [], ended: [] } as const;

/** Opens what is kept in a directory; the error says which directory it is. */
function openIn<T>(directory: string, open: (directory: string) => T): T {
  try {
    return open(directory);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new TurnpikeError('TP_RELAY_START', `Cannot open ${directory}: ${reason}`, { cause: error });
  }
}
