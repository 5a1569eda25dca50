/**
 * Network conditions that a credential asks for: what a packet meets on its way over the client's leg, in one direction. A
 * bottleneck of so many kilobits a second with a short queue, then loss, then delay and jitter. Packets keep their order, as they
 * do on nearly every path: one that is delayed less than the one before waits for it.
 *
 * Pure: time and randomness come in. The same packets at the same times meet the same fate for the same randomness.
 */
import type { Random } from '../../kernel/random.ts';
import type { Impairment } from '../contract.ts';

/** Milliseconds of traffic that wait in front of the bottleneck; what comes on top is lost, as in a router's queue. */
export const QUEUE_MILLISECONDS = 300;

export class ImpairedPath {
  readonly #loss: number;
  readonly #delay: number;
  readonly #jitter: number;
  /** Bits a millisecond. */
  readonly #rate: number;
  readonly #random: Random;
  /** Monotonic milliseconds at which the bottleneck is through with what it has. */
  #busyUntil = Number.NEGATIVE_INFINITY;
  /** At which the packet before arrives. */
  #arrival = Number.NEGATIVE_INFINITY;

  constructor({ lossPercent = 0, delayMs = 0, jitterMs = 0, rateKbps }: Impairment, random: Random) {
    this.#loss = lossPercent / 100;
    this.#delay = delayMs;
    this.#jitter = jitterMs;
    this.#rate = rateKbps ?? Number.POSITIVE_INFINITY;
    this.#random = random;
  }

  /** When a packet of so many octets that sets out at `now` arrives (monotonic milliseconds); undefined when it is lost. */
  arrival(octets: number, now: number): number | undefined {
    const queued = Math.max(this.#busyUntil, now);
    if (queued - now > QUEUE_MILLISECONDS) return undefined;
    this.#busyUntil = queued + (octets * 8) / this.#rate;
    // Both are drawn for every packet, so that a change of one figure does not change what the other does.
    const lost = this.#draw() < this.#loss;
    const sway = (2 * this.#draw() - 1) * this.#jitter;
    if (lost) return undefined;
    this.#arrival = Math.max(this.#arrival, this.#busyUntil + Math.max(0, this.#delay + sway));
    return this.#arrival;
  }

  /** Uniform in [0, 1). */
  #draw(): number {
    return this.#random.bytes(4).readUInt32BE(0) / 2 ** 32;
  }
}
