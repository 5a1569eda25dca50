/**
 * Every STUN attribute that an RFC defines, in one table: wire type, RFC, whose it is, and the lengths its value may have.
 * A type below 0x8000 is comprehension-required: who does not know it must not act on the message (RFC 8489 §14).
 */

/** Whose attribute it is. `stun` and `turn` are ours; a message that *requires* one of the others is answered 420. */
export type Owner = 'stun' | 'turn' | 'turn-tcp' | 'ice' | 'discovery' | 'oauth' | 'mobility' | 'ecn' | 'metrics';

interface AttributeRow {
  readonly type: number;
  readonly rfc: string;
  readonly owner: Owner;
  /** Octets of the value without padding. */
  readonly least: number;
  readonly most: number;
}

/** Text limits of RFC 8489: USERNAME 508 octets; REALM, NONCE, SOFTWARE, reason phrases 127 characters of ≤ 6 octets (763). */
const TEXT = 763;
const ANY = 0xffff;

export const attributes = {
  MAPPED_ADDRESS: { type: 0x0001, rfc: 'RFC8489', owner: 'stun', least: 8, most: 20 },
  CHANGE_REQUEST: { type: 0x0003, rfc: 'RFC5780', owner: 'discovery', least: 4, most: 4 },
  USERNAME: { type: 0x0006, rfc: 'RFC8489', owner: 'stun', least: 0, most: 508 },
  MESSAGE_INTEGRITY: { type: 0x0008, rfc: 'RFC8489', owner: 'stun', least: 20, most: 20 },
  ERROR_CODE: { type: 0x0009, rfc: 'RFC8489', owner: 'stun', least: 4, most: 4 + TEXT },
  UNKNOWN_ATTRIBUTES: { type: 0x000a, rfc: 'RFC8489', owner: 'stun', least: 0, most: ANY },
  CHANNEL_NUMBER: { type: 0x000c, rfc: 'RFC8656', owner: 'turn', least: 4, most: 4 },
  LIFETIME: { type: 0x000d, rfc: 'RFC8656', owner: 'turn', least: 4, most: 4 },
  XOR_PEER_ADDRESS: { type: 0x0012, rfc: 'RFC8656', owner: 'turn', least: 8, most: 20 },
  DATA: { type: 0x0013, rfc: 'RFC8656', owner: 'turn', least: 0, most: ANY },
  REALM: { type: 0x0014, rfc: 'RFC8489', owner: 'stun', least: 0, most: TEXT },
  NONCE: { type: 0x0015, rfc: 'RFC8489', owner: 'stun', least: 0, most: TEXT },
  XOR_RELAYED_ADDRESS: { type: 0x0016, rfc: 'RFC8656', owner: 'turn', least: 8, most: 20 },
  REQUESTED_ADDRESS_FAMILY: { type: 0x0017, rfc: 'RFC8656', owner: 'turn', least: 4, most: 4 },
  EVEN_PORT: { type: 0x0018, rfc: 'RFC8656', owner: 'turn', least: 1, most: 1 },
  REQUESTED_TRANSPORT: { type: 0x0019, rfc: 'RFC8656', owner: 'turn', least: 4, most: 4 },
  DONT_FRAGMENT: { type: 0x001a, rfc: 'RFC8656', owner: 'turn', least: 0, most: 0 },
  ACCESS_TOKEN: { type: 0x001b, rfc: 'RFC7635', owner: 'oauth', least: 0, most: ANY },
  MESSAGE_INTEGRITY_SHA256: { type: 0x001c, rfc: 'RFC8489', owner: 'stun', least: 16, most: 32 },
  PASSWORD_ALGORITHM: { type: 0x001d, rfc: 'RFC8489', owner: 'stun', least: 4, most: ANY },
  USERHASH: { type: 0x001e, rfc: 'RFC8489', owner: 'stun', least: 32, most: 32 },
  XOR_MAPPED_ADDRESS: { type: 0x0020, rfc: 'RFC8489', owner: 'stun', least: 8, most: 20 },
  RESERVATION_TOKEN: { type: 0x0022, rfc: 'RFC8656', owner: 'turn', least: 8, most: 8 },
  PRIORITY: { type: 0x0024, rfc: 'RFC8445', owner: 'ice', least: 4, most: 4 },
  USE_CANDIDATE: { type: 0x0025, rfc: 'RFC8445', owner: 'ice', least: 0, most: 0 },
  PADDING: { type: 0x0026, rfc: 'RFC5780', owner: 'discovery', least: 0, most: ANY },
  RESPONSE_PORT: { type: 0x0027, rfc: 'RFC5780', owner: 'discovery', least: 4, most: 4 },
  CONNECTION_ID: { type: 0x002a, rfc: 'RFC6062', owner: 'turn-tcp', least: 4, most: 4 },
  ADDITIONAL_ADDRESS_FAMILY: { type: 0x8000, rfc: 'RFC8656', owner: 'turn', least: 4, most: 4 },
  ADDRESS_ERROR_CODE: { type: 0x8001, rfc: 'RFC8656', owner: 'turn', least: 4, most: 4 + TEXT },
  PASSWORD_ALGORITHMS: { type: 0x8002, rfc: 'RFC8489', owner: 'stun', least: 0, most: ANY },
  ALTERNATE_DOMAIN: { type: 0x8003, rfc: 'RFC8489', owner: 'stun', least: 0, most: 255 },
  ICMP: { type: 0x8004, rfc: 'RFC8656', owner: 'turn', least: 8, most: 8 },
  SOFTWARE: { type: 0x8022, rfc: 'RFC8489', owner: 'stun', least: 0, most: TEXT },
  ALTERNATE_SERVER: { type: 0x8023, rfc: 'RFC8489', owner: 'stun', least: 8, most: 20 },
  TRANSACTION_TRANSMIT_COUNTER: { type: 0x8025, rfc: 'RFC7982', owner: 'metrics', least: 4, most: 4 },
  CACHE_TIMEOUT: { type: 0x8027, rfc: 'RFC5780', owner: 'discovery', least: 4, most: 4 },
  FINGERPRINT: { type: 0x8028, rfc: 'RFC8489', owner: 'stun', least: 4, most: 4 },
  ICE_CONTROLLED: { type: 0x8029, rfc: 'RFC8445', owner: 'ice', least: 8, most: 8 },
  ICE_CONTROLLING: { type: 0x802a, rfc: 'RFC8445', owner: 'ice', least: 8, most: 8 },
  RESPONSE_ORIGIN: { type: 0x802b, rfc: 'RFC5780', owner: 'discovery', least: 8, most: 20 },
  OTHER_ADDRESS: { type: 0x802c, rfc: 'RFC5780', owner: 'discovery', least: 8, most: 20 },
  ECN_CHECK: { type: 0x802d, rfc: 'RFC6679', owner: 'ecn', least: 4, most: 4 },
  THIRD_PARTY_AUTHORIZATION: { type: 0x802e, rfc: 'RFC7635', owner: 'oauth', least: 0, most: ANY },
  MOBILITY_TICKET: { type: 0x8030, rfc: 'RFC8016', owner: 'mobility', least: 0, most: ANY },
} as const satisfies Record<string, AttributeRow>;
export type AttributeName = keyof typeof attributes;

/** By type, of which each half begins anew at 0x8000: every attribute of every request is looked up. */
const OPTIONAL = 0x8000;
const required: (AttributeRow | undefined)[] = [];
const optional: (AttributeRow | undefined)[] = [];
for (const row of Object.values(attributes)) {
  if (row.type < OPTIONAL) required[row.type] = row;
  else optional[row.type - OPTIONAL] = row;
}

function rowOf(type: number): AttributeRow | undefined {
  return type < OPTIONAL ? required[type] : optional[type - OPTIONAL];
}

export function isComprehensionRequired(type: number): boolean {
  return type < OPTIONAL;
}

/** Whether this server knows what the attribute means; the rest of the comprehension-required ones are answered 420. */
export function isUnderstood(type: number): boolean {
  const owner = rowOf(type)?.owner;
  return owner === 'stun' || owner === 'turn';
}

/** Whether a value of this many octets can be one of this type. What is not in the table has no rule to break. */
export function lengthFits(type: number, length: number): boolean {
  const row = rowOf(type);
  return row === undefined || (length >= row.least && length <= row.most);
}
