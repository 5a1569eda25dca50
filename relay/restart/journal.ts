/**
 * Writes down, soon after it changed, what a successor needs to go on with an allocation: one entry for each that lives, replaced
 * as a whole. Off the packet path: a change only marks the allocation, and what is marked is written together a moment later.
 *
 * A client over TCP or TLS is gone with the process that held its connection, so nothing is written of its allocation.
 */
import type { AllocationId, Command } from '../planes/plane.ts';
import type { Instant } from '../turn/authenticator.ts';
import type { TurnCore } from '../turn/core.ts';
import type { AllocationState } from '../usage/meter.ts';

/** Milliseconds after a change within which it is handed to the disk; a process killed in between leaves what was before it. */
export const JOURNAL_DELAY = 20;
/** Milliseconds between two slices of writing, and allocations of one: a few milliseconds' work. */
const PAUSE = 3;
const SLICE = 100;

export interface JournalOptions {
  readonly core: Pick<TurnCore, 'allocation' | 'written'>;
  readonly keep: (states: readonly AllocationState[]) => void;
  readonly now: () => Instant;
}

export class Journal {
  readonly #options: JournalOptions;
  readonly #changed = new Set<AllocationId>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: JournalOptions) {
    this.#options = options;
  }

  /** Whether an allocation is one that a successor can go on with. */
  keeps(id: AllocationId): boolean {
    const allocation = this.#options.core.allocation(id);
    return allocation?.state === 'live' && allocation.fiveTuple.transport === 'udp';
  }

  /** An allocation has begun, or begun again. */
  opened(id: AllocationId): void {
    if (this.keeps(id)) this.#mark(id);
  }

  /** Commands of the core, each of which is a change, but for answers. */
  commanded(commands: readonly Command[]): void {
    for (const command of commands) {
      if (command.type !== 'send' && this.keeps(command.allocation)) this.#mark(command.allocation);
    }
  }

  /** Hands everything over now. Later changes are written as ever. */
  flush(): void {
    while (this.#changed.size > 0) this.#write();
    this.#rest();
  }

  #mark(id: AllocationId): void {
    this.#changed.add(id);
    this.#timer ??= setTimeout(() => this.#turn(), JOURNAL_DELAY);
  }

  #turn(): void {
    this.#write();
    this.#timer = this.#changed.size === 0 ? undefined : setTimeout(() => this.#turn(), PAUSE);
  }

  #rest(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #write(): void {
    const at = this.#options.now();
    const states: AllocationState[] = [];
    for (const allocation of this.#changed) {
      if (states.length === SLICE) break;
      this.#changed.delete(allocation);
      const written = this.#options.core.written(allocation, at);
      if (written !== undefined) states.push({ allocation, text: JSON.stringify(written) });
    }
    if (states.length > 0) this.#options.keep(states);
  }
}
