/** Sets of things under names; a name with none is not kept. */
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
