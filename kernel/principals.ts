/** Who is calling: every token becomes one principal, and every route says which principals it answers. */
import { hash, timingSafeEqual } from 'node:crypto';
import type { Clock } from './clock.ts';
import { verifyReportToken } from './report-token.ts';
import type { ReportClaims } from './report-token.ts';

/** A TURN key: the secrets under which its credentials are signed; the first one signs, all of them verify. */
export interface KeySettings {
  readonly id: string;
  readonly secrets: readonly string[];
  /**
   * Whether this key's secrets also verify plain TURN REST names (`<expiry>:<anything>`), which somebody else's backend
   * mints. Such a name says no key, so at most one key of a relay may take them.
   */
  readonly plainUsernames?: boolean | undefined;
  /** Whether this key's credentials may ask for network conditions (`impairment`). */
  readonly impairment?: boolean | undefined;
}

/** The most that an app's credentials may carry, and the app in a month. Absent means no ceiling. */
export interface AppCeilings {
  /** Allocations alive at once of one credential. */
  readonly allocations?: number | undefined;
  /** Bytes sent to the client of one credential on one relay. */
  readonly bytes?: bigint | undefined;
  readonly packetsPerSecond?: number | undefined;
  readonly bitsPerSecond?: number | undefined;
  readonly newPeersPerSecond?: number | undefined;
  /** Egress bytes of the app's relayed calls in a calendar month (UTC), over all relays. */
  readonly bytesPerMonth?: bigint | undefined;
}

/** One tenant. `tokenHashes` are SHA-256 in hex: the tokens themselves are not kept. */
export interface AppSettings {
  readonly id: string;
  readonly tokenHashes: readonly string[];
  readonly keys: readonly KeySettings[];
  /** Origins whose pages may report; `*` is any. */
  readonly origins: readonly string[];
  readonly ceilings?: AppCeilings | undefined;
}

export type Principal =
  | { readonly kind: 'app'; readonly app: string }
  | { readonly kind: 'report'; readonly claims: ReportClaims }
  | { readonly kind: 'relay' }
  | { readonly kind: 'source' }
  | { readonly kind: 'reader' }
  | { readonly kind: 'operator' };
export type PrincipalKind = Principal['kind'];

export interface Authority {
  readonly apps: readonly AppSettings[];
  /** The principal that this token proves, if any. Takes the same steps for every token. */
  authenticate(token: string): Principal | undefined;
  app(id: string): AppSettings | undefined;
  key(keyId: string): OwnedKey | undefined;
}

export interface OwnedKey {
  readonly app: AppSettings;
  readonly key: KeySettings;
}

export interface AuthoritySettings {
  readonly apps: readonly AppSettings[];
  /** SHA-256 in hex of the service's own tokens. */
  readonly relayTokenHash: string;
  readonly sourceTokenHash: string;
  readonly operatorTokenHash: string;
  /** Of the password of people's queries; absent where the service has no store of its own to ask. */
  readonly readerPasswordHash?: string | undefined;
}

const DIGEST_OCTETS = 32;

export function hashToken(token: string): string {
  return hash('sha256', token, 'hex');
}

export function createAuthority(settings: AuthoritySettings, clock: Clock): Authority {
  const keys = new Map(settings.apps.flatMap((app) => app.keys.map((key) => [key.id, { app, key }] as const)));
  const apps = new Map(settings.apps.map((app) => [app.id, app]));
  const named: readonly (readonly [string, Principal])[] = [
    ...settings.apps.flatMap((app) =>
      app.tokenHashes.map((tokenHash) => [tokenHash, { kind: 'app', app: app.id }] as const),
    ),
    [settings.relayTokenHash, { kind: 'relay' }],
    [settings.sourceTokenHash, { kind: 'source' }],
    [settings.operatorTokenHash, { kind: 'operator' }],
    ...(settings.readerPasswordHash === undefined ? [] : [[settings.readerPasswordHash, { kind: 'reader' }] as const]),
  ];
  // Digests are of one length and say nothing of the token, so they are compared as they are. What is none equals none.
  const fixed = named
    .map(([tokenHash, principal]) => [Buffer.from(tokenHash, 'hex'), principal] as const)
    .filter(([digest]) => digest.length === DIGEST_OCTETS);
  return {
    apps: settings.apps,
    app: (id) => apps.get(id),
    key: (keyId) => keys.get(keyId),
    authenticate(token) {
      const presented = hash('sha256', token, 'buffer');
      let found: Principal | undefined;
      for (const [digest, principal] of fixed) if (timingSafeEqual(digest, presented)) found = principal;
      if (found !== undefined) return found;
      const secretsOf = (keyId: string) => {
        const entry = keys.get(keyId);
        return entry && { app: entry.app.id, secrets: entry.key.secrets };
      };
      const claims = verifyReportToken(token, secretsOf, clock.now());
      return claims && { kind: 'report', claims };
    },
  };
}
