/** Issues a credential, and says it as `RTCPeerConnection` takes it: Cloudflare's `iceServers`, with where to report beside. */
import type { Clock } from '../../kernel/clock.ts';
import { TurnpikeError } from '../../kernel/errors.ts';
import type { Issue } from '../../kernel/errors.ts';
import type { KeySettings } from '../../kernel/principals.ts';
import type { Random } from '../../kernel/random.ts';
import { DEFAULT_REPORT_CONNECTIONS, issueReportToken, REPORT_GRACE_SECONDS } from '../../kernel/report-token.ts';
import type { CredentialLimits, GenerateRequest, IceServer, IceServersAnswer } from '../contract.ts';
import { sealKeysOf } from './seal-keys.ts';
import { passwordOf, sealName } from './username.ts';

/** Where clients find this service. */
export interface ServiceUrls {
  /** `stun:host:port`; may be empty. */
  readonly stunUrls: readonly string[];
  /** `turn:host:port?transport=udp`, … */
  readonly turnUrls: readonly string[];
  /** The collector's `…/v1/stats`. */
  readonly reportUrl: string;
}

export interface Issuing {
  readonly app: string;
  readonly key: KeySettings;
  readonly urls: ServiceUrls;
  /** The most that this app may grant; absent means that it has no ceilings. */
  readonly ceilings?: CredentialLimits | undefined;
  readonly clock: Clock;
  readonly random: Random;
}

/** What was issued, before it is said in anybody's shape. */
export interface Credential {
  readonly username: string;
  readonly password: string;
  /** Seconds. */
  readonly ttl: number;
  /** Unix milliseconds. */
  readonly issuedAt: number;
  readonly urls: ServiceUrls;
  readonly reporting: IceServersAnswer['reporting'];
}

/** One credential under the key's first secret. It lives `ttl` seconds, rounded up to a whole second of Unix time. */
export function issueCredential(request: GenerateRequest, by: Issuing): Credential {
  const [signing] = sealKeysOf(by.key);
  if (signing === undefined) throw new TurnpikeError('TP_RELAY_KEY', 'This TURN key has no secret to sign with.');
  const [sealKey, secret] = signing;
  const issuedAt = by.clock.now();
  const expiry = Math.ceil(issuedAt / 1000) + request.ttl;
  const names = {
    customId: request.customIdentifier ?? '',
    call: request.call ?? '',
    participant: request.participant ?? '',
  };
  if (request.impairment !== undefined && by.key.impairment !== true) throw new TurnpikeError('TP_RELAY_IMPAIRMENT');
  const limits = withinCeilings(request.limits ?? {}, by.ceilings ?? {});
  const claims = { ...names, limits, impairment: request.impairment };
  const username = sealName(claims, { expiry, keyId: by.key.id, sealKey }, by.random);
  const token = issueReportToken(
    {
      keyId: by.key.id,
      app: by.app,
      ...names,
      maxConnections: DEFAULT_REPORT_CONNECTIONS,
      expiresAt: expiry + REPORT_GRACE_SECONDS,
    },
    secret,
  );
  return {
    username,
    password: passwordOf(username, secret),
    ttl: request.ttl,
    issuedAt,
    urls: by.urls,
    reporting: { url: by.urls.reportUrl, token },
  };
}

/** A fresh credential as Cloudflare's newer shape: STUN and TURN apart, STUN without a credential. */
export function issueIceServers(request: GenerateRequest, by: Issuing): IceServersAnswer {
  const { urls, username, password, reporting } = issueCredential(request, by);
  const stun: IceServer[] = urls.stunUrls.length > 0 ? [{ urls: urls.stunUrls }] : [];
  return { iceServers: [...stun, { urls: urls.turnUrls, username, credential: password }], reporting };
}

/** The limits asked for, with the app's own where none was; throws TP_RELAY_LIMITS naming each that is above. */
function withinCeilings(asked: CredentialLimits, ceilings: CredentialLimits): CredentialLimits {
  const issues: Issue[] = [];
  for (const name of ['allocations', 'bytes', 'packetsPerSecond', 'bitsPerSecond', 'newPeersPerSecond'] as const) {
    const ceiling = ceilings[name];
    if (ceiling !== undefined && (asked[name] ?? 0) > ceiling) {
      issues.push({ path: `limits.${name}`, message: `must be at most ${ceiling}` });
    }
  }
  if (issues.length > 0) throw new TurnpikeError('TP_RELAY_LIMITS', undefined, { issues });
  return {
    allocations: asked.allocations ?? ceilings.allocations,
    bytes: asked.bytes ?? ceilings.bytes,
    packetsPerSecond: asked.packetsPerSecond ?? ceilings.packetsPerSecond,
    bitsPerSecond: asked.bitsPerSecond ?? ceilings.bitsPerSecond,
    newPeersPerSecond: asked.newPeersPerSecond ?? ceilings.newPeersPerSecond,
  };
}
