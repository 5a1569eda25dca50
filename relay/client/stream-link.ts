/** A link over TCP, or TLS over TCP (RFC 8656 §2.1), with the framing of both kinds of messages (RFC 8489 §6.2.2, RFC 8656 §12.5). */
import { connect as connectTcp, isIP } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { canonicalAddress, type Endpoint } from '../../kernel/address.ts';
import { FrameReader } from './frame-reader.ts';
import { codeOf, type Link, LinkError, type LinkEvents, type LinkOptions } from './link.ts';

/** RFC 7443 §3: the ALPN label of TURN. */
const ALPN = 'stun.turn';

/** `host` is the name that a TLS certificate must bear. */
export function openStreamLink(
  transport: 'tcp' | 'tls',
  remote: Endpoint,
  host: string,
  options: LinkOptions,
): Promise<Link> {
  return new Promise((resolve, reject) => {
    const at = { host: remote.address, port: remote.port };
    const socket =
      transport === 'tcp'
        ? connectTcp({ ...at, noDelay: true })
        : connectTls({
            ...at,
            ...(isIP(host) === 0 ? { servername: host } : {}),
            ALPNProtocols: [ALPN],
            rejectUnauthorized: !options.insecure,
          });
    const cancel = options.timer.after(options.connectWithin, () =>
      socket.destroy(new LinkError('timeout', `no connection within ${options.connectWithin} ms`)),
    );
    const fail = (error: Error): void => {
      cancel();
      socket.destroy();
      reject(error instanceof LinkError ? error : new LinkError(codeOf(error), error.message, error));
    };
    socket.once('error', fail);
    socket.once(transport === 'tcp' ? 'connect' : 'secureConnect', () => {
      cancel();
      socket.off('error', fail);
      socket.setNoDelay(true);
      resolve(new StreamLink(transport, socket, remote));
    });
  });
}

class StreamLink implements Link {
  readonly transport: 'tcp' | 'tls';
  readonly local: Endpoint;
  readonly remote: Endpoint;
  readonly #socket: Socket;
  readonly #frames = new FrameReader();
  #events: LinkEvents | undefined;
  #open = true;

  constructor(transport: 'tcp' | 'tls', socket: Socket, remote: Endpoint) {
    this.transport = transport;
    this.#socket = socket;
    this.remote = remote;
    this.local = { address: canonicalAddress(socket.localAddress ?? '') ?? '', port: socket.localPort ?? 0 };
    socket.on('data', (chunk) => this.#take(chunk));
    socket.on('error', (error) => this.#end(codeOf(error)));
    socket.on('close', () => this.#end('closed by the server'));
  }

  send(bytes: Uint8Array): void {
    if (this.#open) this.#socket.write(bytes);
  }

  listen(events: LinkEvents): void {
    this.#events = events;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    const frames = this.#frames.read(chunk);
    for (const frame of frames ?? []) this.#events?.frame(frame);
    if (frames === undefined) this.#end('the stream is no STUN');
  }

  #end(reason: string): void {
    if (!this.#open) return;
    this.close();
    this.#events?.ended(reason);
  }
}
