/** Packets that were not relayed and answers that could not be sent, by reason; cumulative over the plane's life. */
import { dropReasons } from '../plane.ts';
import type { DropReason } from '../plane.ts';
import { U64Array } from './u64-array.ts';

const indexOf = Object.fromEntries(dropReasons.map((reason, index) => [reason, index])) as Record<DropReason, number>;

export class Drops {
  readonly #values = new U64Array(dropReasons.length);

  count(reason: DropReason): void {
    this.#values.add(indexOf[reason], 1);
  }

  /** With what was dropped elsewhere, by the index of the reason. */
  read(elsewhere: (reason: number) => bigint = () => 0n): Record<DropReason, bigint> {
    const entries = dropReasons.map((reason, index) => [reason, this.#values.get(index) + elsewhere(index)] as const);
    return Object.fromEntries(entries) as Record<DropReason, bigint>;
  }
}
