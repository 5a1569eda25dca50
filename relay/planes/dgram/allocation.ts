/**
 * One allocation as the packet path sees it. Nothing here is judged by whether it is still in a map: every use compares a
 * deadline with the packet's own time, maps are only swept by the wheel.
 */
import { parseAddress } from '../../../kernel/address.ts';
import type { Endpoint, Family, FiveTuple } from '../../../kernel/address.ts';
import type { ClientLeg } from '../client-leg.ts';
import type { AllocationId, CloseReason } from '../plane.ts';
import type { Waiting } from '../delay-queue.ts';
import type { ImpairedPath } from '../impairment.ts';
import type { Budget } from './allowance.ts';
import type { ClassIndex, Row } from './counters.ts';
import type { UdpSocket } from './datagram-socket.ts';
import { Deadline } from './expiry-wheel.ts';
import type { ExpiryWheel } from './expiry-wheel.ts';

/** The policy's answer for one peer endpoint, as a class index; DENIED = never. */
export const DENIED = -1;
export type Verdict = ClassIndex | typeof DENIED;

/** A peer address with its permission and the channels bound to its ports. */
export interface Peer {
  readonly address: string;
  /** The address as 4 or 16 octets, for Data indications. */
  readonly octets: Uint8Array;
  /** Passed = no permission, whatever channels there are (RFC 8656 §12.1: they last longer). */
  readonly permission: Deadline;
  readonly channels: Map<number, Channel>;
  /** The policy's verdict by port, for a few ports. Asked again after each permit and bind, so that a new policy is heard. */
  readonly verdicts: Map<number, Verdict>;
  /** Monotonic milliseconds before which no further `unreachable` is reported. */
  quietUntil: number;
}

export interface Channel {
  readonly number: number;
  readonly peer: Peer;
  readonly port: number;
  readonly deadline: Deadline;
}

export interface AllocationParts {
  readonly id: AllocationId;
  readonly app: string;
  readonly credential: string;
  readonly client: FiveTuple;
  /** Where the client's frames come from and go to. */
  readonly leg: ClientLeg;
  readonly relay: UdpSocket;
  /** The relayed transport address as the world sees it. */
  readonly relayed: Endpoint;
  readonly row: Row;
  readonly allowance: Budget | undefined;
  readonly impairment: ImpairedLeg | undefined;
}

/** Who moves the packets of an allocation elsewhere, and must know what is permitted. */
export interface Mirror {
  extend(deadline: number): void;
  permit(address: string, deadline: number): void;
  revoke(address: string): void;
  bind(channel: number, peer: Endpoint, deadline: number): void;
  unbind(channel: number): void;
}

/** The client's leg in both directions, for a credential that asks for network conditions. */
export interface ImpairedLeg {
  readonly fromClient: ImpairedPath;
  readonly toClient: ImpairedPath;
}

export class Allocation implements Waiting {
  readonly id: AllocationId;
  readonly app: string;
  readonly credential: string;
  readonly client: FiveTuple;
  readonly leg: ClientLeg;
  readonly relay: UdpSocket;
  readonly relayed: Endpoint;
  readonly family: Family;
  readonly row: Row;
  readonly allowance: Budget | undefined;
  readonly impairment: ImpairedLeg | undefined;
  mirror: Mirror | undefined;
  /** The same client's allocation of the other family. */
  sibling: Allocation | undefined;
  waitingOctets = 0;
  readonly deadline: Deadline;
  /** Sends of this allocation that the kernel has not answered yet; its counters are not final before they are. */
  inFlight = 0;
  /** Set once it has begun to end: nothing is relayed any more. */
  ending: CloseReason | undefined;
  relayClosed = false;
  readonly #wheel: ExpiryWheel;
  readonly #peers = new Map<string, Peer>();
  readonly #channels = new Map<number, Channel>();

