/** A client under a check's control: one fresh five-tuple, from which anything may be sent and on which everything is heard. */
import type { Endpoint } from '../../kernel/address.ts';
import type { Random } from '../../kernel/random.ts';
import { type Answer, readAnswer } from '../client/answer.ts';
import type { Delivery } from '../client/delivery.ts';
import { channelData, type Credentials, Requests } from '../client/requests.ts';
import { pause, type Timer } from '../client/timer.ts';
import type { Exchange, Patience } from '../client/transactions.ts';
import type { TurnClient } from '../client/turn-client.ts';
import { Unable } from './check.ts';
import { tell } from './finding.ts';
import { Mailbox } from './mailbox.ts';

export interface Pace {
  /** For answers. */
  readonly patience: Patience;
  /** Milliseconds after a later request's answer in which what an earlier message caused must have come. */
  readonly grace: number;
  /** Milliseconds between two sendings of data that may get lost, and how many there are. */
  readonly repeat: number;
  readonly repeats: number;
}

export class Subject {
  readonly client: TurnClient;
  readonly #random: Random;
  readonly #timer: Timer;
  readonly #pace: Pace;
  readonly #mail: Mailbox<Delivery>;
  #relayed: Endpoint | undefined;
  #mapped: Endpoint | undefined;

  constructor(client: TurnClient, random: Random, timer: Timer, pace: Pace) {
    this.client = client;
    this.#random = random;
    this.#timer = timer;
    this.#pace = pace;
    this.#mail = new Mailbox(timer);
    client.onDelivery((delivery) => this.#mail.put(delivery));
  }

  get requests(): Requests {
    return this.client.requests;
  }

  get isStream(): boolean {
    return this.client.link.transport !== 'udp';
  }

  /** Relayed address of the allocation. */
  get relayed(): Endpoint {
    if (this.#relayed === undefined) throw new Unable('there is no allocation');
    return this.#relayed;
  }

  /** As the server sees this client, if it said so; else as it sees itself. */
  get seenAs(): Endpoint {
    return this.#mapped ?? this.client.link.local;
  }

  ask(request: Uint8Array): Promise<Exchange> {
    return this.client.ask(request, this.#pace.patience);
  }

  /** The bytes as they are, once. */
  tell(bytes: Uint8Array): void {
    this.client.link.send(bytes);
  }

  frame(channel: number, payload: Uint8Array): Uint8Array {
    return channelData(channel, payload, this.isStream);
  }

  /** Another user's requests on the same five-tuple, under the challenge that this one was given. */
  as(credentials: Credentials): Requests {
    const { realm, nonce } = this.requests;
    const requests = new Requests(credentials, this.#random);
    requests.learn({ realm, nonce });
    return requests;
  }

  /** Gets a challenge, and the realm and nonce in it. */
  async introduce(): Promise<void> {
    const exchange = await this.ask(this.requests.allocate({}, { bare: true }));
    if (exchange.type !== 'answer' || !this.requests.learn(exchange.answer))
      throw failed(exchange, 'there is no challenge');
  }

  /** An Allocate that is expected to succeed. */
  async allocate(build?: (requests: Requests) => Uint8Array): Promise<Answer> {
    const answer = await this.must('Allocate', build ?? ((requests) => requests.allocate()));
    this.adopt(answer);
    return answer;
  }

  /** Takes the success of an Allocate that the check asked for itself. */
  adopt(answer: Answer): void {
    this.#relayed = answer.relayed;
    this.#mapped = answer.mapped;
    this.client.claim();
  }

  /** A request that a check builds on: what refuses it is no finding of this check. */
  async must(what: string, build: (requests: Requests) => Uint8Array): Promise<Answer> {
    let exchange = await this.ask(build(this.requests));
    if (exchange.type === 'answer' && exchange.answer.code === 438 && this.requests.learn(exchange.answer)) {
      exchange = await this.ask(build(this.requests));
    }
    if (exchange.type === 'answer' && exchange.answer.isSuccess) return exchange.answer;
    throw failed(exchange, what);
  }

  permit(...peers: readonly Endpoint[]): Promise<Answer> {
    return this.must('CreatePermission', (requests) => requests.createPermission(peers));
  }

  bind(channel: number, peer: Endpoint): Promise<Answer> {
    return this.must('ChannelBind', (requests) => requests.channelBind(channel, peer));
  }

  /**
   * Sends something that is to have no effect, then a Binding request: once that is answered, and a moment has passed, what
   * is not here will not come. Returns what came, or undefined.
   */
  async reactionTo(...messages: readonly Uint8Array[]): Promise<string | undefined> {
    this.#mail.clear();
    for (const message of messages) this.tell(message);
    await this.settle();
    const [first] = this.#mail.clear();
    if (first !== undefined) return tellDelivery(first);
    return this.client.ended === undefined ? undefined : `connection over (${this.client.ended})`;
  }

  /** Waits until whatever was sent before has had its effect: a server that answers nothing any more shows nothing. */
  async settle(): Promise<void> {
    const { requests } = this;
    let exchange = await this.ask(requests.binding());
    // Some servers are told not to answer Binding.
    if (exchange.type === 'silence') exchange = await this.ask(requests.allocate({}, { bare: true }));
    if (exchange.type === 'silence') throw new Error('no answer to anything');
    await pause(this.#timer, this.#pace.grace);
  }

  /** What a peer's data became here: sent again a few times, as it may get lost on the way. */
  async hears(send: () => void): Promise<Delivery | undefined> {
    this.#mail.clear();
    for (let count = 0; count < this.#pace.repeats; count += 1) {
      send();
      const delivery = await this.#mail.take(this.#pace.repeat);
      if (delivery !== undefined) return delivery;
    }
    return undefined;
  }

  /** Forgets what has come, and returns it. */
  heard(): Delivery[] {
    return this.#mail.clear();
  }

  close(): Promise<void> {
    return this.client.close();
  }
}

/** Silence and broken links are the server's failure, an error code is a reason not to go on. */
function failed(exchange: Exchange, what: string): Error {
  if (exchange.type === 'answer' && exchange.answer.code !== undefined) {
    return new Unable(`${what} is refused with ${exchange.answer.code}`);
  }
  return new Error(`${what}: ${tell(exchange)}`);
}

export function tellDelivery(delivery: Delivery): string {
  switch (delivery.type) {
    case 'channel':
      return `ChannelData on 0x${delivery.channel.toString(16)}, ${delivery.payload.length} octets`;
    case 'indication':
      return `Data indication, ${delivery.payload.length} octets`;
    case 'icmp':
      return 'Data indication with ICMP';
    default:
      return tellStray(delivery.frame);
  }
}

function tellStray(frame: Buffer): string {
  const answer = readAnswer(frame);
  if (typeof answer === 'string') return `${frame.length} octets that are no STUN`;
  if (answer.messageClass === 'error') return String(answer.code ?? 'an error');
  return answer.isSuccess ? 'success' : `an unexpected ${answer.messageClass}`;
}
