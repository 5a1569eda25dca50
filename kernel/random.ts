/** Randomness as a parameter, so that the same input gives the same output in a test. */
import { createHash, randomBytes } from 'node:crypto';

export interface Random {
  /** `length` unpredictable bytes. */
  bytes(length: number): Buffer;
}

export const systemRandom: Random = { bytes: (length) => randomBytes(length) };

/** A reproducible stream for tests and simulations: SHA-256 in counter mode over the seed. Never for secrets. */
export function seededRandom(seed: string): Random {
  let counter = 0;
  let pool = Buffer.alloc(0);
  return {
    bytes(length) {
      while (pool.length < length) {
        pool = Buffer.concat([pool, createHash('sha256').update(`${seed}:${counter}`).digest()]);
        counter += 1;
      }
      const taken = Buffer.from(pool.subarray(0, length));
      pool = pool.subarray(length);
      return taken;
    },
  };
}

/** A uniform integer in [0, bound), bound ≤ 2^32, by rejection. */
export function randomBelow(random: Random, bound: number): number {
  const limit = 2 ** 32 - (2 ** 32 % bound);
  for (;;) {
    const value = random.bytes(4).readUInt32BE(0);
    if (value < limit) return value % bound;
  }
}
