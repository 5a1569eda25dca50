/** What a credential's limits still allow its allocations: two token buckets, and a byte quota on what its client is sent. */
import type { Limits } from '../plane.ts';

/**
 * A token bucket that holds one second's worth. Tokens are thousandths, so that whole milliseconds refill it in whole numbers.
 * It admits while anything is left and may go into debt by one packet: so a large packet passes a low rate now and then,
 * and the rate over any longer time is exact.
 */
class Bucket {
  readonly #perSecond: number;
  #tokens: number;
  #filledAt: number;

  constructor(perSecond: number, now: number) {
    this.#perSecond = perSecond;
    this.#tokens = perSecond * 1000;
    this.#filledAt = now;
  }

  admits(now: number): boolean {
    this.#tokens = Math.min(this.#perSecond * 1000, this.#tokens + (now - this.#filledAt) * this.#perSecond);
    this.#filledAt = now;
    return this.#tokens > 0;
  }

  take(amount: number): void {
    this.#tokens -= amount * 1000;
  }
}

/** What is left to the allocations of one credential; the members are Allowance's. */
export interface Budget {
  exceeded(framedBytes: number, now: number): 'packet_rate' | 'bit_rate' | undefined;
  reserve(bytes: number): boolean;
  leaveAtMost(bytes: bigint): void;
  refund(bytes: number): void;
  readonly spent: boolean;
  /** Nobody has it any more. */
  end?(): void;
}

/** A new budget; undefined when there is nothing to limit. */
export type MakeBudget = (limits: Limits, now: number) => Budget | undefined;

export class Allowance implements Budget {
  readonly #packets: Bucket | undefined;
  readonly #bits: Bucket | undefined;
  /** Bytes that may still be sent to the client. A quota beyond 2^53-1 (9 PB) is more than any credential's life can carry. */
  #bytesLeft: number;

  private constructor(limits: Limits, now: number) {
    const { packetsPerSecond, bitsPerSecond, bytes } = limits;
    this.#packets = packetsPerSecond === undefined ? undefined : new Bucket(packetsPerSecond, now);
    this.#bits = bitsPerSecond === undefined ? undefined : new Bucket(bitsPerSecond, now);
    this.#bytesLeft = bytes === undefined ? Number.POSITIVE_INFINITY : asNumber(bytes);
  }

  /** Undefined when there is nothing to limit. */
  static of(limits: Limits, now: number): Allowance | undefined {
    const limited = [limits.packetsPerSecond, limits.bitsPerSecond, limits.bytes].some((limit) => limit !== undefined);
    return limited ? new Allowance(limits, now) : undefined;
  }

  /** The rate that one more packet of `framedBytes` on the client side would exceed; if there is none it is charged. */
  exceeded(framedBytes: number, now: number): 'packet_rate' | 'bit_rate' | undefined {
    if (this.#packets?.admits(now) === false) return 'packet_rate';
    if (this.#bits?.admits(now) === false) return 'bit_rate';
    this.#packets?.take(1);
    this.#bits?.take(framedBytes * 8);
    return undefined;
  }

  /** Takes bytes for the client out of the quota before they are sent; false when they do not fit. Then nothing is taken. */
  reserve(bytes: number): boolean {
    if (bytes > this.#bytesLeft) return false;
    this.#bytesLeft -= bytes;
    return true;
  }

  /** What is left of the quota is no more than this. */
  leaveAtMost(bytes: bigint): void {
    this.#bytesLeft = Math.min(this.#bytesLeft, asNumber(bytes));
  }

  /** Puts back what was reserved for a packet that could not be sent. */
  refund(bytes: number): void {
    this.#bytesLeft += bytes;
  }

  get spent(): boolean {
    return this.#bytesLeft <= 0;
  }
}

export function asNumber(bytes: bigint): number {
  const most = BigInt(Number.MAX_SAFE_INTEGER);
  return Number(bytes < most ? bytes : most);
}
