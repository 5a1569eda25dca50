/** Time as a parameter. `now` is Unix time in milliseconds; `monotonic` never steps back, in milliseconds from an arbitrary start. */
export interface Clock {
  now(): number;
  monotonic(): number;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
};

/** A clock that a test moves by hand. Both readings advance together. */
export class ManualClock implements Clock {
  #now: number;
  #monotonic = 0;
  constructor(start: number) {
    this.#now = start;
  }
  now(): number {
    return this.#now;
  }
  monotonic(): number {
    return this.#monotonic;
  }
  advance(milliseconds: number): void {
    this.#now += milliseconds;
    this.#monotonic += milliseconds;
  }
}
