/** Answers the TURN core's question "who is this username?" from the keys alone: no database, no state per caller. */
import type { Authority, KeySettings } from '../../kernel/principals.ts';
import { deriveKey } from '../../kernel/report-token.ts';
import type { Accepted, Authenticator, Refused, RefusalReason } from '../turn/authenticator.ts';
import { passwordOf, SEAL_KEY_BYTES, splitName, splitRest, unsealName } from './username.ts';

/**
 * `unknown`: no name of ours (a plain REST name, another deployment's key). `expired`, `forged` and `malformed` are
 * names that claim one of our keys and fail; such a name is never taken for a foreign one, whatever else is allowed.
 */
export function createAuthenticator(authority: Pick<Authority, 'key'>): Authenticator {
  const sealKeys = new WeakMap<KeySettings, ReadonlyMap<Buffer, string>>();
  /** Seal key → secret, derived once for each key's settings. */
  const sealKeysOf = (key: KeySettings): ReadonlyMap<Buffer, string> => {
    const known = sealKeys.get(key);
    if (known !== undefined) return known;
    const derived = new Map(key.secrets.map((secret) => [deriveKey(secret, 'seal', SEAL_KEY_BYTES), secret]));
    sealKeys.set(key, derived);
    return derived;
  };

  return {
    lookup(username, at): Accepted | Refused {
      const name = splitName(username);
      const rest = name && splitRest(name.rest);
      const owner = rest && authority.key(rest.keyId);
      if (name === undefined || rest === undefined || owner === undefined) return refuse('unknown');
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

function refuse(reason: RefusalReason): Refused {
  return { ok: false, reason };
}
