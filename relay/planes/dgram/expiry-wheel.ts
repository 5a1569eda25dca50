/**
 * Deadlines of everything that ends by itself, in one hashed timing wheel (Varghese and Lauck 1987, scheme 6): to set,
 * to move and to cancel cost a few pointer writes each, however many there are, and a tick looks only at the slots
 * that time has passed since the last one. A deadline further away than one turn waits in its slot for the right turn.
 */

const SLOT_MILLISECONDS = 1000;
const SLOT_COUNT = 1024;

/** A moment that something ends at. It has passed as soon as the clock shows it: alive means `now < at`. */
export class Deadline {
  /** Monotonic milliseconds; -Infinity while it has never been set or was cancelled. */
  at = Number.NEGATIVE_INFINITY;
  readonly passed: () => void;
  /** The wheel's own: neighbours in the slot's ring, undefined outside any. */
  previous: Deadline | undefined;
  next: Deadline | undefined;

  /** `passed` is called by the wheel's `advance`, once for each time the deadline was set and reached. */
  constructor(passed: () => void) {
    this.passed = passed;
  }
}

const nothing = () => undefined;

export class ExpiryWheel {
  /** Each slot is a ring closed by a sentinel that is never due. */
  readonly #slots: readonly Deadline[];
  /** Number of the newest slot looked at; nothing is ever put behind it. */
  #turned: number;

  constructor(now: number) {
    this.#turned = slotOf(now);
    this.#slots = Array.from({ length: SLOT_COUNT }, () => {
      const sentinel = new Deadline(nothing);
      sentinel.previous = sentinel;
      sentinel.next = sentinel;
      return sentinel;
    });
  }

  /** Sets or moves a deadline. One that is past already is reached at the next `advance`. */
  set(deadline: Deadline, at: number): void {
    unlink(deadline);
    deadline.at = at;
    const slot = this.#slots[Math.max(slotOf(at), this.#turned) % SLOT_COUNT];
    // An infinite deadline has no slot, and needs none.
    if (slot === undefined) return;
    deadline.previous = slot.previous;
    deadline.next = slot;
    if (slot.previous !== undefined) slot.previous.next = deadline;
    slot.previous = deadline;
  }

  /** Takes a deadline back; it counts as passed from now on, without its `passed` being called. */
  cancel(deadline: Deadline): void {
    unlink(deadline);
    deadline.at = Number.NEGATIVE_INFINITY;
  }

  /** Calls `passed` of everything due by `now`. What one of them cancels or moves is not called. */
  advance(now: number): void {
    const target = slotOf(now);
    const due: Deadline[] = [];
    for (let turn = Math.max(this.#turned, target - SLOT_COUNT + 1); turn <= target; turn += 1) {
      const slot = this.#slots[turn % SLOT_COUNT];
      if (slot === undefined) continue;
      for (let entry = slot.next; entry !== undefined && entry !== slot; entry = entry.next) {
        if (entry.at <= now) due.push(entry);
      }
    }
    this.#turned = Math.max(this.#turned, target);
    for (const deadline of due) {
      if (deadline.next === undefined || deadline.at > now) continue;
      unlink(deadline);
      deadline.passed();
    }
  }
}

function slotOf(at: number): number {
  return Math.floor(at / SLOT_MILLISECONDS);
}

function unlink(deadline: Deadline): void {
  if (deadline.previous !== undefined) deadline.previous.next = deadline.next;
  if (deadline.next !== undefined) deadline.next.previous = deadline.previous;
  deadline.previous = undefined;
  deadline.next = undefined;
}
