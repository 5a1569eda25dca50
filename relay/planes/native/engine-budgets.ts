/** Budgets in the engine's memory, so that allocations of one credential share theirs on whichever threads they are. */
import { asNumber } from '../dgram/allowance.ts';
import type { Budget } from '../dgram/allowance.ts';
import type { Limits } from '../plane.ts';
import type { Addon, Engine } from './addon.ts';

/** As addon/addon.cpp numbers them, and addon/allowance.hpp what is exceeded. */
const questions = { exceeded: 0, reserve: 1, refund: 2, leaveAtMost: 3, spent: 4 } as const;

const rates = [undefined, 'packet_rate', 'bit_rate'] as const;

type Ask = (question: keyof typeof questions, amount: number, now?: number) => number;

export class EngineBudgets {
  readonly #addon: Addon;
  readonly #engine: Engine;
  readonly #free: number[] = [];
  #unused = 1;

  constructor(addon: Addon, engine: Engine) {
    this.#addon = addon;
    this.#engine = engine;
  }

  make({ packetsPerSecond, bitsPerSecond, bytes }: Limits): Budget | undefined {
    if (packetsPerSecond === undefined && bitsPerSecond === undefined && bytes === undefined) return undefined;
    const index = this.#free.pop() ?? this.#unused;
    if (index === this.#unused) this.#unused += 1;
    const quota = bytes === undefined ? -1 : asNumber(bytes);
    this.#addon.limit(this.#engine, index, packetsPerSecond ?? -1, bitsPerSecond ?? -1, quota);
    const ask: Ask = (question, amount, now = 0) =>
      this.#addon.allows(this.#engine, index, questions[question], amount, now);
    return new EngineBudget(index, ask, () => this.#free.push(index));
  }
}

class EngineBudget implements Budget {
  readonly index: number;
  readonly end: () => void;
  readonly #ask: Ask;

  constructor(index: number, ask: Ask, end: () => void) {
    this.index = index;
    this.#ask = ask;
    this.end = end;
  }

  exceeded(framedBytes: number, now: number): 'packet_rate' | 'bit_rate' | undefined {
    return rates[this.#ask('exceeded', framedBytes, now)];
  }

  reserve(bytes: number): boolean {
    return this.#ask('reserve', bytes) === 1;
  }

  refund(bytes: number): void {
    this.#ask('refund', bytes);
  }

  leaveAtMost(bytes: bigint): void {
    this.#ask('leaveAtMost', asNumber(bytes));
  }

  get spent(): boolean {
    return this.#ask('spent', 0) === 1;
  }
}

/** Where the engine finds a budget; 0 is none. */
export function indexOf(budget: Budget | undefined): number {
  return budget instanceof EngineBudget ? budget.index : 0;
}
