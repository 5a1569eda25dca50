/** A UDP socket on a host of a test's own network, worked from here (test/system/udp-socket.ts). */
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { build } from 'esbuild';
import type { Endpoint } from '../../kernel/address.ts';
import type { Link, LinkEvents } from '../../relay/client/link.ts';
import type { Network, Program } from './network.ts';

/** As a line carries it. */
export interface Datagram extends Endpoint {
  /** Base64. */
  readonly bytes: string;
}
/** As it was received. */
export interface Arrival {
  readonly from: Endpoint;
  readonly bytes: Buffer;
}

/** Makes the program at `outfile` that `openSocket` runs. */
export async function buildSocketProgram(outfile: string): Promise<void> {
  const entry = join(import.meta.dirname, 'udp-socket.ts');
  await build({ entryPoints: [entry], outfile, bundle: true, platform: 'node', format: 'esm' });
}

export async function openSocket(
  network: Network,
  host: string,
  options: { readonly program: string; readonly address: string },
): Promise<RemoteSocket> {
  const process_ = network.start(host, process.execPath, [options.program, options.address]);
  const lines = createInterface({ input: process_.stdout });
  const local = await new Promise<Endpoint>((resolve, reject) => {
    let complaint = '';
    process_.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
    process_.once('exit', () => reject(new Error(`no socket on ${host}: ${complaint}`)));
    lines.once('line', (line) => resolve(JSON.parse(line) as Endpoint));
  });
  return new RemoteSocket(process_, local, lines);
}

export class RemoteSocket {
  readonly local: Endpoint;
  /** Everything that has arrived, unless there is a listener. */
  readonly arrived: Arrival[] = [];
  #listener: ((arrival: Arrival) => void) | undefined;
  readonly #program: Program;

  constructor(program: Program, { address, port }: Endpoint, lines: NodeJS.EventEmitter) {
    this.#program = program;
    this.local = { address, port };
    lines.on('line', (line: string) => {
      const { address, port, bytes } = JSON.parse(line) as Datagram;
      const arrival = { from: { address, port }, bytes: Buffer.from(bytes, 'base64') };
      if (this.#listener === undefined) this.arrived.push(arrival);
      else this.#listener(arrival);
    });
  }

  send(to: Endpoint, bytes: Uint8Array): void {
    const datagram: Datagram = { ...to, bytes: Buffer.from(bytes).toString('base64') };
    this.#program.stdin.write(`${JSON.stringify(datagram)}\n`);
  }

  /** The socket as a client's link to one server; nobody else is heard any more. */
  linkTo(remote: Endpoint): Link {
    return {
      transport: 'udp',
      local: this.local,
      remote,
      send: (bytes) => this.send(remote, bytes),
      listen: (events: LinkEvents) => {
        this.#listener = ({ from, bytes }) => {
          if (from.address === remote.address && from.port === remote.port) events.frame(bytes);
        };
      },
      close: () => this.#program.stdin.end(),
    };
  }
}
