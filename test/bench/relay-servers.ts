/** The servers that bench:relay measures, each to be run in a process of its own. */
import { createSocket } from 'node:dgram';
import { createRequire } from 'node:module';
import { parseCidr } from '../../kernel/address.ts';
import { systemClock } from '../../kernel/clock.ts';
import { systemRandom } from '../../kernel/random.ts';
import { createDgramPlane } from '../../relay/planes/dgram/dgram-plane.ts';
import type { PlaneOptions } from '../../relay/planes/plane.ts';
import { createPeerPolicy } from '../../relay/policy/peer-policy.ts';
import { TurnCore } from '../../relay/turn/core.ts';

export type ServerName = 'floor' | 'turnpike' | 'node-turn' | 'coturn';

const HOST = '127.0.0.1';

export async function serve(
  name: ServerName,
  port: number,
  sink: number,
  username: string,
  password: string,
): Promise<void> {
  if (name === 'floor') serveFloor(port, sink);
  else if (name === 'turnpike') await serveTurnpike(port, password);
  else serveNodeTurn(port, username, password);
}

function serveFloor(port: number, sink: number): void {
  const options = {
    type: 'udp4',
    recvBufferSize: 4 << 20,
    sendBufferSize: 4 << 20,
    lookup: (address: string, _options: unknown, answer: (error: null, address: string, family: number) => void) =>
      answer(null, address, 4),
  } as const;
  const outward = createSocket(options);
  outward.bind(0, HOST);
  const inward = createSocket(options);
  inward.on('message', (bytes) => outward.send(bytes.subarray(4), sink, HOST));
  inward.bind(port, HOST);
}

async function serveTurnpike(port: number, password: string): Promise<void> {
  const loopback = parseCidr('127.0.0.0/8');
  if (loopback === undefined) throw new Error('unreachable');
  const policy = createPeerPolicy({ ownAddresses: [HOST], allow: [loopback], sfuRanges: [], hairpin: 'app' });
  const options: PlaneOptions = {
    listen: [{ transport: 'udp', address: HOST, port }],
    relayAddress: { 4: HOST },
    policy,
    portQuarantine: 60_000,
    socketBufferBytes: 4 << 20,
  };
  const plane = createDgramPlane(options, { clock: systemClock, random: systemRandom });
  const core = new TurnCore({
    realm: 'bench',
    nonceKey: systemRandom.bytes(32),
    policy,
    random: systemRandom,
    relayPorts: { first: 20_000, last: 29_999 },
    families: [4],
    authenticator: {
      lookup: () => ({
        ok: true,
        app: 'bench',
        keyId: 'bench',
        passwords: [password],
        claims: { customId: '', call: '', participant: '', limits: {} },
        expiresAt: Number.MAX_SAFE_INTEGER,
      }),
    },
  });
  await plane.start((event) => {
    const at = { now: systemClock.now(), monotonic: systemClock.monotonic() };
    for (const command of core.handleEvent(event, at)) plane.apply(command);
  });
  setInterval(() => plane.tick(), 1000);
}

type NodeTurn = new (options: Record<string, unknown>) => { start(): void };

function serveNodeTurn(port: number, username: string, password: string): void {
  const Turn = createRequire(import.meta.url)('node-turn') as NodeTurn;
  new Turn({
    authMech: 'long-term',
    credentials: { [username]: password },
    listeningPort: port,
    listeningIps: [HOST],
    relayIps: [HOST],
    minPort: 20_000,
    maxPort: 29_999,
    debugLevel: 'OFF',
  }).start();
}
