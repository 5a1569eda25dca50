/** How the counters lie in the engine's memory and in its file, in words of 64 bits: addon/counters.hpp, addon/engine.hpp. */
import type { Row } from '../dgram/counters.ts';
import type { AllocationId } from '../plane.ts';

/** Words of a row, and rows of drops in front of the first. */
export const ROW_WORDS = 32;
const DROP_ROWS = 256;
export const ROW_BYTES = ROW_WORDS * 8;
/** Where in a row its allocation's id stands, two words: they are 0 in a row that nobody has had yet. */
const ID = 26;
const UUID = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/;

/** The first word of a row. */
export function rowAt(row: Row): number {
  return (DROP_ROWS + row) * ROW_WORDS;
}

/** The id of the allocation whose row begins at this word. */
export function idOf(words: BigUint64Array, first: number): AllocationId | undefined {
  const high = words[first + ID] ?? 0n;
  const low = words[first + ID + 1] ?? 0n;
  if (high === 0n && low === 0n) return undefined;
  const digits = ((high << 64n) | low).toString(16).padStart(32, '0');
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** Says whose the row is from now on. An id that is no UUID leaves it nobody's. */
export function writeId(words: BigUint64Array, first: number, id: AllocationId): void {
  const isUuid = UUID.test(id);
  const digits = (from: number, to: number) => (isUuid ? Number.parseInt(id.slice(from, to), 16) : 0);
  // In halves, the lower one first, as both sides read the words: no bigint is made of them.
  const halves = new Uint32Array(words.buffer, words.byteOffset + (first + ID) * 8, 4);
  halves[0] = digits(9, 13) * 0x1_0000 + digits(14, 18);
  halves[1] = digits(0, 8);
  halves[2] = digits(28, 36);
  halves[3] = digits(19, 23) * 0x1_0000 + digits(24, 28);
}
