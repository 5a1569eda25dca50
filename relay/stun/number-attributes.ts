/**
 * Attributes whose value is a number or a few flags (RFC 8656 §18). Readers answer undefined when the attribute is absent or of
 * the wrong length (`isWellFormed` tells which).
 */
import type { Family } from '../../kernel/address.ts';
import { attributes } from './attributes.ts';
import { readU16, readU32, writeU16, writeU32 } from './header.ts';
import type { StunMessage } from './message.ts';
import type { Setter } from './message-writer.ts';
import { FAMILY_IPV4, FAMILY_IPV6 } from './xor-address.ts';

/** UDP, the only relayed transport (IANA protocol number). */
export const TRANSPORT_UDP = 17;

function valueOf(message: StunMessage, row: { type: number; least: number }): Uint8Array | undefined {
  const value = message.value(row.type);
  return value?.length === row.least ? value : undefined;
}

/** Seconds an allocation lives (§18.2). */
export function lifetime(seconds: number): Setter {
  return (writer) => {
    writeU32(writer.into, writer.add(attributes.LIFETIME.type, 4), seconds);
  };
}
export function readLifetime(message: StunMessage): number | undefined {
  const value = valueOf(message, attributes.LIFETIME);
  return value === undefined ? undefined : readU32(value, 0);
}

/** CHANNEL-NUMBER (§18.1): the number, then two reserved octets. */
export function channelNumber(channel: number): Setter {
  return (writer) => {
    const at = writer.add(attributes.CHANNEL_NUMBER.type, 4);
    writeU16(writer.into, at, channel);
    writeU16(writer.into, at + 2, 0);
  };
}
export function readChannelNumber(message: StunMessage): number | undefined {
  const value = valueOf(message, attributes.CHANNEL_NUMBER);
  return value === undefined ? undefined : readU16(value, 0);
}

/** REQUESTED-TRANSPORT (§18.8): an IP protocol number, then three reserved octets. */
export function requestedTransport(protocol: number): Setter {
  return (writer) => {
    const at = writer.add(attributes.REQUESTED_TRANSPORT.type, 4);
    writeU32(writer.into, at, protocol * 0x100_0000);
  };
}
export function readRequestedTransport(message: StunMessage): number | undefined {
  return valueOf(message, attributes.REQUESTED_TRANSPORT)?.[0];
}

interface FamilyAttribute {
  readonly type: number;
  readonly least: number;
}

/** REQUESTED-ADDRESS-FAMILY (§18.6) or ADDITIONAL-ADDRESS-FAMILY (§18.11): the family's wire number, then three reserved octets. */
export function addressFamily(attribute: FamilyAttribute, family: Family): Setter {
  return (writer) => {
    const at = writer.add(attribute.type, 4);
    writeU32(writer.into, at, (family === 4 ? FAMILY_IPV4 : FAMILY_IPV6) * 0x100_0000);
  };
}
/** `other` is a family number that nobody assigned. */
export function readAddressFamily(message: StunMessage, attribute: FamilyAttribute): Family | 'other' | undefined {
  const number = valueOf(message, attribute)?.[0];
  if (number === undefined) return undefined;
  return number === FAMILY_IPV4 ? 4 : number === FAMILY_IPV6 ? 6 : 'other';
}

/** RESERVATION-TOKEN (§18.9): eight octets that mean nothing to anybody else. */
export function reservationToken(token: Uint8Array): Setter {
  return (writer) => writer.into.set(token, writer.add(attributes.RESERVATION_TOKEN.type, token.length));
}

/** EVEN-PORT (§18.7): the R bit asks to reserve the next higher port as well. */
export function evenPort(reserveNext: boolean): Setter {
  return (writer) => {
    writer.into[writer.add(attributes.EVEN_PORT.type, 1)] = reserveNext ? 0x80 : 0;
  };
}
export function readEvenPort(message: StunMessage): { readonly reserveNext: boolean } | undefined {
  const value = valueOf(message, attributes.EVEN_PORT)?.[0];
  return value === undefined ? undefined : { reserveNext: (value & 0x80) !== 0 };
}
