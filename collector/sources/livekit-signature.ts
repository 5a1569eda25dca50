/**
 * Whether LiveKit sent a webhook: its Authorization header is a JWT (RFC 7519), without a scheme before it, made with the secret of
 * an API key. It names the key (`iss`) and has the body's SHA-256 (`sha256`, base64).
 */
import { createHash, createHmac } from 'node:crypto';
import { z } from 'zod';
import { secretsEqual } from '../../kernel/bytes.ts';

/** Seconds by which LiveKit's clock and ours may differ: what its own receivers grant. */
const LEEWAY = 60;

const header = z.object({ alg: z.literal('HS256'), crit: z.never().optional() });
const issued = z.object({ iss: z.string() });
const claims = z.object({ exp: z.number(), nbf: z.number().optional(), sha256: z.string() });

/** `secretOf` gives the secret of an API key that is in use. `now` is Unix milliseconds. */
export function isSigned(
  token: string,
  body: Uint8Array,
  secretOf: (key: string) => string | undefined,
  now: number,
): boolean {
  const said = claims.safeParse(signedClaims(token, secretOf)).data;
  if (said === undefined) return false;
  const { exp, nbf = 0, sha256 } = said;
  const isTimely = now / 1000 < exp + LEEWAY && now / 1000 >= nbf - LEEWAY;
  return isTimely && secretsEqual(createHash('sha256').update(body).digest('base64'), sha256);
}

/**
 * The claims of a JWT whose issuer's secret made its signature; undefined otherwise. It is HS256 (RFC 7518 §3.2) that is computed,
 * whatever the token asks for, and a token that asks for anything else is none (RFC 8725 §3.1).
 */
export function signedClaims(token: string, secretOf: (issuer: string) => string | Uint8Array | undefined): unknown {
  const [head = '', payload = '', signature = '', ...more] = token.split('.');
  const said = partOf(payload);
  const secret = secretOf(issued.safeParse(said).data?.iss ?? '');
  if (secret === undefined || more.length > 0 || !header.safeParse(partOf(head)).success) return undefined;
  const own = createHmac('sha256', secret).update(`${head}.${payload}`).digest('base64url');
  return secretsEqual(own, signature) ? said : undefined;
}

function partOf(text: string): unknown {
  try {
    return JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
  } catch {
    return undefined; // not JSON: no part of a JWT
  }
}
