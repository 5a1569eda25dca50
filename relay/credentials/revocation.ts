/** What a username has to be to be revoked, and for how long that has to be remembered. */
import type { Clock } from '../../kernel/clock.ts';
import { TurnpikeError } from '../../kernel/errors.ts';
import type { Authority, KeySettings } from '../../kernel/principals.ts';
import type { Revocation } from '../contract.ts';
import { MAX_TTL_SECONDS, shortName } from '../contract.ts';
import { looksSealed, MAX_EXPIRY, splitName, splitPlainName, splitRest } from './username.ts';

/**
 * Milliseconds that a revocation is in force beyond its credential's expiry. Where credentials may outlive their expiry in
 * an allocation that goes on (`onExpiry: keep`), a relay that was cut off from its collector has so long to learn of it.
 */
const GRACE = MAX_TTL_SECONDS * 1_000;

/**
 * The revocation of one of the key's usernames, expired or not. Nothing is unsealed: a name whose secret was retired lets
 * nobody in, but the allocation that it made before may live on, and is what is to end.
 *
 * Throws TP_RELAY_KEY for a name of another key and TP_RELAY_USERNAME for what no key could have issued.
 */
export function revocationOf(
  username: string,
  key: KeySettings,
  by: { readonly authority: Pick<Authority, 'key'>; readonly clock: Clock },
): Revocation {
  const expiry = expiryOf(username, key, by.authority);
  return { username, until: Math.max(expiry * 1_000, by.clock.now()) + GRACE };
}

function expiryOf(username: string, key: KeySettings, authority: Pick<Authority, 'key'>): number {
  const name = splitName(username);
  const rest = name && splitRest(name.rest);
  const sealed = name !== undefined && looksSealed(name.rest);
  if (name !== undefined && rest !== undefined && (sealed || authority.key(rest.keyId) !== undefined)) {
    if (rest.keyId !== key.id) throw new TurnpikeError('TP_RELAY_KEY');
    if (!sealed || name.expiry > MAX_EXPIRY) throw new TurnpikeError('TP_RELAY_USERNAME');
    return name.expiry;
  }
  const plain = key.plainUsernames === true ? splitPlainName(username) : undefined;
  if (plain === undefined || !shortName.safeParse(plain.rest).success) throw new TurnpikeError('TP_RELAY_USERNAME');
  return plain.expiry;
}
