/**
 * Meters what Cloudflare Realtime's WebSocket adapter sends to an endpoint of yours, from inside the process that has the endpoint:
 * media out of the SFU (`location: "remote"`) is egress from Cloudflare, and no counter of Cloudflare's tells it by adapter.
 *
 *     import { meterWebSocketAdapter } from 'turnpike/websocket-adapter';
 *
 *     const meter = meterWebSocketAdapter({
 *       url: 'https://turnpike.example.org',
 *       token: process.env.TURNPIKE_SOURCE_TOKEN,
 *       app: 'default',
 *       serverId: 'endpoint-1',
 *     });
 *     server.on('connection', (socket) => meter.add(socket, { call: 'standup', participant: 'transcriber' }));
 *     await meter.stop(); // before the process ends
 *
 * What is counted is the messages that arrive, as they are: Cloudflare's packets with their media, without WebSocket's framing and TLS.
 * What you send to Cloudflare (`location: "local"`) is ingress, which is free, and not counted.
 */
import { randomUUID } from 'node:crypto';
import { EgressTeller } from '../in-process/egress-teller.ts';
import type { Identity, TellerOptions } from '../in-process/egress-teller.ts';

export type { Identity };
export type MeterOptions = TellerOptions;

/** As much of a WebSocket as is used here: one of `ws`, or of the platform. */
export interface MeteredSocket {
  addEventListener(type: 'message', listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: 'close', listener: () => void): void;
}

export interface WebSocketAdapterMeter {
  /** Meters what arrives on this connection from now on. */
  add(socket: MeteredSocket, identity?: Identity): void;
  /** One attempt to tell. On its interval this happens by itself. */
  tick(): Promise<void>;
  /** All that is not told yet in one attempt. */
  stop(): Promise<void>;
}

interface Connection {
  readonly id: string;
  readonly identity: Identity;
  bytes: number;
  told: number;
}

export function meterWebSocketAdapter(options: MeterOptions): WebSocketAdapterMeter {
  const connections = new Set<Connection>();
  const teller = new EgressTeller({ source: 'websocket-adapter', ...options }, () => {
    for (const connection of connections) {
      if (connection.bytes === connection.told) continue;
      connection.told = connection.bytes;
      teller.keep(connection.id, connection.bytes, connection.identity);
    }
  });
  return {
    add: (socket, identity = {}) => {
      const connection: Connection = { id: randomUUID(), identity, bytes: 0, told: 0 };
      connections.add(connection);
      socket.addEventListener('message', ({ data }) => {
        connection.bytes += bytesOf(data);
      });
      socket.addEventListener('close', () => {
        connections.delete(connection);
        if (connection.bytes > 0) teller.keep(connection.id, connection.bytes, identity, true);
      });
    },
    tick: () => teller.tick(),
    stop: () => teller.stop(),
  };
}

/** A message in any shape that a WebSocket gives it (`binaryType`). */
function bytesOf(data: unknown): number {
  if (typeof data === 'string') return Buffer.byteLength(data);
  if (data instanceof ArrayBuffer || ArrayBuffer.isView(data)) return data.byteLength;
  if (data instanceof Blob) return data.size;
  return Array.isArray(data) ? data.reduce<number>((sum, part) => sum + bytesOf(part), 0) : 0;
}
