/**
 * What the composed service answers to whoever gets it wrong, by mistake or on purpose: for each fault one status, one code
 * and one shape, and nothing stored.
 */
import type { InjectOptions } from 'fastify';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { tableNames } from '../../collector/store/tables.ts';
import { systemClock } from '../../kernel/clock.ts';
import { errorTable } from '../../kernel/errors.ts';
import type { ErrorBody, ErrorCode } from '../../kernel/errors.ts';
import { createAuthority, hashToken } from '../../kernel/principals.ts';
import type { AppSettings } from '../../kernel/principals.ts';
import { issueReportToken } from '../../kernel/report-token.ts';
import type { ReportClaims } from '../../kernel/report-token.ts';
import { hasEmbeddedStore, testDatabase } from '../embedded-store.ts';
import type { TestDatabase } from '../embedded-store.ts';
import { composedService, type ComposedService } from './composed-service.ts';
import { z } from 'zod';

vi.mock('node:fs/promises', async (load) => (await import('./without-scripts.ts')).withoutScripts(await load()));

const appOf = (id: string): AppSettings => ({
  id,
  tokenHashes: [hashToken(`${id}-token`)],
  keys: [{ id: `${id}-key`, secrets: [`${id}-secret`] }],
  origins: [`https://${id}.example`],
});
const authority = createAuthority(
  {
    apps: [{ ...appOf('shop'), ceilings: { allocations: 10 } }, appOf('bank')],
    relayTokenHash: hashToken('relay-token'),
    sourceTokenHash: hashToken('source-token'),
    operatorTokenHash: hashToken('operator-token'),
  },
  systemClock,
);

function reportToken(change: Partial<ReportClaims> = {}, secret = 'shop-secret'): string {
  const expiresAt = Math.ceil(systemClock.now() / 1_000) + 3_600;
  const claims = { keyId: 'shop-key', app: 'shop', call: 'c', participant: 'p', customId: '', maxConnections: 4 };
  return issueReportToken({ ...claims, expiresAt, ...change }, secret);
}

const SELF = '127.0.0.1:8080';
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const basic = (user: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
});
const json = (body: unknown, headers: Record<string, string> = {}): InjectOptions => ({
  method: 'POST',
  headers: { 'content-type': 'application/json', ...headers },
  payload: typeof body === 'string' ? body : JSON.stringify(body),
});

const GENERATE = '/v1/turn/keys/shop-key/credentials/generate-ice-servers';
const shop = bearer('shop-token');
const five = 'x'.repeat(5_000_000);
const generate = (body: unknown) => ({ url: GENERATE, ...json(body, shop) });
const stats = (body: unknown, token = reportToken(), headers: Record<string, string> = {}) => ({
  url: '/v1/stats',
  ...json(body, { ...bearer(token), ...headers }),
});
const usage = (body: unknown) => ({ url: '/v1/usage', ...json(body, bearer('relay-token')) });
const egress = (change: object) => ({
  url: '/v1/egress',
  ...json(
    {
      source: 'sfu',
      readings: [
        {
          server_id: 's',
          boot_id: 'b',
          object_id: 'o',
          seq: 1,
          window_end: systemClock.now(),
          app_id: 'shop',
          call_id: '',
          participant_id: '',
          egress_bytes: '1',
          ...change,
        },
      ],
    },
    bearer('source-token'),
  ),
});

