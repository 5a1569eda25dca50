/**
 * Binding (RFC 8489 §12): anybody may ask from where their packets come. With two addresses of two ports each also how the NAT in
 * between behaves (RFC 5780): an answer may be asked for from another of the four places. RESPONSE-PORT and PADDING stay
 * unknown, since the one sends packets where nobody asked for them and the other makes them large.
 */
import { type Endpoint, familyOf, type FiveTuple } from '../../kernel/address.ts';
import { plainAddress, xorAddress } from '../stun/address-attributes.ts';
import { attributes } from '../stun/attributes.ts';
import type { StunMessage } from '../stun/message.ts';
import { unknownAttributes } from '../stun/message.ts';
import type { Setter } from '../stun/message-writer.ts';
import { AMPLIFICATION } from './answer.ts';

/** The four places of a server for behaviour discovery: UDP on each of two ports of two addresses of one family. */
export interface Discovery {
  readonly addresses: readonly [string, string];
  readonly ports: readonly [number, number];
}

/** RFC 5780 §7.2: flags of CHANGE-REQUEST. */
const CHANGE_ADDRESS = 0x04;
const CHANGE_PORT = 0x02;

export interface BindingReply {
  /** Comprehension-required attributes that this server does not take here. */
  readonly unknown: readonly number[];
  /** Where the answer leaves from. */
  readonly from: Endpoint;
  readonly attributes: readonly Setter[];
}

export function bindingReply(message: StunMessage, from: FiveTuple, discovery: Discovery | undefined): BindingReply {
  const mapped = xorAddress(attributes.XOR_MAPPED_ADDRESS, from.client);
  const unknown = unknownAttributes(message);
  const other = discovery === undefined ? undefined : otherPlace(discovery, from);
  if (other === undefined) return { unknown, from: from.server, attributes: [mapped] };
  const flags = message.value(attributes.CHANGE_REQUEST.type)?.at(3) ?? 0;
  const origin = {
    address: (flags & CHANGE_ADDRESS) === 0 ? from.server.address : other.address,
    port: (flags & CHANGE_PORT) === 0 ? from.server.port : other.port,
  };
  const elsewhere = plainAddress(attributes.OTHER_ADDRESS, other);
  const whole = [mapped, plainAddress(attributes.RESPONSE_ORIGIN, origin), elsewhere];
  return {
    unknown: unknown.filter((type) => type !== attributes.CHANGE_REQUEST.type),
    from: origin,
    // Where the source may be forged the answer is not to be much larger than the question: with IPv6 one address less.
    attributes: isModest(message, from.client, whole.length) ? whole : [mapped, elsewhere],
  };
}

/** The place that differs in both; undefined when the request did not come to one of the four. */
function otherPlace({ addresses, ports }: Discovery, { transport, server }: FiveTuple): Endpoint | undefined {
  const [first, second] = addresses;
  const [low, high] = ports;
  if (transport !== 'udp' || !addresses.includes(server.address) || !ports.includes(server.port)) return undefined;
  return { address: server.address === first ? second : first, port: server.port === low ? high : low };
}

function isModest(message: StunMessage, client: Endpoint, addresses: number): boolean {
  const header = 20;
  const attribute = familyOf(client.address) === 4 ? 12 : 24;
  return header + addresses * attribute <= message.raw.length * AMPLIFICATION;
}
