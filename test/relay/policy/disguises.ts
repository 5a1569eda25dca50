/** Addresses of a range, and the spellings under which an IPv4 address can travel inside an IPv6 one. */
import * as fc from 'fast-check';
import { parseCidr } from '../../../kernel/address.ts';
import type { Cidr } from '../../../kernel/address.ts';

export function cidr(text: string): Cidr {
  const parsed = parseCidr(text);
  if (parsed === undefined) throw new Error(`bad range in a test: ${text}`);
  return parsed;
}

const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0'));

/** Every spelling under which an IPv4 address can travel inside an IPv6 one. */
export const encodings: Record<string, (v4: Uint8Array) => string> = {
  'IPv4-mapped': (v4) => `::ffff:${v4.join('.')}`,
  'IPv4-compatible': (v4) => `::${v4.join('.')}`,
  'IPv4-translated': (v4) => `::ffff:0:${v4.join('.')}`,
  NAT64: (v4) => `64:ff9b::${v4.join('.')}`,
  'NAT64 local use, 96 bits': (v4) => `64:ff9b:1:fffe::${v4.join('.')}`,
  'NAT64 local use, 64 bits': (v4) => {
    const [a, b, c, d] = hex(v4);
    return `64:ff9b:1:1:00${a}:${b}${c}:${d}00:0`;
  },
  'NAT64 local use, 56 bits': (v4) => {
    const [a, b, c, d] = hex(v4);
    return `64:ff9b:1:12${a}:00${b}:${c}${d}:0:0`;
  },
  'NAT64 local use, 48 bits': (v4) => {
    const [a, b, c, d] = hex(v4);
    return `64:ff9b:1:${a}${b}:00${c}:${d}00:0:0`;
  },
  '6to4': (v4) => {
    const [a, b, c, d] = hex(v4);
    return `2002:${a}${b}:${c}${d}::1`;
  },
  'Teredo client': (v4) => {
    const [a, b, c, d] = hex(v4.map((byte) => byte ^ 0xff));
    return `2001:0:808:808:0:1:${a}${b}:${c}${d}`;
  },
  'Teredo server': (v4) => {
    const [a, b, c, d] = hex(v4);
    return `2001:0:${a}${b}:${c}${d}:0:1:f7f7:f7f7`;
  },
  ISATAP: (v4) => `2606:4700:1:2:0:5efe:${v4.join('.')}`,
  'ISATAP, universal bit': (v4) => `2606:4700:1:2:200:5efe:${v4.join('.')}`,
};

/** An address of the range: its prefix, the rest at random. */
export function inside(range: Cidr): fc.Arbitrary<Uint8Array> {
  const width = range.bytes.length;
  return fc.uint8Array({ minLength: width, maxLength: width }).map((noise) =>
    noise.map((byte, index) => {
      const fixed = Math.min(8, Math.max(0, range.prefix - index * 8));
      const mask = (0xff << (8 - fixed)) & 0xff;
      return ((range.bytes[index] ?? 0) & mask) | (byte & ~mask & 0xff);
    }),
  );
}
