/**
 * All streams of reports that are open: so many and no more, of each token, each app and in all; so much memory and no more,
 * whatever they send; and none whose client is gone.
 */
import { TurnpikeError } from '../../kernel/errors.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { ReportClaims } from '../../kernel/report-token.ts';
import type { FormatName } from '../contract.ts';
import { tokenName } from './allowance.ts';
import type { ReportStream } from './report-stream.ts';

export interface StreamLimits {
  /** In all. Where there are several apps, one may have half of them. */
  readonly streams: number;
  readonly ofToken: number;
  /** Bytes that one stream may hold, and all of them together. */
  readonly bytesOfOne: number;
  readonly bytes: number;
  /** Milliseconds between two questions whether a client is there. One that does not answer the first is gone at the second. */
  readonly pingMs: number;
  /** Milliseconds after which a stream that says nothing is closed. */
  readonly idleMs: number;
}

export const DEFAULT_STREAM_LIMITS: StreamLimits = {
  streams: 2_000,
  ofToken: 4,
  bytesOfOne: 4 * 1_048_576,
  bytes: 128 * 1_048_576,
  pingMs: 30_000,
  idleMs: 900_000,
};

/** How long a client has for its goodbye when the service ends, milliseconds. */
const GOODBYE_MS = 2_000;

export class OpenStreams {
  readonly #streams = new Map<ReportStream, Promise<void>>();
  readonly #limits: StreamLimits;
  readonly #clock: Clock;
  readonly #ofApp: number;
  readonly #pinging: NodeJS.Timeout;
  #isClosing = false;
  #bytes = 0;

  constructor(clock: Clock, limits: StreamLimits, apps: number) {
    this.#clock = clock;
    this.#limits = limits;
    this.#ofApp = apps > 1 ? Math.ceil(limits.streams / 2) : limits.streams;
    this.#pinging = setInterval(() => this.#look(), limits.pingMs).unref();
  }

  /** How many there are of a format. */
  count(format: FormatName): number {
    return [...this.#streams.keys()].filter((stream) => stream.format === format).length;
  }

  /** Whether there may be one more of this token. */
  hasRoomFor(claims: ReportClaims): boolean {
    const name = tokenName(claims);
    let [ofToken, ofApp] = [0, 0];
    for (const { claims: theirs } of this.#streams.keys()) {
      if (theirs.app === claims.app) ofApp += 1;
      if (tokenName(theirs) === name) ofToken += 1;
    }
    const { ofToken: mostOfToken, streams } = this.#limits;
    return !this.#isClosing && this.#streams.size < streams && ofApp < this.#ofApp && ofToken < mostOfToken;
  }

  /** `closed` resolves when its connection has ended. */
  add(stream: ReportStream, closed: Promise<void>): void {
    this.#streams.set(stream, this.#leave(stream, closed));
  }

  async #leave(stream: ReportStream, closed: Promise<void>): Promise<void> {
    await closed;
    this.#streams.delete(stream);
    this.#bytes -= stream.weight;
  }

  /** Notes bytes that came for a stream, before they are read. */
  grew(stream: ReportStream, bytes: number): void {
    if (!this.#streams.has(stream)) return;
    stream.grow(bytes);
    this.#bytes += bytes;
    if (stream.weight > this.#limits.bytesOfOne && this.#weigh(stream) > this.#limits.bytesOfOne) {
      stream.refuse(new TurnpikeError('TP_KERNEL_BODY_TOO_LARGE', 'The stream has more to remember than it may.'));
    }
    while (this.#bytes > this.#limits.bytes) {
      const heaviest = this.#heaviest();
      if (heaviest === undefined) return;
      const [before, after] = [heaviest.weight, this.#weigh(heaviest)];
      if (this.#bytes <= this.#limits.bytes || after < before) continue;
      heaviest.refuse(new TurnpikeError('TP_KERNEL_RATE_LIMITED', 'All streams together hold more than they may.'));
      heaviest.terminate();
      this.#bytes -= heaviest.weight;
      heaviest.weight = 0;
    }
  }

  /** Says goodbye to all of them. Resolves when they have ended, those that do not answer by force. */
  async close(): Promise<void> {
    this.#isClosing = true;
    clearInterval(this.#pinging);
    const open = [...this.#streams];
    await Promise.all(open.map(([stream]) => stream.stop(1001, 'the service ends')));
    const late = setTimeout(() => open.forEach(([stream]) => stream.terminate()), GOODBYE_MS);
    await Promise.all(open.map(([, left]) => left));
    clearTimeout(late);
  }

  #weigh(stream: ReportStream): number {
    this.#bytes -= stream.weight;
    stream.weigh();
    this.#bytes += stream.weight;
    return stream.weight;
  }

  #heaviest(): ReportStream | undefined {
    let heaviest: ReportStream | undefined;
    for (const stream of this.#streams.keys()) if (stream.weight > (heaviest?.weight ?? 0)) heaviest = stream;
    return heaviest;
  }

  #look(): void {
    const now = this.#clock.monotonic();
    for (const stream of this.#streams.keys()) {
      if (stream.isPaused) continue;
      if (!stream.isHeard) stream.terminate();
      stream.isHeard = false;
      if (now - stream.lastAt > this.#limits.idleMs) void stream.stop(1000, 'nothing was said for long');
      else stream.ping();
    }
  }
}
