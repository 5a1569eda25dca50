/**
 * The report token: issued beside ICE servers, good for /v1/stats only. It is a MAC over its own claims, under a key
 * derived from the TURN key's secret, so a collector needs no database to check it, and its ids override the body's.
 */
import { createHmac, hkdfSync } from 'node:crypto';
import { z } from 'zod';
import { secretsEqual } from './bytes.ts';

/** Seconds that a report token outlives its credential: late batches and page-hide flushes still arrive. */
export const REPORT_GRACE_SECONDS = 86_400;
/** Peer connections that one token may report on. */
export const DEFAULT_REPORT_CONNECTIONS = 64;

const PREFIX = 'tpr1';
const MAX_LENGTH = 1_024;

export interface ReportClaims {
  readonly keyId: string;
  readonly app: string;
  readonly call: string;
  readonly participant: string;
  readonly customId: string;
  readonly maxConnections: number;
  /** Unix seconds. */
  readonly expiresAt: number;
}

const wireClaims = z.strictObject({
  k: z.string(),
  a: z.string(),
  c: z.string(),
  p: z.string(),
  i: z.string(),
  n: z.int().positive(),
  e: z.int().positive(),
});

/** A key of its own for each purpose (RFC 5869): a leaked report key opens no relay. */
export function deriveKey(secret: string, purpose: 'seal' | 'report', length: number): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', `turnpike/${purpose}`, length));
}

const reportKeyOf = (secret: string): Buffer => deriveKey(secret, 'report', 32);

function mac(reportKey: Buffer, body: string): string {
  return createHmac('sha256', reportKey).update(body).digest('base64url');
}

const known = new WeakMap<readonly string[], readonly Buffer[]>();

/** Derived once for the settings that the secrets stand in: it costs more than all the rest of a verification. */
function reportKeysOf(secrets: readonly string[]): readonly Buffer[] {
  const keys = known.get(secrets) ?? secrets.map(reportKeyOf);
  known.set(secrets, keys);
  return keys;
}

export function issueReportToken(claims: ReportClaims, secret: string): string {
  const wire: z.infer<typeof wireClaims> = {
    k: claims.keyId,
    a: claims.app,
    c: claims.call,
    p: claims.participant,
    i: claims.customId,
    n: claims.maxConnections,
    e: claims.expiresAt,
  };
  const body = `${PREFIX}.${Buffer.from(JSON.stringify(wire)).toString('base64url')}`;
  return `${body}.${mac(reportKeyOf(secret), body)}`;
}

/**
 * The claims of a genuine, unexpired token; undefined otherwise. `secretsOf` names the live secrets of a key, or none.
 * `now` is Unix milliseconds.
 */
export function verifyReportToken(
  token: string,
  secretsOf: (keyId: string) => { app: string; secrets: readonly string[] } | undefined,
  now: number,
): ReportClaims | undefined {
  if (token.length > MAX_LENGTH) return undefined;
  const [prefix, payload, signature, ...more] = token.split('.');
  if (prefix !== PREFIX || payload === undefined || signature === undefined || more.length > 0) return undefined;
  const wire = parseWire(payload);
  const key = wire === undefined ? undefined : secretsOf(wire.k);
  if (wire === undefined || key === undefined || key.app !== wire.a) return undefined;
  const genuine = reportKeysOf(key.secrets).some((own) => secretsEqual(mac(own, `${prefix}.${payload}`), signature));
  if (!genuine || wire.e * 1000 <= now) return undefined;
  return {
    keyId: wire.k,
    app: wire.a,
    call: wire.c,
    participant: wire.p,
    customId: wire.i,
    maxConnections: wire.n,
    expiresAt: wire.e,
  };
}

function parseWire(payload: string): z.infer<typeof wireClaims> | undefined {
  try {
    return wireClaims.safeParse(JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))).data;
  } catch {
    return undefined; // not JSON: not a token of ours
  }
}
