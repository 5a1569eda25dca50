/** The `turn` part of the configuration: where the relay listens, whom it serves and what it holds them to. */
import { z } from 'zod';
import { canonicalAddress, familyOf } from '../kernel/address.ts';
import { DEFAULT_MIN_PEER_PORT } from '../relay/policy/peer-policy.ts';
import { cidr, ipAddress, port } from './config-values.ts';

const isWildcard = (text: string) => ['0.0.0.0', '::'].includes(canonicalAddress(text) ?? text);
/** Behaviour discovery needs two real addresses and two ports, told to clients as they are. */
function isSecondPlace(
  { host, port, externalIp }: { host: string; port: number; externalIp?: string | undefined },
  second: { host: string; port: number },
): boolean {
  const isOther = canonicalAddress(host) !== canonicalAddress(second.host) && port !== second.port;
  const isReal = !isWildcard(host) && !isWildcard(second.host) && externalIp === undefined;
  return isOther && isReal && familyOf(host) === familyOf(second.host);
}

const portRange = z
  .string()
  .regex(/^\d{1,5}-\d{1,5}$/, 'must be a range such as 49152-65535')
  .transform((text) => text.split('-').map(Number) as [number, number])
  .refine(
    ([low, high]) => low >= 1024 && low + 2 <= high && high <= 65_535,
    'must be three ports or more within 1024-65535, low end first',
  );

/** Where clients go while this relay is full or being drained. */
const alternate = z.strictObject({
  address: ipAddress,
  port: port.min(1),
  tls: z.strictObject({ port: port.min(1), domain: z.string().min(1).max(255) }).optional(),
});

