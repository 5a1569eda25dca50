/**
 * One client's stream of reports. Messages are read in their order, those that came while others were stored together; what is
 * acknowledged is durable. While rows cannot be stored, or the client sends more than it may, nothing is read from the socket.
 */
import type { RawData, WebSocket } from 'ws';
import type { Clock } from '../../kernel/clock.ts';
import { TurnpikeError } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/log.ts';
import type { ReportClaims } from '../../kernel/report-token.ts';
import type { Sleep } from '../../kernel/sleep.ts';
import type { FormatName, StoredRows } from '../contract.ts';
import { windowAround } from './checks.ts';
import { parseReport, refusalOf, skewOf } from './report-intake.ts';
import type { ReportIntake } from './report-intake.ts';
import { Recording } from './recording.ts';
import { countedAs } from './report-results.ts';
import { sizeOf } from './size-of.ts';
import type { FormatReader } from './formats/format.ts';
import { greetingOf, answersTo } from './stream-answers.ts';
import type { Heard } from './stream-answers.ts';

/** Messages and characters that wait for others to be stored; beyond, the socket is not read. */
const MAX_WAITING = 256;
const MAX_WAITING_LENGTH = 1_048_576;
/** Messages read and stored together. */
const MAX_TOGETHER = 64;
/** Milliseconds between two attempts to store what the store and the disk have no room for. */
const RETRY_AFTER = 1_000;

export interface ReportStreamOptions {
  readonly socket: WebSocket;
  readonly claims: ReportClaims;
  readonly address: string;
  readonly format: FormatName;
  readonly reader: FormatReader;
  readonly intake: ReportIntake;
  readonly client: object | undefined;
  readonly clock: Clock;
  readonly sleep: Sleep;
  readonly log: Logger;
  readonly count: (result: string) => void;
}

export class ReportStream {
  readonly format: FormatName;
  readonly claims: ReportClaims;
  /** Bytes that it may hold here: its size when that was last looked at, and all that came since. */
  weight = 0;
  /** Whether anything came since this was last set back. */
  isHeard = true;
  /** Monotonic milliseconds of its last message. */
  lastAt: number;
  readonly #options: ReportStreamOptions;
  readonly #recording: Recording;
  readonly #gone = new AbortController();
  #waiting: string[] = [];
  #waitingLength = 0;
  #unfinished = 0;
  #settled = 0;
  #skew: number | undefined;
  #ended = false;
  #running: Promise<void> | undefined;

