/**
 * What the allocations of a credential that have ended had sent to its client, so that a byte quota is the credential's and not each
 * allocation's anew. Kept only for credentials that have a quota, until they can start nothing more.
 */

interface Spent {
  readonly bytes: bigint;
  /** Unix milliseconds. */
  readonly until: number;
}

/** Milliseconds between two walks over all of them. */
const SWEEP_EVERY = 60_000;

export class SpentBytes {
  readonly #byUsername = new Map<string, Spent>();
  #sweepAt = 0;

  get size(): number {
    return this.#byUsername.size;
  }

  of(username: string): bigint {
    return this.#byUsername.get(username)?.bytes ?? 0n;
  }

  /** `until`: Unix milliseconds after which the credential starts nothing new. */
  add(username: string, bytes: bigint, until: number): void {
    if (bytes > 0n) this.#byUsername.set(username, { bytes: this.of(username) + bytes, until });
  }

  /** Forgets, now and then, the credentials that are past their time. */
  sweep(now: number): void {
    if (now < this.#sweepAt) return;
    this.#sweepAt = now + SWEEP_EVERY;
    for (const [username, { until }] of this.#byUsername) if (until <= now) this.#byUsername.delete(username);
  }

  entries(): [username: string, bytes: bigint, until: number][] {
    return Array.from(this.#byUsername, ([username, { bytes, until }]) => [username, bytes, until]);
  }
}
