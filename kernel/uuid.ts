/** RFC 9562 identifiers made from a passed-in clock and randomness. */
import type { Clock } from './clock.ts';
import type { Random } from './random.ts';

/** Octets of one id, until its text is made. */
const scratch = Buffer.allocUnsafeSlow(16);

function format(bytes: Buffer): string {
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** UUID version 7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, then 74 random bits; sorts by time of creation. */
export function uuidV7(clock: Clock, random: Random): string {
  const bytes = scratch;
  bytes.writeUIntBE(clock.now(), 0, 6);
  bytes.set(random.bytes(10), 6);
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  return format(bytes);
}
