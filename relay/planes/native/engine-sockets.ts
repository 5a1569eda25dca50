/** The engine's sockets as the plane in JavaScript knows sockets: what it sends itself goes out of them at once. */
import { getSystemErrorMap } from 'node:util';
import { canonicalAddress, familyOf } from '../../../kernel/address.ts';
import type { Endpoint, Family } from '../../../kernel/address.ts';
import type { Sent } from '../client-leg.ts';
import { ignoreAll } from '../dgram/datagram-socket.ts';
import type { SocketHandlers, UdpSocket } from '../dgram/datagram-socket.ts';
import { LARGEST_DATAGRAM } from '../dgram/datagram-socket.ts';

const systemErrors = getSystemErrorMap();

export function systemError(errno: number): NodeJS.ErrnoException {
  const [code = `E${errno}`, message = 'unknown'] = systemErrors.get(-errno) ?? [];
  return Object.assign(new Error(message), { code, errno: -errno });
}

abstract class EngineSocket implements UdpSocket {
  readonly transport = 'udp';
  readonly waitsBriefly = true;
  readonly padsFrames = false;
  readonly local: Endpoint;
  readonly family: Family;
  readonly largestFrame: number;
  readonly buffers: { readonly receive: number; readonly send: number };
  handlers: SocketHandlers = ignoreAll;

  constructor(local: Endpoint, buffers: { readonly receive: number; readonly send: number }) {
    this.local = { address: canonicalAddress(local.address) ?? local.address, port: local.port };
    this.family = familyOf(local.address);
    this.largestFrame = LARGEST_DATAGRAM[this.family];
    this.buffers = buffers;
  }

  begin(): void {}
  end(): void {}

  isFull(): boolean {
    return false;
  }

  abstract send(bytes: Buffer, address: string, port: number, sent: Sent): void;

  settled(_bytes: number, error: Error | null | undefined): Error | null {
    return error ?? null;
  }

  /** The engine closes its own. */
  close(): void {
    process.nextTick(() => this.handlers.closed());
  }
}

/** Returns an errno. */
export type SendFrom = (listener: number, address: string, port: number, bytes: Uint8Array) => number;

export class EngineListener extends EngineSocket {
  readonly index: number;
  readonly #send: SendFrom;
  /** Those to be told of, and the errno of each: all of one turn at once. */
  #settled: { readonly sent: Sent; readonly errno: number }[] = [];

  constructor(index: number, local: Endpoint, bufferBytes: number, send: SendFrom) {
    super(local, { receive: bufferBytes, send: bufferBytes });
    this.index = index;
    this.#send = send;
  }

  /** Leaves at once. A client that has its answer finds what it promises: its thread obeys what it was told before it reads on. */
  send(bytes: Buffer, address: string, port: number, sent: Sent): void {
    const errno = this.#send(this.index, address, port, bytes);
    this.#settled.push({ sent, errno });
    if (this.#settled.length === 1) process.nextTick(() => this.#tellSettled());
  }

  #tellSettled(): void {
    const settled = this.#settled;
    this.#settled = [];
    for (const { sent, errno } of settled) sent(errno === 0 ? null : systemError(errno));
  }
}

/** The relay socket of an allocation that is offloaded: nothing goes out of it from here. */
export class EngineRelay extends EngineSocket {
  readonly fd: number;

  constructor(fd: number, local: Endpoint, bufferBytes: number) {
    super(local, { receive: bufferBytes, send: bufferBytes });
    this.fd = fd;
  }

  send(_bytes: Buffer, _address: string, _port: number, sent: Sent): void {
    process.nextTick(sent, new Error('the socket is the engine’s'));
  }
}
