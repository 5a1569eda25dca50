/** One allocation (RFC 8656 §2.2): a relayed address, who asked for it, and what may pass through it. */
import { type Endpoint, type Family, familyOf, type FiveTuple } from '../../kernel/address.ts';
import { MAX_TTL_SECONDS } from '../contract.ts';
import type { CredentialClaims } from '../contract.ts';
import type { AllocationId, CloseReason } from '../planes/plane.ts';
import type { ErrorName } from '../stun/error-codes.ts';
import type { Seal } from '../stun/integrity.ts';
import { sourceOf } from '../source.ts';
import type { Asked } from './answer.ts';
import type { LongTermKeys } from './authentication.ts';
import type { Accepted, Instant } from './authenticator.ts';
import { Channels } from './channels.ts';
import type { Timed } from './deadline-heap.ts';
import { Permissions } from './permissions.ts';
import { UNUSED } from './rate.ts';
import type { Reservation } from './reservations.ts';
import type { Settings } from './settings.ts';

/** `opening` until its Allocate is answered; `closing` from the close command to the plane's last word on it. */
export type AllocationState = 'opening' | 'live' | 'closing';

/** What the rest of the relay may read of an allocation. */
export interface Allocation {
  readonly id: AllocationId;
  readonly state: AllocationState;
  readonly fiveTuple: FiveTuple;
  readonly clientFamily: Family;
  readonly relayFamily: Family;
  /** The relayed transport address as told to the client; undefined while opening. */
  readonly relayed: Endpoint | undefined;
  readonly username: string;
  readonly app: string;
  readonly keyId: string;
  readonly claims: CredentialClaims;
  /** When it was asked for, on both clocks. */
  readonly createdAt: Instant;
  /** Monotonic milliseconds after which nothing of it may be used. */
  readonly deadline: number;
}

/** The Allocate request behind an allocation, kept for its answer and for its retransmissions (RFC 8489 §6.3.1). */
export interface Origin {
  readonly asked: Asked;
  /** The request's integrity: with the transaction id it tells a retransmission from another request. */
  readonly integrity: Uint8Array;
  /** Seals the answer. */
  readonly seal: Seal;
  /** Seconds granted. */
  readonly lifetime: number;
  readonly ports: WantedPort;
  /** Whether addresses of both families were asked for. */
  readonly dual: boolean;
}

/** `pair`: an even one, and the next reserved; `reserved`: the one that a token stands for. */
export const wantedPorts = ['any', 'even', 'pair', 'reserved'] as const;
export type WantedPort = (typeof wantedPorts)[number];

/**
 * Who asks for both families at once (ADDITIONAL-ADDRESS-FAMILY) has two of these on one five-tuple: each has its own relayed
 * address, lifetime, permissions, channels, counters and place in every quota, as the RFC has it for the two halves of a dual
 * allocation.
 */
export class AllocationRecord implements Allocation, Timed {
  readonly id: AllocationId;
  readonly fiveTuple: FiveTuple;
  readonly clientFamily: Family;
  /** Where its client is, for the quota of one place. */
  readonly source: string;
  readonly relayFamily: Family;
  readonly username: string;
  /** The long-term keys of the password that verified the Allocate: every later request is checked with one of them (RFC 8656 §5). */
  readonly keys: LongTermKeys;
  readonly app: string;
  readonly keyId: string;
  readonly claims: CredentialClaims;
  readonly createdAt: Instant;
  /** Monotonic milliseconds at which the credential ends the allocation; infinite when it does not. */
  readonly credentialDeadline: number;
  /** Unix milliseconds after which its credential starts nothing new. */
  readonly startsUntil: number;
  readonly origin: Origin;
  readonly permissions: Permissions;
  readonly channels: Channels;
  state: AllocationState = 'opening';
  relayed: Endpoint | undefined;
  /** The one of the other family on the same five-tuple, of the same Allocate. */
  sibling: AllocationRecord | undefined;
  /** Why there is no sibling, where one was asked for. */
  missing: ErrorName | undefined;
  /** The next port, while the pair that was asked for is being opened. */
  reservation: Reservation | undefined;
  /** The success response as sent, for retransmissions of the request. */
  answer: Uint8Array | undefined;
  /** Whether it lives on from an earlier process and the plane has not said yet that it has its port again. */
  isReopening = false;
  /** Ports asked of the plane so far. */
  attempts = 0;
  /** The bucket that new peers are taken from (rate.ts). */
  newPeers = UNUSED;
  deadline: number;
  slot = -1;

  constructor(made: {
    id: AllocationId;
    fiveTuple: FiveTuple;
    relayFamily: Family;
    username: string;
    keys: LongTermKeys;
    /** The end of one that is read back is not known: it was issued before it was used. */
    credential: Pick<Accepted, 'app' | 'keyId' | 'claims'> & { readonly expiresAt?: number };
    createdAt: Instant;
    credentialDeadline: number;
    deadline: number;
    origin: Origin;
    settings: Pick<Settings, 'permissionsPerAllocation' | 'channelsPerAllocation'>;
  }) {
    this.id = made.id;
    this.fiveTuple = made.fiveTuple;
    this.clientFamily = familyOf(made.fiveTuple.client.address);
    this.source = sourceOf(made.fiveTuple.client.address);
    this.relayFamily = made.relayFamily;
    this.username = made.username;
    this.keys = made.keys;
    this.app = made.credential.app;
    this.keyId = made.credential.keyId;
    this.claims = made.credential.claims;
    this.createdAt = made.createdAt;
    this.credentialDeadline = made.credentialDeadline;
    this.startsUntil = made.credential.expiresAt ?? made.createdAt.now + MAX_TTL_SECONDS * 1000;
    this.deadline = made.deadline;
    this.origin = made.origin;
    this.permissions = new Permissions(made.settings.permissionsPerAllocation);
    this.channels = new Channels(made.settings.channelsPerAllocation);
  }
}

/** An allocation with its sibling, IPv4 first; one that has none alone. */
export function siblings(record: AllocationRecord): readonly AllocationRecord[] {
  const { sibling } = record;
  if (sibling === undefined) return [record];
  return record.relayFamily === 4 ? [record, sibling] : [sibling, record];
}

/** Which of them relays in this family. */
export function siblingOf(record: AllocationRecord, family: Family): AllocationRecord | undefined {
  return record.relayFamily === family ? record : record.sibling;
}

/** Why an allocation past its deadline ends: its own lifetime, or its credential's. */
export function endReason(record: AllocationRecord): CloseReason {
  return record.deadline === record.credentialDeadline ? 'credential_expired' : 'expired';
}
