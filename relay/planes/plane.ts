/**
 * The seam between the TURN core and the thing that moves packets (ARCHITECTURE.md, "Core and planes").
 *
 * The core decides, a plane obeys. A plane owns the sockets and a forwarding table of its own; relayed data never
 * reaches the core, STUN control never stays in the plane. Everything that may be used carries the deadline after
 * which it must not be used, so that a stalled core never keeps a dead permission alive.
 *
 * Times are monotonic milliseconds of the injected clock. Addresses are canonical text (kernel/address.ts).
 */
import type { Endpoint, Family, FiveTuple, Transport } from '../../kernel/address.ts';
import type { Impairment } from '../contract.ts';
import type { StreamLimits } from './stream/stream-limits.ts';
import type { TlsIdentity } from './stream/tls-identity.ts';

/** UUIDv7 of an allocation: unique over all relays, restarts and time. */
export type AllocationId = string;

/** What a credential allows its allocations, all that are alive on this plane together. Absent means unlimited. */
export interface Limits {
  /** Payload packets per second, both directions together. */
  readonly packetsPerSecond?: number;
  /** Bits per second on the client side, both directions together. */
  readonly bitsPerSecond?: number;
  /** Egress bytes (client_tx) before they are ended. */
  readonly bytes?: bigint;
}

export type Command =
  /** A STUN answer to a client; counted as control when it belongs to an allocation. */
  | { readonly type: 'send'; readonly to: FiveTuple; readonly bytes: Uint8Array; readonly allocation?: AllocationId }
  /**
   * Opens a relayed transport address; answered by `opened` or `exhausted`. `port` is the core's choice, quarantine is the plane's
   * word. A client has one allocation of each family at most; two of them share its channel numbers and its impaired leg.
   */
  | {
      readonly type: 'open';
      readonly allocation: AllocationId;
      readonly client: FiveTuple;
      readonly family: Family;
      readonly port: number;
      readonly deadline: number;
      readonly app: string;
      /** The username: allocations of the same one share its limits. */
      readonly credential: string;
      readonly limits: Limits;
      /** Network conditions that a plane imposes on this allocation's media, once per direction on the client's leg. */
      readonly impairment?: Impairment;
      /** Takes the next port too, or none, and holds it until this moment for an `open` that says `isHeld`. */
      readonly holdNext?: number;
      /** Whether the port is one that is held; if it is not, there is none. */
      readonly isHeld?: true;
    }
  /** Moves an allocation's deadline (Refresh). */
  | { readonly type: 'extend'; readonly allocation: AllocationId; readonly deadline: number }
  /** Ends an allocation: sockets closed, counters final, port quarantined. Answered by `closed`. */
  | { readonly type: 'close'; readonly allocation: AllocationId; readonly reason: CloseReason }
  /** Installs or refreshes a permission for a peer address (RFC 8656 §9). */
  | { readonly type: 'permit'; readonly allocation: AllocationId; readonly peer: string; readonly deadline: number }
  /** Binds or refreshes a channel (RFC 8656 §12); its permission comes as a `permit` of its own. */
  | {
      readonly type: 'bind';
      readonly allocation: AllocationId;
      readonly channel: number;
      readonly peer: Endpoint;
      readonly deadline: number;
    }
  /** Takes a channel back before its deadline. */
  | { readonly type: 'unbind'; readonly allocation: AllocationId; readonly channel: number }
  /** Takes a permission back before its deadline. */
  | { readonly type: 'revoke'; readonly allocation: AllocationId; readonly peer: string };

/** `disconnected`: the client's TCP or TLS connection ended. */
export type CloseReason =
  'expired' | 'refreshed_to_zero' | 'credential_expired' | 'revoked' | 'quota' | 'disconnected' | 'shutdown' | 'failed';

export type PlaneEvent =
  /** A datagram or frame that is no ChannelData and no Send indication: the core's business. `bytes` is valid only during the call. */
  | { readonly type: 'control'; readonly from: FiveTuple; readonly bytes: Uint8Array }
  | { readonly type: 'opened'; readonly allocation: AllocationId; readonly relayed: Endpoint }
  /** The port could not be opened (taken, quarantined, no descriptors); the core picks another or answers 508. */
  | { readonly type: 'exhausted'; readonly allocation: AllocationId }
  /** An ICMP error came back for a peer (RFC 8656 §11.6), where the platform shows it. */
  | { readonly type: 'unreachable'; readonly allocation: AllocationId; readonly peer: Endpoint }
  /** The allocation is gone and `counters` will not change again. Sent for every allocation exactly once, also when the plane itself ended it. */
  | {
      readonly type: 'closed';
      readonly allocation: AllocationId;
      readonly reason: CloseReason;
      readonly counters: Counters;
    };

/** Class of a peer: another allocation of this relay, a configured SFU range, or anything else. */
export const peerClasses = ['internet', 'own_relay', 'sfu'] as const;
export type PeerClass = (typeof peerClasses)[number];

