import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { consoleRoutes } from '../../../dashboards/console/routes.ts';
import type { ConsoleRoutesOptions } from '../../../dashboards/console/routes.ts';
import type { TrySession } from '../../../dashboards/console/session.ts';
import type { ErrorBody } from '../../../kernel/errors.ts';
import { createHttp } from '../../../kernel/http.ts';
import { silentLog } from '../../../kernel/log.ts';
import type { Principal } from '../../../kernel/principals.ts';
import { seededRandom } from '../../../kernel/random.ts';

const web = join(import.meta.dirname, '../../../dashboards/console/web');
const principals: Record<string, Principal> = {
  'operator-token': { kind: 'operator' },
  'app-token': { kind: 'app', app: 'default' },
};
const authority = {
  apps: [],
  authenticate: (token: string) => principals[token],
  app: () => undefined,
  key: () => undefined,
};

let directory: string;
let asked: Parameters<ConsoleRoutesOptions['issue']>[0][];
const open: FastifyInstance[] = [];

async function serve(host: string): Promise<FastifyInstance> {
  asked = [];
  const app = createHttp({ log: silentLog, authority, host });
  open.push(app);
  await app.register(consoleRoutes, {
    directory,
    random: seededRandom('console'),
    setup: { keyId: 'default', turnUrls: ['turn:127.0.0.1:3478?transport=udp'] },
    issue: (request) => {
      asked.push(request);
      return {
        iceServers: [{ urls: ['turn:127.0.0.1:3478'], username: request.participant, credential: 'password' }],
        reporting: { url: 'https://public.example:8443/v1/stats', token: `token-of-${request.participant}` },
      };
    },
  });
  return app;
}

const own = { host: '127.0.0.1:8080', origin: 'http://127.0.0.1:8080' };
const codeOf = (body: string) => (JSON.parse(body) as ErrorBody).error.code;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'turnpike-console-'));
  for (const name of ['overview.html', 'try.html', 'console.css', 'try.js', 'try.js.map', 'secret.txt']) {
    writeFileSync(join(directory, name), `content of ${name}`);
  }
});
afterAll(async () => {
  await Promise.all(open.map((app) => app.close()));
  rmSync(directory, { recursive: true });
});

