/** What goes to a worker and what comes back, as addon/commands.hpp lays it out: native byte order, 8-byte steps. */
import { formatAddress, parseAddress } from '../../../kernel/address.ts';
import type { Endpoint, Family } from '../../../kernel/address.ts';

/** Before any moment. */
export const NEVER = -1e300;

const commandTypes = {
  open: 1,
  extend: 2,
  end: 3,
  finish: 4,
  permit: 5,
  revoke: 6,
  bind: 7,
  unbind: 8,
  decline: 9,
  undecline: 10,
} as const;

const noticeTypes = { 1: 'datagram', 2: 'hop', 3: 'finished', 4: 'quota' } as const;

/** Bytes are views. */
export type Notice =
  | { readonly type: 'datagram'; readonly listener: number; readonly from: Endpoint; readonly bytes: Buffer }
  | {
      readonly type: 'hop';
      readonly slot: number;
      readonly family: Family;
      readonly port: number;
      readonly payload: Buffer;
    }
  | { readonly type: 'finished' | 'quota'; readonly slot: number };

/** Ports of an address up to and including `last`, from where the one before ended; -1 = denied, else a class index. */
export interface PortSpan {
  readonly last: number;
  readonly verdict: number;
}

/** Octets of an address as the engine takes it. */
export const WIDE_OCTETS = 16;

/** Writes an address as 16 octets, IPv4 mapped, and returns what it was written into. */
export function writeWide(into: Uint8Array, at: number, address: string): Uint8Array {
  const octets = parseAddress(address);
  if (octets === undefined) throw new RangeError(`not an address: ${address}`);
  if (octets.length < WIDE_OCTETS) {
    into.fill(0, at, at + 10);
    into.fill(0xff, at + 10, at + 12);
  }
  into.set(octets, at + WIDE_OCTETS - octets.length);
  return into;
}

const LARGEST = 1 << 17;

/** Writes commands into one buffer, over and over: what `bytes` returns is valid until the next one. */
export class CommandWriter {
  readonly #bytes = new Uint8Array(LARGEST);
  readonly #view = new DataView(this.#bytes.buffer);
  #at = 0;

  open(parts: {
    slot: number;
    generation: number;
    fd: number;
    listener: number;
    family: Family;
    client: Endpoint;
    relayed: Endpoint;
    deadline: number;
    allowance: number;
  }): Uint8Array {
    this.#begin('open');
    this.#u32(parts.slot);
    this.#u32(parts.generation);
    this.#u32(parts.fd);
    this.#u32(parts.listener);
    this.#u32(parts.family);
    this.#u32(0);
    this.#endpoint(parts.client);
    this.#endpoint(parts.relayed);
    this.#f64(parts.deadline);
    this.#u32(parts.allowance);
    this.#u32(0);
    return this.#end();
  }

  client(type: 'decline' | 'undecline', listener: number, client: Endpoint): Uint8Array {
    this.#begin(type);
    this.#u32(listener);
    this.#u32(0);
    this.#endpoint(client);
    return this.#end();
  }

  slot(type: 'extend' | 'end' | 'finish', slot: number, deadline = 0): Uint8Array {
    this.#begin(type);
    this.#u32(slot);
    this.#u32(0);
    this.#f64(deadline);
    return this.#end();
  }

  /** `deadline` NEVER judges a peer's ports anew and leaves its permission as it is. */
  permit(slot: number, own: number, address: string, deadline: number, spans: readonly PortSpan[]): Uint8Array {
    this.#peer('permit', slot, own, address, deadline, spans.length);
    for (const { last, verdict } of spans) {
      this.#u32(last);
      this.#u32(verdict);
    }
    return this.#end();
  }

  revoke(slot: number, address: string): Uint8Array {
    this.#peer('revoke', slot, 0, address, NEVER, 0);
    return this.#end();
  }

  channel(type: 'bind' | 'unbind', slot: number, number: number, peer: Endpoint | undefined, deadline = 0): Uint8Array {
    this.#begin(type);
    this.#u32(slot);
    this.#u16(number);
    this.#u16(peer?.port ?? 0);
    this.#address(peer?.address ?? '::');
    this.#f64(deadline);
    return this.#end();
  }

  #peer(type: 'permit' | 'revoke', slot: number, own: number, address: string, deadline: number, spans: number): void {
    this.#begin(type);
    this.#u32(slot);
    this.#u32(own);
    this.#address(address);
    this.#f64(deadline);
    this.#u32(spans);
    this.#u32(0);
  }

  #begin(type: keyof typeof commandTypes): void {
    this.#at = 4;
    this.#u32(commandTypes[type]);
  }

  #end(): Uint8Array {
    this.#view.setUint32(0, this.#at, true);
    return this.#bytes.subarray(0, this.#at);
  }

  #endpoint({ address, port }: Endpoint): void {
    this.#address(address);
    this.#u16(port);
    this.#at += 6;
  }

  #address(address: string): void {
    writeWide(this.#bytes, this.#at, address);
    this.#at += WIDE_OCTETS;
  }

  #u16(value: number): void {
    this.#view.setUint16(this.#at, value, true);
    this.#at += 2;
  }

  #u32(value: number): void {
    this.#view.setUint32(this.#at, value, true);
    this.#at += 4;
  }

  #f64(value: number): void {
    this.#view.setFloat64(this.#at, value, true);
    this.#at += 8;
  }
}

/** Hands over each record of one drain: `length` octets of what it was drained into, copied once, as notices may be kept. */
export function readNotices(drained: Buffer, length: number, heed: (notice: Notice) => void): void {
  const bytes = Buffer.from(drained.subarray(0, length));
  for (let at = 0; at < length; at += bytes.readUInt32LE(at)) heed(noticeAt(bytes, at));
}

function noticeAt(bytes: Buffer, at: number): Notice {
  const type = noticeTypes[bytes.readUInt32LE(at + 4) as keyof typeof noticeTypes];
  const slot = bytes.readUInt32LE(at + 8);
  if (type === 'datagram') {
    const from = { address: addressAt(bytes, at + 16), port: bytes.readUInt16LE(at + 32) };
    return { type, listener: slot, from, bytes: viewOf(bytes, at + 40, bytes.readUInt32LE(at + 12)) };
  }
  if (type === 'hop') {
    const family = bytes.readUInt16LE(at + 12) === 4 ? 4 : 6;
    const payload = viewOf(bytes, at + 24, bytes.readUInt32LE(at + 16));
    return { type, slot, family, port: bytes.readUInt16LE(at + 14), payload };
  }
  return { type, slot };
}

function viewOf(bytes: Buffer, at: number, length: number): Buffer {
  return bytes.subarray(at, at + length);
}

/** Canonical text of 16 octets. */
function addressAt(bytes: Buffer, at: number): string {
  const isMapped =
    bytes.readUInt32BE(at) === 0 && bytes.readUInt32BE(at + 4) === 0 && bytes.readUInt32BE(at + 8) === 0xffff;
  if (!isMapped) return formatAddress(bytes.subarray(at, at + 16));
  return `${bytes[at + 12]}.${bytes[at + 13]}.${bytes[at + 14]}.${bytes[at + 15]}`;
}
