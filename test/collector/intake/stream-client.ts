/** A client of /v1/stats/stream, for tests: what it is told waits until somebody asks. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { WebSocket } from 'ws';

export interface Told {
  readonly [member: string]: unknown;
}

export class StreamClient {
  readonly socket: WebSocket;
  /** Code and reason of the close. */
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  readonly #told: Told[] = [];
  #wake = () => {};

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('message', (data: Buffer) => {
      this.#told.push(JSON.parse(data.toString('utf8')) as Told);
      this.#wake();
    });
    this.closed = new Promise((resolve) => {
      socket.on('close', (code, reason) => {
        resolve({ code, reason: reason.toString('utf8') });
        this.#wake();
      });
    });
    socket.on('error', () => {});
  }

  send(...messages: readonly unknown[]): void {
    for (const message of messages) this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  /** The next thing that it is told. */
  async next(): Promise<Told> {
    for (;;) {
      const [first] = this.#told.splice(0, 1);
      if (first !== undefined) return first;
      if (this.socket.readyState === WebSocket.CLOSED) throw new Error('the stream is closed and says nothing more');
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Waits until as many messages are settled, or the report of that number is; answers what was told until then. */
  async acknowledged(count: number): Promise<Told[]> {
    const told: Told[] = [];
    for (;;) {
      const one = await this.next();
      told.push(one);
      const { body } = one as { body?: { value: number } };
      if (one['ack'] === count || one['seq'] === count || body?.value === count) return told;
    }
  }

  /** Everything until the end. */
  async rest(): Promise<Told[]> {
    await this.closed;
    return this.#told.splice(0);
  }
}

export interface Opening {
  readonly token: string;
  readonly protocol?: string;
  readonly query?: string;
  readonly headers?: Record<string, string>;
}

export function portOf(http: FastifyInstance): number {
  return (http.server.address() as AddressInfo).port;
}

function socketTo(http: FastifyInstance, { token, protocol, query = '', headers = {} }: Opening): WebSocket {
  const url = `ws://127.0.0.1:${portOf(http)}/v1/stats/stream?token=${encodeURIComponent(token)}${query}`;
  return new WebSocket(url, protocol === undefined ? [] : [protocol], { headers });
}

export async function openStream(http: FastifyInstance, opening: Opening): Promise<StreamClient> {
  const socket = socketTo(http, opening);
  const client = new StreamClient(socket);
  await once(socket, 'open');
  return client;
}

/** The answer to a handshake that is refused. */
export async function refusedStream(http: FastifyInstance, opening: Opening) {
  const socket = socketTo(http, opening);
  socket.on('error', () => {});
  const [, response] = (await once(socket, 'unexpected-response')) as [
    unknown,
    AsyncIterable<Buffer> & { statusCode: number; headers: Record<string, string> },
  ];
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part);
  const { error } = JSON.parse(Buffer.concat(parts).toString('utf8')) as { error: { code: string } };
  return { status: response.statusCode, code: error.code, headers: response.headers };
}
