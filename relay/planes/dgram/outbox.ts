/**
 * Packets on their way into the kernel, and what is counted when they got there. Node's callback of a send has no memory
 * of its own, so each slot carries one made once, and slots are used again and again: no closure for each packet.
 */
import type { Clock } from '../../../kernel/clock.ts';
import type { Sender, Sent } from '../client-leg.ts';
import type { CloseReason, PlaneEvent } from '../plane.ts';
import type { Allocation, Peer } from './allocation.ts';
import { CLIENT_TX, INTERNET, PEER_TX } from './counters.ts';
import type { ClassIndex, CounterRows } from './counters.ts';
import type { Drops } from './drops.ts';

/** Data to a client, data to a peer, or a STUN answer to a client. */
type Cargo = 'client' | 'peer' | 'control';

/** Room for what nearly every packet needs; larger ones get a buffer of their own. */
const SCRATCH_BYTES = 2048;
/** Errors that say something about the peer and not about us, as far as a platform shows them on a send. */
const UNREACHABLE = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN']);
/** Milliseconds between two `unreachable` events about the same peer address. */
const UNREACHABLE_INTERVAL = 1000;

/** Room for one packet, taken before it is written and used up by one `send…`. */
export class SendSlot {
  readonly sent: Sent;
  sender: Sender | undefined;
  cargo: Cargo = 'control';
  allocation: Allocation | undefined;
  peer: Peer | undefined;
  peerPort = 0;
  peerClass: ClassIndex = INTERNET;
  bytes = 0;
  #scratch: Buffer | undefined;

  constructor(settled: (slot: SendSlot, error: Error | null | undefined) => void) {
    this.sent = (error) => settled(this, error);
  }

  /** A buffer of exactly this many bytes, the slot's until its packet is sent. */
  room(bytes: number): Buffer {
    if (bytes > SCRATCH_BYTES || this.sender?.waitsBriefly !== true) return Buffer.allocUnsafe(bytes);
    this.#scratch ??= Buffer.allocUnsafeSlow(SCRATCH_BYTES);
    return this.#scratch.subarray(0, bytes);
  }
}

export interface OutboxParts {
  readonly clock: Clock;
  readonly counters: CounterRows;
  readonly drops: Drops;
  readonly emit: (event: PlaneEvent) => void;
  readonly end: (allocation: Allocation, reason: CloseReason) => void;
  /** A send of an allocation that is ending has settled. */
  readonly settled: (allocation: Allocation) => void;
}

export class Outbox {
  readonly #parts: OutboxParts;
  readonly #free: SendSlot[] = [];

  constructor(parts: OutboxParts) {
    this.#parts = parts;
  }

  /** Undefined, and the packet counted as dropped, when as much waits there as may. */
  take(sender: Sender, cargo: 'data' | 'answer'): SendSlot | undefined {
    if (sender.isFull(cargo)) {
      this.#parts.drops.count('overload');
      return undefined;
    }
    const slot = this.#free.pop() ?? new SendSlot((slot, error) => this.#settle(slot, error));
    slot.sender = sender;
    return slot;
  }

  /** Frames for the client of an allocation. `bytes` is the slot's room, or memory that nobody else touches. */
  sendToClient(slot: SendSlot, allocation: Allocation, peerClass: ClassIndex, bytes: Buffer): void {
    const { address, port } = allocation.client.client;
    slot.cargo = 'client';
    slot.peerClass = peerClass;
    this.#dispatch(slot, allocation, bytes, address, port);
  }

  sendToPeer(
    slot: SendSlot,
    allocation: Allocation,
    peerClass: ClassIndex,
    bytes: Buffer,
    peer: Peer,
    port: number,
  ): void {
    slot.cargo = 'peer';
    slot.peerClass = peerClass;
    slot.peer = peer;
    slot.peerPort = port;
    this.#dispatch(slot, allocation, bytes, peer.address, port);
  }

  /** A STUN answer; with an allocation it is counted as control. */
  sendAnswer(slot: SendSlot, allocation: Allocation | undefined, bytes: Buffer, address: string, port: number): void {
    slot.cargo = 'control';
    this.#dispatch(slot, allocation, bytes, address, port);
  }

  #dispatch(slot: SendSlot, allocation: Allocation | undefined, bytes: Buffer, address: string, port: number): void {
    const { sender } = slot;
    if (sender === undefined) return;
    slot.allocation = allocation;
    slot.bytes = bytes.length;
    if (allocation !== undefined) allocation.inFlight += 1;
    sender.send(bytes, address, port, slot.sent);
  }

  #settle(slot: SendSlot, reported: Error | null | undefined): void {
    const { sender, allocation } = slot;
    const error = sender?.settled(slot.bytes, reported) ?? null;
    if (error !== null) this.#failed(slot, error);
    else if (allocation !== undefined) this.#succeeded(slot, allocation);
    slot.sender = undefined;
    slot.allocation = undefined;
    slot.peer = undefined;
    this.#free.push(slot);
    if (allocation === undefined) return;
    allocation.inFlight -= 1;
    if (allocation.ending !== undefined) this.#parts.settled(allocation);
  }

  #succeeded(slot: SendSlot, allocation: Allocation): void {
    const { counters, end } = this.#parts;
    if (slot.cargo === 'peer') counters.count(allocation.row, slot.peerClass, PEER_TX, slot.bytes);
    else if (slot.cargo === 'control') counters.countControl(allocation.row, slot.bytes);
    else {
      counters.count(allocation.row, slot.peerClass, CLIENT_TX, slot.bytes);
      if (allocation.allowance?.spent === true) end(allocation, 'quota');
    }
  }

  #failed(slot: SendSlot, error: NodeJS.ErrnoException): void {
    const { clock, drops, emit } = this.#parts;
    const { allocation, peer } = slot;
    drops.count(error.code === 'EMSGSIZE' ? 'too_large' : 'send_failed');
    if (slot.cargo === 'client') allocation?.allowance?.refund(slot.bytes);
    if (allocation?.ending !== undefined || peer === undefined || !UNREACHABLE.has(error.code ?? '')) return;
    const now = clock.monotonic();
    if (allocation === undefined || now < peer.quietUntil) return;
    peer.quietUntil = now + UNREACHABLE_INTERVAL;
    emit({ type: 'unreachable', allocation: allocation.id, peer: { address: peer.address, port: slot.peerPort } });
  }
}
