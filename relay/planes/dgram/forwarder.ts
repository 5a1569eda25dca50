/**
 * The packet path: what one datagram or frame from a client or a peer becomes (RFC 8656 §11, §12). Per packet there are a few map
 * look-ups, no promise, no closure and no walk over anything.
 *
 * Counting. Received bytes (client_rx, peer_rx) count once a packet has passed its own allocation's rules: deadlines,
 * permission, channel, peer policy, limits. Sent bytes (client_tx, peer_tx) count once the kernel has taken them; the
 * one-hop delivery to another allocation of this relay counts as sent once that allocation's rules have let it in. Every
 * packet that is not relayed counts under exactly one drop reason. A permission or channel past its deadline is none at
 * all (no_permission, no_channel), swept or not; `expired` is an allocation that has not been ended yet.
 */
import type { RemoteInfo } from 'node:dgram';
import { familyOf } from '../../../kernel/address.ts';
import type { Endpoint } from '../../../kernel/address.ts';
import type { Clock } from '../../../kernel/clock.ts';
import {
  CHANNEL_DATA_HEADER_LENGTH,
  channelDataLength,
  channelNumberOf,
  isChannelData,
  writeChannelDataHeader,
} from '../../stun/channel-data.ts';
import { dataIndicationLength, encodeDataIndication } from '../../stun/data-indication.ts';
import { headerFault, padded } from '../../stun/header.ts';
import { emptySendIndication, isSendIndication, parseSendIndication } from '../../stun/send-indication.ts';
import type { ClientLeg } from '../client-leg.ts';
import type { DelayQueue } from '../delay-queue.ts';
import type { CloseReason, DropReason, PlaneEvent } from '../plane.ts';
import { DENIED } from './allocation.ts';
import type { Allocation, Channel, ImpairedLeg, Peer } from './allocation.ts';
import { CLIENT_RX, OWN_RELAY, PEER_RX, PEER_TX } from './counters.ts';
import type { ClassIndex, CounterRows } from './counters.ts';
import { canonicalSource } from './datagram-socket.ts';
import type { UdpSocket } from './datagram-socket.ts';
import type { Drops } from './drops.ts';
import type { ForwardingTable } from './forwarding-table.ts';
import type { Outbox, SendSlot } from './outbox.ts';
import type { TransactionIds } from './transaction-ids.ts';

/** A payload on its way: `length` octets of the received datagram or frame `bytes`, from `start` on, judged at `now`. */
interface Passage {
  bytes: Buffer;
  start: number;
  length: number;
  now: number;
}

export interface ForwarderParts {
  readonly clock: Clock;
  readonly table: ForwardingTable;
  readonly counters: CounterRows;
  readonly drops: Drops;
  readonly outbox: Outbox;
  readonly delayed: DelayQueue;
  readonly transactionIds: TransactionIds;
  readonly emit: (event: PlaneEvent) => void;
  readonly end: (allocation: Allocation, reason: CloseReason) => void;
}

export class Forwarder {
  readonly #parts: ForwarderParts;
  /** Both are used again for every packet: nothing on this path waits. */
  readonly #indication = emptySendIndication();
  readonly #passage: Passage = { bytes: Buffer.alloc(0), start: 0, length: 0, now: 0 };

  constructor(parts: ForwarderParts) {
    this.#parts = parts;
  }

  /** A datagram from outside on a listener. */
  fromListener(listener: UdpSocket, bytes: Buffer, source: RemoteInfo): void {
    const address = canonicalSource(source.address, listener.family);
    if (address === undefined) return this.#drop('malformed');
    return this.fromClient(listener, bytes, address, source.port);
  }

  /** A datagram or frame of the client with this endpoint. */
  fromClient(leg: ClientLeg, bytes: Buffer, address: string, port: number): void {
    const allocation = this.#parts.table.client(leg, address, port);
    if (isChannelData(bytes) || isSendIndication(bytes)) return this.#dataFromClient(allocation, bytes);
    if (headerFault(bytes) !== undefined) return this.#drop('malformed');
    const { transport, local } = leg;
    const from = allocation?.client ?? { transport, client: { address, port }, server: local };
    this.#parts.emit({ type: 'control', from, bytes });
    return undefined;
  }

  /** A datagram from outside on an allocation's relay socket. */
  fromPeer(allocation: Allocation, bytes: Buffer, source: RemoteInfo): void {
    const { clock, table } = this.#parts;
    const now = clock.monotonic();
    if (allocation.deadline.at <= now) return this.#drop('expired');
    const address = canonicalSource(source.address, allocation.family);
    const peer = address === undefined ? undefined : allocation.peer(address);
    if (peer === undefined || peer.permission.at <= now) return this.#drop('no_permission');
    const peerClass = table.judge(allocation, peer, source.port);
    if (peerClass === DENIED) return this.#drop('peer_denied');
    const passage = this.#carry(bytes, 0, bytes.length, now);
    this.#toClient(allocation, peer, source.port, peerClass, passage);
    return undefined;
  }

