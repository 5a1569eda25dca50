/** The TCP and TLS side of a plane: listeners, and the connections that clients make to them. */
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { canonicalAddress, familyOf } from '../../../kernel/address.ts';
import type { Endpoint, FiveTuple } from '../../../kernel/address.ts';
import type { Clock } from '../../../kernel/clock.ts';
import { canonicalSource } from '../dgram/datagram-socket.ts';
import type { ExpiryWheel } from '../dgram/expiry-wheel.ts';
import type { ConnectionCounts, Listener, StreamTransport } from '../plane.ts';
import { Connections } from './connections.ts';
import { StreamConnection } from './stream-connection.ts';
import type { ConnectionParts, Pending } from './stream-connection.ts';
import type { StreamLimits } from './stream-limits.ts';
import type { TlsIdentity } from './tls-identity.ts';

/** RFC 7443: a client that says what it wants says this; one that offers only other protocols is not ours. */
const ALPN_PROTOCOLS = ['stun.turn'];
/** Connections that the kernel may hold before they are accepted. */
const BACKLOG = 1024;

export interface StreamLegsParts extends Pick<ConnectionParts, 'onFrame' | 'onGone'> {
  readonly clock: Clock;
  readonly wheel: ExpiryWheel;
  readonly limits: StreamLimits;
  readonly tls: TlsIdentity | undefined;
}

export class StreamLegs {
  readonly #parts: ConnectionParts;
  readonly #tls: TlsIdentity | undefined;
  readonly #connections: Connections;
  readonly #pending: Pending = { octets: 0 };
  #servers: Server[] = [];
  #onEmpty: () => void = () => undefined;

  constructor({ tls, ...parts }: StreamLegsParts) {
    this.#tls = tls;
    this.#connections = new Connections(parts.limits);
    this.#parts = {
      ...parts,
      pending: this.#pending,
      onClosed: (connection, how) => {
        this.#connections.remove(connection, how);
        if (this.#connections.entries.connections === 0) this.#onEmpty();
      },
    };
  }

  /** Opens one listener and tells the address that it got; rejects with the reason when it cannot be had. */
  async listen(transport: StreamTransport, at: Endpoint): Promise<Listener> {
    if (transport === 'tls' && this.#tls === undefined) throw new Error('a certificate is needed');
    const server = createServer({ noDelay: true }, (socket) => this.#accept(transport, socket));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      const ipv6Only = familyOf(at.address) === 6;
      server.listen({ host: at.address, port: at.port, ipv6Only, exclusive: true, backlog: BACKLOG }, () => {
        server.off('error', reject);
        resolve();
      });
    });
    // What can fail from now on is one accept, for want of descriptors; the next one may succeed.
    server.on('error', () => undefined);
    this.#servers.push(server);
    const bound = server.address();
    return { transport, address: at.address, port: typeof bound === 'object' ? (bound?.port ?? at.port) : at.port };
  }

  find(fiveTuple: FiveTuple): StreamConnection | undefined {
    return this.#connections.find(fiveTuple);
  }

  counts(): ConnectionCounts {
    return this.#connections.counts();
  }

  /** Sizes of what is kept for connections: every one is 0 when nobody is connected. */
  get entries(): Readonly<Record<'connections' | 'sources' | 'pendingOctets', number>> {
    return { ...this.#connections.entries, pendingOctets: this.#pending.octets };
  }

  /** Closes the listeners and every connection. */
  async close(): Promise<void> {
    const servers = this.#servers;
    this.#servers = [];
    const closed = servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
    for (const connection of this.#connections.all()) connection.close('shutdown');
    if (this.#connections.entries.connections > 0) {
      closed.push(
        new Promise((resolve) => {
          this.#onEmpty = resolve;
        }),
      );
    }
    await Promise.all(closed);
  }

  #accept(transport: StreamTransport, socket: Socket): void {
    const fiveTuple = fiveTupleOf(transport, socket);
    if (fiveTuple === undefined || !this.#connections.hasRoomFor(fiveTuple.client.address)) {
      this.#connections.ended(transport, fiveTuple === undefined ? 'client' : 'refused');
      socket.destroy();
      return;
    }
    const connection = new StreamConnection(transport, this.#secured(transport, socket), fiveTuple, this.#parts);
    this.#connections.add(connection);
  }

  #secured(transport: StreamTransport, socket: Socket): Socket {
    if (transport === 'tcp' || this.#tls === undefined) return socket;
    return new TLSSocket(socket, {
      isServer: true,
      secureContext: this.#tls.context,
      ALPNProtocols: ALPN_PROTOCOLS,
    });
  }
}

/** Undefined for a connection that is gone already, or that comes from a link-local address, whose zone no five-tuple can carry. */
function fiveTupleOf(transport: StreamTransport, socket: Socket): FiveTuple | undefined {
  const { localAddress, localPort, remoteAddress, remotePort } = socket;
  if (localAddress === undefined || localPort === undefined) return undefined;
  if (remoteAddress === undefined || remotePort === undefined) return undefined;
  const client = canonicalSource(remoteAddress, familyOf(remoteAddress));
  const server = canonicalAddress(localAddress);
  if (client === undefined || server === undefined) return undefined;
  return { transport, client: { address: client, port: remotePort }, server: { address: server, port: localPort } };
}
