/** What is common to meters that are mounted in another process: cumulative readings of its objects, told to `POST /v1/egress` until they are stored. */

/** Whose an object's bytes are. Names of at most 64 octets. */
export interface Identity {
  readonly call?: string | undefined;
  readonly participant?: string | undefined;
  readonly customId?: string | undefined;
}

export interface TellerOptions {
  /** Where the collector is, without a path. */
  readonly url: string;
  /** The source token. */
  readonly token: string;
  readonly app: string;
  /** A name for this process's host: the same after a restart. */
  readonly serverId: string;
  /** Name of the source in the ledger. Default: what is metered. */
  readonly source?: string;
  /** Default 5,000. */
  readonly intervalMs?: number;
  /** Told of what went wrong; nothing is ever thrown into your process. Default: nobody. */
  readonly onError?: (error: Error) => void;
  /** For tests. */
  readonly fetch?: typeof fetch;
  readonly now?: () => number;
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
/** Objects whose last reading may wait for a collector that is away; the oldest gives way. */
const MOST_WAITING = 100_000;
const WITHIN = 10_000;

export class EgressTeller {
  readonly #options: TellerOptions & { readonly source: string };
  readonly #look: () => Promise<void> | void;
  /** Not told yet: the newest of each object, which contains all earlier ones. */
  readonly #waiting = new Map<string, Reading>();
  readonly #timer: ReturnType<typeof setInterval>;
  #ticking: Promise<void> | undefined;

  /** `look` is to `keep` what every object has counted now. */
  constructor(options: TellerOptions & { readonly source: string }, look: () => Promise<void> | void) {
    this.#options = options;
    this.#look = look;
    this.#timer = setInterval(() => void this.tick(), options.intervalMs ?? 5_000);
    this.#timer.unref();
  }

  /** What an object has sent since it came to be. Its id is new with it: each object is a run of its own, from 0. */
  keep(id: string, bytes: number, { call = '', customId = '', participant = '' }: Identity, final = false): void {
    const { app, now = Date.now, serverId } = this.#options;
    const at = now();
    this.#waiting.set(id, {
      server_id: serverId,
      boot_id: id,
      object_id: id,
      seq: at,
      window_end: at,
      app_id: app,
      call_id: call,
      participant_id: participant,
      custom_id: customId,
      egress_bytes: String(bytes),
      final,
    });
    if (this.#waiting.size <= MOST_WAITING) return;
    for (const [oldest] of this.#waiting) {
      this.#waiting.delete(oldest);
      return;
    }
  }

  /** The reading that waits of this object, if any does, is its last. */
  end(id: string): void {
    const last = this.#waiting.get(id);
    if (last !== undefined) this.#waiting.set(id, { ...last, final: true });
  }

  /** One look, and one attempt to tell. On the interval this happens by itself. */
  tick(): Promise<void> {
    this.#ticking ??= this.#tick().finally(() => {
      this.#ticking = undefined;
    });
    return this.#ticking;
  }

  /** A last look, and all that is not told yet in one attempt. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#ticking;
    await this.tick();
  }

  failed(error: unknown): void {
    this.#options.onError?.(error instanceof Error ? error : new Error(String(error)));
  }

  async #tick(): Promise<void> {
    await this.#look();
    for (let tellsMore = true; tellsMore && this.#waiting.size > 0;) tellsMore = await this.#tell();
  }

  /** Whether another batch may be told at once. */
  async #tell(): Promise<boolean> {
    const { fetch: send = fetch, source, token, url } = this.#options;
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
      this.failed(error);
      return false;
    }
    for (const [id, reading] of batch) if (this.#waiting.get(id) === reading) this.#waiting.delete(id);
    return batch.length === BATCH;
  }
}
