/**
 * What the TURN core asks of the credentials: who is this username, and with which password would they have signed?
 * The core checks the message integrity itself; nothing here sees a message.
 */
import type { CredentialClaims } from '../contract.ts';

/** One moment on both clocks: `now` in Unix milliseconds for credentials, `monotonic` in milliseconds for lifetimes. */
export interface Instant {
  readonly now: number;
  readonly monotonic: number;
}

export interface Accepted {
  readonly ok: true;
  readonly app: string;
  readonly keyId: string;
  /** The passwords that fit this username: one for each live secret of the key that could have issued it. */
  readonly passwords: readonly string[];
  readonly claims: CredentialClaims;
  /** Unix milliseconds after which the credential starts nothing new. */
  readonly expiresAt: number;
}

/** Label of turnpike_relay_auth_failures_total; the client is told no more than 401. */
export const refusalReasons = ['unknown', 'expired', 'forged', 'malformed', 'revoked'] as const;
export type RefusalReason = (typeof refusalReasons)[number];

export interface Refused {
  readonly ok: false;
  readonly reason: RefusalReason;
}

export interface Authenticator {
  lookup(username: string, at: Instant): Accepted | Refused;
}
