/** About how many bytes a value of JSON, or maps of such, keeps in memory. */
export function sizeOf(value: unknown): number {
  if (typeof value === 'string') return 2 * value.length + 16;
  if (typeof value !== 'object' || value === null) return 8;
  let size = 32;
  const entries: Iterable<readonly [unknown, unknown]> = value instanceof Map ? value : Object.entries(value);
  for (const [key, member] of entries) size += sizeOf(key) + sizeOf(member);
  return size;
}
