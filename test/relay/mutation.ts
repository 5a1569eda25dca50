/** Byte-level mutations for fuzzing, out of a seed: the same seed makes the same inputs, so that a failure can be repeated. */
import { randomBelow, seededRandom } from '../../kernel/random.ts';
import type { Random } from '../../kernel/random.ts';

/** Values that lengths and counts go wrong at. */
const EDGES = [0x00, 0x01, 0x03, 0x04, 0x7f, 0x80, 0xfe, 0xff];

export class Mutator {
  readonly #random: Random;

  constructor(seed: string) {
    this.#random = seededRandom(seed);
  }

  below(bound: number): number {
    return randomBelow(this.#random, Math.max(1, bound));
  }

  pick<T>(from: readonly T[]): T {
    const picked = from[this.below(from.length)];
    if (picked === undefined) throw new RangeError('nothing to pick from');
    return picked;
  }

  /** A sample changed in one to six places: bits, octets, 16-bit words, cut, grown, doubled, joined with another one. */
  of(samples: readonly Uint8Array[]): Buffer {
    let bytes: Buffer = Buffer.from(this.pick(samples));
    for (let rounds = 1 + this.below(6); rounds > 0; rounds -= 1) bytes = this.#changed(bytes, samples);
    return bytes;
  }

  #changed(bytes: Buffer, samples: readonly Uint8Array[]): Buffer {
    const at = this.below(bytes.length);
    switch (this.below(8)) {
      case 0:
        if (bytes.length > 0) bytes[at] = (bytes[at] ?? 0) ^ (1 << this.below(8));
        return bytes;
      case 1:
        if (bytes.length > 0) bytes[at] = this.below(256);
        return bytes;
      case 2:
        if (bytes.length > 1)
          bytes.writeUInt16BE((this.pick(EDGES) << 8) | this.pick(EDGES), Math.min(at, bytes.length - 2));
        return bytes;
      case 3:
        return bytes.subarray(0, at);
      case 4:
        return Buffer.concat([bytes, this.#random.bytes(this.below(40))]);
      case 5:
        return Buffer.concat([bytes.subarray(0, at), bytes.subarray(this.below(bytes.length))]).subarray(0, 70_000);
      case 6:
        return Buffer.concat([bytes.subarray(0, at), Buffer.from(this.pick(samples))]).subarray(0, 70_000);
      default:
        // Keeps what a decoder looks at first true, so that the rest is reached: a STUN length that fits.
        if (bytes.length >= 20) bytes.writeUInt16BE((bytes.length - 20) & 0xfffc, 2);
        return bytes.subarray(0, bytes.length >= 20 ? 20 + ((bytes.length - 20) & ~3) : bytes.length);
    }
  }
}
