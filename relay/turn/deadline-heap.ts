/** What has a deadline, soonest first: a binary heap whose items know their place, so that moving one costs O(log n). */
export interface Timed {
  /** Monotonic milliseconds. Changed only through `DeadlineHeap.move`. */
  deadline: number;
  /** The item's place in its heap, -1 outside. The heap's own business. */
  slot: number;
}

export class DeadlineHeap<T extends Timed> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  /** The item whose deadline comes first. */
  first(): T | undefined {
    return this.#items[0];
  }

  add(item: T): void {
    this.#items.push(item);
    item.slot = this.#items.length - 1;
    this.#rise(item);
  }

  /** Gives an item of this heap another deadline. */
  move(item: T, deadline: number): void {
    item.deadline = deadline;
    this.#rise(item);
    this.#sink(item);
  }

  /** Takes an item out; nothing happens when it is not in. */
  remove(item: T): void {
    const { slot } = item;
    if (slot < 0) return;
    item.slot = -1;
    const last = this.#items.pop();
    if (last === undefined || last === item) return;
    this.#put(last, slot);
    this.#rise(last);
    this.#sink(last);
  }

  #put(item: T, slot: number): void {
    this.#items[slot] = item;
    item.slot = slot;
  }

  #rise(item: T): void {
    for (;;) {
      const above = this.#items[(item.slot - 1) >> 1];
      if (item.slot === 0 || above === undefined || above.deadline <= item.deadline) return;
      this.#swap(item, above);
    }
  }

  #sink(item: T): void {
    for (;;) {
      const left = this.#items[item.slot * 2 + 1];
      const right = this.#items[item.slot * 2 + 2];
      const below = left !== undefined && right !== undefined && right.deadline < left.deadline ? right : left;
      if (below === undefined || below.deadline >= item.deadline) return;
      this.#swap(item, below);
    }
  }

  #swap(one: T, other: T): void {
    const { slot } = one;
    this.#put(one, other.slot);
    this.#put(other, slot);
  }
}
