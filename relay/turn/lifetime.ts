/** How long an allocation may live (RFC 8656 §7.2, §8.2), and when that is. */
import type { Settings } from './settings.ts';

export interface Grant {
  /** Seconds, as told to the client. */
  readonly seconds: number;
  /** Monotonic milliseconds. */
  readonly deadline: number;
}

/**
 * max(default, min(requested, max)), cut short at the credential's own deadline (infinite where the credential does not end its
 * allocations). `now` is monotonic.
 */
export function grant(
  requested: number | undefined,
  now: number,
  credentialDeadline: number,
  { defaultLifetime, maxLifetime }: Pick<Settings, 'defaultLifetime' | 'maxLifetime'>,
): Grant {
  const seconds = Math.max(defaultLifetime, Math.min(requested ?? defaultLifetime, maxLifetime));
  const deadline = now + seconds * 1000;
  if (deadline <= credentialDeadline) return { seconds, deadline };
  return { seconds: Math.max(0, Math.floor((credentialDeadline - now) / 1000)), deadline: credentialDeadline };
}
