/**
 * Shares a whole among weights without losing or inventing a unit: each gets its exact share rounded down, and what is
 * left goes one by one to the largest remainders, the earlier weight first among equals (Hamilton's method).
 * Shares sum to `total`. While `total` is at most the sum of the weights, no share exceeds its weight. With no weight
 * at all, nothing is shared.
 */
export function allocate(total: bigint, weights: readonly bigint[]): bigint[] {
  const sum = weights.reduce((left, right) => left + right, 0n);
  if (sum === 0n) return weights.map(() => 0n);
  const shares = weights.map((weight) => (total * weight) / sum);
  let left = total - shares.reduce((one, other) => one + other, 0n);
  const byRemainder = weights
    .map((weight, index) => ({ index, remainder: (total * weight) % sum }))
    .sort((one, other) =>
      one.remainder === other.remainder ? one.index - other.index : one.remainder > other.remainder ? -1 : 1,
    );
  for (const { index } of byRemainder) {
    if (left === 0n) break;
    shares[index] = (shares[index] ?? 0n) + 1n;
    left -= 1n;
  }
  return shares;
}
