/** Data indications (RFC 8656 §11.3), written on the packet path: XOR-PEER-ADDRESS, then DATA. */
import type { Family } from '../../kernel/address.ts';
import { attributes } from './attributes.ts';
import {
  ATTRIBUTE_HEADER_LENGTH,
  HEADER_LENGTH,
  MAGIC_COOKIE,
  packType,
  padded,
  readU16,
  writeU16,
  writeU32,
} from './header.ts';
import { methods } from './methods.ts';
import { writeXorAddress, xorAddressLength } from './xor-address.ts';

const DATA_INDICATION = packType(methods.DATA.code, 'indication');

/** The largest payload whose Data indication still fits STUN's 16-bit length. */
export const LARGEST_DATA = 0xffff - 3 - 2 * ATTRIBUTE_HEADER_LENGTH - xorAddressLength(6);

/** Octets before the payload: leave this much room in front of a received packet to frame it where it lies. */
export function dataIndicationHeaderLength(family: Family): number {
  return HEADER_LENGTH + 2 * ATTRIBUTE_HEADER_LENGTH + xorAddressLength(family);
}

/** Octets of the whole message, padding included. */
export function dataIndicationLength(family: Family, payload: number): number {
  return dataIndicationHeaderLength(family) + padded(payload);
}

/**
 * Frames `length` octets of payload that already lie at `at + dataIndicationHeaderLength(family)` of `into`: writes what
 * comes before them and zeroes the padding behind them. `transactionId` is 12 octets, any that are not guessable (§11.3);
 * `peer` is the peer's address as 4 or 16 octets. `length` must be ≤ LARGEST_DATA and `into` long enough.
 * Returns the octets of the whole message.
 */
export function frameDataIndication(
  into: Uint8Array,
  at: number,
  transactionId: Uint8Array,
  peer: Uint8Array,
  port: number,
  length: number,
): number {
  const family = peer.length === 4 ? 4 : 6;
  const total = dataIndicationLength(family, length);
  writeU16(into, at, DATA_INDICATION);
  writeU16(into, at + 2, total - HEADER_LENGTH);
  writeU32(into, at + 4, MAGIC_COOKIE);
  into.set(transactionId, at + 8);
  let position = at + HEADER_LENGTH;
  writeU16(into, position, attributes.XOR_PEER_ADDRESS.type);
  writeU16(into, position + 2, xorAddressLength(family));
  position += ATTRIBUTE_HEADER_LENGTH;
  position += writeXorAddress(into, position, at, peer, port);
  writeU16(into, position, attributes.DATA.type);
  writeU16(into, position + 2, length);
  into.fill(0, position + ATTRIBUTE_HEADER_LENGTH + length, at + total);
  return total;
}

/** As `frameDataIndication`, with the payload copied in from elsewhere. */
export function encodeDataIndication(
  into: Uint8Array,
  at: number,
  transactionId: Uint8Array,
  peer: Uint8Array,
  port: number,
  payload: Uint8Array,
): number {
  into.set(payload, at + dataIndicationHeaderLength(peer.length === 4 ? 4 : 6));
  return frameDataIndication(into, at, transactionId, peer, port, payload.length);
}

/** Whether bytes begin as a Data indication does: what a client sees of data without a channel. */
export function isDataIndication(bytes: Uint8Array): boolean {
  return readU16(bytes, 0) === DATA_INDICATION;
}