/** Cumulative counts of one allocation towards one class of peers. Client side framed, peer side raw (see relay/contract.ts). */
export interface ClassCounters {
  clientRxBytes: bigint;
  clientTxBytes: bigint;
  peerRxBytes: bigint;
  peerTxBytes: bigint;
  clientRxPackets: bigint;
  clientTxPackets: bigint;
  peerRxPackets: bigint;
  peerTxPackets: bigint;
}

/** Cumulative counts of one allocation. Read at any moment, never reset. */
export interface Counters {
  readonly classes: Readonly<Record<PeerClass, Readonly<ClassCounters>>>;
  /** STUN answers sent to the client after authentication. */
  readonly clientControlTxBytes: bigint;
}

/** Why a packet was not relayed; label of turnpike_relay_dropped_packets_total. */
export const dropReasons = [
  'malformed',
  'no_allocation',
  'no_permission',
  'no_channel',
  'peer_denied',
  /** Limits of the credential: packets and bits a second, and bytes in all. */
  'packet_rate',
  'bit_rate',
  'byte_quota',
  'too_large',
  'send_failed',
  'expired',
  'overload',
  'impaired',
] as const;
export type DropReason = (typeof dropReasons)[number];

/** Totals over all allocations of this process, past and present. */
export interface PlaneTotals {
  readonly classes: Readonly<Record<PeerClass, Readonly<ClassCounters>>>;
  readonly clientControlTxBytes: bigint;
  readonly dropped: Readonly<Record<DropReason, bigint>>;
}

export const streamTransports = ['tcp', 'tls'] as const satisfies readonly Transport[];
export type StreamTransport = (typeof streamTransports)[number];

/** Why a client's connection ended; label of turnpike_relay_connections_ended_total. */
export const connectionEnds = [
  /** The client closed it. */
  'client',
  /** It was reset, or its TLS records were broken. */
  'failed',
  /** The TLS handshake did not succeed. */
  'handshake',
  /** What came was no TURN. */
  'malformed',
  /** It did not greet in time, or had no allocation for too long. */
  'timeout',
  /** There were too many already. */
  'refused',
  'shutdown',
] as const;
export type ConnectionEnd = (typeof connectionEnds)[number];

/** Client connections over TCP and TLS: alive now, and ended since the plane started. */
export interface ConnectionCounts {
  readonly open: Readonly<Record<StreamTransport, number>>;
  readonly ended: Readonly<Record<StreamTransport, Readonly<Record<ConnectionEnd, number>>>>;
}

/** A place where clients come in. One port may be listed for UDP and for TCP. */
export interface Listener extends Endpoint {
  readonly transport: Transport;
}

/** Where a plane listens and what it may reach. */
export interface PlaneOptions {
  readonly listen: readonly Listener[];
  /** What TLS listeners show; needed where there is one. */
  readonly tls?: TlsIdentity;
  /** Deviations from `streamDefaults`. */
  readonly streams?: Partial<StreamLimits>;
  /** Local address of relay sockets, per family. */
  readonly relayAddress: Readonly<Partial<Record<Family, string>>>;
  /** Address told to clients instead of the local one (1:1 NAT), per family. */
  readonly externalAddress?: Readonly<Partial<Record<Family, string>>>;
  readonly policy: PeerPolicy;
  /** Milliseconds during which a closed relay port is not opened again. */
  readonly portQuarantine: number;
  readonly socketBufferBytes: number;
}

export interface PortVerdict {
  readonly last: number;
  readonly verdict: PeerClass | 'denied';
}

/** Judges peers on every path that can send or receive a byte. The plane adds what only it knows: which allocations are alive. */
export interface PeerPolicy {
  /**
   * `own` = an address of this relay: allowed only towards a live allocation under the hairpin rule;
   * `denied` = by range or port; otherwise the class to count under.
   */
  judge(peer: Endpoint, app: string): PeerClass | 'denied';
  /** The same for every port of an address at once: each verdict holds up to and including `last`, the final one to 65535. */
  judgePorts(address: string, app: string): readonly PortVerdict[];
  /** Whether a permission for this address (any port) may be installed at all. */
  permits(address: string, app: string): boolean;
  readonly hairpin: 'app' | 'any' | 'none';
}

export interface Plane {
  readonly name: string;
  /** Opens the listeners. Events arrive through `onEvent`, synchronously from the plane's own callbacks. */
  start(onEvent: (event: PlaneEvent) => void): Promise<void>;
  /** Obeys one command. Never throws for a command about an allocation that is already gone. */
  apply(command: Command): void;
  /** Ends what is past its deadline; the node calls it from one timer. Packets are refused by deadline in between. */
  tick(): void;
  /** Cumulative counts of a live allocation, as of now. Undefined once it is closed (its `closed` event carried the last word). */
  counters(allocation: AllocationId): Counters | undefined;
  totals(): PlaneTotals;
  connections(): ConnectionCounts;
  /** The listeners' actual addresses (after port 0). */
  listening(): readonly Listener[];
  close(): Promise<void>;
}
