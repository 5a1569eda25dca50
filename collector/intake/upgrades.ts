/**
 * Requests for a WebSocket, on their way through the routes like all others: hooks see them, and a route that does not want them
 * answers as it would without.
 */
import type { IncomingMessage } from 'node:http';
import { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { TurnpikeError } from '../../kernel/errors.ts';

/** The connection behind a request, taken from HTTP. */
export interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Socket;
  /** What came behind the request already. */
  readonly head: Buffer;
}

export class Upgrades {
  readonly #heads = new WeakMap<IncomingMessage, Buffer>();

  constructor(server: FastifyInstance) {
    server.server.on('upgrade', (request, socket, head) => {
      socket.on('error', () => socket.destroy());
      if (request.headers.upgrade?.toLowerCase() !== 'websocket') {
        socket.unshift(Buffer.concat([withoutUpgrade(request), head]));
        server.server.emit('connection', socket);
      } else {
        this.#heads.set(request, head);
        const response = new ServerResponse(request);
        response.shouldKeepAlive = false;
        response.assignSocket(request.socket);
        response.on('finish', () => socket.end());
        server.routing(request, response);
      }
    });
  }

  /** Ends the reply: what is said from here on is no HTTP. Throws TP_COLLECTOR_UPGRADE for a request that asks for none. */
  take({ raw: request }: FastifyRequest, reply: FastifyReply): Upgrade {
    const head = this.#heads.get(request);
    if (head === undefined) {
      void reply.headers({ upgrade: 'websocket', connection: 'upgrade' });
      throw new TurnpikeError('TP_COLLECTOR_UPGRADE');
    }
    reply.hijack();
    reply.raw.detachSocket(request.socket);
    return { request, socket: request.socket, head };
  }
}

/**
 * The head of a request that asks for a protocol which is not spoken here (Java's client asks every server for HTTP/2), without
 * that: such a request is served as if it had not asked (RFC 9110 §7.8), and what follows it is its body.
 */
function withoutUpgrade({ method, url, httpVersion, rawHeaders }: IncomingMessage): Buffer {
  const lines = [`${method} ${url} HTTP/${httpVersion}`];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? '';
    if (!/^(?:upgrade|connection|http2-settings)$/i.test(name)) lines.push(`${name}: ${rawHeaders[index + 1]}`);
  }
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}
