/**
 * What may take the sockets of UDP clients and the packets of their allocations off this plane's hands. The plane stays the one
 * that obeys the core, knows every allocation and ends them; who offloads moves packets by what it is told, and hands up the rest:
 * STUN control, and the data of clients whose allocations it does not have.
 */
import type { Endpoint, Family } from '../../../kernel/address.ts';
import type { CloseReason, Command } from '../plane.ts';
import type { MakeBudget } from './allowance.ts';
import type { Allocation } from './allocation.ts';
import type { CounterRows } from './counters.ts';
import type { UdpSocket } from './datagram-socket.ts';

export interface OffloadEvents {
  /** The one who moves its packets ends an allocation. */
  readonly ended: (allocation: Allocation, reason: CloseReason) => void;
  /** A payload of an allocation that is offloaded, for one that is not. `family` and `port` are those of its relay socket. */
  readonly hop: (allocation: Allocation, family: Family, port: number, payload: Buffer) => void;
}

export interface Offload {
  readonly name: string;
  readonly counters: CounterRows;
  readonly makeBudget: MakeBudget;
  /** Opens a UDP listener, before `start`; returns why it cannot be had. Its `message` is called with what is handed up. */
  listen(at: Endpoint): UdpSocket | Error;
  start(events: OffloadEvents): void;
  /** Whether packets of such an allocation can be moved there at all. */
  takes(command: Command & { type: 'open' }): boolean;
  /** A relay socket for an allocation that it takes. */
  bind(at: Endpoint): UdpSocket | Error;
  /** An allocation begins, whoever moves its packets. Nothing is offloaded whose relay socket is not its own. */
  begin(allocation: Allocation, deadline: number): void;
  /**
   * No packet finds the allocation any more; `isLast`: its client has no other. `done` is called when nothing of it is under way and its counters
   * are final.
   */
  end(allocation: Allocation, isLast: boolean, done: () => void): void;
  /** Whether something of ours is at this port of an own address, so that no peer is there. */
  service(port: number, isOurs: boolean): void;
  /** Packets dropped there, by the index of the reason in `dropReasons`. */
  dropped(reason: number): bigint;
  /** Ends every thread and socket; the counters stay readable. */
  stop(): void;
}
