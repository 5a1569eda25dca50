/** UDP sockets as the plane wants them: bound at once, buffers raised, numeric addresses never sent through DNS. */
import type { RemoteInfo, Socket, SocketOptions } from 'node:dgram';
import { canonicalAddress, familyOf } from '../../../kernel/address.ts';
import type { Endpoint, Family } from '../../../kernel/address.ts';
import type { ClientLeg, Sent } from '../client-leg.ts';

/** The largest UDP payload: 65,535 less the UDP header, and for IPv4 less the IP header. */
export const LARGEST_DATAGRAM = { 4: 65_507, 6: 65_527 } as const;

/** `dgram.createSocket`, or what a test puts in its place. */
export type CreateSocket = (options: SocketOptions) => Socket;

/** What happens on a socket. An error is one of receiving: UDP goes on after it. */
export interface SocketHandlers {
  readonly message: (bytes: Buffer, source: RemoteInfo) => void;
  readonly error: (error: NodeJS.ErrnoException) => void;
  readonly closed: () => void;
}

const ignore = () => undefined;
export const ignoreAll: SocketHandlers = { message: ignore, error: ignore, closed: ignore };

export interface SocketLimits {
  /** Asked of the kernel for each of the receive and the send buffer. */
  readonly bufferBytes: number;
  /** Sends that may wait for the kernel at once. */
  readonly maxPending: number;
}

/** A listener that all of its clients share, or the relay socket of an allocation. */
export interface UdpSocket extends ClientLeg {
  readonly family: Family;
  /** What the kernel granted of the buffers asked for, in bytes as it reports them. */
  readonly buffers: { readonly receive: number; readonly send: number };
  handlers: SocketHandlers;
  /** Sends not yet called back are, with an error. */
  close(): void;
}

export class DatagramSocket implements UdpSocket {
  readonly transport = 'udp';
  readonly waitsBriefly = true;
  readonly padsFrames = false;
  readonly largestFrame: number;
  readonly local: Endpoint;
  readonly family: Family;
  handlers: SocketHandlers = ignoreAll;
  /** Sends handed over and not yet called back, and how many of them are too many. */
  #pending = 0;
  readonly #maxPending: number;
  readonly #socket: Socket;

  constructor(socket: Socket, options: SocketLimits) {
    this.#socket = socket;
    this.#maxPending = options.maxPending;
    const { address, port } = socket.address();
    this.local = { address: canonicalAddress(address) ?? address, port };
    this.family = familyOf(address);
    this.largestFrame = LARGEST_DATAGRAM[this.family];
    raiseBuffers(socket, options.bufferBytes);
    socket.on('message', (bytes, source) => this.handlers.message(bytes, source));
    socket.on('error', (error) => this.handlers.error(error));
    socket.once('close', () => this.handlers.closed());
  }

  get buffers(): { readonly receive: number; readonly send: number } {
    return { receive: this.#socket.getRecvBufferSize(), send: this.#socket.getSendBufferSize() };
  }

  /** A socket outlives its clients: nothing is kept for one. */
  begin(): void {}
  end(): void {}

  isFull(): boolean {
    return this.#pending >= this.#maxPending;
  }

  send(bytes: Buffer, address: string, port: number, sent: Sent): void {
    this.#pending += 1;
    try {
      this.#socket.send(bytes, port, address, sent);
    } catch (error) {
      process.nextTick(sent, error);
    }
  }

  settled(_bytes: number, error: Error | null | undefined): Error | null {
    this.#pending -= 1;
    return error ?? null;
  }

  close(): void {
    this.#socket.close();
  }
}

/** Addresses are numbers here: there is nothing to look up. */
const lookups: Readonly<Record<Family, NonNullable<SocketOptions['lookup']>>> = {
  4: (address, _options, answer) => answer(null, address, 4),
  6: (address, _options, answer) => answer(null, address, 6),
};

/**
 * Binds a socket, or returns why it cannot be. Bound before this returns: the lookup answers at once and nothing is shared
 * with a cluster's primary, so that Node has no reason to wait.
 */
export function bindSocket(create: CreateSocket, local: Endpoint, limits: SocketLimits): DatagramSocket | Error {
  const family = familyOf(local.address);
  const socket = create({
    type: family === 4 ? 'udp4' : 'udp6',
    ipv6Only: family === 6,
    reuseAddr: false,
    lookup: lookups[family],
  });
  let outcome: DatagramSocket | Error | undefined;
  const failed = (error: Error) => {
    outcome = error;
  };
  socket.once('error', failed);
  socket.once('listening', () => {
    socket.off('error', failed);
    outcome = new DatagramSocket(socket, limits);
  });
  socket.bind({ address: local.address, port: local.port, exclusive: true });
  if (outcome instanceof DatagramSocket) return outcome;
  socket.close();
  return outcome ?? new Error('the socket was not bound at once');
}

/** Linux clamps silently to net.core.{r,w}mem_max, other systems refuse: either way the socket works with what it got. */
function raiseBuffers(socket: Socket, bytes: number): void {
  try {
    socket.setRecvBufferSize(bytes);
    socket.setSendBufferSize(bytes);
  } catch {
    // The system's default stays; `buffers` tells.
  }
}

/**
 * A sender's address as Node gives it, in canonical text; undefined for a link-local one, whose zone no five-tuple can
 * carry. IPv4 and all but IPv4-compatible IPv6 are canonical already.
 */
export function canonicalSource(address: string, family: Family): string | undefined {
  if (family === 4) return address;
  if (address.includes('%')) return undefined;
  return address.includes('.') ? canonicalAddress(address) : address;
}

/** Errors of receiving that are about a peer or a moment, after which the socket goes on. */
const PASSING = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'ENETDOWN',
  'ENETRESET',
  'EMSGSIZE',
  'ENOBUFS',
  'ENOMEM',
]);

export function isPassing(error: NodeJS.ErrnoException): boolean {
  return PASSING.has(error.code ?? '');
}
