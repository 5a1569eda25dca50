/** `turnpike relay`: a relay node, and its metrics on a private port. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { canonicalAddress, parseCidr } from '../kernel/address.ts';
import type { Cidr } from '../kernel/address.ts';
import { systemClock } from '../kernel/clock.ts';
import { TurnpikeError } from '../kernel/errors.ts';
import { createHttp } from '../kernel/http.ts';
import { createLog } from '../kernel/log.ts';
import type { Logger } from '../kernel/log.ts';
import { onStopSignal } from '../kernel/lifecycle.ts';
import type { Lifecycle } from '../kernel/lifecycle.ts';
import { Metrics } from '../kernel/metrics.ts';
import type { Authority } from '../kernel/principals.ts';
import { systemRandom } from '../kernel/random.ts';
import { uuidV7 } from '../kernel/uuid.ts';
import { createAuthenticator } from '../relay/credentials/authenticator.ts';
import { createRelayNode, relayRoutes } from '../relay/node.ts';
import type { RelayNode } from '../relay/node.ts';
import { createDgramPlane } from '../relay/planes/dgram/dgram-plane.ts';
import { type Addon, loadAddon } from '../relay/planes/native/addon.ts';
import { CounterFiles } from '../relay/planes/native/counter-files.ts';
import { nativeHashes } from '../relay/planes/native/native-hashes.ts';
import { createNativePlane } from '../relay/planes/native/native-plane.ts';
import type { Plane, PlaneOptions } from '../relay/planes/plane.ts';
import { TlsIdentity } from '../relay/planes/stream/tls-identity.ts';
import { createPeerPolicy } from '../relay/policy/peer-policy.ts';
import type { AppPeers } from '../relay/policy/peer-policy.ts';
import { nodeHashes } from '../relay/stun/hashes.ts';
import { authorityOf, loadBootstrap } from './bootstrap.ts';
import { onParentGone } from './child.ts';
import { listen } from './listen.ts';
import { runRole } from './role.ts';
import type { Config } from './config.ts';
import { settingsOf } from './settings.ts';
import { cappedApps } from './config.ts';
import { discoveryOf, externalAddresses, listenersOf, relayAddresses } from './turn-listeners.ts';

/** Milliseconds during which a closed relay port is not opened again, so that its new owner never hears the old peer. */
const PORT_QUARANTINE_MS = 60_000;
/** Asked of the kernel for each socket buffer: bursts of a video frame to hundreds of clients must fit. */
const SOCKET_BUFFER_BYTES = 4 * 1024 * 1024;
/** Threads of the native plane that nobody asked for more of. */
const MAX_THREADS = 16;

export async function relay(command: Command): Promise<void> {
  const config = settingsOf(command);
  const collector = config.relay.collector;
  if (collector === undefined) {
    throw new TurnpikeError('TP_CLI_USAGE', 'A relay needs a collector to report its usage to: --collector URL.');
  }
  const bootstrap = loadBootstrap({
    data: config.data,
    env: process.env,
    random: systemRandom,
    generate: false,
    needed: config.apps.length > 0 ? ['TURNPIKE_RELAY_TOKEN'] : ['TURNPIKE_RELAY_TOKEN', 'TURNPIKE_KEY_SECRET'],
  });
  const authority = authorityOf(config, bootstrap, systemClock);
  const log = createLog('relay', config.log.level);
  // Nobody waits for the calls of a relay whose service is gone.
  const cut = new AbortController();
  onParentGone(() => cut.abort());
  await runRole(log, async (lifecycle) => {
    const metrics = new Metrics();
    const uplink = { url: collector, token: bootstrap.secrets.TURNPIKE_RELAY_TOKEN };
    const tls = identityOf(config.turn.tls, lifecycle);
    const node = nodeOf({ config, authority, uplink, log, metrics, tls });
    await node.start();
    lifecycle.onClose('node', () => node.stop());
    await serveMetrics({ config, authority, node, log, metrics, lifecycle });
    const drains = config.turn.onStop === 'end' && config.turn.drainSeconds > 0;
    if (drains) lifecycle.onClose('drain', () => drained(node, config.turn.drainSeconds, cut));
    log.info({ listening: node.listening(), serverId: node.serverId, bootId: node.bootId }, 'relaying');
  });
}

/** Registered last, so that it comes first: /metrics and /readyz answer while calls end. */
async function drained(node: RelayNode, seconds: number, cut: AbortController): Promise<void> {
  const ignoreSignals = onStopSignal(() => cut.abort());
  await node.drain(seconds * 1000, cut.signal);
  ignoreSignals();
}

