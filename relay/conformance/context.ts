/** What a check works with: clients, peers and time. Everything it opens is closed when it has ended. */
import type { Endpoint, Family } from '../../kernel/address.ts';
import { familyOf } from '../../kernel/address.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { Random } from '../../kernel/random.ts';
import { openDatagramLink } from '../client/datagram-link.ts';
import type { OpenLink } from '../client/open-link.ts';
import type { Credentials, Requests } from '../client/requests.ts';
import type { Transport } from '../client/server-url.ts';
import { pause, type Timer } from '../client/timer.ts';
import { TurnClient } from '../client/turn-client.ts';
import { Unable } from './check.ts';
import { type Peer, RelayedPeer, SocketPeer } from './peer.ts';
import { PortProbe } from './port-probe.ts';
import { type Pace, Subject } from './subject.ts';

/** Public addresses (of example.com). */
const bystanders: Readonly<Record<Family, string>> = {
  4: '93.184.216.34',
  6: '2606:2800:220:1:248:1893:25c8:1946',
};

/** A peer to name in requests, to which nothing is ever sent. */
export function bystander(family: Family, port: number): Endpoint {
  return { address: bystanders[family], port };
}

export type PeerKind = 'socket' | 'relayed' | { readonly none: string };

export interface Ground {
  readonly transport: Transport;
  readonly open: OpenLink;
  readonly credentials: Credentials;
  /** A second user of the same server, for checks that need one. */
  readonly other: Credentials | undefined;
  readonly clock: Clock;
  readonly timer: Timer;
  /** Lets so many milliseconds of the server's time pass. */
  readonly wait: (milliseconds: number) => Promise<void>;
  readonly pace: Pace;
  /** What serves as a peer here; found out once. */
  readonly peerKind: () => Promise<PeerKind>;
}

export class Context {
  readonly random: Random;
  readonly #ground: Ground;
  readonly #opened: { close(): Promise<void> | void }[] = [];

  constructor(ground: Ground, random: Random) {
    this.#ground = ground;
    this.random = random;
  }

  get transport(): Transport {
    return this.#ground.transport;
  }

  get credentials(): Credentials {
    return this.#ground.credentials;
  }

  /** Long enough for what was written to a stream to have left. */
  breathe(): Promise<void> {
    return pause(this.#ground.timer, this.#ground.pace.grace);
  }

  wait(milliseconds: number): Promise<void> {
    return this.#ground.wait(milliseconds);
  }

  /** Octets that nobody else sends. */
  payload(length: number): Buffer {
    return this.random.bytes(length);
  }

  /** A client of whom the server knows nothing. */
  async stranger(credentials: Credentials = this.#ground.credentials): Promise<Subject> {
    const { clock, timer, pace } = this.#ground;
    const link = await this.#ground.open();
    const client = new TurnClient({ link, credentials, clock, timer, random: this.random, patience: pace.patience });
    const subject = new Subject(client, this.random, timer, pace);
    this.#opened.push(subject);
    return subject;
  }

  /** A client that has been challenged and signs what it asks. */
  async known(credentials?: Credentials): Promise<Subject> {
    const subject = await this.stranger(credentials);
    await subject.introduce();
    return subject;
  }

  /** A client with an allocation. */
  async allocated(build?: (requests: Requests) => Uint8Array): Promise<Subject> {
    const subject = await this.known();
    await subject.allocate(build);
    return subject;
  }

  /** Credentials of the second user. */
  otherUser(): Credentials {
    const { other } = this.#ground;
    if (other === undefined) throw new Unable('needs the credentials of a second user');
    return other;
  }

  /** Somebody for this client to talk with, who can be reached by and can reach its relayed address. */
  async peer(of: Subject): Promise<Peer> {
    const kind = await this.#ground.peerKind();
    if (typeof kind === 'object') throw new Unable(kind.none);
    return kind === 'socket' ? this.socketPeer(of) : this.relayedPeer(of);
  }

  async socketPeer(of: Subject): Promise<Peer> {
    const { timer, pace } = this.#ground;
    const { local, remote } = of.client.link;
    if (familyOf(local.address) !== familyOf(of.relayed.address))
      throw new Unable('no address of the relayed family here');
    const peer = await SocketPeer.open(local.address, timer, pace);
    this.#opened.push(peer);
    if (of.seenAs.address !== local.address) {
      // Behind a NAT: how the peer looks from outside, and a way back in from the relayed address.
      await peer.learnMapping(remote, of.requests);
      peer.send(Buffer.alloc(1), of.relayed);
    }
    return peer;
  }

  async relayedPeer(of: Subject): Promise<Peer> {
    const subject = await this.allocated();
    await subject.permit(of.relayed);
    return new RelayedPeer(subject, this.#ground.timer, this.#ground.pace);
  }

  /** A peer to name in requests, with whom nobody talks: on our own address where the server allows that. */
  async target(of: Subject, port = 40_000): Promise<Endpoint> {
    const family = familyOf(of.relayed.address);
    const isOwn = (await this.#ground.peerKind()) === 'socket' && familyOf(of.seenAs.address) === family;
    return isOwn ? { address: of.seenAs.address, port } : bystander(family, port);
  }

  /** Somebody who can tell whether a UDP port is closed, where the network tells it. */
  async probe(at: Endpoint): Promise<PortProbe> {
    const link = await openDatagramLink(at);
    this.#opened.push(link);
    return new PortProbe(link, this.#ground.timer, this.#ground.pace);
  }

  async close(): Promise<void> {
    await Promise.all(this.#opened.splice(0).map(async (opened) => opened.close()));
  }
}
