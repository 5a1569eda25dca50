/** A link over UDP. The socket is connected, so that only the server is heard and an ICMP port unreachable is an end. */
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { type Endpoint, familyOf } from '../../kernel/address.ts';
import { codeOf, type Link, LinkError, type LinkEvents } from './link.ts';

/** A video frame's burst, and a throughput test's, fit. */
const RECEIVE_BUFFER = 1 << 20;

export function openDatagramLink(remote: Endpoint): Promise<Link> {
  return new Promise((resolve, reject) => {
    const socket = createSocket({
      type: familyOf(remote.address) === 4 ? 'udp4' : 'udp6',
      recvBufferSize: RECEIVE_BUFFER,
    });
    const fail = (error: Error): void => {
      socket.close();
      reject(new LinkError(codeOf(error), error.message, error));
    };
    socket.once('error', fail);
    socket.connect(remote.port, remote.address, () => {
      socket.off('error', fail);
      resolve(new DatagramLink(socket, remote));
    });
  });
}

class DatagramLink implements Link {
  readonly transport = 'udp';
  readonly local: Endpoint;
  readonly remote: Endpoint;
  readonly #socket: Socket;
  #events: LinkEvents | undefined;
  #open = true;

  constructor(socket: Socket, remote: Endpoint) {
    this.#socket = socket;
    this.remote = remote;
    const { address, port } = socket.address();
    this.local = { address, port };
    socket.on('message', (bytes) => this.#events?.frame(bytes));
    socket.on('error', (error) => this.#end(codeOf(error)));
  }

  send(bytes: Uint8Array): void {
    // An error comes as an event as well, or the datagram was lost: nothing to do about it here.
    if (this.#open) this.#socket.send(bytes, () => undefined);
  }

  listen(events: LinkEvents): void {
    this.#events = events;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#socket.close();
  }

  #end(reason: string): void {
    if (!this.#open) return;
    this.close();
    this.#events?.ended(reason);
  }
}
