/**
 * A client's five-tuple to a server: one datagram socket or one connection. A frame is what TURN sees: a STUN message or a
 * ChannelData message, however the transport cut it up.
 */
import type { Endpoint } from '../../kernel/address.ts';
import type { Timer } from './timer.ts';
import type { Transport } from './server-url.ts';

export interface LinkEvents {
  /** `bytes` are the receiver's own. */
  frame(bytes: Buffer): void;
  /** The link is over: refused, reset, ended by the server, or a stream that stopped making sense. Called once, never after `close`. */
  ended(reason: string): void;
}

export interface Link {
  readonly transport: Transport;
  readonly local: Endpoint;
  readonly remote: Endpoint;
  /** Sends bytes as they are: no padding is added. After the end nothing is sent. */
  send(bytes: Uint8Array): void;
  /** Whoever listens from now on; there is one listener. */
  listen(events: LinkEvents): void;
  close(): void;
}

export interface LinkOptions {
  readonly timer: Timer;
  /** Milliseconds for a connection and its TLS handshake. */
  readonly connectWithin: number;
  /** Takes any certificate: for a server with a self-signed one. */
  readonly insecure: boolean;
}

/** A link could not be had. `code` is the system's (`ECONNREFUSED`), the certificate's, or `timeout`. */
export class LinkError extends Error {
  readonly code: string;
  constructor(code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'LinkError';
    this.code = code;
  }
}

export function codeOf(error: unknown): string {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : 'unknown';
}
