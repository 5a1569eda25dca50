/**
 * What is kept of the address that a report came from: the network it lies in, or a hash that is good for a day. Country and operator are
 * looked up before, where there is a database to look in. The address itself goes no further than here.
 */
import { createHmac } from 'node:crypto';
import { formatAddress, parseAddress } from '../../kernel/address.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { Random } from '../../kernel/random.ts';

export const addressPolicies = ['drop', 'truncate', 'hash'] as const;
export type AddressPolicy = (typeof addressPolicies)[number];

/** As columns of connection_intervals; null is what is not kept, or not known. */
export interface ClientNetwork {
  readonly client_network: string | null;
  readonly client_country: string | null;
  readonly client_region: string | null;
  readonly client_asn: number | null;
  readonly client_as_name: string | null;
}

/** What a database says of an address; its shape is the database's. */
export type AddressLookup = (address: string) => unknown;

export interface ClientNetworksOptions {
  readonly addresses: AddressPolicy;
  readonly geo?: AddressLookup | undefined;
  readonly asn?: AddressLookup | undefined;
  readonly clock: Clock;
  readonly random: Random;
}

const DAY_MS = 86_400_000;
/** Bits that stay: a /24 is the least that is routed, a /48 what one site is given. */
const PREFIX = { 4: 24, 16: 48 } as const;

export class ClientNetworks {
  readonly #options: ClientNetworksOptions;
  /** Nowhere but here, and no longer than its day: hashes of two days cannot be told to be of one address. */
  #salt: { readonly day: number; readonly bytes: Buffer } | undefined;

  constructor(options: ClientNetworksOptions) {
    this.#options = options;
  }

  of(address: string): ClientNetwork {
    const bytes = parseAddress(address);
    if (bytes === undefined) return NOTHING;
    const plain = mappedOr(bytes);
    const text = formatAddress(plain);
    return {
      client_network: this.#kept(plain),
      ...placeIn(this.#options.geo?.(text)),
      ...operatorIn(this.#options.asn?.(text)),
    };
  }

  #kept(bytes: Uint8Array): string | null {
    const { addresses } = this.#options;
    if (addresses === 'drop') return null;
    if (addresses === 'truncate') return truncated(bytes);
    return createHmac('sha256', this.#saltOfToday()).update(bytes).digest('base64url').slice(0, 16);
  }

  #saltOfToday(): Buffer {
    const { clock, random } = this.#options;
    const day = Math.floor(clock.now() / DAY_MS);
    if (this.#salt?.day !== day) this.#salt = { day, bytes: random.bytes(32) };
    return this.#salt.bytes;
  }
}

const NOTHING: ClientNetwork = {
  client_network: null,
  client_country: null,
  client_region: null,
  client_asn: null,
  client_as_name: null,
};

/** The IPv4 address that an IPv6 socket shows as `::ffff:192.0.2.1`. */
function mappedOr(bytes: Uint8Array): Uint8Array {
  const isMapped =
    bytes.length === 16 &&
    bytes.subarray(0, 10).every((byte) => byte === 0) &&
    bytes[10] === 0xff &&
    bytes[11] === 0xff;
  return isMapped ? bytes.subarray(12) : bytes;
}

function truncated(bytes: Uint8Array): string {
  const prefix = PREFIX[bytes.length === 4 ? 4 : 16];
  return `${formatAddress(bytes.map((byte, index) => (index < prefix / 8 ? byte : 0)))}/${prefix}`;
}

const member = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
const textOf = (value: unknown): string | null =>
  typeof value === 'string' && value !== '' ? value.slice(0, 128) : null;

/** ISO 3166-1 of the country, ISO 3166-2 of its first subdivision or, where a database has no codes for them, its English name. */
function placeIn(found: unknown): Pick<ClientNetwork, 'client_country' | 'client_region'> {
  const country = textOf(member(member(found, 'country'), 'iso_code'));
  const divisions = member(found, 'subdivisions');
  const first: unknown = Array.isArray(divisions) ? divisions[0] : undefined;
  const code = textOf(member(first, 'iso_code'));
  const region =
    code === null || country === null ? textOf(member(member(first, 'names'), 'en')) : `${country}-${code}`;
  return { client_country: country, client_region: region };
}

function operatorIn(found: unknown): Pick<ClientNetwork, 'client_asn' | 'client_as_name'> {
  const number = member(found, 'autonomous_system_number');
  const isNumber = typeof number === 'number' && Number.isInteger(number) && number >= 0 && number <= 0xffff_ffff;
  return {
    client_asn: isNumber ? number : null,
    client_as_name: textOf(member(found, 'autonomous_system_organization')),
  };
}
