/** What a TURN core is made with. Seconds are whole; times inside the core are monotonic milliseconds. */
import type { Family } from '../../kernel/address.ts';
import type { Random } from '../../kernel/random.ts';
import type { PeerPolicy } from '../planes/plane.ts';
import { type Hashes, nodeHashes } from '../stun/hashes.ts';
import { opaqueString } from '../stun/opaque-string.ts';
import type { Authenticator, Instant } from './authenticator.ts';
import type { TurnObserver } from './observer.ts';
import type { Discovery } from './binding.ts';
import type { Alternate } from './redirection.ts';

interface Required {
  /**
   * Told to every client and part of every key. Short: it rides in each 401. Over UDP SHA-256 is offered with up to 24 octets, and
   * up to 48 still answer a browser's first Allocate.
   */
  readonly realm: string;
  /** Seals nonces: 16 octets or more, shared by workers that share clients. */
  readonly nonceKey: Uint8Array;
  readonly authenticator: Authenticator;
  readonly policy: Pick<PeerPolicy, 'judge' | 'permits'>;
  readonly random: Random;
  /** Ports of relayed addresses, both ends included. */
  readonly relayPorts: { readonly first: number; readonly last: number };
  /** Families in which this node can relay. */
  readonly families: readonly Family[];
}

interface Tuning {
  /** After a credential's end its allocations may go on (`keep`) or are closed at once (`disconnect`). */
  readonly onExpiry: 'keep' | 'disconnect';
  /** Seconds a nonce is good for. */
  readonly nonceLifetime: number;
  /** Seconds an allocation lives when the client asks for less or nothing (RFC 8656 §3.2). */
  readonly defaultLifetime: number;
  /** Seconds an allocation lives at most between two refreshes (RFC 8656 §7.2). */
  readonly maxLifetime: number;
  /** Allocations of this core, 508 beyond. */
  readonly maxAllocations: number;
  /** Allocations of one user, 486 beyond: of one `customId` of an app, or of one username where there is none. */
  readonly allocationsPerUser: number;
  /** Allocations of one app, 486 beyond. */
  readonly allocationsPerApp: number;
  /** Allocations of one IPv4 address or one /64 of IPv6, whoever asks there, 486 beyond. */
  readonly allocationsPerSource: number;
  /** Live permissions of an allocation, 508 beyond. */
  readonly permissionsPerAllocation: number;
  /** Channels of an allocation, those in their 5 minutes of rest included, 508 beyond. */
  readonly channelsPerAllocation: number;
  /**
   * Peer addresses new to an allocation in a second, where its credential does not say; five seconds' worth at once. Beyond, a
   * request waits for its retransmission (UDP) or is answered 508.
   */
  readonly newPeersPerSecond: number;
  /**
   * Refusals without integrity (401, 438, 400) sent to one /24 of IPv4 or /56 of IPv6 in a second, silence beyond; ten seconds'
   * worth at once.
   */
  readonly refusalsPerSecond: number;
  /** Ports tried before an Allocate is answered 508. */
  readonly openAttempts: number;
  /** Where clients are sent while this relay is full or being drained; with none they are answered 508. */
  readonly alternates: readonly Alternate[];
  /** Where behaviour discovery (RFC 5780) is served; undefined: nowhere. */
  readonly discovery: Discovery | undefined;
  /** SOFTWARE in authenticated success answers; empty leaves it out. */
  readonly software: string;
  /** Whether an app may carry nothing more for now, over all relays: 486. */
  readonly isCapped: (app: string, at: Instant) => boolean;
  readonly observer: TurnObserver;
  /** Whose hash functions; any give the same. */
  readonly hashes: Hashes;
}

export type TurnOptions = Required & Partial<Tuning>;
export type Settings = Required & Tuning;

export const turnDefaults: Tuning = {
  onExpiry: 'keep',
  nonceLifetime: 600,
  defaultLifetime: 600,
  maxLifetime: 3600,
  maxAllocations: 10_000,
  allocationsPerUser: Number.POSITIVE_INFINITY,
  allocationsPerApp: Number.POSITIVE_INFINITY,
  allocationsPerSource: Number.POSITIVE_INFINITY,
  permissionsPerAllocation: 256,
  channelsPerAllocation: 256,
  newPeersPerSecond: 5,
  refusalsPerSecond: 100,
  openAttempts: 16,
  alternates: [],
  discovery: undefined,
  software: '',
  isCapped: () => false,
  observer: {},
  hashes: nodeHashes,
};

/** Fills in the defaults. Throws RangeError when the options contradict themselves: that is a start-up fault. */
export function settle(options: TurnOptions): Settings {
  const settings = Object.freeze({ ...turnDefaults, ...options });
  const { first, last } = settings.relayPorts;
  // Three ports at least, so that there is an even one with another after it.
  if (first < 1 || last > 65535 || last < first + 2)
    throw new RangeError('relay ports must be a range of three or more within 1 to 65535');
  if (settings.families.length === 0) throw new RangeError('no address family to relay in');
  if (settings.maxLifetime < settings.defaultLifetime)
    throw new RangeError('the longest lifetime is below the default');
  const realm = Buffer.byteLength(settings.realm);
  if (realm === 0 || realm > 128 || opaqueString(settings.realm) === undefined)
    throw new RangeError('the realm must have 1 to 128 octets that OpaqueString (RFC 8265) allows');
  return settings;
}
