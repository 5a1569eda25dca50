/**
 * IPv4 addresses inside IPv6 ones. A packet to `::ffff:127.0.0.1`, `2002:7f00:1::` or `64:ff9b::7f00:1` can end at
 * 127.0.0.1, so a peer is judged by every IPv4 address that its IPv6 address could stand for.
 */

type Extract = (address: Uint8Array) => Uint8Array[];

interface Embedding {
  readonly name: string;
  matches(address: Uint8Array): boolean;
  readonly extract: Extract;
}

const startsWith = (address: Uint8Array, ...prefix: number[]): boolean =>
  prefix.every((byte, index) => address[index] === byte);

const isZero = (address: Uint8Array, from: number, to: number): boolean =>
  address.subarray(from, to).every((byte) => byte === 0);

const pick = (address: Uint8Array, ...indexes: number[]): Uint8Array =>
  Uint8Array.from(indexes, (index) => address[index] ?? 0);

const lastFour: Extract = (address) => [address.subarray(12, 16)];

/**
 * RFC 6052 §2.2 below 64:ff9b:1::/48, where the operator's own prefix may be 48, 56, 64 or 96 bits long. Each layout
 * shorter than 96 has its suffix (and bits 64 to 71) zero; every layout that fits the address is read. The 96-bit one is
 * left out only where it would read 0.0.0.0 out of the suffix of another.
 */
const localNat64: Extract = (address) => {
  const found: Uint8Array[] = [];
  if (address[8] === 0) {
    if (isZero(address, 11, 16)) found.push(pick(address, 6, 7, 9, 10));
    if (isZero(address, 12, 16)) found.push(pick(address, 7, 9, 10, 11));
    if (isZero(address, 13, 16)) found.push(pick(address, 9, 10, 11, 12));
  }
  if (found.length === 0 || !isZero(address, 12, 16)) found.push(address.subarray(12, 16));
  return found;
};

const embeddings: readonly Embedding[] = [
  {
    name: 'IPv4-mapped ::ffff:0:0/96 (RFC 4291 §2.5.5.2)',
    matches: (address) => isZero(address, 0, 10) && address[10] === 0xff && address[11] === 0xff,
    extract: lastFour,
  },
  {
    name: 'IPv4-compatible ::/96 (RFC 4291 §2.5.5.1); :: and ::1 are addresses of their own',
    matches: (address) => isZero(address, 0, 12) && !(isZero(address, 12, 15) && (address[15] ?? 0) <= 1),
    extract: lastFour,
  },
  {
    name: 'IPv4-translated ::ffff:0:0:0/96 (RFC 2765)',
    matches: (address) =>
      isZero(address, 0, 8) && address[8] === 0xff && address[9] === 0xff && isZero(address, 10, 12),
    extract: lastFour,
  },
  {
    name: 'NAT64 64:ff9b::/96 (RFC 6052)',
    matches: (address) => startsWith(address, 0x00, 0x64, 0xff, 0x9b) && isZero(address, 4, 12),
    extract: lastFour,
  },
  {
    name: 'NAT64 local use 64:ff9b:1::/48 (RFC 8215)',
    matches: (address) => startsWith(address, 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01),
    extract: localNat64,
  },
  {
    name: '6to4 2002::/16 (RFC 3056)',
    matches: (address) => startsWith(address, 0x20, 0x02),
    extract: (address) => [address.subarray(2, 6)],
  },
  {
    name: 'Teredo 2001::/32 (RFC 4380 §4): server in the clear, client inverted',
    matches: (address) => startsWith(address, 0x20, 0x01, 0x00, 0x00),
    extract: (address) => [address.subarray(4, 8), address.subarray(12, 16).map((byte) => byte ^ 0xff)],
  },
  {
    name: 'ISATAP, interface identifier ::5efe:a.b.c.d under any prefix (RFC 5214 §6.1)',
    matches: (address) =>
      ((address[8] ?? 0) & 0xfc) === 0 && address[9] === 0 && address[10] === 0x5e && address[11] === 0xfe,
    extract: lastFour,
  },
];

/** The IPv4 addresses (4 bytes each) that these 16 bytes could stand for; none for an IPv4 or a plain IPv6 address. */
export function embeddedIpv4(address: Uint8Array): Uint8Array[] {
  if (address.length !== 16) return [];
  return embeddings.flatMap((embedding) => (embedding.matches(address) ? embedding.extract(address) : []));
}
