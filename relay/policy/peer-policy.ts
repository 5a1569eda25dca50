/**
 * Which peers an allocation may reach, and under which class their bytes are counted. The default refuses everything
 * that is not the public Internet, so that a relay is never a way into the network it stands in.
 */
import { cidrContains, formatAddress, parseAddress, parseCidr } from '../../kernel/address.ts';
import type { Cidr, Endpoint } from '../../kernel/address.ts';
import type { PeerClass, PeerPolicy, PortVerdict } from '../planes/plane.ts';
import { deniedRanges } from './denied-ranges.ts';
import { embeddedIpv4 } from './embedded-ipv4.ts';

export interface PeerPolicyOptions {
  /** Every address of this relay (listening, relay and external), in any spelling. */
  readonly ownAddresses: readonly string[];
  /** Ranges for which the default deny list, the port rule and the rule for own addresses are lifted (`--allow-peer`). */
  readonly allow: readonly Cidr[];
  /** Ranges refused beside the default ones. They win over `allow` and `sfuRanges`. */
  readonly deny?: readonly Cidr[];
  /** Ranges of the operator's SFUs: allowed, whatever they are, and counted under `sfu`. */
  readonly sfuRanges: readonly Cidr[];
  /** Who may reach whom inside this relay: allocations of the same app, of any app, or nobody. */
  readonly hairpin: 'app' | 'any' | 'none';
  /** What single apps may reach, beside or instead of what all may. */
  readonly apps?: ReadonlyMap<string, AppPeers>;
  /** Lowest peer port outside `allow` and `sfuRanges` (default 1024: no well-known service is a WebRTC peer). */
  readonly minPeerPort?: number;
}

export interface AppPeers {
  /**
   * Nothing but these ranges, whatever they are: an app that only ever talks to its SFU is of no use to anybody else. Its own
   * other allocations are peers like any: they are out of reach unless a range covers their address.
   */
  readonly only?: readonly Cidr[] | undefined;
  /** Ranges refused beside those of all apps. They win over `only`. */
  readonly deny?: readonly Cidr[] | undefined;
  /** In place of `minPeerPort`; holds in `only` ranges too. */
  readonly minPort?: number | undefined;
}

export const DEFAULT_MIN_PEER_PORT = 1024;

const defaultDenied: readonly Cidr[] = deniedRanges.map(({ range }) => {
  const parsed = parseCidr(range);
  if (parsed === undefined) throw new RangeError(`malformed range in the deny list: ${range}`);
  return parsed;
});

const within = (ranges: readonly Cidr[], address: Uint8Array): boolean =>
  ranges.some((range) => cidrContains(range, address));

/** What an address is, apart from its port. `lifted` = an operator's range covers it in every reading. */
type Standing = 'denied' | 'own' | 'open' | 'lifted' | 'sfu';

const classOf = { own: 'own_relay', sfu: 'sfu', open: 'internet', lifted: 'internet' } as const;

/**
 * Judges an address under all its readings: as it is written, and as every IPv4 address it could stand for. It is
 * refused as soon as one reading is, unless an operator's range covers that very reading: allowing 10.0.0.0/8 does
 * not open 2002:a00::/24, and allowing 2002::/16 does not open 10.0.0.0/8.
 */
export function createPeerPolicy(options: PeerPolicyOptions): PeerPolicy {
  const {
    allow,
    deny = [],
    sfuRanges,
    hairpin,
    minPeerPort = DEFAULT_MIN_PEER_PORT,
    apps = new Map<string, AppPeers>(),
  } = options;
  const own = new Set(options.ownAddresses.map(canonical));

  const standingOfReading = (reading: Uint8Array): Standing => {
    if (within(deny, reading)) return 'denied';
    if (within(sfuRanges, reading)) return 'sfu';
    if (within(allow, reading)) return 'lifted';
    if (own.has(formatAddress(reading))) return 'own';
    return within(defaultDenied, reading) ? 'denied' : 'open';
  };

  /** Its own ranges lift for an app what is denied to all, but only the address as it is written. */
  const standingForApp = (literal: Uint8Array, { only }: AppPeers): Standing => {
    if (within(deny, literal)) return 'denied';
    const standing = standingOfReading(literal);
    if (only === undefined) return standing;
    if (!within(only, literal)) return 'denied';
    return standing === 'own' || standing === 'sfu' ? standing : 'lifted';
  };

  const standingOf = (address: string, peers: AppPeers): Standing => {
    const bytes = parseAddress(address);
    if (bytes === undefined) return 'denied';
    const inner = embeddedIpv4(bytes);
    const { deny: denied = [] } = peers;
    if ([bytes, ...inner].some((reading) => within(denied, reading))) return 'denied';
    const literal = standingForApp(bytes, peers);
    const embedded = inner.map(standingOfReading);
    if (literal === 'denied' || embedded.includes('denied')) return 'denied';
    // An own address in disguise is never the address of an allocation, so nothing there may be reached.
    if (embedded.includes('own')) return 'denied';
    if (literal !== 'open' || embedded.includes('open')) return literal;
    return embedded[0] ?? 'open';
  };

  const judgePorts = (address: string, app: string): readonly PortVerdict[] => {
    const peers = apps.get(app) ?? {};
    const standing = standingOf(address, peers);
    if (standing === 'denied') return [{ last: 65_535, verdict: 'denied' }];
    const lowest = Math.max(1, peers.minPort ?? (standing === 'open' ? minPeerPort : 1));
    return [
      { last: lowest - 1, verdict: 'denied' },
      { last: 65_535, verdict: classOf[standing] },
    ];
  };

  return {
    hairpin,
    judgePorts,
    judge: ({ address, port }: Endpoint, app): PeerClass | 'denied' => {
      if (!Number.isInteger(port) || port < 1) return 'denied';
      return judgePorts(address, app).find(({ last }) => port <= last)?.verdict ?? 'denied';
    },
    permits: (address, app) => {
      const standing = standingOf(address, apps.get(app) ?? {});
      return standing === 'own' ? hairpin !== 'none' : standing !== 'denied';
    },
  };
}

function canonical(address: string): string {
  const bytes = parseAddress(address);
  if (bytes === undefined) throw new RangeError(`not an address of this relay: ${address}`);
  return formatAddress(bytes);
}
