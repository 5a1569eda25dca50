/**
 * Meters the egress of mediasoup, from inside the process that runs it: mediasoup tells its counters to nobody else.
 *
 *     import { meterMediasoup } from 'turnpike/mediasoup';
 *
 *     const meter = meterMediasoup({
 *       url: 'https://turnpike.example.org',
 *       token: process.env.TURNPIKE_SOURCE_TOKEN,
 *       app: 'default',
 *       serverId: 'sfu-1',
 *     });
 *     meter.add(router); // each router, once, before its transports
 *     // for a transport of ann's in the room "standup": appData: { call: 'standup', participant: 'ann' }
 *     await meter.stop(); // before the process ends
 *
 * What is billed is `bytesSent` of WebRTC transports: RTP with retransmissions and probes, SCTP, STUN and DTLS. Transports between
 * routers and to recorders (Pipe, Plain, Direct) are no client's egress and are left out. A transport is asked every few seconds,
 * because it cannot be asked once it is closed; what it sends between the last look and its end is not counted.
 */

/** As much of mediasoup's (3.x) `Router` as is used here. */
export interface MeteredRouter {
  readonly observer: {
    on(event: 'newtransport', listener: (transport: MeteredTransport) => void): unknown;
  };
}

/** As much of mediasoup's `Transport`. */
export interface MeteredTransport {
  readonly id: string;
  readonly closed: boolean;
  readonly appData: Readonly<Record<string, unknown>>;
  readonly observer: { once(event: 'close', listener: () => void): unknown };
  getStats(): Promise<readonly { readonly type: string; readonly bytesSent?: number }[]>;
}

/** Whose bytes a transport's are. Names of at most 64 octets. */
export interface Identity {
  readonly call?: string | undefined;
  readonly participant?: string | undefined;
  readonly customId?: string | undefined;
}

export interface MeterOptions {
  /** Where the collector is, without a path. */
  readonly url: string;
  /** The source token. */
  readonly token: string;
  readonly app: string;
  /** A name for this process's host: the same after a restart. */
  readonly serverId: string;
  /** Name of the source in the ledger. Default `mediasoup`. */
  readonly source?: string;
  /** Default: `call`, `participant` and `customId` of `appData`, where they are strings. */
  readonly identify?: (transport: MeteredTransport) => Identity;
  /** Default 5,000. */
  readonly intervalMs?: number;
  /** Told of what went wrong; nothing is ever thrown into your process. Default: nobody. */
  readonly onError?: (error: Error) => void;
  /** For tests. */
  readonly fetch?: typeof fetch;
  readonly now?: () => number;
}

export interface MediasoupMeter {
  /** Meters every WebRTC transport that the router has from now on. */
  add(router: MeteredRouter): void;
  /** One look at every transport, and one attempt to tell. On its interval this happens by itself. */
  tick(): Promise<void>;
  /** A last look, and all that is not told yet in one attempt. */
  stop(): Promise<void>;
}

interface Reading {
  readonly server_id: string;
  readonly boot_id: string;
  readonly object_id: string;
  readonly seq: number;
  readonly window_end: number;
  readonly app_id: string;
  readonly call_id: string;
  readonly participant_id: string;
  readonly custom_id: string;
  readonly egress_bytes: string;
  readonly final: boolean;
}

/** Readings in one request, as many as the collector takes. */
const BATCH = 1_000;
/** Transports whose last reading may wait for a collector that is away; the oldest gives way. */
const MOST_WAITING = 100_000;
const WITHIN = 10_000;

export function meterMediasoup(options: MeterOptions): MediasoupMeter {
  return new Meter(options);
}

class Meter implements MediasoupMeter {
  readonly #options: MeterOptions;
  readonly #transports = new Map<string, MeteredTransport>();
  /** Not told yet: the newest of each transport, which contains all earlier ones. */
  readonly #waiting = new Map<string, Reading>();
  readonly #timer: ReturnType<typeof setInterval>;
  #ticking: Promise<void> | undefined;

  constructor(options: MeterOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.tick(), options.intervalMs ?? 5_000);
    this.#timer.unref();
  }

  add(router: MeteredRouter): void {
    router.observer.on('newtransport', (transport) => {
      this.#transports.set(transport.id, transport);
      transport.observer.once('close', () => {
        this.#transports.delete(transport.id);
        const last = this.#waiting.get(transport.id);
        if (last !== undefined) this.#waiting.set(transport.id, { ...last, final: true });
      });
    });
  }

  tick(): Promise<void> {
    this.#ticking ??= this.#tick().finally(() => {
      this.#ticking = undefined;
    });
    return this.#ticking;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#ticking;
    await this.tick();
  }

  async #tick(): Promise<void> {
    await Promise.all([...this.#transports.values()].map((transport) => this.#look(transport)));
    for (let tellsMore = true; tellsMore && this.#waiting.size > 0;) tellsMore = await this.#tell();
  }

  async #look(transport: MeteredTransport): Promise<void> {
    try {
      const stats = await transport.getStats();
      const counted = stats.find(({ type }) => type === 'webrtc-transport')?.bytesSent;
      if (counted === undefined) this.#transports.delete(transport.id);
      // A transport may close, or another look overtake this one, while it answers.
      else if (!transport.closed) this.#keep(transport, counted);
    } catch (error) {
      if (!transport.closed) this.#failed(error);
    }
  }

  #keep(transport: MeteredTransport, bytes: number): void {
    const { app, identify = namesIn, now = Date.now, serverId } = this.#options;
    const at = now();
    const { call = '', customId = '', participant = '' } = identify(transport);
    this.#waiting.set(transport.id, {
      server_id: serverId,
      // A transport is a run of its own: its id is new with it, and its counter begins at 0.
      boot_id: transport.id,
      object_id: transport.id,
      seq: at,
      window_end: at,
      app_id: app,
      call_id: call,
      participant_id: participant,
      custom_id: customId,
      egress_bytes: String(Math.trunc(bytes)),
      final: false,
    });
    if (this.#waiting.size <= MOST_WAITING) return;
    for (const [oldest] of this.#waiting) {
      this.#waiting.delete(oldest);
      return;
    }
  }

  /** Whether another batch may be told at once. */
  async #tell(): Promise<boolean> {
    const { fetch: send = fetch, source = 'mediasoup', token, url } = this.#options;
    const batch = [...this.#waiting].slice(0, BATCH);
    try {
      const answer = await send(new URL('/v1/egress', url), {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ source, readings: batch.map(([, reading]) => reading) }),
        signal: AbortSignal.timeout(WITHIN),
      });
      if (!answer.ok) throw new Error(`the collector answers ${answer.status}: ${await answer.text()}`);
    } catch (error) {
      this.#failed(error);
      return false;
    }
    for (const [id, reading] of batch) if (this.#waiting.get(id) === reading) this.#waiting.delete(id);
    return batch.length === BATCH;
  }

  #failed(error: unknown): void {
    this.#options.onError?.(error instanceof Error ? error : new Error(String(error)));
  }
}

function namesIn({ appData }: MeteredTransport): Identity {
  const named = (name: string) => {
    const value = appData[name];
    return typeof value === 'string' ? value : undefined;
  };
  return { call: named('call'), participant: named('participant'), customId: named('customId') };
}
