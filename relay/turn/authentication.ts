/**
 * The long-term credential mechanism (RFC 8489 §9.2.4) for one request. Nothing is remembered of a request that fails.
 *
 * The nonce is judged before the username: it costs one HMAC, proves that the sender receives what we send to that address, and so
 * keeps guesses from forged addresses away from the credentials. A client with a right password sees no difference.
 */
import type { FiveTuple } from '../../kernel/address.ts';
import { attributes } from '../stun/attributes.ts';
import type { ErrorName } from '../stun/error-codes.ts';
import { integrityIsRight, longTermKey } from '../stun/integrity.ts';
import type { StunMessage } from '../stun/message.ts';
import { methods } from '../stun/methods.ts';
import { readText } from '../stun/text-attributes.ts';
import type { AllocationRecord } from './allocation.ts';
import type { Accepted, Authenticator, Instant } from './authenticator.ts';
import type { NonceMint } from './nonce.ts';
import type { AuthFailure } from './observer.ts';

/** Whose request it is. */
export interface Identity {
  readonly username: string;
  /** Verified this request and seals the answer. */
  readonly key: Uint8Array;
  /** What the credentials say; undefined for the owner of an allocation, whose credential was judged when it was made. */
  readonly accepted: Accepted | undefined;
}

export type Authentication =
  | { readonly ok: true; readonly identity: Identity }
  | {
      readonly ok: false;
      readonly error: ErrorName;
      /** Whether realm and a fresh nonce go with it. */
      readonly challenge: boolean;
      /** Seals the answer, where a key is known. */
      readonly key?: Uint8Array;
      readonly failure?: AuthFailure;
    };

export interface Gate {
  readonly realm: string;
  readonly authenticator: Authenticator;
  readonly nonces: NonceMint;
}

const challenge = (failure?: AuthFailure): Authentication => ({
  ok: false,
  error: 'UNAUTHENTICATED',
  challenge: true,
  ...(failure === undefined ? {} : { failure }),
});

/** `allocation` is the one that lives on this five-tuple. */
export function authenticate(
  gate: Gate,
  message: StunMessage,
  from: FiveTuple,
  at: Instant,
  allocation: AllocationRecord | undefined,
): Authentication {
  // 1. Without MESSAGE-INTEGRITY (SHA-256 is not offered): 401, realm, nonce.
  if (!message.has(attributes.MESSAGE_INTEGRITY.type)) return challenge();

  // 2. With it, but without USERNAME, REALM or NONCE: 400. USERHASH is not offered either, so nobody is known by it.
  const username = readText(message, attributes.USERNAME);
  const realm = readText(message, attributes.REALM);
  const nonce = readText(message, attributes.NONCE);
  if (username === undefined && message.has(attributes.USERHASH.type)) return challenge('unknown');
  if (username === undefined || realm === undefined || nonce === undefined) {
    return { ok: false, error: 'BAD_REQUEST', challenge: false, failure: 'incomplete' };
  }

  // 3. A nonce that is not valid (any more): 438, realm, nonce.
  const verdict = gate.nonces.verify(nonce, from, at.now);
  if (verdict !== 'fresh') {
    return { ok: false, error: 'STALE_NONCE', challenge: true, failure: `nonce_${verdict}` };
  }

  // 4. and 5. A username that is not valid, or a wrong password: 401, realm, nonce.
  if (realm !== gate.realm) return challenge('integrity');
  if (allocation?.username === username) {
    if (!integrityIsRight(message, allocation.key)) return challenge('integrity');
    return { ok: true, identity: { username, key: allocation.key, accepted: undefined } };
  }
  const accepted = gate.authenticator.lookup(username, at);
  if (!accepted.ok) return challenge(accepted.reason);
  const key = accepted.passwords
    .map((password) => longTermKey(username, gate.realm, password))
    .find((candidate) => integrityIsRight(message, candidate));
  if (key === undefined) return challenge('integrity');
  if (accepted.expiresAt <= at.now) return challenge('expired');

  // RFC 8656 §5: requests on an allocation come from who made it, else 441. A second Allocate is a mismatch whoever sends it.
  if (allocation !== undefined && message.method !== methods.ALLOCATE.code) {
    return { ok: false, error: 'WRONG_CREDENTIALS', challenge: false, key, failure: 'wrong_username' };
  }
  return { ok: true, identity: { username, key, accepted } };
}
