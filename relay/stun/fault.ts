/**
 * What can be wrong with received bytes. Faults are values: hostile input is ordinary input, and none of it throws.
 * A message with a fault is dropped without an answer (RFC 8489 §6.3).
 */
export const faults = [
  /** Fewer than the 20 octets of a header, or an attribute that ends outside its message. */
  'truncated',
  /** The first two bits are not 00. */
  'not_stun',
  /** The cookie of RFC 3489's successors is missing. */
  'magic_cookie',
  /** The length is not a multiple of four. */
  'misaligned',
  /** The datagram is longer or shorter than the message says. */
  'length_mismatch',
  /** More attributes than anybody's message needs. */
  'too_many_attributes',
  /** FINGERPRINT is there and wrong, or not the last attribute. */
  'fingerprint',
  /** A Send indication without DATA or XOR-PEER-ADDRESS, or with one that does not parse (RFC 8656 §11.2). */
  'incomplete',
  /** An indication that carries a comprehension-required attribute we do not know (RFC 8489 §6.3.2). */
  'unknown_attribute',
] as const;
export type Fault = (typeof faults)[number];
