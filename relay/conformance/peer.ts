/** Somebody on the other side of the relay: a UDP socket of our own, or where the server denies that a second allocation. */
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { type Endpoint, familyOf } from '../../kernel/address.ts';
import { readAnswer } from '../client/answer.ts';
import type { Requests } from '../client/requests.ts';
import type { Timer } from '../client/timer.ts';
import { Mailbox } from './mailbox.ts';
import type { Pace, Subject } from './subject.ts';

export interface Datagram {
  readonly payload: Buffer;
  readonly from: Endpoint;
}

export interface Peer {
  /** As the relay sees it. */
  readonly endpoint: Endpoint;
  send(payload: Uint8Array, to: Endpoint): void;
  /** What a client's sending became here, sent again a few times, as it may get lost on the way. */
  hears(send: () => void): Promise<Datagram | undefined>;
  /** Forgets what has come, and returns it. */
  heard(): Datagram[];
  close(): Promise<void> | void;
}

abstract class Listening {
  protected readonly mail: Mailbox<Datagram>;
  readonly #pace: Pace;

  constructor(timer: Timer, pace: Pace) {
    this.mail = new Mailbox(timer);
    this.#pace = pace;
  }

  async hears(send: () => void): Promise<Datagram | undefined> {
    this.mail.clear();
    for (let count = 0; count < this.#pace.repeats; count += 1) {
      send();
      const datagram = await this.mail.take(this.#pace.repeat);
      if (datagram !== undefined) return datagram;
    }
    return undefined;
  }

  heard(): Datagram[] {
    return this.mail.clear();
  }
}

/** A socket on the address from which this host reaches the server. */
export class SocketPeer extends Listening implements Peer {
  readonly #socket: Socket;
  #isOpen = true;
  #endpoint: Endpoint;

  private constructor(socket: Socket, timer: Timer, pace: Pace) {
    super(timer, pace);
    this.#socket = socket;
    const { address, port } = socket.address();
    this.#endpoint = { address, port };
    socket.on('message', (payload, { address: from, port: fromPort }) =>
      this.mail.put({ payload, from: { address: from, port: fromPort } }),
    );
    // What could not be sent is lost, as on any network.
    socket.on('error', () => undefined);
  }

  get endpoint(): Endpoint {
    return this.#endpoint;
  }

  static async open(address: string, timer: Timer, pace: Pace): Promise<SocketPeer> {
    const socket = createSocket(familyOf(address) === 4 ? 'udp4' : 'udp6');
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind(0, address, () => {
        socket.off('error', reject);
        resolve();
      });
    });
    return new SocketPeer(socket, timer, pace);
  }

  /** Learns from the server how this socket looks from outside a NAT. Keeps its own view when nobody tells. */
  async learnMapping(server: Endpoint, requests: Requests): Promise<void> {
    const request = requests.binding();
    const datagram = await this.hears(() => this.send(request, server));
    const answer = datagram === undefined ? undefined : readAnswer(datagram.payload);
    if (answer !== undefined && typeof answer !== 'string') this.#endpoint = answer.mapped ?? this.#endpoint;
  }

  send(payload: Uint8Array, to: Endpoint): void {
    if (this.#isOpen) this.#socket.send(payload, to.port, to.address, () => undefined);
  }

  close(): void {
    if (this.#isOpen) this.#socket.close();
    this.#isOpen = false;
  }
}

/** Another allocation on the same server, which the first one must permit as it permits the first. */
export class RelayedPeer extends Listening implements Peer {
  readonly #subject: Subject;

  constructor(subject: Subject, timer: Timer, pace: Pace) {
    super(timer, pace);
    this.#subject = subject;
    subject.client.onDelivery((delivery) => {
      if (delivery.type === 'indication') this.mail.put({ payload: delivery.payload, from: delivery.peer });
    });
  }

  get endpoint(): Endpoint {
    return this.#subject.relayed;
  }

  send(payload: Uint8Array, to: Endpoint): void {
    this.#subject.client.sendTo(to, payload);
  }

  close(): Promise<void> {
    return this.#subject.close();
  }
}
