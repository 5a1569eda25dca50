import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { clientRoutes } from '../../collector/client-routes.ts';
import { createHttp } from '../../kernel/http.ts';
import { silentLog } from '../../kernel/log.ts';

const authority = { apps: [], authenticate: () => undefined, app: () => undefined, key: () => undefined };
let directory: string;
let app: FastifyInstance;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'turnpike-client-'));
  writeFileSync(join(directory, 'turnpike.js'), 'var turnpike = {};');
  writeFileSync(join(directory, 'turnpike.mjs'), 'export {};');
  app = createHttp({ log: silentLog, authority, host: '0.0.0.0' });
  await app.register(clientRoutes, { directory });
});
afterAll(async () => {
  await app.close();
  rmSync(directory, { recursive: true });
});

describe('the SDK over HTTP', () => {
  it.each([
    ['/turnpike.js', 'var turnpike = {};'],
    ['/turnpike.mjs', 'export {};'],
  ])('serves %s to any page of any origin', async (url, body) => {
    const answer = await app.inject({ url, headers: { origin: 'https://elsewhere.example' } });
    expect([answer.statusCode, answer.body]).toEqual([200, body]);
    expect(answer.headers).toMatchObject({
      'content-type': 'text/javascript; charset=utf-8',
      'access-control-allow-origin': '*',
      'x-content-type-options': 'nosniff',
    });
  });

  it('answers 304 to a page that has this version', async () => {
    const etag = String((await app.inject('/turnpike.js')).headers.etag);
    const again = await app.inject({ url: '/turnpike.js', headers: { 'if-none-match': `W/${etag}, "other"` } });
    expect([again.statusCode, again.body]).toEqual([304, '']);
    expect(again.headers.etag).toBe(etag);
    const other = await app.inject({ url: '/turnpike.js', headers: { 'if-none-match': '"other"' } });
    expect(other.statusCode).toBe(200);
  });

  it('does not start without the bundles', async () => {
    const bare = createHttp({ log: silentLog, authority, host: '127.0.0.1' });
    await expect(bare.register(clientRoutes, { directory: join(directory, 'absent') })).rejects.toThrow('ENOENT');
    await bare.close();
  });
});
