/**
 * XOR-MAPPED-ADDRESS and its kin (RFC 8489 §14.2): family, then port and address XORed with the magic cookie, an IPv6
 * address with the transaction id as well.
 *
 *     |0 0 0 0 0 0 0 0|    Family     |         X-Port                |
 *     |                X-Address (32 or 128 bits)                     |
 *
 * The XOR mask of both port and address is the message's own octets 4 to 20 (cookie, then transaction id).
 */
import { type Endpoint, type Family, formatAddress } from '../../kernel/address.ts';
import { readU16, writeU16 } from './header.ts';

/** Wire numbers of address families (RFC 8489 §14.1). */
export const FAMILY_IPV4 = 0x01;
export const FAMILY_IPV6 = 0x02;

const PORT_MASK = 0x2112;

/** Octets of the attribute's value. */
export function xorAddressLength(family: Family): number {
  return family === 4 ? 8 : 20;
}

/** Family of the value at `at`, or undefined when family and length do not go together. */
export function addressFamilyAt(message: Uint8Array, at: number, length: number): Family | undefined {
  const family = message[at + 1];
  if (family === FAMILY_IPV4 && length === 8) return 4;
  if (family === FAMILY_IPV6 && length === 20) return 6;
  return undefined;
}

export function xorPortAt(message: Uint8Array, at: number): number {
  return readU16(message, at + 2) ^ PORT_MASK;
}

/**
 * Canonical text of the address of a value whose family has been checked. `message` begins with its STUN header.
 */
export function xorAddressTextAt(message: Uint8Array, at: number, family: Family): string {
  if (family === 4) {
    const a = (message[at + 4] ?? 0) ^ 0x21;
    const b = (message[at + 5] ?? 0) ^ 0x12;
    const c = (message[at + 6] ?? 0) ^ 0xa4;
    const d = (message[at + 7] ?? 0) ^ 0x42;
    return `${a}.${b}.${c}.${d}`;
  }
  const address = new Uint8Array(16);
  for (let index = 0; index < 16; index += 1)
    address[index] = (message[at + 4 + index] ?? 0) ^ (message[4 + index] ?? 0);
  return formatAddress(address);
}

/** The endpoint of the value of `length` octets at `at`; undefined when malformed. */
export function readXorAddress(message: Uint8Array, at: number, length: number): Endpoint | undefined {
  const family = addressFamilyAt(message, at, length);
  if (family === undefined) return undefined;
  return { address: xorAddressTextAt(message, at, family), port: xorPortAt(message, at) };
}

/**
 * Writes a value for the message whose header begins at `message` in the same buffer (cookie and transaction id already
 * there). `address` is 4 or 16 octets in network order. Returns the octets written.
 */
export function writeXorAddress(
  into: Uint8Array,
  at: number,
  message: number,
  address: Uint8Array,
  port: number,
): number {
  into[at] = 0;
  into[at + 1] = address.length === 4 ? FAMILY_IPV4 : FAMILY_IPV6;
  writeU16(into, at + 2, port ^ PORT_MASK);
  for (let index = 0; index < address.length; index += 1) {
    into[at + 4 + index] = (address[index] ?? 0) ^ (into[message + 4 + index] ?? 0);
  }
  return 4 + address.length;
}
