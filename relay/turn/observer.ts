/** What the core tells whoever counts: the labels of turnpike_relay_stun_requests_total and its kin. All callbacks are optional. */
import type { FiveTuple } from '../../kernel/address.ts';
import type { RefusalReason } from './authenticator.ts';

export const requestMethods = ['binding', 'allocate', 'refresh', 'create_permission', 'channel_bind'] as const;
export type RequestMethod = (typeof requestMethods)[number];

/**
 * `ok`; the STUN error code in decimal; `repeated` for a retransmission; `dropped` when an answer would have been so much larger
 * than the question that it was not sent.
 */
export type RequestResult = 'ok' | 'repeated' | 'dropped' | `${number}`;

/** Why a request that carried credentials was refused. The first, bare request of every client is no failure. */
export type AuthFailure =
  RefusalReason | 'integrity' | 'nonce_stale' | 'nonce_forged' | 'wrong_username' | 'incomplete';

export interface TurnObserver {
  onRequest?(method: RequestMethod, result: RequestResult): void;
  onAuthFailure?(reason: AuthFailure): void;
  /** One Allocate decided: `ok` or the error code. */
  onAllocation?(transport: FiveTuple['transport'], result: 'ok' | `${number}`): void;
}
