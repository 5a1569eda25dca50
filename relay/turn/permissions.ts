/** The permissions of one allocation (RFC 8656 §9): peer addresses without ports, each with its deadline. */

/** Milliseconds a permission lives, neither more nor less. */
export const PERMISSION_LIFETIME = 300_000;

export class Permissions {
  readonly #deadlines = new Map<string, number>();
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#deadlines.size;
  }

  isLive(address: string, now: number): boolean {
    return (this.#deadlines.get(address) ?? Number.NEGATIVE_INFINITY) > now;
  }

  /** Whether all of these addresses would fit. Looks through the dead ones only when it would be full. */
  hasRoom(addresses: ReadonlySet<string>, now: number): boolean {
    if (this.#deadlines.size + addresses.size <= this.#most) return true;
    for (const [address, deadline] of this.#deadlines) if (deadline <= now) this.#deadlines.delete(address);
    const fresh = [...addresses].filter((address) => !this.#deadlines.has(address));
    return this.#deadlines.size + fresh.length <= this.#most;
  }

  /** How many of these addresses it does not know, neither alive nor lately dead. */
  newAmong(addresses: ReadonlySet<string>): number {
    let count = 0;
    for (const address of addresses) if (!this.#deadlines.has(address)) count += 1;
    return count;
  }

  /** Installs or refreshes; returns the new deadline. */
  install(address: string, now: number): number {
    const deadline = now + PERMISSION_LIFETIME;
    this.#deadlines.set(address, deadline);
    return deadline;
  }

  /** What it knows, dead ones included, for a snapshot. */
  entries(): [address: string, deadline: number][] {
    return [...this.#deadlines];
  }

  /** Takes an entry of a snapshot back. */
  restore(address: string, deadline: number): void {
    this.#deadlines.set(address, deadline);
  }
}
