/** A whole relay node on loopback — real core, real sockets — and a collector that keeps what it acknowledges. */
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseCidr } from '../../kernel/address.ts';
import type { Endpoint } from '../../kernel/address.ts';
import { systemClock } from '../../kernel/clock.ts';
import { silentLog } from '../../kernel/log.ts';
import { Metrics } from '../../kernel/metrics.ts';
import { createAuthority } from '../../kernel/principals.ts';
import { systemRandom } from '../../kernel/random.ts';
import { usageBatch } from '../../relay/contract.ts';
import type { AppCap, GenerateRequest, Revocation, UsageRecord } from '../../relay/contract.ts';
import { createAuthenticator } from '../../relay/credentials/authenticator.ts';
import { issueIceServers } from '../../relay/credentials/ice-servers.ts';
import { createRelayNode } from '../../relay/node.ts';
import type { RelayNode, RelayNodeOptions } from '../../relay/node.ts';
import { createDgramPlane } from '../../relay/planes/dgram/dgram-plane.ts';
import type { Listener, Plane } from '../../relay/planes/plane.ts';
import { TlsIdentity } from '../../relay/planes/stream/tls-identity.ts';
import { createPeerPolicy } from '../../relay/policy/peer-policy.ts';
import { certificate } from '../conformance/stage.ts';
import type { TurnOptions } from '../../relay/turn/settings.ts';
import { readAnswer, TurnClient } from './turn-client.ts';
import type { Answer } from './turn-client.ts';

export interface RelayBench {
  readonly node: RelayNode;
  readonly plane: Plane;
  readonly metrics: Metrics;
  readonly directory: string;
  readonly server: Endpoint;
  /** What the collector has acknowledged, in order of arrival. */
  readonly acknowledged: UsageRecord[];
  /** Makes the collector answer 503 until it is told otherwise. */
  readonly collector: { away: boolean };
  /** Tells the relay, through its collector, that a credential was taken back. */
  revoke(username: string): void;
  /** Tells the relay, through its collector, which apps may carry nothing more. */
  cap(apps: readonly string[]): void;
  issue(request?: Partial<GenerateRequest>): { username: string; credential: string };
  close(): Promise<void>;
}

const authority = createAuthority(
  {
    apps: [{ id: 'shop', tokenHashes: [], keys: [{ id: 'main', secrets: ['a secret of the bench'] }], origins: [] }],
    relayTokenHash: '',
    sourceTokenHash: '',
    operatorTokenHash: '',
  },
  systemClock,
);

