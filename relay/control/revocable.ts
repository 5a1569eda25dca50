/** An authenticator that knows of revocations. */
import type { Authenticator } from '../turn/authenticator.ts';

/** Refuses, as `revoked`, the usernames that were taken back; the rest is the authenticator's. */
export function revocable(
  authenticator: Authenticator,
  revocations: { has(username: string): boolean },
): Authenticator {
  return {
    lookup: (username, at) =>
      revocations.has(username) ? { ok: false, reason: 'revoked' } : authenticator.lookup(username, at),
  };
}
