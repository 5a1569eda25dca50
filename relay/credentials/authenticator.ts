/** Answers the TURN core's question "who is this username?" from the keys alone: no database, no state per caller. */
import type { Authority, OwnedKey } from '../../kernel/principals.ts';
import { shortName } from '../contract.ts';
import type { Accepted, Authenticator, Refused, RefusalReason } from '../turn/authenticator.ts';
import { sealKeysOf } from './seal-keys.ts';
import { looksSealed, passwordOf, splitName, splitPlainName, splitRest, unsealName } from './username.ts';

/**
 * `unknown`: no name of ours (a plain REST name that no key takes, another deployment's key). `expired`, `forged` and
 * `malformed` are names that claim one of our keys and fail; such a name is never taken for a foreign one, whatever else
 * is allowed.
 */
export function createAuthenticator(authority: Pick<Authority, 'apps' | 'key'>): Authenticator {
  const plain = plainKeyOf(authority);
  return {
    lookup(username, at): Accepted | Refused {
      const name = splitName(username);
      const rest = name && splitRest(name.rest);
      const owner = rest && authority.key(rest.keyId);
      if (name === undefined || rest === undefined || owner === undefined) {
        return lookUpPlain(username, plain, at.now);
      }
      const expiresAt = name.expiry * 1000;
      // Before any cryptography: an old name played again costs nothing.
      if (expiresAt <= at.now) return refuse('expired');
      const keys = sealKeysOf(owner.key);
      const unsealed = unsealName({ expiry: name.expiry, ...rest }, keys.keys());
      if (!unsealed.ok) return refuse(unsealed.reason);
      const secret = keys.get(unsealed.sealKey);
      if (secret === undefined) return refuse('forged');
      return {
        ok: true,
        app: owner.app.id,
        keyId: rest.keyId,
        passwords: [passwordOf(username, secret)],
        claims: unsealed.claims,
        expiresAt,
      };
    },
  };
}

/** The one key that takes plain names, if there is one. */
export function plainKeyOf({ apps }: Pick<Authority, 'apps'>): OwnedKey | undefined {
  const owned = apps.flatMap((app) => app.keys.map((key) => ({ app, key })));
  return owned.find(({ key }) => key.plainUsernames === true);
}

/**
 * A TURN REST name that somebody else's backend made with the secret of the one key that takes such names. What follows
 * the expiry stands for the customer; the key's app gives its ceilings, as the name itself can carry no limits.
 */
function lookUpPlain(username: string, owner: OwnedKey | undefined, now: number): Accepted | Refused {
  const name = owner && splitPlainName(username);
  if (owner === undefined || name === undefined) return refuse('unknown');
  if (looksSealed(name.rest)) return refuse('unknown');
  const expiresAt = name.expiry * 1000;
  if (expiresAt <= now) return refuse('expired');
  const customId = shortName.safeParse(name.rest);
  if (!customId.success) return refuse('malformed');
  const { allocations, bytes, packetsPerSecond, bitsPerSecond, newPeersPerSecond } = owner.app.ceilings ?? {};
  return {
    ok: true,
    app: owner.app.id,
    keyId: owner.key.id,
    passwords: owner.key.secrets.map((secret) => passwordOf(username, secret)),
    claims: {
      customId: customId.data,
      call: '',
      participant: '',
      limits: { allocations, bytes, packetsPerSecond, bitsPerSecond, newPeersPerSecond },
    },
    expiresAt,
  };
}

function refuse(reason: RefusalReason): Refused {
  return { ok: false, reason };
}
