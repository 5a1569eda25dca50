/**
 * Cumulative 64-bit counters in one block of memory. Adding is integer arithmetic on two 32-bit words with a carry, exact
 * up to 2^64 and without a bigint (which V8 allocates) or a double (which is exact only to 2^53) on the packet path;
 * reading sees the same memory as one bigint.
 */

/** Which of two neighbouring 32-bit words is the low one on this machine. */
const LOW = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1 ? 0 : 1;
const HIGH = 1 - LOW;

export class U64Array {
  #values: BigUint64Array;
  #words: Uint32Array;

  constructor(length: number) {
    this.#values = new BigUint64Array(length);
    this.#words = new Uint32Array(this.#values.buffer);
  }

  get length(): number {
    return this.#values.length;
  }

  /** Adds an integer amount, 0 ≤ amount < 2^32. */
  add(index: number, amount: number): void {
    const low = index * 2 + LOW;
    const before = this.#words[low] ?? 0;
    const after = (before + amount) >>> 0;
    this.#words[low] = after;
    if (after < before) {
      const high = index * 2 + HIGH;
      this.#words[high] = (this.#words[high] ?? 0) + 1;
    }
  }

  get(index: number): bigint {
    return this.#values[index] ?? 0n;
  }

  set(index: number, value: bigint): void {
    this.#values[index] = value;
  }

  /** Σ of every `stride`-th value from `first` on, modulo 2^64. Words are summed apart: exact for two million values. */
  sum(first: number, stride: number): bigint {
    let low = 0;
    let high = 0;
    for (let word = first * 2; word < this.#words.length; word += stride * 2) {
      low += this.#words[word + LOW] ?? 0;
      high += this.#words[word + HIGH] ?? 0;
    }
    return BigInt.asUintN(64, (BigInt(high) << 32n) + BigInt(low));
  }

  /** Makes room for more values; those there are keep their index. */
  grow(length: number): void {
    const values = new BigUint64Array(length);
    values.set(this.#values);
    this.#values = values;
    this.#words = new Uint32Array(values.buffer);
  }
}
