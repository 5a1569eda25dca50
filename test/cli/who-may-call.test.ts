/** Every documented route of the composed service, as strangers, wrong tokens and pages of other sites find it. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { configSchema } from '../../cli/config.ts';
import { ManualClock } from '../../kernel/clock.ts';
import { loadConfig } from '../../kernel/config.ts';
import { createAuthority, hashToken } from '../../kernel/principals.ts';
import type { PrincipalKind } from '../../kernel/principals.ts';
import { issueReportToken } from '../../kernel/report-token.ts';
import { rowsUnder } from '../docs/markdown.ts';
import { composedService, type ComposedService } from './composed-service.ts';

vi.mock('node:fs/promises', async (load) => (await import('./without-scripts.ts')).withoutScripts(await load()));

const START = Date.UTC(2026, 10, 20, 12);
const SECRET = 'a secret of some length';
const PAGE = 'https://demo.example';

const tokens: Readonly<Record<PrincipalKind, string>> = {
  app: 'app-token',
  relay: 'relay-token',
  source: 'source-token',
  operator: 'operator-token',
  reader: 'reader-password',
  report: issueReportToken(
    {
      keyId: 'main',
      app: 'shop',
      customId: '',
      call: 'room',
      participant: 'ann',
      maxConnections: 4,
      expiresAt: START / 1000 + 60,
    },
    SECRET,
  ),
};
const kinds = Object.keys(tokens) as PrincipalKind[];

/** Names in a path stand for anything; a path that ends in `*` stands for files of a build that is not here. */
const routes = rowsUnder('routes.md', 'Collector')
  .map(([method = '', path = '', who = '']) => ({ method, url: path.replaceAll(/:\w+/g, 'x'), who: who.split(', ') }))
  .filter(({ url }) => !url.includes('*'));
const guarded = routes.filter(({ who }) => !who.includes('anyone'));

describe('a service that is bound to more than loopback', () => {
  let service: ComposedService;
  type Method = 'GET' | 'POST' | 'OPTIONS';
  const call = (method: string, url: string, headers: Record<string, string> = {}) =>
    service.http.inject({ method: method as Method, url, headers });

  beforeAll(async () => {
    const clock = new ManualClock(START);
    const keys = [{ id: 'main', secrets: [SECRET] }];
    const app = { id: 'shop', tokenHashes: [hashToken(tokens.app)], keys, origins: [PAGE] };
    service = await composedService({
      config: loadConfig(configSchema, { env: { TURNPIKE_HTTP_HOST: '192.0.2.1' }, flags: {} }),
      authority: createAuthority(
        {
          apps: [app],
          relayTokenHash: hashToken(tokens.relay),
          sourceTokenHash: hashToken(tokens.source),
          operatorTokenHash: hashToken(tokens.operator),
          readerPasswordHash: hashToken(tokens.reader),
        },
        clock,
      ),
      reader: () => Promise.reject(new Error('there is none')),
      clock,
    });
  });
  afterAll(() => service.close());

  it('answers nobody without a token, metrics and console included, but what is for anyone', async () => {
    expect(guarded.map(({ url }) => url)).toEqual(expect.arrayContaining(['/', '/metrics', '/try', '/v1/calls']));
    for (const { method, url } of guarded) {
      const { statusCode } = await call(method, url);
      expect([method, url, statusCode]).toEqual([method, url, 401]);
    }
  });

  it('answers 401 to a token that is nobody’s, and 403 to each kind that a route does not name', async () => {
    for (const { method, url, who } of guarded) {
      const guess = await call(method, url, { authorization: 'Bearer guess' });
      expect([method, url, guess.statusCode]).toEqual([method, url, 401]);
      for (const kind of kinds.filter((each) => !who.includes(each))) {
        const { statusCode } = await call(method, url, { authorization: `Bearer ${tokens[kind]}` });
        expect([method, url, kind, statusCode]).toEqual([method, url, kind, 403]);
      }
    }
  });

  it('lets pages of other sites read the answers to reports, the SDK, and nothing else', async () => {
    const readable = new Set<string>();
    for (const { method, url } of routes) {
      const asked = { origin: PAGE, 'access-control-request-method': method };
      for (const { headers } of [await call('OPTIONS', url, asked), await call(method, url, { origin: PAGE })]) {
        if ('access-control-allow-origin' in headers) readable.add(url);
      }
    }
    expect([...readable].toSorted()).toEqual(['/turnpike.js', '/turnpike.mjs', '/v1/stats']);
    const issued = await call('POST', '/v1/turn/keys/main/credentials/generate-ice-servers', {
      origin: PAGE,
      authorization: `Bearer ${tokens.app}`,
    });
    expect(issued.statusCode).toBe(201);
    expect(issued.headers).not.toHaveProperty('access-control-allow-origin');
  });
});
