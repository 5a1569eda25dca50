/** How the counters lie in the engine's memory and in its file, in words of 64 bits: addon/counters.hpp, addon/engine.hpp. */
import type { Row } from '../dgram/counters.ts';
import type { AllocationId } from '../plane.ts';

/** Words of a row, and rows of drops in front of the first. */
export const ROW_WORDS = 32;
const DROP_ROWS = 256;
export const ROW_BYTES = ROW_WORDS * 8;
/** Where in a row its allocation's id stands, two words: they are 0 in a row that nobody has had yet. */
const ID = 26;

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
  const digits = Buffer.from(id.replaceAll('-', ''), 'hex');
  const isUuid = digits.length === 16 && id.length === 36;
  words[first + ID] = isUuid ? digits.readBigUInt64BE(0) : 0n;
  words[first + ID + 1] = isUuid ? digits.readBigUInt64BE(8) : 0n;
}
