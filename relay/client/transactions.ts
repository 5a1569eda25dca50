/**
 * Requests and their answers over one link (RFC 8489 §6.2, §6.3): sent again over UDP until answered, matched by transaction id.
 * Whatever is no answer to one of them goes to whoever listens.
 */
import type { Clock } from '../../kernel/clock.ts';
import type { Fault } from '../stun/fault.ts';
import { HEADER_LENGTH } from '../stun/header.ts';
import { type Answer, readAnswer } from './answer.ts';
import type { Link } from './link.ts';
import type { Cancel, Timer } from './timer.ts';

export interface Patience {
  /** Milliseconds before the first repetition over UDP; doubled for each further one (RFC 8489 §6.2.1: 500 or more). */
  readonly rto: number;
  /** Milliseconds after which there is no answer, whatever the transport. */
  readonly giveUp: number;
}

/** RFC 8489 §6.2.1 gives up after 39.5 s; somebody waits here. */
export const defaultPatience: Patience = { rto: 500, giveUp: 8_000 };

export type Exchange =
  | {
      readonly type: 'answer';
      readonly answer: Answer;
      /** Milliseconds from the sending that got it, as far as can be told: from the last one before it came. */
      readonly roundTrip: number;
      /** How often the request went out. */
      readonly sent: number;
    }
  /** Something came under this transaction id that is no STUN message. */
  | { readonly type: 'malformed'; readonly fault: Fault }
  | { readonly type: 'silence' }
  /** The link is over. */
  | { readonly type: 'ended'; readonly reason: string };

interface Pending {
  settle(exchange: Exchange): void;
  sentAt: number;
  sent: number;
  cancel: Cancel[];
}

export interface TransactionsOptions {
  readonly link: Link;
  readonly clock: Clock;
  readonly timer: Timer;
  readonly patience?: Patience;
  /** Frames that answer nothing: Data indications, ChannelData, strays. */
  readonly onFrame?: (bytes: Buffer) => void;
  readonly onEnded?: (reason: string) => void;
}

export class Transactions {
  readonly #options: TransactionsOptions;
  readonly #patience: Patience;
  readonly #pending = new Map<string, Pending>();
  #ended: string | undefined;

  constructor(options: TransactionsOptions) {
    this.#options = options;
    this.#patience = options.patience ?? defaultPatience;
    options.link.listen({ frame: (bytes) => this.#take(bytes), ended: (reason) => this.#end(reason) });
  }

  /** Why the link is over, if it is. */
  get ended(): string | undefined {
    return this.#ended;
  }

  /** Sends one whole request and waits for what answers it. Never rejects. */
  ask(request: Uint8Array, patience: Patience = this.#patience): Promise<Exchange> {
    return new Promise((resolve) => {
      if (this.#ended !== undefined) return resolve({ type: 'ended', reason: this.#ended });
      const id = transactionIdOf(request);
      const { timer } = this.#options;
      const settle = (exchange: Exchange): void => {
        for (const cancel of pending.cancel) cancel();
        if (this.#pending.get(id) === pending) this.#pending.delete(id);
        resolve(exchange);
      };
      const pending: Pending = { settle, sentAt: 0, sent: 0, cancel: [] };
      this.#pending.set(id, pending);
      pending.cancel.push(timer.after(patience.giveUp, () => settle({ type: 'silence' })));
      this.#send(request, pending, patience.rto);
      return undefined;
    });
  }

  close(): void {
    this.#options.link.close();
    for (const pending of this.#pending.values()) pending.settle({ type: 'ended', reason: 'closed' });
  }

  #send(request: Uint8Array, pending: Pending, rto: number): void {
    const { link, clock, timer } = this.#options;
    pending.sentAt = clock.monotonic();
    pending.sent += 1;
    link.send(request);
    if (link.transport === 'udp') pending.cancel.push(timer.after(rto, () => this.#send(request, pending, rto * 2)));
  }

  #take(bytes: Buffer): void {
    const pending = isResponse(bytes) ? this.#pending.get(transactionIdOf(bytes)) : undefined;
    if (pending === undefined) return this.#options.onFrame?.(bytes);
    const answer = readAnswer(bytes);
    if (typeof answer === 'string') return pending.settle({ type: 'malformed', fault: answer });
    const roundTrip = this.#options.clock.monotonic() - pending.sentAt;
    return pending.settle({ type: 'answer', answer, roundTrip, sent: pending.sent });
  }

  #end(reason: string): void {
    this.#ended = reason;
    for (const pending of this.#pending.values()) pending.settle({ type: 'ended', reason });
    this.#options.onEnded?.(reason);
  }
}

function isResponse(bytes: Uint8Array): boolean {
  return bytes.length >= HEADER_LENGTH && ((bytes[0] ?? 0) & 0xc1) === 0x01;
}

function transactionIdOf(message: Uint8Array): string {
  return Buffer.from(message.buffer, message.byteOffset + 8, 12).toString('hex');
}
