/** Allowances that the allocations of one credential share: its rates and its quota are of all of them together. */
import type { Limits } from '../plane.ts';
import type { Budget, MakeBudget } from './allowance.ts';

interface Shared {
  readonly allowance: Budget;
  holders: number;
}

export class Allowances {
  readonly #byCredential = new Map<string, Shared>();
  readonly #make: MakeBudget;

  constructor(make: MakeBudget) {
    this.#make = make;
  }

  /** Credentials that have something to share. */
  get size(): number {
    return this.#byCredential.size;
  }

  /**
   * The one that the credential's allocations have already, whose quota is then at most what `limits` says; else a new one. Undefined
   * when there is nothing to limit.
   */
  take(credential: string, limits: Limits, now: number): Budget | undefined {
    const shared = this.#byCredential.get(credential);
    if (shared !== undefined) {
      shared.holders += 1;
      if (limits.bytes !== undefined) shared.allowance.leaveAtMost(limits.bytes);
      return shared.allowance;
    }
    const allowance = this.#make(limits, now);
    if (allowance !== undefined) this.#byCredential.set(credential, { allowance, holders: 1 });
    return allowance;
  }

  /** Once for each `take` that gave an allowance. */
  release(credential: string): void {
    const shared = this.#byCredential.get(credential);
    if (shared === undefined) return;
    shared.holders -= 1;
    if (shared.holders > 0) return;
    this.#byCredential.delete(credential);
    shared.allowance.end?.();
  }
}
