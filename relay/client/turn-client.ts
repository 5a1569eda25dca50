/**
 * A TURN client on one link: Binding, Allocate through the challenge, permissions, channels, data, Refresh. Answers to
 * authenticated requests must carry the MESSAGE-INTEGRITY of the same credentials; a stale nonce is replaced once.
 */
import type { Endpoint } from '../../kernel/address.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { Random } from '../../kernel/random.ts';
import type { Answer } from './answer.ts';
import { type Delivery, readDelivery } from './delivery.ts';
import type { Link } from './link.ts';
import { channelData, type Credentials, Requests } from './requests.ts';
import type { Timer } from './timer.ts';
import { type Exchange, type Patience, Transactions } from './transactions.ts';

/** Why a client did not get what it asked for. */
export type Failure =
  /** An error response; `again`: a stale nonce though it was the newest one. */
  | { readonly type: 'refused'; readonly code: number; readonly again: boolean }
  | { readonly type: 'silence' }
  | { readonly type: 'ended'; readonly reason: string }
  /** An answer that no server of ours gives: malformed, not sealed as it must be, or without what it must carry. */
  | { readonly type: 'nonsense'; readonly what: string };

export type Result<T> =
  | { readonly ok: true; readonly value: T; readonly roundTrip: number }
  | { readonly ok: false; readonly failure: Failure };

export interface TurnClientOptions {
  readonly link: Link;
  readonly credentials: Credentials;
  readonly clock: Clock;
  readonly timer: Timer;
  readonly random: Random;
  readonly patience?: Patience;
  readonly onDelivery?: (delivery: Delivery) => void;
}

export interface Allocated {
  readonly relayed: Endpoint;
  readonly mapped: Endpoint | undefined;
  /** Seconds. */
  readonly lifetime: number;
}

/** Milliseconds that a farewell may take. */
const FAREWELL: Patience = { rto: 250, giveUp: 600 };
const UNAUTHENTICATED = 401;
const STALE_NONCE = 438;

export class TurnClient {
  readonly link: Link;
  readonly requests: Requests;
  readonly #transactions: Transactions;
  #onDelivery: (delivery: Delivery) => void;
  #allocated = false;

  constructor(options: TurnClientOptions) {
    const { link, clock, timer, patience } = options;
    this.link = link;
    this.requests = new Requests(options.credentials, options.random);
    this.#onDelivery = options.onDelivery ?? (() => undefined);
    this.#transactions = new Transactions({
      link,
      clock,
      timer,
      ...(patience === undefined ? {} : { patience }),
      onFrame: (frame) => this.#onDelivery(readDelivery(frame)),
    });
  }

  /** Why the link is over, if it is. */
  get ended(): string | undefined {
    return this.#transactions.ended;
  }

  onDelivery(call: (delivery: Delivery) => void): void {
    this.#onDelivery = call;
  }

  /** One request as it is, and whatever answers it. */
  ask(request: Uint8Array, patience?: Patience): Promise<Exchange> {
    return this.#transactions.ask(request, patience);
  }

  async binding(): Promise<Result<Endpoint>> {
    const result = judge(await this.ask(this.requests.binding()), undefined);
    if (!result.ok) return result;
    const { mapped } = result.value;
    return mapped === undefined ? nonsense('Binding answered without an address') : { ...result, value: mapped };
  }

  /** `roundTrip` is that of the last exchange; the challenge took another one. */
  async allocate(): Promise<Result<Allocated>> {
    const result = await this.perform((requests) => requests.allocate());
    if (!result.ok) return result;
    const { relayed, mapped, lifetime } = result.value;
    if (relayed === undefined || lifetime === undefined)
      return nonsense('Allocate answered without address or lifetime');
    this.claim();
    return { ...result, value: { relayed, mapped, lifetime } };
  }

  permit(...peers: readonly Endpoint[]): Promise<Result<Answer>> {
    return this.perform((requests) => requests.createPermission(peers));
  }

  bindChannel(channel: number, peer: Endpoint): Promise<Result<Answer>> {
    return this.perform((requests) => requests.channelBind(channel, peer));
  }

  refresh(seconds?: number): Promise<Result<Answer>> {
    return this.perform((requests) => requests.refresh(seconds));
  }

  /** In a Send indication: needs a permission. */
  sendTo(peer: Endpoint, payload: Uint8Array): void {
    this.link.send(this.requests.send(peer, payload));
  }

  /** On a bound channel. */
  sendOn(channel: number, payload: Uint8Array): void {
    this.link.send(channelData(channel, payload, this.link.transport !== 'udp'));
  }

  /** Any authenticated request: through the challenge when there has been none, and once more with a new nonce on 438. */
  async perform(build: (requests: Requests) => Uint8Array): Promise<Result<Answer>> {
    const isFirst = this.requests.key === undefined;
    const first = await this.#attempt(build);
    if (first.ok || first.failure.type !== 'refused') return first;
    const { code } = first.failure;
    if (code !== STALE_NONCE && !(code === UNAUTHENTICATED && isFirst)) return first;
    const second = await this.#attempt(build);
    if (second.ok || second.failure.type !== 'refused') return second;
    const again = code === STALE_NONCE && second.failure.code === STALE_NONCE;
    return { ok: false, failure: { ...second.failure, again } };
  }

  /** Says that an Allocate of the caller's own making succeeded, so that `close` ends what it made. */
  claim(): void {
    this.#allocated = true;
  }

  /** Ends the allocation, if there is one, and the link. Waits for the server's word only briefly. */
  async close(): Promise<void> {
    if (this.#allocated) await this.ask(this.requests.refresh(0), FAREWELL);
    this.#transactions.close();
  }

  async #attempt(build: (requests: Requests) => Uint8Array): Promise<Result<Answer>> {
    const exchange = await this.ask(build(this.requests));
    if (exchange.type === 'answer' && [UNAUTHENTICATED, STALE_NONCE].includes(exchange.answer.code ?? 0)) {
      this.requests.learn(exchange.answer);
    }
    return judge(exchange, this.requests.key);
  }
}

function nonsense(what: string): { ok: false; failure: Failure } {
  return { ok: false, failure: { type: 'nonsense', what } };
}

/** `key` seals every answer but 401 and 438 (RFC 8489 §9.2.5), where the request was signed with one. */
function judge(exchange: Exchange, key: Uint8Array | undefined): Result<Answer> {
  switch (exchange.type) {
    case 'silence':
      return { ok: false, failure: exchange };
    case 'ended':
      return { ok: false, failure: exchange };
    case 'malformed':
      return nonsense(`malformed answer (${exchange.fault})`);
    default: {
      const { answer, roundTrip } = exchange;
      if (answer.isSuccess) {
        const isSealed = key === undefined || answer.isSealedWith(key);
        return isSealed ? { ok: true, value: answer, roundTrip } : nonsense('an answer whose integrity is wrong');
      }
      const { code } = answer;
      if (code === undefined) return nonsense('an error without a code');
      return { ok: false, failure: { type: 'refused', code, again: false } };
    }
  }
}

/** One clause, for people. */
export function tellFailure(failure: Failure): string {
  switch (failure.type) {
    case 'refused':
      return `refused with ${failure.code}${failure.again ? ', again and again' : ''}`;
    case 'silence':
      return 'no answer';
    case 'ended':
      return failure.reason === 'ECONNREFUSED' ? 'nobody listens there' : `connection over: ${failure.reason}`;
    default:
      return failure.what;
  }
}
