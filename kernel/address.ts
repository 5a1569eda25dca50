/**
 * IP addresses as values. An address is its 4 or 16 bytes in network order wrapped in the form the wire and the
 * policies need; text is only for people, configuration and sockets.
 */
import { isIPv4, isIPv6 } from 'node:net';

const ZERO = 0x30;

export type Family = 4 | 6;

/** An address and port of a transport endpoint. `address` is canonical text (RFC 5952 for IPv6). */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** What carries a client's frames. */
export type Transport = 'udp' | 'tcp' | 'tls';

/** The client's leg as TURN's five-tuple sees it (RFC 8656 §2): transport, client endpoint, server endpoint. */
export interface FiveTuple {
  readonly transport: Transport;
  readonly client: Endpoint;
  readonly server: Endpoint;
}

/** A five-tuple as the key of a map. */
export function fiveTupleKey({ transport, client, server }: FiveTuple): string {
  return `${transport} ${client.address} ${client.port} ${server.address} ${server.port}`;
}

/** Parses IPv4 or IPv6 text to 4 or 16 bytes; undefined when it is neither. A zone index is not accepted. */
export function parseAddress(text: string): Uint8Array | undefined {
  const four = parseIPv4(text);
  if (four !== undefined) return four;
  if (!isIPv6(text) || text.includes('%')) return undefined;
  let rest = text;
  const embedded = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (embedded?.[1] !== undefined && embedded[2] !== undefined) {
    const [a = 0, b = 0, c = 0, d = 0] = embedded[2].split('.').map(Number);
    rest = `${embedded[1]}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  }
  const [head = '', tail] = rest.split('::');
  const groups = (part: string) => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)));
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const all = [...left, ...Array.from({ length: 8 - left.length - right.length }, () => 0), ...right];
  const bytes = new Uint8Array(16);
  all.forEach((group, index) => {
    bytes[index * 2] = group >> 8;
    bytes[index * 2 + 1] = group & 0xff;
  });
  return bytes;
}

/** Four numbers to 255 without leading zeros. Every packet of control is looked up by one: hence by hand. */
function parseIPv4(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(4);
  let part = 0;
  let digits = 0;
  let value = 0;
  for (let at = 0; at <= text.length; at += 1) {
    const digit = text.charCodeAt(at) - ZERO;
    if (digit >= 0 && digit <= 9) {
      if (digits > 0 && value === 0) return undefined;
      value = value * 10 + digit;
      digits += 1;
      if (value > 255) return undefined;
      continue;
    }
    const ends = at === text.length ? part === 3 : text[at] === '.' && part < 3;
    if (!ends || digits === 0) return undefined;
    bytes[part] = value;
    part += 1;
    digits = 0;
    value = 0;
  }
  return bytes;
}

/** Canonical text of 4 or 16 bytes: dotted quad, or RFC 5952 (lower case, longest run of zeros shortened). */
export function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`;
  const groups = Array.from({ length: 8 }, (_, index) => ((bytes[index * 2] ?? 0) << 8) | (bytes[index * 2 + 1] ?? 0));
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start += 1) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length += 1;
    if (length > best.length) best = { start, length };
  }
  const hex = groups.map((group) => group.toString(16));
  if (best.start < 0) return hex.join(':');
  return `${hex.slice(0, best.start).join(':')}::${hex.slice(best.start + best.length).join(':')}`;
}

/** Canonical text of any accepted spelling; undefined when the text is no address. */
export function canonicalAddress(text: string): string | undefined {
  const bytes = parseAddress(text);
  return bytes === undefined ? undefined : formatAddress(bytes);
}

export function familyOf(address: string): Family {
  return isIPv4(address) ? 4 : 6;
}

/** A range of addresses of one family. */
export interface Cidr {
  readonly bytes: Uint8Array;
  readonly prefix: number;
}

/** Parses `10.0.0.0/8`, `fc00::/7`, or a bare address (a range of one). Undefined when malformed. */
export function parseCidr(text: string): Cidr | undefined {
  const [address = '', prefixText, ...more] = text.split('/');
  const bytes = parseAddress(address);
  if (bytes === undefined || more.length > 0) return undefined;
  const width = bytes.length * 8;
  if (prefixText === undefined) return { bytes, prefix: width };
  if (!/^\d{1,3}$/.test(prefixText)) return undefined;
  const prefix = Number(prefixText);
  return prefix <= width ? { bytes, prefix } : undefined;
}

/** Whether the address (as bytes) lies in the range. Families never match each other: canonicalise first. */
export function cidrContains(range: Cidr, address: Uint8Array): boolean {
  if (range.bytes.length !== address.length) return false;
  const whole = range.prefix >> 3;
  for (let index = 0; index < whole; index += 1) if (range.bytes[index] !== address[index]) return false;
  const rest = range.prefix & 7;
  if (rest === 0) return true;
  const mask = (0xff << (8 - rest)) & 0xff;
  return ((range.bytes[whole] ?? 0) & mask) === ((address[whole] ?? 0) & mask);
}

/** Whether the text names a loopback address (127.0.0.0/8 or ::1) or the name `localhost`. */
export function isLoopbackHost(host: string): boolean {
  if (host === 'localhost') return true;
  const bytes = parseAddress(host.replace(/^\[|\]$/g, ''));
  if (bytes === undefined) return false;
  return bytes.length === 4 ? bytes[0] === 127 : formatAddress(bytes) === '::1';
}
