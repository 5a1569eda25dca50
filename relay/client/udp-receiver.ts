/** A UDP socket of this host that only listens: the far end of a path through a relay. */
import { createSocket } from 'node:dgram';
import { type Endpoint, familyOf } from '../../kernel/address.ts';
import { codeOf, LinkError } from './link.ts';

export interface Receiver {
  readonly endpoint: Endpoint;
  listen(arrived: (payload: Buffer) => void): void;
  close(): void;
}

/** Throws LinkError when the address is none of this host's. */
export function openReceiver(address: string): Promise<Receiver> {
  return new Promise((resolve, reject) => {
    const socket = createSocket({ type: familyOf(address) === 4 ? 'udp4' : 'udp6', recvBufferSize: 1 << 20 });
    let arrived: (payload: Buffer) => void = () => undefined;
    socket.on('error', (error) => reject(new LinkError(codeOf(error), error.message, error)));
    socket.on('message', (payload) => arrived(payload));
    socket.bind(0, address, () => {
      const { port } = socket.address();
      resolve({
        endpoint: { address, port },
        listen: (call) => {
          arrived = call;
        },
        close: () => socket.close(),
      });
    });
  });
}