  constructor(parts: AllocationParts, wheel: ExpiryWheel, onExpired: (allocation: Allocation) => void) {
    this.id = parts.id;
    this.app = parts.app;
    this.credential = parts.credential;
    this.client = parts.client;
    this.leg = parts.leg;
    this.relay = parts.relay;
    this.relayed = parts.relayed;
    this.family = parts.relay.family;
    this.row = parts.row;
    this.allowance = parts.allowance;
    this.impairment = parts.impairment;
    this.#wheel = wheel;
    this.deadline = new Deadline(() => onExpired(this));
  }

  /** The peer if there is a permission or a channel for its address, alive or not. */
  peer(address: string): Peer | undefined {
    return this.#peers.get(address);
  }

  /** The channel of that number, alive or not. */
  channel(number: number): Channel | undefined {
    return this.#channels.get(number);
  }

  extend(deadline: number): void {
    this.#wheel.set(this.deadline, deadline);
    this.mirror?.extend(deadline);
  }

  permit(address: string, deadline: number): void {
    const peer = this.#peerFor(address);
    if (peer === undefined) return;
    peer.verdicts.clear();
    this.#wheel.set(peer.permission, deadline);
    this.mirror?.permit(address, deadline);
  }

  revoke(address: string): void {
    const peer = this.#peers.get(address);
    if (peer === undefined) return;
    this.#wheel.cancel(peer.permission);
    this.#sweep(peer);
    this.mirror?.revoke(address);
  }

  /** Binds a channel, in the place of whatever had its number or its peer endpoint. */
  bind(number: number, endpoint: Endpoint, deadline: number): void {
    this.#bind(number, endpoint, deadline);
    this.mirror?.bind(number, endpoint, deadline);
  }

  #bind(number: number, endpoint: Endpoint, deadline: number): void {
    const bound = this.#channels.get(number);
    if (bound !== undefined && bound.peer.address === endpoint.address && bound.port === endpoint.port) {
      bound.peer.verdicts.clear();
      this.#wheel.set(bound.deadline, deadline);
      return;
    }
    this.unbind(number);
    const peer = this.#peerFor(endpoint.address);
    if (peer === undefined) return;
    const rival = peer.channels.get(endpoint.port);
    const channel: Channel = { number, peer, port: endpoint.port, deadline: new Deadline(() => this.unbind(number)) };
    this.#channels.set(number, channel);
    peer.channels.set(endpoint.port, channel);
    peer.verdicts.clear();
    this.#wheel.set(channel.deadline, deadline);
    if (rival !== undefined) this.#forget(rival);
  }

  unbind(number: number): void {
    const channel = this.#channels.get(number);
    if (channel === undefined) return;
    channel.peer.channels.delete(channel.port);
    this.#forget(channel);
    this.#sweep(channel.peer);
    this.mirror?.unbind(number);
  }

  /** Takes every deadline off the wheel. */
  clear(): void {
    this.#wheel.cancel(this.deadline);
    for (const peer of this.#peers.values()) this.#wheel.cancel(peer.permission);
    for (const channel of this.#channels.values()) this.#wheel.cancel(channel.deadline);
    this.#peers.clear();
    this.#channels.clear();
  }

  #peerFor(address: string): Peer | undefined {
    const known = this.#peers.get(address);
    if (known !== undefined) return known;
    const octets = parseAddress(address);
    if (octets === undefined) return undefined;
    const peer: Peer = {
      address,
      octets,
      permission: new Deadline(() => this.revoke(address)),
      channels: new Map(),
      verdicts: new Map(),
      quietUntil: Number.NEGATIVE_INFINITY,
    };
    this.#peers.set(address, peer);
    return peer;
  }

  #forget(channel: Channel): void {
    this.#wheel.cancel(channel.deadline);
    this.#channels.delete(channel.number);
  }

  #sweep(peer: Peer): void {
    if (peer.channels.size === 0 && peer.permission.at === Number.NEGATIVE_INFINITY) this.#peers.delete(peer.address);
  }
}
