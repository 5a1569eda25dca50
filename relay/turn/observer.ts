/** What the core tells whoever counts: the labels of turnpike_relay_stun_requests_total and its kin. All callbacks are optional. */
import type { FiveTuple } from '../../kernel/address.ts';
import type { Allocation } from './allocation.ts';
import type { RefusalReason } from './authenticator.ts';

export const requestMethods = ['binding', 'allocate', 'refresh', 'create_permission', 'channel_bind'] as const;
export type RequestMethod = (typeof requestMethods)[number];

/**
 * `ok`; the STUN error code in decimal; `repeated` for a retransmission; and three that were not answered: `dropped` because the
 * answer would have been so much larger than the question, `too_short` to be a client's beginning, `limited` by one of `limits`.
 */
export type RequestResult = 'ok' | 'repeated' | 'dropped' | 'too_short' | 'limited' | `${number}`;

/** What there can be too much of; label of turnpike_relay_limited_requests_total. */
export const limits = [
  /** Refusals for one /24 or /56: not answered. */
  'refusals',
  /** Allocations of a credential, a user, an app, a client's address: 486. Of this relay: 300 with an alternate, else 508. */
  'credential_allocations',
  'user_allocations',
  'app_allocations',
  'source_allocations',
  'relay_allocations',
  /** Bytes of a credential on this relay: 486. */
  'credential_bytes',
  /** Bytes of an app over all relays: 486, and what it has is ended. */
  'app_bytes',
  /** No relay port could be opened: 508. */
  'ports',
  /** Permissions and channels of one allocation: 508. */
  'permissions',
  'channels',
  /** New peers of one allocation in a second: not answered over UDP, so that the client asks again; 508 elsewhere. */
  'new_peers',
  /** Allocations asked of a relay that is being drained: 300 with an alternate, else 508. */
  'draining',
] as const;
export type Limit = (typeof limits)[number];

/** Why a request that carried credentials was refused. The first, bare request of every client is no failure. */
export type AuthFailure =
  RefusalReason | 'integrity' | 'nonce_stale' | 'nonce_forged' | 'wrong_username' | 'incomplete' | 'algorithms';

export interface TurnObserver {
  onRequest?(method: RequestMethod, result: RequestResult): void;
  onAuthFailure?(reason: AuthFailure): void;
  onLimit?(limit: Limit): void;
  /** One Allocate decided: `ok` or the error code. */
  onAllocation?(transport: FiveTuple['transport'], result: 'ok' | `${number}`): void;
  /** An allocation begins, or goes on after a restart, before its client is told. */
  onLive?(allocation: Allocation): void;
}
