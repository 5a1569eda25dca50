/**
 * What relays are told, and the waiting for it. The store is what lasts; here is the list in memory, in the order in which
 * it came, so that a relay that has it up to some position is told what came after.
 *
 * A cursor is this feed's id, a position in it and the version of the caps. Another feed (another collector, or this one started again) does not
 * know it and tells everything in force: revocations are never taken back, so hearing one again is harmless.
 */
import type { Clock } from '../../kernel/clock.ts';
import { TurnpikeError } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/log.ts';
import type { Random } from '../../kernel/random.ts';
import { MAX_REVOCATIONS } from '../../relay/contract.ts';
import type { AppCap, ControlAnswer, Revocation } from '../../relay/contract.ts';
import type { StoreReader, StoreWriter } from '../store/store.ts';
import { revocationRow, revocationsSince } from './revocations.ts';
import type { AppRevocation } from './revocations.ts';

export interface ControlFeedOptions {
  readonly store: StoreReader & StoreWriter;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Milliseconds that a question without an answer is held. Default 25 s. */
  readonly holdMs?: number;
  /** Milliseconds between two looks at what other collectors put into the store. Absent: there is no other. */
  readonly lookMs?: number;
  /** Revocations of one app that may be in force at once. Default 50,000. */
  readonly maxPerApp?: number;
}

const HOLD_MS = 25_000;
const MAX_PER_APP = 50_000;
/** Milliseconds by which other collectors' clocks, and an insert's way into the store, may be behind ours. */
const OVERLAP_MS = 60_000;

interface Entry extends AppRevocation {
  readonly position: number;
}

export class ControlFeed {
  readonly #options: ControlFeedOptions;
  readonly #id: string;
  #position = 0;
  /** By position. */
  #entries: Entry[] = [];
  readonly #usernames = new Set<string>();
  readonly #perApp = new Map<string, number>();
  /** Undefined until they are known for the first time. */
  #caps: readonly AppCap[] | undefined;
  /** Rises with every change of the caps. */
  #capsVersion = 0;
  readonly #waiting = new Set<() => void>();
  /** Unix milliseconds up to which the store has been read; undefined before the first time. */
  #readUpTo: number | undefined;
  /** Unix milliseconds. */
  #dropAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #stopped = false;

  constructor(options: ControlFeedOptions) {
    this.#options = options;
    this.#id = options.random.bytes(9).toString('base64url');
  }

  /** Questions that are waiting for an answer. */
  get held(): number {
    return this.#waiting.size;
  }

  /** Reads everything in force. Nothing is told before: an empty list would be a lie. */
  async start(): Promise<void> {
    await this.#read();
    const { lookMs } = this.#options;
    if (lookMs !== undefined) this.#look(lookMs);
  }

  /** Answers every question that is held, and holds no more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#wake();
    await this.#looking;
  }

  /** Takes a credential back: in the store when this resolves, and on its way to the relays. */
  async revoke(app: string, revocation: Revocation): Promise<void> {
    if (this.#usernames.has(revocation.username)) return;
    this.#drop(this.#options.clock.now());
    if ((this.#perApp.get(app) ?? 0) >= (this.#options.maxPerApp ?? MAX_PER_APP)) {
      throw new TurnpikeError('TP_RELAY_REVOCATIONS');
    }
    const entry = { app, ...revocation };
    await this.#options.store.insert('control', [revocationRow(entry, this.#options.clock.now())]);
    this.#add([entry]);
  }

  /** All the caps in force: a relay that asks is told when they are others than it knows. */
  cap(caps: readonly AppCap[]): void {
    const said = (list: readonly AppCap[]) =>
      list
        .map(({ app, until }) => `${app} ${until}`)
        .toSorted()
        .join('\n');
    if (this.#caps !== undefined && said(this.#caps) === said(caps)) return;
    this.#caps = caps;
    this.#capsVersion += 1;
    this.#wake();
  }

  /**
   * What came after the cursor: at once if something did, or if the cursor is not one of ours; else when it comes, or
   * after a while with nothing. Throws TP_COLLECTOR_STORE_UNAVAILABLE before the store has been read.
   */
  async after(cursor: string | undefined, signal: AbortSignal): Promise<ControlAnswer> {
    if (this.#readUpTo === undefined) throw new TurnpikeError('TP_COLLECTOR_STORE_UNAVAILABLE');
    const position = this.#positionOf(cursor);
    if (position === undefined) return this.#answer(0);
    if (position === this.#position && this.#knowsCaps(cursor) && !signal.aborted && !this.#stopped)
      await this.#change(signal);
    return this.#answer(position);
  }

  #positionOf(cursor: string | undefined): number | undefined {
    const [id, text = ''] = cursor?.split('.', 2) ?? [];
    const position = /^\d{1,15}$/.test(text) ? Number(text) : undefined;
    return id === this.#id && position !== undefined && position <= this.#position ? position : undefined;
  }

  #knowsCaps(cursor: string | undefined): boolean {
    return cursor?.split('.')[2] === `${this.#capsVersion}`;
  }

  #answer(after: number): ControlAnswer {
    const first = this.#indexAfter(after);
    const page = this.#entries.slice(first, first + MAX_REVOCATIONS);
    const isLast = first + page.length === this.#entries.length;
    const position = isLast ? this.#position : (page.at(-1)?.position ?? this.#position);
    return {
      cursor: `${this.#id}.${position}.${this.#capsVersion}`,
      revocations: page.map(({ username, until }) => ({ username, until })),
      ...(this.#caps === undefined ? {} : { caps: [...this.#caps] }),
    };
  }

  /** Index of the first entry behind a position, by halving. */
  #indexAfter(position: number): number {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#entries[middle]?.position ?? 0) <= position) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, this.#options.holdMs ?? HOLD_MS);
      this.#waiting.add(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }

  #wake(): void {
    for (const done of this.#waiting) done();
  }

  #add(revocations: readonly AppRevocation[]): void {
    const fresh = revocations.filter(({ username }) => !this.#usernames.has(username));
    for (const revocation of fresh) {
      this.#position += 1;
      this.#entries.push({ ...revocation, position: this.#position });
      this.#usernames.add(revocation.username);
      this.#perApp.set(revocation.app, (this.#perApp.get(revocation.app) ?? 0) + 1);
    }
    if (fresh.length > 0) this.#wake();
  }

  /** Forgets what is past its time, once that is worth a walk. */
  #drop(now: number): void {
    if (now < this.#dropAt) return;
    this.#dropAt = now + OVERLAP_MS;
    const past = this.#entries.filter(({ until }) => until <= now);
    if (past.length === 0) return;
    this.#entries = this.#entries.filter(({ until }) => until > now);
    for (const { username, app } of past) {
      this.#usernames.delete(username);
      this.#perApp.set(app, (this.#perApp.get(app) ?? 1) - 1);
    }
  }

  async #read(): Promise<void> {
    const { store, clock } = this.#options;
    const now = clock.now();
    const since = this.#readUpTo === undefined ? 0 : this.#readUpTo - OVERLAP_MS;
    const found = await revocationsSince(store, since, now);
    this.#readUpTo = now;
    this.#drop(now);
    this.#add(found);
  }

  #look(lookMs: number): void {
    this.#timer = setTimeout(() => {
      this.#looking = this.#lookAgain(lookMs);
    }, lookMs);
  }

  async #lookAgain(lookMs: number): Promise<void> {
    try {
      if (this.#waiting.size > 0) await this.#read();
    } catch (error) {
      this.#options.log.warn({ err: error }, "other collectors' revocations could not be read");
    }
    if (!this.#stopped) this.#look(lookMs);
  }
}
