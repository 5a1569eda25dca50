/**
 * Whose the bytes of a server are that counts for itself alone, going by what its clients say that they received. The server's count
 * is what was sent, to the byte; what clients say only divides it.
 */
import { allocate } from '../../kernel/allocation.ts';

export interface Claim {
  /** Who received: a call. */
  readonly key: string;
  readonly bytes: bigint;
}

/** What the server counted in some time, and what its clients say that they received in it, each key once. */
export interface CountedWindow {
  readonly bytes: bigint;
  readonly claims: readonly Claim[];
}

export interface Share {
  readonly key: string;
  readonly bytes: bigint;
  /** What was claimed: more than `bytes` where all claims of a window together were above its count, and were scaled to it. */
  readonly claimed: bigint;
}

export interface Split {
  /** In order of their keys, each once. */
  readonly shares: readonly Share[];
  /** What nobody claims. */
  readonly residual: bigint;
}

/**
 * Each window on its own: claims are met in full while there is enough, else in proportion, to the byte. Shares and residual sum to
 * what was counted; the order of windows and claims does not matter.
 */
export function splitEgress(windows: readonly CountedWindow[]): Split {
  const shares = new Map<string, Share>();
  let residual = 0n;
  for (const { bytes: counted, claims } of windows) {
    // The order decides who gets the last byte.
    const inOrder = claims.toSorted(byKey);
    const claimed = inOrder.reduce((sum, { bytes }) => sum + bytes, 0n);
    const given = allocate(
      claimed < counted ? claimed : counted,
      inOrder.map(({ bytes }) => bytes),
    );
    residual += given.reduce((left, bytes) => left - bytes, counted);
    for (const [index, { bytes, key }] of inOrder.entries()) {
      const before = shares.get(key) ?? { bytes: 0n, claimed: 0n };
      shares.set(key, { key, bytes: before.bytes + (given[index] ?? 0n), claimed: before.claimed + bytes });
    }
  }
  return { shares: [...shares.values()].sort(byKey), residual };
}

const byKey = (one: { readonly key: string }, other: { readonly key: string }): number =>
  one.key < other.key ? -1 : one.key > other.key ? 1 : 0;
