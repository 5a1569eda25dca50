/** XOR-MAPPED-, XOR-PEER- and XOR-RELAYED-ADDRESS as attributes of a message (RFC 8489 §14.2, RFC 8656 §18.3, §18.5). */
import { type Endpoint, formatAddress, parseAddress } from '../../kernel/address.ts';
import { readU16, writeU16 } from './header.ts';
import type { StunMessage } from './message.ts';
import type { Setter } from './message-writer.ts';
import { addressFamilyAt, FAMILY_IPV4, FAMILY_IPV6, readXorAddress, writeXorAddress } from './xor-address.ts';

interface AddressAttribute {
  readonly type: number;
}

/** Throws TypeError when the endpoint's address is no address. */
export function xorAddress(attribute: AddressAttribute, endpoint: Endpoint): Setter {
  return (writer) => {
    const address = parseAddress(endpoint.address);
    if (address === undefined) throw new TypeError('not an IP address');
    const at = writer.add(attribute.type, 4 + address.length);
    writeXorAddress(writer.into, at, writer.start, address, endpoint.port);
  };
}

/** An address in the clear, as MAPPED-ADDRESS and ALTERNATE-SERVER have it (RFC 8489 §14.1). Throws as `xorAddress` does. */
export function plainAddress(attribute: AddressAttribute, { address: text, port }: Endpoint): Setter {
  return (writer) => {
    const address = parseAddress(text);
    if (address === undefined) throw new TypeError('not an IP address');
    const at = writer.add(attribute.type, 4 + address.length);
    writer.into[at] = 0;
    writer.into[at + 1] = address.length === 4 ? FAMILY_IPV4 : FAMILY_IPV6;
    writeU16(writer.into, at + 2, port);
    writer.into.set(address, at + 4);
  };
}

/** The first address in the clear of this kind; undefined when absent or malformed. */
export function readPlainAddress(message: StunMessage, attribute: AddressAttribute): Endpoint | undefined {
  const found = message.find(attribute.type);
  if (found === undefined || addressFamilyAt(message.raw, found.at, found.length) === undefined) return undefined;
  const address = formatAddress(message.raw.subarray(found.at + 4, found.at + found.length));
  return { address, port: readU16(message.raw, found.at + 2) };
}

/** The first address of this kind; undefined when absent or malformed. */
export function readAddress(message: StunMessage, attribute: AddressAttribute): Endpoint | undefined {
  const found = message.find(attribute.type);
  return found === undefined ? undefined : readXorAddress(message.raw, found.at, found.length);
}

/** Every address of this kind in wire order; undefined when one of them is malformed. */
export function readAddresses(message: StunMessage, attribute: AddressAttribute): Endpoint[] | undefined {
  const found: Endpoint[] = [];
  for (const { type, at, length } of message.attributes) {
    if (type !== attribute.type) continue;
    const endpoint = readXorAddress(message.raw, at, length);
    if (endpoint === undefined) return undefined;
    found.push(endpoint);
  }
  return found;
}