function nodeOf(parts: {
  config: Config;
  authority: Authority;
  uplink: { url: string; token: string };
  log: Logger;
  metrics: Metrics;
  tls: TlsIdentity | undefined;
}): RelayNode {
  const { turn, relay, data } = parts.config;
  const relayAddress = relayAddresses(turn);
  const externalAddress = externalAddresses(turn);
  const policy = createPeerPolicy({
    ownAddresses: [...listenersOf(turn).map(({ address }) => address), ...Object.values(externalAddress)],
    allow: turn.allowPeers.map(rangeOf),
    sfuRanges: turn.sfuRanges.map(rangeOf),
    deny: turn.denyPeers.map(rangeOf),
    hairpin: turn.hairpin,
    minPeerPort: turn.minPeerPort,
    apps: new Map(parts.config.apps.flatMap(({ id, peers }) => (peers === undefined ? [] : [[id, appPeers(peers)]]))),
  });
  const bootId = uuidV7(systemClock, systemRandom);
  const counted = new CounterFiles(join(data, 'relay', 'counters'), bootId);
  const addon = turn.plane === 'dgram' ? new Error('it was not asked for') : loadAddon();
  const plane = planeOf(turn, addon, counted, parts.log, {
    listen: listenersOf(turn),
    ...(parts.tls === undefined ? {} : { tls: parts.tls }),
    streams: { connections: turn.maxConnections, connectionsPerSource: turn.connectionsPerSource },
    relayAddress,
    externalAddress,
    policy,
    portQuarantine: PORT_QUARANTINE_MS,
    socketBufferBytes: SOCKET_BUFFER_BYTES,
  });
  const [first, last] = turn.relayPorts;
  return createRelayNode({
    plane,
    turn: {
      realm: turn.realm,
      authenticator: createAuthenticator(parts.authority),
      hashes: addon instanceof Error ? nodeHashes : nativeHashes(addon),
      policy,
      relayPorts: { first, last },
      families: ([4, 6] as const).filter((family) => relayAddress[family] !== undefined),
      discovery: discoveryOf(turn),
      onExpiry: turn.onExpiry,
      maxAllocations: turn.maxAllocations,
      allocationsPerUser: turn.allocationsPerUser,
      allocationsPerApp: turn.allocationsPerApp,
      allocationsPerSource: turn.allocationsPerSource,
      permissionsPerAllocation: turn.permissionsPerAllocation,
      channelsPerAllocation: turn.channelsPerAllocation,
      newPeersPerSecond: turn.newPeersPerSecond,
      refusalsPerSecond: turn.refusalsPerSecond,
      alternates: turn.alternates.map(({ address, port, tls }) => ({
        address: canonicalAddress(address) ?? address,
        port,
        ...(tls === undefined ? {} : { tls }),
      })),
    },
    caps: {
      closed: new Set(relay.onControlTimeout === 'fail_closed' ? cappedApps(parts.config).keys() : []),
      timeout: relay.controlTimeout * 1_000,
    },
    onStop: turn.onStop,
    directory: join(data, 'relay'),
    bootId,
    counted,
    ...(relay.serverId === undefined ? {} : { serverId: relay.serverId }),
    collector: parts.uplink,
    clock: systemClock,
    random: systemRandom,
    log: parts.log,
    metrics: parts.metrics,
  });
}

/** The plane that was asked for, or the fastest that this machine has. */
function planeOf(
  { plane, threads, maxAllocations }: Config['turn'],
  addon: Addon | Error,
  counted: CounterFiles,
  log: Logger,
  options: PlaneOptions,
): Plane {
  const deps = { clock: systemClock, random: systemRandom };
  if (!(addon instanceof Error)) {
    // Twice as many: those that have just ended are counted until they are closed.
    const slots = 2 * maxAllocations;
    const count = threads ?? Math.min(availableParallelism(), MAX_THREADS);
    log.info({ plane: 'native', threads: count }, 'packets are moved by threads of the native plane');
    const counterFile = counted.path;
    return createNativePlane(options, { ...deps, addon, threads: count, counterFile, maxAllocations: slots });
  }
  if (plane === 'native') {
    throw new TurnpikeError(
      'TP_RELAY_START',
      'The native plane was not built: run `npm rebuild`, which needs a C++ compiler.',
      {
        cause: addon,
      },
    );
  }
  log.info({ plane: 'dgram' }, 'packets are moved by the dgram plane');
  return createDgramPlane(options, deps);
}

/** The certificate of the configured files, read again whenever the role is told to. Undefined when there is none. */
function identityOf({ certFile, keyFile }: Config['turn']['tls'], lifecycle: Lifecycle): TlsIdentity | undefined {
  if (certFile === undefined || keyFile === undefined) return undefined;
  const read = () => ({ certificate: readPem(certFile), key: readPem(keyFile) });
  const identity = new TlsIdentity(read());
  lifecycle.onReload('certificate', () => identity.replace(read()));
  return identity;
}

function readPem(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new TurnpikeError('TP_RELAY_CERTIFICATE', `The TLS file ${path} cannot be read.`, { cause: error });
  }
}

async function serveMetrics(parts: {
  config: Config;
  authority: Authority;
  node: RelayNode;
  log: Logger;
  metrics: Metrics;
  lifecycle: Lifecycle;
}): Promise<void> {
  const { metricsHost: host, metricsPort: port } = parts.config.relay;
  const http = createHttp({ log: parts.log, authority: parts.authority, host });
  await http.register(relayRoutes, { node: parts.node, metrics: parts.metrics });
  await listen(http, { host, port, flag: '--metrics-port <port>' });
  parts.lifecycle.onClose('metrics', () => http.close());
}

function appPeers({ only, deny, minPort }: NonNullable<Config['apps'][number]['peers']>): AppPeers {
  return { only: only?.map(rangeOf), deny: deny?.map(rangeOf), minPort };
}

/** The schema has checked the text already. */
function rangeOf(text: string): Cidr {
  const range = parseCidr(text);
  if (range === undefined) throw new TurnpikeError('TP_KERNEL_CONFIG', `${text} is not a range.`);
  return range;
}