  /**
   * A payload for another allocation of this relay, out of an allocation whose packets are moved elsewhere: all of its own rules
   * are met, and what came from its client is counted.
   */
  toNeighbour(allocation: Allocation, neighbour: Endpoint, payload: Buffer): void {
    const passage = this.#carry(payload, 0, payload.length, this.#parts.clock.monotonic());
    this.#toNeighbour(allocation, neighbour.address, neighbour.port, passage);
  }

  #dataFromClient(found: Allocation | undefined, bytes: Buffer): void {
    if (found === undefined) return this.#drop('no_allocation');
    const now = this.#parts.clock.monotonic();
    const allocation = found.sibling === undefined ? found : this.#meant(found, found.sibling, bytes, now);
    if (allocation.deadline.at <= now) return this.#drop('expired');
    if (allocation.impairment === undefined) return this.#admitted(allocation, bytes, now);
    const at = allocation.impairment.fromClient.arrival(bytes.length, now);
    if (at === undefined) return this.#drop('impaired');
    if (at <= now) return this.#admitted(allocation, bytes, now);
    // The buffer is the socket's and is used again.
    const copy = Buffer.from(bytes);
    const kept = this.#parts.delayed.add(at, allocation, copy.length, () => this.#arrived(allocation, copy));
    return kept ? undefined : this.#drop('overload');
  }

  /** Which of a client's two allocations its data is for: the one that has the channel, or relays in the family of the peer. */
  #meant(one: Allocation, other: Allocation, bytes: Buffer, now: number): Allocation {
    if (isChannelData(bytes)) {
      const channel = one.channel(channelNumberOf(bytes));
      return channel !== undefined && channel.deadline.at > now ? one : other;
    }
    const indication = this.#indication;
    const isReadable = parseSendIndication(bytes, indication) === undefined;
    return isReadable && familyOf(indication.address) !== one.family ? other : one;
  }

  /** A delayed packet meets the rules of the moment at which it arrives. */
  #arrived(allocation: Allocation, bytes: Buffer): void {
    const now = this.#parts.clock.monotonic();
    if (allocation.ending !== undefined) return this.#drop('no_allocation');
    if (allocation.deadline.at <= now) return this.#drop('expired');
    return this.#admitted(allocation, bytes, now);
  }

  #admitted(allocation: Allocation, bytes: Buffer, now: number): void {
    return isChannelData(bytes)
      ? this.#channelData(allocation, bytes, now)
      : this.#sendIndication(allocation, bytes, now);
  }

  #channelData(allocation: Allocation, bytes: Buffer, now: number): void {
    const length = channelDataLength(bytes);
    if (length < 0) return this.#drop('malformed');
    const channel = allocation.channel(channelNumberOf(bytes));
    if (channel === undefined || channel.deadline.at <= now) return this.#drop('no_channel');
    const passage = this.#carry(bytes, CHANNEL_DATA_HEADER_LENGTH, length, now);
    return this.#toPeer(allocation, channel.peer, channel.port, passage);
  }

  #sendIndication(allocation: Allocation, bytes: Buffer, now: number): void {
    const indication = this.#indication;
    if (parseSendIndication(bytes, indication) !== undefined) return this.#drop('malformed');
    const peer = allocation.peer(indication.address);
    if (peer === undefined) return this.#drop('no_permission');
    const passage = this.#carry(bytes, indication.dataStart, indication.dataEnd - indication.dataStart, now);
    return this.#toPeer(allocation, peer, indication.port, passage);
  }

  /** From the allocation's client; what it sent is the whole of `passage.bytes`. */
  #toPeer(allocation: Allocation, peer: Peer, port: number, passage: Passage): void {
    const { counters, outbox, table } = this.#parts;
    const { bytes, start, length, now } = passage;
    if (peer.permission.at <= now) return this.#drop('no_permission');
    const peerClass = table.judge(allocation, peer, port);
    if (peerClass === DENIED) return this.#drop('peer_denied');
    const exceeded = allocation.allowance?.exceeded(bytes.length, now);
    if (exceeded !== undefined) return this.#drop(exceeded);
    counters.count(allocation.row, peerClass, CLIENT_RX, bytes.length);
    if (peerClass === OWN_RELAY) return this.#toNeighbour(allocation, peer.address, port, passage);
    const slot = outbox.take(allocation.relay, 'data');
    if (slot === undefined) return undefined;
    return outbox.sendToPeer(slot, allocation, peerClass, bytes.subarray(start, start + length), peer, port);
  }

  /** One hop: straight to the client of the allocation whose relayed address the peer is. */
  #toNeighbour(allocation: Allocation, address: string, port: number, passage: Passage): void {
    const { counters, table } = this.#parts;
    const neighbour = table.relayed(address, port);
    if (neighbour === undefined) return this.#drop('peer_denied');
    if (neighbour.deadline.at <= passage.now) return this.#drop('expired');
    const { relayed } = allocation;
    const back = neighbour.peer(relayed.address);
    if (back === undefined || back.permission.at <= passage.now) return this.#drop('no_permission');
    if (this.#toClient(neighbour, back, relayed.port, OWN_RELAY, passage)) {
      counters.count(allocation.row, OWN_RELAY, PEER_TX, passage.length);
    }
    return undefined;
  }

  /** Returns whether the allocation's limits let the packet in. A packet that then fails is counted as dropped here. */
  #toClient(allocation: Allocation, peer: Peer, port: number, peerClass: ClassIndex, passage: Passage): boolean {
    const { counters, end, outbox } = this.#parts;
    const { allowance, leg } = allocation;
    const bound = peer.channels.get(port);
    const channel = bound !== undefined && bound.deadline.at > passage.now ? bound : undefined;
    const framed = framedLength(leg, channel, peer, passage.length);
    const fits = framed <= leg.largestFrame;
    if (allowance !== undefined && fits) {
      const exceeded =
        allowance.exceeded(framed, passage.now) ?? (allowance.reserve(framed) ? undefined : 'byte_quota');
      if (exceeded === 'byte_quota') end(allocation, 'quota');
      if (exceeded !== undefined) {
        this.#drop(exceeded);
        return false;
      }
    }
    counters.count(allocation.row, peerClass, PEER_RX, passage.length);
    if (!fits) {
      this.#drop('too_large');
      return true;
    }
    if (allocation.impairment !== undefined) {
      const payload = passage.bytes.subarray(passage.start, passage.start + passage.length);
      const frame = this.#framed(Buffer.allocUnsafe(framed), channel, peer, port, payload);
      this.#overImpairedLeg(allocation, allocation.impairment, peerClass, frame, passage.now);
      return true;
    }
    const slot = outbox.take(leg, 'data');
    if (slot === undefined) allowance?.refund(framed);
    else outbox.sendToClient(slot, allocation, peerClass, this.#frame(slot, channel, peer, port, framed, passage));
    return true;
  }

  /** `frame` is memory of its own. */
  #overImpairedLeg(
    allocation: Allocation,
    { toClient }: ImpairedLeg,
    peerClass: ClassIndex,
    frame: Buffer,
    now: number,
  ): void {
    const send = () => {
      if (allocation.ending !== undefined) return this.#drop('no_allocation');
      const slot = this.#parts.outbox.take(allocation.leg, 'data');
      if (slot === undefined) allocation.allowance?.refund(frame.length);
      else this.#parts.outbox.sendToClient(slot, allocation, peerClass, frame);
      return undefined;
    };
    const at = toClient.arrival(frame.length, now);
    if (at !== undefined && at <= now) return send();
    const kept = at !== undefined && this.#parts.delayed.add(at, allocation, frame.length, send);
    if (kept) return undefined;
    allocation.allowance?.refund(frame.length);
    return this.#drop(at === undefined ? 'impaired' : 'overload');
  }

  /** Frames a copy of the payload. */
  #framed(frame: Buffer, channel: Channel | undefined, peer: Peer, port: number, payload: Buffer): Buffer {
    if (channel === undefined) {
      encodeDataIndication(frame, 0, this.#parts.transactionIds.next(), peer.octets, port, payload);
      return frame;
    }
    frame.set(payload, CHANNEL_DATA_HEADER_LENGTH);
    return frameChannelData(frame, channel, payload.length);
  }

  #frame(
    slot: SendSlot,
    channel: Channel | undefined,
    peer: Peer,
    port: number,
    framed: number,
    { bytes, start, length }: Passage,
  ): Buffer {
    const header = start - CHANNEL_DATA_HEADER_LENGTH;
    if (channel !== undefined && header >= 0 && header + framed <= bytes.length) {
      // There was a header in front of the payload when it came in: the new one takes its place and nothing is copied.
      const frame = bytes.subarray(header, header + framed);
      return frameChannelData(frame, channel, length);
    }
    return this.#framed(slot.room(framed), channel, peer, port, bytes.subarray(start, start + length));
  }

  #carry(bytes: Buffer, start: number, length: number, now: number): Passage {
    const passage = this.#passage;
    passage.bytes = bytes;
    passage.start = start;
    passage.length = length;
    passage.now = now;
    return passage;
  }

  #drop(reason: DropReason): undefined {
    this.#parts.drops.count(reason);
    return undefined;
  }
}

function framedLength(leg: ClientLeg, channel: Channel | undefined, peer: Peer, length: number): number {
  if (channel !== undefined) return CHANNEL_DATA_HEADER_LENGTH + (leg.padsFrames ? padded(length) : length);
  return dataIndicationLength(peer.octets.length === 4 ? 4 : 6, length);
}

/** Writes what comes before and after a payload that lies in its place already. */
function frameChannelData(frame: Buffer, channel: Channel, length: number): Buffer {
  writeChannelDataHeader(frame, 0, channel.number, length);
  const end = CHANNEL_DATA_HEADER_LENGTH + length;
  if (end < frame.length) frame.fill(0, end);
  return frame;
}
