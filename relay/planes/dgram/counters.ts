/** Byte and packet counters of all allocations, one row each, in one block of memory. */
import { peerClasses } from '../plane.ts';
import type { AllocationId, ClassCounters, Counters, PeerClass } from '../plane.ts';
import { U64Array } from './u64-array.ts';

/** A peer class by its place in `peerClasses`. */
export const INTERNET = 0;
export const OWN_RELAY = 1;
export const SFU = 2;
export type ClassIndex = typeof INTERNET | typeof OWN_RELAY | typeof SFU;

/** A leg and direction by its place in a row; packets stand LEGS places behind bytes. */
export const CLIENT_RX = 0;
export const CLIENT_TX = 1;
export const PEER_RX = 2;
export const PEER_TX = 3;
export type Leg = typeof CLIENT_RX | typeof CLIENT_TX | typeof PEER_RX | typeof PEER_TX;

const LEGS = 4;
const PER_CLASS = 2 * LEGS;
const CONTROL = PER_CLASS * peerClasses.length;
/** Values in a row. */
export const ROW = CONTROL + 1;
const FIRST_ROWS = 64;

/** Where an allocation's counters begin. */
export type Row = number;

/** Where the counters of allocations are kept. A row that is given back leaves what it had counted in the totals. */
export interface CounterRows {
  /** A row of zeros for an allocation; undefined when there is no more. */
  acquire(id: AllocationId): Row | undefined;
  release(row: Row): void;
  count(row: Row, peerClass: ClassIndex, leg: Leg, bytes: number): void;
  countControl(row: Row, bytes: number): void;
  read(row: Row): Counters;
  totals(): Counters;
}

export class CounterSlab implements CounterRows {
  readonly #values = new U64Array(ROW * FIRST_ROWS);
  readonly #free: Row[] = [];
  /** The first row holds what allocations of the past had counted. */
  #unused: Row = ROW;

  /** A row of zeros. */
  acquire(): Row {
    const row = this.#free.pop() ?? this.#unused;
    if (row === this.#unused) this.#unused += ROW;
    if (row + ROW > this.#values.length) this.#values.grow(this.#values.length * 2);
    return row;
  }

  /** Gives a row back; what it had counted stays in the totals. */
  release(row: Row): void {
    for (let offset = 0; offset < ROW; offset += 1) {
      this.#values.set(offset, this.#values.get(offset) + this.#values.get(row + offset));
      this.#values.set(row + offset, 0n);
    }
    this.#free.push(row);
  }

  /** Counts one packet. */
  count(row: Row, peerClass: ClassIndex, leg: Leg, bytes: number): void {
    const index = row + peerClass * PER_CLASS + leg;
    this.#values.add(index, bytes);
    this.#values.add(index + LEGS, 1);
  }

  countControl(row: Row, bytes: number): void {
    this.#values.add(row + CONTROL, bytes);
  }

  read(row: Row): Counters {
    return countersFrom((offset) => this.#values.get(row + offset));
  }

  /** What all rows together have counted, past ones included. */
  totals(): Counters {
    return countersFrom((offset) => this.#values.sum(offset, ROW));
  }
}

/** Counters out of a row's values by their place in it. */
export function countersFrom(value: (offset: number) => bigint): Counters {
  const classAt = (first: number): ClassCounters => ({
    clientRxBytes: value(first + CLIENT_RX),
    clientTxBytes: value(first + CLIENT_TX),
    peerRxBytes: value(first + PEER_RX),
    peerTxBytes: value(first + PEER_TX),
    clientRxPackets: value(first + LEGS + CLIENT_RX),
    clientTxPackets: value(first + LEGS + CLIENT_TX),
    peerRxPackets: value(first + LEGS + PEER_RX),
    peerTxPackets: value(first + LEGS + PEER_TX),
  });
  const classes: Record<PeerClass, ClassCounters> = {
    internet: classAt(INTERNET * PER_CLASS),
    own_relay: classAt(OWN_RELAY * PER_CLASS),
    sfu: classAt(SFU * PER_CLASS),
  };
  return { classes, clientControlTxBytes: value(CONTROL) };
}
