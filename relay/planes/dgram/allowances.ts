/** Allowances that the allocations of one credential share: its rates and its quota are of all of them together. */
import type { Limits } from '../plane.ts';
import { Allowance } from './allowance.ts';

interface Shared {
  readonly allowance: Allowance;
  holders: number;
}

export class Allowances {
  readonly #byCredential = new Map<string, Shared>();

  /** Credentials that have something to share. */
  get size(): number {
    return this.#byCredential.size;
  }

  /**
   * The one that the credential's allocations have already, whose quota is then at most what `limits` says; else a new one. Undefined
   * when there is nothing to limit.
   */
  take(credential: string, limits: Limits, now: number): Allowance | undefined {
    const shared = this.#byCredential.get(credential);
    if (shared !== undefined) {
      shared.holders += 1;
      if (limits.bytes !== undefined) shared.allowance.leaveAtMost(limits.bytes);
      return shared.allowance;
    }
    const allowance = Allowance.of(limits, now);
    if (allowance !== undefined) this.#byCredential.set(credential, { allowance, holders: 1 });
    return allowance;
  }

  /** Once for each `take` that gave an allowance. */
  release(credential: string): void {
    const shared = this.#byCredential.get(credential);
    if (shared === undefined) return;
    shared.holders -= 1;
    if (shared.holders === 0) this.#byCredential.delete(credential);
  }
}