/** fault, request, code, path of an issue that must be named. */
const faults: readonly (readonly [fault: string, request: InjectOptions, code: ErrorCode, issue?: string])[] = [
  // Who calls.
  ['no token', { url: GENERATE, ...json({}) }, 'TP_KERNEL_UNAUTHORISED'],
  ['a wrong token', { url: GENERATE, ...json({}, bearer('wrong')) }, 'TP_KERNEL_UNAUTHORISED'],
  ['an empty token', { url: GENERATE, ...json({}, bearer('')) }, 'TP_KERNEL_UNAUTHORISED'],
  ['a token with more behind it', { url: GENERATE, ...json({}, bearer('shop-token,x')) }, 'TP_KERNEL_UNAUTHORISED'],
  [
    'a token in the query where none belongs',
    { url: `${GENERATE}?token=shop-token`, ...json({}) },
    'TP_KERNEL_UNAUTHORISED',
  ],
  ['a login with a wrong password', { url: GENERATE, ...json({}, basic('shop', 'wrong')) }, 'TP_KERNEL_UNAUTHORISED'],
  ['another scheme', { url: GENERATE, ...json({}, { authorization: 'Digest shop-token' }) }, 'TP_KERNEL_UNAUTHORISED'],
  ['a token of another kind', { url: GENERATE, ...json({}, bearer('relay-token')) }, 'TP_KERNEL_FORBIDDEN'],
  ['the operator issuing for an app', { url: GENERATE, ...json({}, bearer('operator-token')) }, 'TP_KERNEL_FORBIDDEN'],
  ['a report token at the API', { url: GENERATE, ...json({}, bearer(reportToken())) }, 'TP_KERNEL_FORBIDDEN'],
  ['an app at the relays’ door', { url: '/v1/usage', ...json({}, shop) }, 'TP_KERNEL_FORBIDDEN'],
  ['an app at the SFUs’ door', { url: '/v1/egress', ...json({}, shop) }, 'TP_KERNEL_FORBIDDEN'],
  [
    'a webhook that LiveKit did not sign',
    { ...json({}, { ...shop, 'content-type': 'application/webhook+json' }), url: '/v1/sfu/livekit' },
    'TP_KERNEL_UNAUTHORISED',
  ],
  ['an app reading the metrics', { url: '/metrics', headers: shop }, 'TP_KERNEL_FORBIDDEN'],
  ['an app opening the console', { url: '/try', headers: shop }, 'TP_KERNEL_FORBIDDEN'],
  ['an unknown key', { url: GENERATE.replace('shop-key', 'none'), ...json({}, shop) }, 'TP_RELAY_KEY'],
  ['another app’s key', { url: GENERATE.replace('shop-key', 'bank-key'), ...json({}, shop) }, 'TP_RELAY_KEY'],
  [
    'a key named as an object has members',
    { url: GENERATE.replace('shop-key', '__proto__'), ...json({}, shop) },
    'TP_RELAY_KEY',
  ],
  ['another app’s statement', { url: '/v1/statements/2026-11?app=bank', headers: shop }, 'TP_KERNEL_FORBIDDEN'],
  ['another app’s calls', { url: '/v1/calls?app=bank', headers: shop }, 'TP_KERNEL_FORBIDDEN'],
  ['another app’s call', { url: '/v1/calls/unseen', headers: shop }, 'TP_COLLECTOR_CALL'],
  // Report tokens.
  ['a report without a token', { url: '/v1/stats', ...json({}) }, 'TP_KERNEL_UNAUTHORISED'],
  ['a report with an app’s token', stats({}, 'shop-token'), 'TP_KERNEL_FORBIDDEN'],
  ['a report token that expired', stats({}, reportToken({ expiresAt: 1 })), 'TP_KERNEL_UNAUTHORISED'],
  ['a report token of another secret', stats({}, reportToken({}, 'bank-secret')), 'TP_KERNEL_UNAUTHORISED'],
  ['a report token for another app', stats({}, reportToken({ app: 'bank' })), 'TP_KERNEL_UNAUTHORISED'],
  ['a report token cut short', stats({}, reportToken().slice(0, -1)), 'TP_KERNEL_UNAUTHORISED'],
  ['a report from a foreign page', stats({}, reportToken(), { origin: 'https://bank.example' }), 'TP_KERNEL_ORIGIN'],
  [
    'a preflight from nobody’s page',
    { method: 'OPTIONS', url: '/v1/stats', headers: { origin: 'https://evil.example' } },
    'TP_KERNEL_ORIGIN',
  ],
  // What a credential is asked with.
  ...[0, -1, 172_801, 1.5, 1e300].map((ttl) => [`ttl ${ttl}`, generate({ ttl }), 'TP_RELAY_TTL', 'ttl'] as const),
  ...['3600', null, true, [60], { s: 60 }].map(
    (ttl) => [`ttl ${JSON.stringify(ttl)}`, generate({ ttl }), 'TP_KERNEL_INVALID', 'ttl'] as const,
  ),
  ['a customIdentifier that is a number', generate({ customIdentifier: 7 }), 'TP_KERNEL_INVALID', 'customIdentifier'],
  [
    'a customIdentifier of 65 bytes',
    generate({ customIdentifier: 'é'.repeat(32) + 'x' }),
    'TP_KERNEL_INVALID',
    'customIdentifier',
  ],
  ['a call with a line break', generate({ call: 'a\nb' }), 'TP_KERNEL_INVALID', 'call'],
  ['limits that are a list', generate({ limits: [] }), 'TP_KERNEL_INVALID', 'limits'],
  [
    "a limit above the app's ceiling",
    generate({ limits: { allocations: 11 } }),
    'TP_RELAY_LIMITS',
    'limits.allocations',
  ],
  ['an unknown limit', generate({ limits: { packets: 1 } }), 'TP_KERNEL_INVALID', 'limits'],
  ['a limit below 0', generate({ limits: { bytes: '-1' } }), 'TP_KERNEL_INVALID', 'limits.bytes'],
  [
    'a limit beyond 64 bits',
    generate({ limits: { bytes: '18446744073709551616' } }),
    'TP_KERNEL_INVALID',
    'limits.bytes',
  ],
  ['a body that is null', generate('null'), 'TP_KERNEL_INVALID', ''],
  ['a body that is a list', generate([]), 'TP_KERNEL_INVALID', ''],
  // Bodies.
  ...[GENERATE, '/v1/usage', '/v1/egress', '/v1/stats'].flatMap((url) => {
    const token = { [GENERATE]: 'shop-token', '/v1/usage': 'relay-token', '/v1/egress': 'source-token' }[url];
    const headers = bearer(token ?? reportToken());
    return [
      [`a body of 5 MB at ${url}`, { url, ...json({ five }, headers) }, 'TP_KERNEL_BODY_TOO_LARGE'],
      [`a body that is cut short at ${url}`, { url, ...json('{"ttl":', headers) }, 'TP_KERNEL_BAD_JSON'],
      [`an empty body at ${url}`, { url, ...json('', headers) }, 'TP_KERNEL_BAD_JSON'],
      [
        `a body that would change prototypes at ${url}`,
        { url, ...json('{"__proto__":{"a":1}}', headers) },
        'TP_KERNEL_BAD_JSON',
      ],
      [
        `a form at ${url}`,
        { url, ...json('ttl=60', { ...headers, 'content-type': 'application/x-www-form-urlencoded' }) },
        'TP_KERNEL_CONTENT_TYPE',
      ],
      [
        `a body without a type at ${url}`,
        { url, method: 'POST', headers: { ...headers, 'content-type': '' }, payload: '{}' },
        'TP_KERNEL_CONTENT_TYPE',
      ],
    ] as const satisfies readonly (readonly [string, InjectOptions, ErrorCode])[];
  }),
  [
    'text where only JSON belongs',
    { url: GENERATE, ...json('{}', { ...shop, 'content-type': 'text/plain' }) },
    'TP_KERNEL_CONTENT_TYPE',
  ],
  ['JSON nested ten thousand deep', stats('['.repeat(10_000) + ']'.repeat(10_000)), 'TP_KERNEL_INVALID', ''],
  ['a report of nothing', stats({}), 'TP_KERNEL_INVALID', 'samples'],
  ['usage of nothing', usage({ records: [] }), 'TP_KERNEL_INVALID', 'records'],
  ['usage that is no record', usage({ records: [{ seq: '1' }] }), 'TP_KERNEL_INVALID', 'records.0.seq'],
  ['bytes below 0', egress({ egress_bytes: '-1' }), 'TP_KERNEL_INVALID', 'readings.0.egress_bytes'],
  ['bytes as a fraction', egress({ egress_bytes: 1.5 }), 'TP_KERNEL_INVALID', 'readings.0.egress_bytes'],
  ['a reading of an app that is none', egress({ app_id: 'ghost' }), 'TP_KERNEL_INVALID', 'readings.0.app_id'],
  [
    'a reading from next year',
    egress({ window_end: systemClock.now() + 31_536_000_000 }),
    'TP_KERNEL_INVALID',
    'readings.0.window_end',
  ],
  // Queries.
  ['a period that is no month', { url: '/v1/statements/2026-13', headers: shop }, 'TP_BILLING_PERIOD'],
  [
    'a rate card that is none',
    { url: '/v1/statements/2026-11?rateCard=../secrets', headers: shop },
    'TP_BILLING_RATE_CARD',
  ],
  ['a limit that is no number', { url: '/v1/calls?limit=ten', headers: shop }, 'TP_KERNEL_INVALID', 'limit'],
  ['an unknown parameter', { url: '/v1/calls?limits=10', headers: shop }, 'TP_KERNEL_INVALID', ''],
  ['the same parameter twice', { url: '/v1/calls?limit=1&limit=2', headers: shop }, 'TP_KERNEL_INVALID', 'limit'],
  ['a time that is none', { url: '/v1/usage?from=now&to=then', headers: shop }, 'TP_KERNEL_INVALID', 'from'],
  // Routes.
  ['an unknown route', { url: '/v1/nothing' }, 'TP_KERNEL_NOT_FOUND'],
  ['a path out of the console', { url: '/console/..%2f..%2fpackage.json' }, 'TP_KERNEL_NOT_FOUND'],
  ['a wrong method', { method: 'GET', url: GENERATE, headers: shop }, 'TP_KERNEL_METHOD'],
  ['a wrong method on a page', { method: 'POST', url: '/try' }, 'TP_KERNEL_METHOD'],
  // Pages, which need no login here.
  ...['/', '/try', '/console/setup', '/v1/calls', '/metrics'].flatMap((url) => [
    [`another server’s name at ${url}`, { url, headers: { host: 'evil.example' } }, 'TP_KERNEL_HOST'] as const,
    [`a foreign Origin at ${url}`, { url, headers: { origin: 'https://evil.example' } }, 'TP_KERNEL_ORIGIN'] as const,
  ]),
  ...[
    ['https://evil.example', 'a foreign Origin'],
    ['null', 'an opaque Origin'],
    ['http://127.0.0.1:9999', 'another port’s Origin'],
    [`https://${SELF}.evil.example`, 'an Origin that begins as ours'],
  ].map(([origin = '', fault]) => {
    const request: InjectOptions = { method: 'POST', url: '/try/session', headers: { origin } };
    return [`${fault} at /try/session`, request, 'TP_KERNEL_ORIGIN'] as const;
  }),
  [
    'a cross-site form at /try/session',
    { method: 'POST', url: '/try/session', headers: { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' } },
    'TP_KERNEL_ORIGIN',
  ],
  [
    'a wrong token at /try/session',
    { method: 'POST', url: '/try/session', headers: bearer('wrong') },
    'TP_KERNEL_UNAUTHORISED',
  ],
];

describe.skipIf(!hasEmbeddedStore)('the service answers', () => {
  let service: ComposedService;
  let store: TestDatabase;
  beforeAll(async () => {
    store = await testDatabase();
    service = await composedService({ authority, clock: systemClock, store });
  });
  afterAll(async () => {
    await service.close();
    await store.close();
  });

  const cases = faults.map(([fault, request, code, issue]) => ({ fault, request, code, issue }));
  it.each(cases)('$fault', async ({ request, code, issue }) => {
    const headers = { host: SELF, ...request.headers };
    const response = await service.http.inject({ ...request, headers });
    const body = response.json<ErrorBody>();
    expect(body.error.code).toBe(code);
    expect(response.statusCode).toBe(errorTable[code][0]);
    expect(response.headers['content-type']).toMatch(/^application\/json/);
    expect(body.error.message).toMatch(/\S/);
    expect(Object.keys(body).filter((key) => key !== 'error')).toEqual([]);
    if (issue !== undefined) expect(body.error.issues?.map(({ path }) => path)).toContain(issue);
    if (response.statusCode === 401) expect(response.headers['www-authenticate']).toMatch(/^Bearer|^Basic/);
    if (response.statusCode === 405) expect(response.headers['allow']).toMatch(/^[A-Z, ]+$/);
  });

  it('right questions after all that, and has stored nothing of it', async () => {
    for (const table of tableNames) {
      expect(await store.select(z.unknown(), `SELECT 1 FROM ${table} LIMIT 1`)).toEqual([]);
    }
    expect((await service.http.inject({ ...generate({ ttl: 60 }) })).statusCode).toBe(201);
    const session = await service.http.inject({
      method: 'POST',
      url: '/try/session',
      headers: { host: SELF, origin: `http://${SELF}` },
    });
    expect(session.statusCode).toBe(201);
  });
});
