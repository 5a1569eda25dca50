/**
 * Relay ports that were closed a moment ago. Peers go on sending for a while after a call, and what they send must not
 * reach the next owner of the port.
 */
import type { Family } from '../../../kernel/address.ts';
import type { Clock } from '../../../kernel/clock.ts';
import { Deadline } from './expiry-wheel.ts';
import type { ExpiryWheel } from './expiry-wheel.ts';

export class PortQuarantine {
  readonly #clock: Clock;
  readonly #wheel: ExpiryWheel;
  readonly #milliseconds: number;
  readonly #freed: (family: Family, port: number) => void;
  readonly #ports = { 4: new Map<number, Deadline>(), 6: new Map<number, Deadline>() };

  /** `freed` hears of each port whose time is over. */
  constructor(
    clock: Clock,
    wheel: ExpiryWheel,
    milliseconds: number,
    freed: (family: Family, port: number) => void = () => undefined,
  ) {
    this.#freed = freed;
    this.#clock = clock;
    this.#wheel = wheel;
    this.#milliseconds = milliseconds;
  }

  add(family: Family, port: number): void {
    const deadline = this.#ports[family].get(port) ?? new Deadline(() => this.#free(family, port));
    this.#ports[family].set(port, deadline);
    this.#wheel.set(deadline, this.#clock.monotonic() + this.#milliseconds);
  }

  holds(family: Family, port: number): boolean {
    const deadline = this.#ports[family].get(port);
    return deadline !== undefined && deadline.at > this.#clock.monotonic();
  }

  #free(family: Family, port: number): void {
    this.#ports[family].delete(port);
    this.#freed(family, port);
  }
}