  constructor(options: ReportStreamOptions) {
    const { claims, clock, format, socket } = options;
    this.#options = options;
    this.format = format;
    this.claims = claims;
    this.lastAt = clock.monotonic();
    this.#recording = new Recording(windowAround(clock.now()));
    socket.on('message', (data, isBinary) => this.#take(data, isBinary));
    socket.on('pong', () => (this.isHeard = true));
    socket.on('error', (error) => options.log.debug({ err: error }, 'a stream of reports broke off'));
    socket.on('close', () => this.#gone.abort());
    const greeting = greetingOf(format);
    if (greeting !== undefined) socket.send(JSON.stringify(greeting));
  }

  /** Whether it is not being read, so that its silence means nothing. */
  get isPaused(): boolean {
    return this.#options.socket.isPaused;
  }

  /** Notes bytes that came for it. */
  grow(bytes: number): void {
    this.weight += bytes;
    this.#unfinished += bytes;
  }

  /** Sets its weight to what it holds. */
  weigh(): void {
    this.weight = sizeOf(this.#options.reader.held?.()) + 2 * this.#waitingLength + this.#unfinished;
  }

  ping(): void {
    this.#options.socket.ping();
  }

  terminate(): void {
    this.#options.socket.terminate();
  }

  /** Reads nothing more, stores what is being stored, and says goodbye. Resolves when that is said. */
  async stop(code: number, reason: string): Promise<void> {
    const isFirst = !this.#ended;
    this.#ended = true;
    this.#gone.abort();
    await this.#running;
    this.#options.socket.resume();
    if (isFirst) this.#options.socket.close(code, reason);
  }

  /** Tells the client what is wrong and closes. */
  refuse(error: TurnpikeError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#waiting = [];
    this.#gone.abort();
    const { count, socket } = this.#options;
    count(countedAs(error.status));
    if (socket.readyState !== socket.OPEN) return;
    socket.resume(); // for the answer to the closing frame
    socket.send(JSON.stringify(error.toBody()));
    socket.close(closeCodeOf(error), error.code);
  }

  #take(data: RawData, isBinary: boolean): void {
    if (this.#ended) return;
    this.isHeard = true;
    this.lastAt = this.#options.clock.monotonic();
    this.#unfinished = 0;
    if (isBinary) return this.refuse(new TurnpikeError('TP_KERNEL_CONTENT_TYPE', 'A message must be JSON, as text.'));
    const text = (Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data as Buffer)).toString('utf8');
    this.#waiting.push(text);
    this.#waitingLength += text.length;
    if (this.#waiting.length >= MAX_WAITING || this.#waitingLength >= MAX_WAITING_LENGTH) this.#options.socket.pause();
    this.#run();
  }

  #run(): void {
    this.#running ??= this.#work()
      .catch((error: unknown) => this.refuse(this.#asTold(error)))
      .finally(() => {
        this.#running = undefined;
        // Something may have come between the last look and here.
        if (this.#waiting.length > 0 && !this.#ended) this.#run();
      });
  }

  async #work(): Promise<void> {
    const { socket } = this.#options;
    while (this.#waiting.length > 0 && !this.#ended) {
      const messages = await this.#next();
      await this.#settle(messages);
      if (this.#waiting.length < MAX_WAITING / 2 && this.#waitingLength < MAX_WAITING_LENGTH / 2) socket.resume();
    }
  }

  /** The messages that come next, as soon as the token and its app may send as many. */
  async #next(): Promise<string[]> {
    const { clock, claims, intake, sleep, socket } = this.#options;
    if (claims.expiresAt * 1_000 <= clock.now()) throw new TurnpikeError('TP_KERNEL_UNAUTHORISED');
    const { signal } = this.#gone;
    let taken = 0;
    while (taken < Math.min(MAX_TOGETHER, this.#waiting.length)) {
      const seconds = intake.allowance.take(claims);
      if (seconds === 0 || signal.aborted) taken += 1;
      else if (taken > 0) break;
      else {
        socket.pause();
        await sleep(seconds * 1_000, signal);
      }
    }
    const messages = this.#waiting.splice(0, taken);
    for (const { length } of messages) this.#waitingLength -= length;
    return messages;
  }

  /** Reads, stores and acknowledges. What went before a message that is no JSON is stored first. */
  async #settle(messages: readonly string[]): Promise<void> {
    const heard: Heard[] = [];
    let fault: unknown;
    try {
      for (const message of messages) heard.push(this.#read(parseReport(message)));
    } catch (error) {
      fault = error;
    }
    const stored = await this.#store(heard);
    this.#settled += heard.length;
    const { client, count, format } = this.#options;
    for (const { refusal, rejected } of heard) {
      count(refusal === undefined ? (rejected.length === 0 ? 'stored' : 'partial') : countedAs(refusal.status));
    }
    await this.#send(answersTo(format, { heard, stored, settled: this.#settled, client }));
    if (fault !== undefined) throw fault;
  }

  #read(message: unknown): Heard {
    const { clock, format, reader } = this.#options;
    const receivedAt = clock.now();
    this.#recording.begin(windowAround(receivedAt));
    const records: unknown[] = format === 'observertc' && Array.isArray(message) ? message : [message];
    for (const record of records) for (const said of reader.read(record, '')) this.#recording.add(said);
    const { desynced, rejections } = this.#recording;
    const batches = this.#recording.take();
    const skew = skewOf(batches, receivedAt);
    if (skew !== undefined) this.#skew = Math.min(skew, this.#skew ?? skew);
    return {
      message,
      receivedAt,
      batches,
      refusal: refusalOf(this.#recording, receivedAt),
      isDesynced: desynced > 0,
      rejected: rejections.list(),
    };
  }

  /** Tries again, without reading on, for as long as there is no room; a row that is there already is replaced by itself. */
  async #store(heard: readonly Heard[]): Promise<StoredRows[]> {
    const { address, claims, count, intake, sleep, socket } = this.#options;
    const sender = { address, claims, skew: this.#skew };
    const { signal } = this.#gone;
    for (;;) {
      const outcomes = await Promise.allSettled(heard.map(({ batches }) => intake.store(batches, sender)));
      const failed = outcomes.find((outcome) => outcome.status === 'rejected');
      if (failed === undefined)
        return outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
      const error: unknown = failed.reason;
      if (!(error instanceof TurnpikeError) || error.status !== 503 || signal.aborted) throw error;
      count('unavailable');
      socket.pause();
      await sleep(RETRY_AFTER, signal);
    }
  }

  /** Resolves when the client's side has room for them: one that does not listen is not heard either. */
  async #send(answers: readonly object[]): Promise<void> {
    const { socket } = this.#options;
    for (const answer of answers) {
      if (socket.readyState !== socket.OPEN) return;
      await new Promise<void>((resolve) => socket.send(JSON.stringify(answer), () => resolve()));
    }
  }

  #asTold(error: unknown): TurnpikeError {
    if (error instanceof TurnpikeError) return error;
    this.#options.log.error({ err: error }, 'a stream of reports failed');
    return new TurnpikeError('TP_KERNEL_INTERNAL', undefined, { cause: error });
  }
}

/** RFC 6455 §7.4.1, and the registry of close codes. */
function closeCodeOf({ code, status }: TurnpikeError): number {
  if (status === 401 || status === 403) return 1008;
  if (status === 413) return 1009;
  if (status === 415) return 1003;
  if (code === 'TP_KERNEL_BAD_JSON') return 1007;
  return status === 429 || status === 503 ? 1013 : 1011;
}
