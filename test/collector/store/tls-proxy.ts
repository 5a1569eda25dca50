/** TLS in front of a ClickHouse server, as a balancer or stunnel would be, and what it saw of the requests. */
import { readFileSync } from 'node:fs';
import { request as send } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';

export const pemFile = (name: 'first' | 'second', kind: 'certificate' | 'key'): string =>
  fileURLToPath(new URL(`../../vectors/tls/${name}.${kind}.pem`, import.meta.url));
export const pem = (name: 'first' | 'second', kind: 'certificate' | 'key'): string =>
  readFileSync(pemFile(name, kind), 'utf8');

export interface SeenRequest {
  readonly url: URL;
  readonly headers: IncomingHttpHeaders;
  /** Bytes of the body as they came. */
  readonly bytes: number;
  readonly answerEncoding: string | undefined;
}

export class TlsProxy {
  readonly seen: SeenRequest[] = [];
  /** Answers in place of the server while it is set, as a balancer does that has lost it. */
  answer: { readonly status: number; readonly body: string } | undefined;
  readonly #server: Server;

  /** Shows the first certificate. With `clientCa` it takes only clients that show one from there. */
  static async to(target: string, { clientCa }: { clientCa?: string } = {}): Promise<TlsProxy> {
    const proxy = new TlsProxy(target, clientCa);
    await new Promise<void>((resolve) => void proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  private constructor(target: string, clientCa: string | undefined) {
    const asking = clientCa === undefined ? {} : { ca: clientCa, requestCert: true };
    const identity = { cert: pem('first', 'certificate'), key: pem('first', 'key') };
    this.#server = createServer({ ...identity, ...asking }, (incoming, outgoing) => {
      let bytes = 0;
      incoming.on('data', (chunk: Buffer) => (bytes += chunk.length));
      const see = (answer?: IncomingMessage) =>
        this.seen.push({
          url: new URL(incoming.url ?? '/', target),
          headers: incoming.headers,
          bytes,
          answerEncoding: answer?.headers['content-encoding'],
        });
      if (this.answer !== undefined) {
        const { status, body } = this.answer;
        incoming.once('end', () => {
          see();
          outgoing.writeHead(status, { 'content-type': 'text/html' }).end(body);
        });
        return;
      }
      const { method, headers } = incoming;
      const onward = send(new URL(incoming.url ?? '/', target), { method, headers, agent: false }, (answer) => {
        see(answer);
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      });
      onward.once('error', () => outgoing.destroy());
      incoming.pipe(onward);
    });
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }
}