export const turnSettings = z
  .strictObject({
    host: ipAddress.default('127.0.0.1').describe('Address that the relay listens on and relays from.'),
    hosts: z
      .array(ipAddress)
      .default([])
      .describe('Further addresses that it listens on. It relays from the first of each family.'),
    port: port.default(3478).describe('Port of the relay, UDP and TCP.'),
    tls: z
      .strictObject({
        port: port.default(5349).describe('Port of the relay for TLS, when a certificate is given.'),
        certFile: z
          .string()
          .min(1)
          .optional()
          .describe('PEM file of the certificate and its chain. SIGHUP reads it again.'),
        keyFile: z.string().min(1).optional().describe('PEM file of its private key.'),
      })
      .refine(({ certFile, keyFile }) => (certFile === undefined) === (keyFile === undefined), {
        path: ['keyFile'],
        message: 'must be given together with certFile',
      })
      .prefault({}),
    discovery: z
      .strictObject({
        host: ipAddress.describe('Second address for NAT behaviour discovery (RFC 5780).'),
        port: port.min(1).describe('Second UDP port for it.'),
      })
      .optional(),
    realm: z.string().min(1).max(64).default('turnpike').describe('Realm of the long-term credentials.'),
    externalIp: ipAddress.optional().describe('Address told to clients, behind a 1:1 NAT.'),
    relayPorts: portRange.prefault('49152-65535').describe('Ports for relayed transport addresses.'),
    plane: z
      .enum(['auto', 'native', 'dgram'])
      .default('auto')
      .describe('What moves the packets: threads in C++ or Node’s own sockets; auto takes native where it was built.'),
    threads: z
      .int()
      .min(1)
      .max(64)
      .optional()
      .describe('Threads of the native plane; one for each core, at most 16, when absent.'),
    urls: z
      .array(z.string().regex(/^(stun|turns?):/, 'must be a stun:, turn: or turns: URL'))
      .default([])
      .describe('ICE server URLs handed out, when the listener’s own are not what clients should use.'),
    allowPeers: z.array(cidr).default([]).describe('Ranges for which the peer policy is lifted.'),
    denyPeers: z
      .array(cidr)
      .default([])
      .describe('Ranges refused as peers beside those that always are; they win over allowPeers and sfuRanges.'),
    minPeerPort: port
      .min(1)
      .default(DEFAULT_MIN_PEER_PORT)
      .describe('Lowest port of a peer outside allowPeers and sfuRanges: no well-known service is a WebRTC peer.'),
    sfuRanges: z.array(cidr).default([]).describe('Ranges counted as class sfu (and allowed).'),
    hairpin: z
      .enum(['app', 'any', 'none'])
      .default('app')
      .describe('Which other allocations of this relay a client may reach.'),
    maxAllocations: z.int().min(1).max(65_000).default(10_000).describe('Allocations alive at once.'),
    maxConnections: z.int().min(1).max(65_000).default(10_000).describe('TCP and TLS connections of clients at once.'),
    connectionsPerSource: z
      .int()
      .min(1)
      .max(65_000)
      .default(512)
      .describe('Those of one IPv4 address, or of one IPv6 /64.'),
    allocationsPerUser: z
      .int()
      .min(1)
      .max(65_000)
      .default(1_000)
      .describe('Allocations alive at once of one customIdentifier; of one credential where it has none.'),
    allocationsPerApp: z
      .int()
      .min(1)
      .max(65_000)
      .default(65_000)
      .describe('Allocations alive at once of one app on this relay.'),
    allocationsPerSource: z
      .int()
      .min(1)
      .max(65_000)
      .default(1_000)
      .describe('Allocations alive at once of one IPv4 address or one IPv6 /64, whoever asks there.'),
    permissionsPerAllocation: z
      .int()
      .min(1)
      .max(4_096)
      .default(256)
      .describe('Permissions alive at once of one allocation.'),
    channelsPerAllocation: z
      .int()
      .min(1)
      .max(4_096)
      .default(256)
      .describe('Channels of one allocation, those in their five minutes of rest included.'),
    newPeersPerSecond: z
      .int()
      .min(1)
      .max(100_000)
      .default(5)
      .describe(
        'Peer addresses new to an allocation in a second, five times as many at once; a credential may say otherwise.',
      ),
    refusalsPerSecond: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(100)
      .describe(
        'Answers such as 401 to one /24 or /56 of senders without valid credentials in a second, ten times as many at once.',
      ),
    onExpiry: z
      .enum(['keep', 'disconnect'])
      .default('keep')
      .describe('What happens to a live allocation when its credential expires.'),
    onStop: z
      .enum(['end', 'keep'])
      .default('end')
      .describe(
        'What happens to live allocations when the relay is told to stop: they end, after `drainSeconds`, or the relay that starts next in this data directory goes on with those over UDP, as it does after a crash.',
      ),
    drainSeconds: z
      .int()
      .min(0)
      .max(86_400)
      .default(0)
      .describe(
        'Seconds that live allocations may go on after SIGTERM while no new one is given; a second signal ends them.',
      ),
    alternates: z
      .array(alternate)
      .max(16)
      .default([])
      .describe(
        'Relays that clients are sent to (300 Try Alternate) while this one is full or draining: `{ address, port, tls: { port, domain } }`.',
      ),
  })
  .superRefine(({ host, hosts, externalIp, port, tls, discovery }, check) => {
    if (discovery !== undefined && !isSecondPlace({ host, port, externalIp }, discovery)) {
      const message =
        'must be another address of the family of turn.host, which is no wildcard and has no external address';
      check.addIssue({ code: 'custom', path: ['discovery'], message });
    }
    const family = externalIp === undefined ? undefined : familyOf(externalIp);
    const all = [host, ...hosts];
    if (all.some((each) => isWildcard(each) && familyOf(each) !== family)) {
      const message = 'must be given when the relay listens on all addresses: clients cannot reach 0.0.0.0 or ::';
      check.addIssue({ code: 'custom', path: ['externalIp'], message });
    } else if (family !== undefined && all.every((each) => familyOf(each) !== family)) {
      const message = 'must be of the family of an address that the relay listens on';
      check.addIssue({ code: 'custom', path: ['externalIp'], message });
    }
    if (tls.certFile !== undefined && tls.port === port && port !== 0) {
      check.addIssue({ code: 'custom', path: ['tls', 'port'], message: 'must differ from turn.port' });
    }
  })
  .prefault({});
