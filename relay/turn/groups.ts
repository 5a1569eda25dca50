/** Things under names, as sets and as mere counts; a name with none is not kept. */
const nobody: ReadonlySet<never> = new Set();

export class Groups<T> {
  readonly #sets = new Map<string, Set<T>>();

  get size(): number {
    return this.#sets.size;
  }

  of(name: string): ReadonlySet<T> {
    return this.#sets.get(name) ?? nobody;
  }

  add(name: string, item: T): void {
    const set = this.#sets.get(name);
    if (set === undefined) this.#sets.set(name, new Set([item]));
    else set.add(item);
  }

  remove(name: string, item: T): void {
    const set = this.#sets.get(name);
    set?.delete(item);
    if (set?.size === 0) this.#sets.delete(name);
  }
}

export class Tally {
  readonly #counts = new Map<string, number>();

  get size(): number {
    return this.#counts.size;
  }

  of(name: string): number {
    // Nobody has a reservation most of the time: then no name is hashed.
    return this.#counts.size === 0 ? 0 : (this.#counts.get(name) ?? 0);
  }

  add(name: string): void {
    this.#counts.set(name, this.of(name) + 1);
  }

  remove(name: string): void {
    const left = this.of(name) - 1;
    if (left > 0) this.#counts.set(name, left);
    else this.#counts.delete(name);
  }
}