describe('the console on loopback', () => {
  it.each([
    ['/', 'overview.html', 'text/html; charset=utf-8'],
    ['/try', 'try.html', 'text/html; charset=utf-8'],
    ['/console/console.css', 'console.css', 'text/css; charset=utf-8'],
    ['/console/try.js', 'try.js', 'text/javascript; charset=utf-8'],
  ])('serves %s without a login', async (url, name, type) => {
    const answer = await (await serve('127.0.0.1')).inject({ url, headers: { host: own.host } });
    expect([answer.statusCode, answer.body, answer.headers['content-type']]).toEqual([200, `content of ${name}`, type]);
  });

  it('allows pages nothing but their own scripts, styles and data, in nobody’s frame', async () => {
    const { headers } = await (await serve('127.0.0.1')).inject({ url: '/try', headers: { host: own.host } });
    const policy = String(headers['content-security-policy']);
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toContain('unsafe');
    expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'x-frame-options': 'DENY' });
  });

  it('answers 304 to who has this version', async () => {
    const app = await serve('127.0.0.1');
    const { headers } = await app.inject({ url: '/', headers: { host: own.host } });
    const again = await app.inject({ url: '/', headers: { host: own.host, 'if-none-match': String(headers.etag) } });
    expect([again.statusCode, again.body]).toEqual([304, '']);
  });

  it.each(['/console/secret.txt', '/console/try.js.map', '/console/../package.json', '/console/%2e%2e%2fpackage.json'])(
    'does not serve %s',
    async (url) => {
      const answer = await (await serve('127.0.0.1')).inject({ url, headers: { host: own.host } });
      expect(answer.statusCode).toBe(404);
    },
  );

  it('issues two credentials of one call, one for each peer, for half an hour', async () => {
    const app = await serve('127.0.0.1');
    const answer = await app.inject({ method: 'POST', url: '/try/session', headers: own });
    expect(answer.statusCode).toBe(201);
    expect(answer.headers['cache-control']).toBe('no-store');
    const session = answer.json<TrySession>();
    expect(session.call).toMatch(/^try-[0-9a-f]{12}$/);
    expect(asked).toEqual(['A', 'B'].map((participant) => ({ ttl: 1_800, call: session.call, participant })));
    expect(session.peers.map(({ participant, iceServers }) => [participant, iceServers[0]?.username])).toEqual([
      ['A', 'A'],
      ['B', 'B'],
    ]);
    const other = await app.inject({ method: 'POST', url: '/try/session', headers: own });
    expect(other.json<TrySession>().call).not.toBe(session.call);
  });

  it('lets the page report to the server that it came from, whatever its public name', async () => {
    const answer = await (await serve('127.0.0.1')).inject({ method: 'POST', url: '/try/session', headers: own });
    expect(answer.json<TrySession>().peers.map(({ reporting }) => reporting)).toEqual([
      { url: '/v1/stats', token: 'token-of-A' },
      { url: '/v1/stats', token: 'token-of-B' },
    ]);
  });

  it.each(['https://elsewhere.example', 'http://127.0.0.1:9999', 'null'])(
    'refuses a session to a page of origin %s',
    async (origin) => {
      const app = await serve('127.0.0.1');
      const answer = await app.inject({ method: 'POST', url: '/try/session', headers: { ...own, origin } });
      expect([answer.statusCode, codeOf(answer.body)]).toEqual([403, 'TP_KERNEL_ORIGIN']);
      expect(asked).toEqual([]);
    },
  );

  it.each(['/', '/try', '/console/setup', '/try/session'])('refuses %s under another host’s name', async (url) => {
    const method = url === '/try/session' ? 'POST' : 'GET';
    const answer = await (await serve('127.0.0.1')).inject({ method, url, headers: { host: 'rebound.example' } });
    expect([answer.statusCode, codeOf(answer.body)]).toEqual([403, 'TP_KERNEL_HOST']);
  });

  it('tells a newcomer the key and the relay', async () => {
    const answer = await (await serve('127.0.0.1')).inject({ url: '/console/setup', headers: { host: own.host } });
    expect(answer.json()).toEqual({ keyId: 'default', turnUrls: ['turn:127.0.0.1:3478?transport=udp'] });
  });
});

describe('the console bound elsewhere', () => {
  const routes = [
    ['GET', '/'],
    ['GET', '/try'],
    ['GET', '/console/try.js'],
    ['GET', '/console/setup'],
    ['POST', '/try/session'],
  ] as const;

  it.each(routes)('asks for a login on %s %s', async (method, url) => {
    const answer = await (await serve('0.0.0.0')).inject({ method, url, headers: { ...own, accept: 'text/html' } });
    expect([answer.statusCode, answer.headers['www-authenticate']]).toEqual([
      401,
      'Basic realm="Turnpike", charset="UTF-8"',
    ]);
  });

  it.each(routes)('is the operator’s, not an app’s, on %s %s', async (method, url) => {
    const app = await serve('0.0.0.0');
    const ask = (token: string) => app.inject({ method, url, headers: { authorization: `Bearer ${token}` } });
    expect((await ask('app-token')).statusCode).toBe(403);
    expect((await ask('operator-token')).statusCode).toBe(method === 'POST' ? 201 : 200);
  });
});

describe('the pages themselves', () => {
  const pages = readdirSync(web).filter((name) => name.endsWith('.html'));

  it('are two', () => {
    expect(pages).toEqual(['overview.html', 'try.html']);
  });

  it.each(pages)('hold nothing inline that the policy would block: %s', (name) => {
    const html = readFileSync(join(web, name), 'utf8');
    expect(html).not.toMatch(/\sstyle=|<style|\son\w+=|<script(?![^>]*\ssrc=)/);
    expect(html).toMatch(/<html lang="en">/);
  });

  it.each(pages)('link only to what is served: %s', (name) => {
    const html = readFileSync(join(web, name), 'utf8');
    const targets = [...html.matchAll(/(?:href|src)="([^"]+)"/g)].map(([, target]) => target ?? '');
    const known = new Set([
      '/',
      '/try',
      '/docs',
      '/console/console.css',
      '/console/icon.svg',
      '/console/try.js',
      '/console/overview.js',
    ]);
    expect(targets.filter((target) => !known.has(target))).toEqual([]);
  });
});