export async function relayBench(
  directory = mkdtempSync(join(tmpdir(), 'turnpike-node-')),
  collector = { away: false },
  listen: Listener = { transport: 'udp', address: '127.0.0.1', port: 0 },
  options: Partial<RelayNodeOptions> = {},
  turn: Partial<TurnOptions> = {},
): Promise<RelayBench> {
  const acknowledged: UsageRecord[] = [];
  const control = new FakeControl();
  const intake = createServer((request, response) => {
    if (request.method === 'GET') return control.answer(request, response, collector.away);
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    return void request.on('end', () => {
      if (!collector.away) {
        acknowledged.push(...usageBatch.parse(JSON.parse(Buffer.concat(chunks).toString('utf8'))).records);
      }
      response.writeHead(collector.away ? 503 : 200).end('{}');
    });
  });
  await once(intake.listen(0, '127.0.0.1'), 'listening');
  intake.unref();
  const policy = createPeerPolicy({
    ownAddresses: ['127.0.0.1', '::1'],
    allow: [parseCidr('127.0.0.0/8') ?? never('a range')],
    sfuRanges: [],
    hairpin: 'app',
  });
  const plane = createDgramPlane(
    {
      listen: [listen],
      ...(listen.transport === 'tls' ? { tls: new TlsIdentity(certificate('first')) } : {}),
      relayAddress: { 4: '127.0.0.1', 6: '::1' },
      policy,
      portQuarantine: 1_000,
      socketBufferBytes: 1 << 20,
    },
    { clock: systemClock, random: systemRandom },
  );
  const metrics = new Metrics();
  const node = createRelayNode({
    plane,
    turn: {
      realm: 'bench',
      authenticator: createAuthenticator(authority),
      policy,
      // Outside the range from which the system gives peers their ports: one of them in quarantine would be denied.
      relayPorts: { first: 61_000, last: 65_535 },
      families: [4, 6],
      ...turn,
    },
    directory,
    collector: { url: `http://127.0.0.1:${(intake.address() as AddressInfo).port}`, token: 'relay token' },
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    metrics,
    ...options,
  });
  await node.start();
  return {
    node,
    plane,
    metrics,
    directory,
    server: node.listening()[0] ?? never('a listener'),
    acknowledged,
    collector,
    revoke: (username) => control.revoke(username),
    cap: (apps) => control.cap(apps),
    issue: (request) => {
      const { key } = authority.key('main') ?? never('the key');
      const urls = { stunUrls: [], turnUrls: [], reportUrl: '' };
      const by = { app: 'shop', key, urls, clock: systemClock, random: systemRandom };
      const { username, credential } = issueIceServers({ ttl: 600, ...request }, by).iceServers[0] ?? {};
      return { username: username ?? never('a username'), credential: credential ?? never('a credential') };
    },
    close: async () => {
      await node.stop();
      intake.closeAllConnections();
      intake.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** A collector's revocations: each question is held until there is more than its cursor says. */
class FakeControl {
  readonly #revocations: Revocation[] = [];
  readonly #held = new Set<() => void>();
  #caps: AppCap[] | undefined;
  #changes = 0;

  cap(apps: readonly string[]): void {
    this.#caps = apps.map((app) => ({ app, until: Date.now() + 3_600_000 }));
    this.#news();
  }

  revoke(username: string): void {
    this.#revocations.push({ username, until: Date.now() + 3_600_000 });
    this.#news();
  }

  #news(): void {
    this.#changes += 1;
    for (const answer of this.#held) answer();
    this.#held.clear();
  }

  answer(request: IncomingMessage, response: ServerResponse, isAway: boolean): void {
    if (isAway) return void response.writeHead(503).end('{}');
    const cursor = new URL(request.url ?? '/', 'http://bench').searchParams.get('cursor');
    const answer = () => {
      const body = { cursor: `${this.#changes}`, revocations: this.#revocations, caps: this.#caps };
      response.end(JSON.stringify(body));
    };
    if (cursor === `${this.#changes}`) this.#held.add(answer);
    else answer();
  }
}

function never(what: string): never {
  throw new Error(`the bench has no ${what}`);
}

/** A UDP socket on loopback that counts what it sends and receives. */
export class Wire {
  readonly #socket: Socket;
  readonly #received: Buffer[] = [];
  #waiting: (() => void) | undefined;
  sent = { bytes: 0, packets: 0 };
  got = { bytes: 0, packets: 0 };

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (bytes) => {
      this.got = { bytes: this.got.bytes + bytes.length, packets: this.got.packets + 1 };
      this.#received.push(bytes);
      this.#waiting?.();
    });
  }

  static async open(port = 0): Promise<Wire> {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(port, '127.0.0.1', resolve));
    return new Wire(socket);
  }

  get endpoint(): Endpoint {
    const { address, port } = this.#socket.address();
    return { address, port };
  }

  async send(bytes: Uint8Array, to: Endpoint): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#socket.send(bytes, to.port, to.address, (error) => (error === null ? resolve() : reject(error)));
    });
    this.sent = { bytes: this.sent.bytes + bytes.length, packets: this.sent.packets + 1 };
  }

  async receive(): Promise<Buffer> {
    for (;;) {
      const first = this.#received.shift();
      if (first !== undefined) return first;
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
  }

  close(): void {
    this.#socket.close();
  }
}

/** A TURN client on a wire, with what it counts apart: relayed frames, and STUN answers after authentication. */
export class RelayedClient {
  readonly wire: Wire;
  readonly #turn: TurnClient;
  readonly #server: Endpoint;
  /** Bytes of STUN answers that came after the challenge. */
  controlBytes = 0;

  constructor(wire: Wire, credential: { username: string; credential: string }, server: Endpoint) {
    this.wire = wire;
    this.#turn = new TurnClient(credential.username, credential.credential);
    this.#server = server;
  }

  async #ask(build: (turn: TurnClient) => Uint8Array): Promise<Answer> {
    await this.wire.send(build(this.#turn), this.#server);
    return readAnswer(await this.wire.receive());
  }

  /** Allocates, through the challenge; the answer is the second one. */
  async allocate(): Promise<Answer> {
    const challenge = await this.#ask((turn) => turn.allocate());
    this.#turn.learn(challenge);
    return this.authenticated((turn) => turn.allocate());
  }

  async authenticated(build: (turn: TurnClient) => Uint8Array): Promise<Answer> {
    const answer = await this.#ask(build);
    this.controlBytes += answer.bytes.length;
    return answer;
  }

  async frame(bytes: Uint8Array): Promise<void> {
    await this.wire.send(bytes, this.#server);
  }
}
