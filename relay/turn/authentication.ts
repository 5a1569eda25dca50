/**
 * The long-term credential mechanism (RFC 8489 §9.2.4) for one request. Nothing is remembered of a request that fails.
 *
 * The nonce is judged before the username: it costs one HMAC, proves that the sender receives what we send to that address, and so
 * keeps guesses from forged addresses away from the credentials. A client with a right password sees no difference.
 */
import type { FiveTuple } from '../../kernel/address.ts';
import { attributes } from '../stun/attributes.ts';
import type { ErrorName } from '../stun/error-codes.ts';
import { type Hashes } from '../stun/hashes.ts';
import { integrityHashOf, type IntegrityHash, integrityIsRight, longTermKey, type Seal } from '../stun/integrity.ts';
import type { StunMessage } from '../stun/message.ts';
import { methods } from '../stun/methods.ts';
import { opaqueString } from '../stun/opaque-string.ts';
import { echoesOfferedAlgorithms, type PasswordAlgorithm, readPasswordAlgorithm } from '../stun/password-algorithm.ts';
import { nonceOffers } from '../stun/security-features.ts';
import { readText } from '../stun/text-attributes.ts';
import type { AllocationRecord } from './allocation.ts';
import type { Accepted, Authenticator, Instant } from './authenticator.ts';
import type { Challenge } from './challenge.ts';
import type { AuthFailure } from './observer.ts';

/** The keys of one username and password, one for each way to make them. */
export type LongTermKeys = Readonly<Record<PasswordAlgorithm, Uint8Array>>;

/** Whose request it is. */
export interface Identity {
  readonly username: string;
  readonly keys: LongTermKeys;
  /** Seals the answer. */
  readonly seal: Seal;
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
      readonly seal?: Seal;
      readonly failure?: AuthFailure;
    };

export interface Gate {
  readonly challenge: Challenge;
  readonly authenticator: Authenticator;
  readonly hashes: Hashes;
}

/** How a request is signed, and how its answer must be. */
interface Signature {
  /** The integrity attribute that decides. */
  readonly hash: IntegrityHash;
  readonly algorithm: PasswordAlgorithm;
  /** Of the answer: SHA-256 for whoever named an algorithm, SHA-1 for the rest, today's browsers among them (§9.2.4). */
  readonly answer: IntegrityHash;
}

const challenged = (failure?: AuthFailure): Authentication => ({
  ok: false,
  error: 'UNAUTHENTICATED',
  challenge: true,
  ...(failure === undefined ? {} : { failure }),
});
const badRequest = (failure: AuthFailure): Authentication => {
  return { ok: false, error: 'BAD_REQUEST', challenge: false, failure };
};

/** `allocation` is the one that lives on this five-tuple. */
export function authenticate(
  gate: Gate,
  message: StunMessage,
  from: FiveTuple,
  at: Instant,
  allocation: AllocationRecord | undefined,
): Authentication {
  // 1. Without MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256: 401, realm, nonce.
  const hash = integrityHashOf(message);
  if (hash === undefined) return challenged();

  // 2. With it, but without USERNAME, REALM or NONCE: 400. USERHASH is not offered, so nobody is known by it.
  const username = readText(message, attributes.USERNAME);
  const realm = readText(message, attributes.REALM);
  const nonce = readText(message, attributes.NONCE);
  if (username === undefined && message.has(attributes.USERHASH.type)) return challenged('unknown');
  if (username === undefined || realm === undefined || nonce === undefined) return badRequest('incomplete');

  // 3. PASSWORD-ALGORITHM and PASSWORD-ALGORITHMS: neither, or the list as it was offered and one of it, else 400.
  const signature = signatureOf(message, nonce, hash);
  if (signature === undefined) return badRequest('algorithms');

  // 4. A nonce that is not valid (any more): 438, realm, nonce.
  const verdict = gate.challenge.nonces.verify(nonce, from, at.now);
  if (verdict !== 'fresh') {
    return { ok: false, error: 'STALE_NONCE', challenge: true, failure: `nonce_${verdict}` };
  }

  // 5. and 6. A username that is not valid, or a wrong password: 401, realm, nonce.
  if (realm !== gate.challenge.realm) return challenged('integrity');
  const isRight = (keys: LongTermKeys) => integrityIsRight(message, keys[signature.algorithm], hash, gate.hashes);
  if (allocation?.username === username) {
    const { keys } = allocation;
    if (!isRight(keys)) return challenged('integrity');
    return { ok: true, identity: { username, keys, seal: sealOf(keys, signature), accepted: undefined } };
  }
  if (opaqueString(username) === undefined) return challenged('malformed');
  const accepted = gate.authenticator.lookup(username, at);
  if (!accepted.ok) return challenged(accepted.reason);
  const keys = accepted.passwords.map((password) => keysOf(username, realm, password, gate.hashes)).find(isRight);
  if (keys === undefined) return challenged('integrity');
  if (accepted.expiresAt <= at.now) return challenged('expired');

  // RFC 8656 §5: requests on an allocation come from who made it, else 441. A second Allocate is a mismatch whoever sends it.
  const seal = sealOf(keys, signature);
  if (allocation !== undefined && message.method !== methods.ALLOCATE.code) {
    return { ok: false, error: 'WRONG_CREDENTIALS', challenge: false, seal, failure: 'wrong_username' };
  }
  return { ok: true, identity: { username, keys, seal, accepted } };
}

/**
 * Undefined when the algorithms named are not those that were offered with this nonce: somebody on the path took the better one
 * out (§9.2.1). Who names none signs with MD5's key, whatever was offered.
 */
function signatureOf(message: StunMessage, nonce: string, hash: IntegrityHash): Signature | undefined {
  const isNamed = message.has(attributes.PASSWORD_ALGORITHM.type) || message.has(attributes.PASSWORD_ALGORITHMS.type);
  if (!isNamed) return { hash, algorithm: 'MD5', answer: 'sha1' };
  const algorithm = readPasswordAlgorithm(message);
  const isUnchanged = nonceOffers(nonce, 'PASSWORD_ALGORITHMS') && echoesOfferedAlgorithms(message);
  return isUnchanged && algorithm !== undefined ? { hash, algorithm, answer: 'sha256' } : undefined;
}

function sealOf(keys: LongTermKeys, { algorithm, answer }: Signature): Seal {
  return { key: keys[algorithm], hash: answer };
}

function keysOf(username: string, realm: string, password: string, hashes: Hashes): LongTermKeys {
  return {
    MD5: longTermKey(username, realm, password, 'MD5', hashes),
    SHA_256: longTermKey(username, realm, password, 'SHA_256', hashes),
  };
}
