/** The servers that bench:relay measures, each to be run in a process of its own. */
import { createRequire } from 'node:module';
import { parseCidr } from '../../kernel/address.ts';
import { systemClock } from '../../kernel/clock.ts';
import { systemRandom } from '../../kernel/random.ts';
import { createDgramPlane } from '../../relay/planes/dgram/dgram-plane.ts';
import { loadAddon } from '../../relay/planes/native/addon.ts';
import { nativeHashes } from '../../relay/planes/native/native-hashes.ts';
import { createNativePlane } from '../../relay/planes/native/native-plane.ts';
import type { PlaneOptions } from '../../relay/planes/plane.ts';
import { createPeerPolicy } from '../../relay/policy/peer-policy.ts';
import { nodeHashes } from '../../relay/stun/hashes.ts';
import { TurnCore } from '../../relay/turn/core.ts';

export type ServerName = 'native' | 'native-2' | 'turnpike' | 'node-turn' | 'coturn';

const HOST = '127.0.0.1';

export async function serve(
  name: ServerName,
  port: number,
  username: string,
  password: string,
  refusalsPerSecond?: number,
): Promise<void> {
  if (name === 'turnpike') await serveTurnpike(port, password, 0, refusalsPerSecond);
  else if (name === 'native') await serveTurnpike(port, password, 1, refusalsPerSecond);
  else if (name === 'native-2') await serveTurnpike(port, password, 2, refusalsPerSecond);
  else serveNodeTurn(port, username, password);
}

/** With so many threads of the native plane; none is the plane on Node's sockets. */
async function serveTurnpike(
  port: number,
  password: string,
  threads: number,
  refusalsPerSecond: number | undefined,
): Promise<void> {
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
  const deps = { clock: systemClock, random: systemRandom };
  const addon = loadAddon();
  if (threads > 0 && addon instanceof Error) throw addon;
  const hashes = threads === 0 || addon instanceof Error ? nodeHashes : nativeHashes(addon);
  const plane =
    threads === 0 || addon instanceof Error
      ? createDgramPlane(options, deps)
      : createNativePlane(options, { ...deps, addon, threads });
  const core = new TurnCore({
    realm: 'bench',
    nonceKey: systemRandom.bytes(32),
    policy,
    hashes,
    random: systemRandom,
    relayPorts: { first: 10_000, last: 32_767 },
    families: [4],
    ...(refusalsPerSecond === undefined ? {} : { refusalsPerSecond }),
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
    minPort: 10_000,
    maxPort: 32_767,
    debugLevel: 'OFF',
  }).start();
}
