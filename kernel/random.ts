/** Randomness as a parameter, so that the same input gives the same output in a test. */
import { createHash, randomBytes, randomFillSync } from 'node:crypto';

export interface Random {
  /** `length` unpredictable bytes. */
  bytes(length: number): Buffer;
}

/** Identifiers and ports are short and many: the generator is asked for thousands of octets at once. Keys are longer, and their own. */
const SHORT = 16;
const pool = Buffer.alloc(4096);
let used = pool.length;

function shortBytes(length: number): Buffer {
  if (used + length > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const from = used;
  used += length;
  const taken = Buffer.from(pool.subarray(from, used));
  // What was given once is nowhere else.
  pool.fill(0, from, used);
  return taken;
}

export const systemRandom: Random = {
  bytes: (length) => (length > SHORT ? randomBytes(length) : shortBytes(length)),
};

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
