import { afterEach, describe, expect, it } from 'vitest';
import type { FastifyInstance } from 'fastify';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { z } from 'zod';
import { ManualClock } from '../../kernel/clock.ts';
import { TurnpikeError } from '../../kernel/errors.ts';
import type { ErrorBody } from '../../kernel/errors.ts';
import { check, createHttp } from '../../kernel/http.ts';
import { silentLog } from '../../kernel/log.ts';
import { createAuthority, hashToken } from '../../kernel/principals.ts';

const authority = createAuthority(
  {
    apps: [{ id: 'shop', tokenHashes: [hashToken('shop-token')], keys: [], origins: ['*'] }],
    relayTokenHash: hashToken('relay-token'),
    sourceTokenHash: hashToken('source-token'),
    operatorTokenHash: hashToken('operator-token'),
  },
  new ManualClock(1_795_000_000_000),
);

let app: FastifyInstance;
afterEach(() => app.close());

function service(host = '127.0.0.1'): FastifyInstance {
  app = createHttp({ log: silentLog, authority, host, bodyLimit: 100 });
  app.get('/console', { config: { allow: ['operator', 'app'] } }, (request) => ({ kind: request.principal?.kind }));
  app.post('/things/:id', { config: { allow: ['app'] } }, (request) =>
    check(z.strictObject({ a: z.int() }), request.body),
  );
  app.post('/beacon', { config: { allow: ['relay'], tokenInQuery: 'token' } }, () => ({ count: 2n ** 60n }));
  app.get('/fails', { config: { allow: 'anyone' } }, () => {
    throw new Error('the database password is hunter2');
  });
  app.get('/busy', { config: { allow: 'anyone' } }, () => {
    throw new TurnpikeError('TP_COLLECTOR_STORE_UNAVAILABLE');
  });
  return app;
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const json = { 'content-type': 'application/json' };
const codeOf = (response: { body: string }) => (JSON.parse(response.body) as ErrorBody).error.code;

/** Writes bytes to the port and reads until one answer is whole. */
async function exchange(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1').setEncoding('utf8');
  socket.write(bytes);
  let answer = '';
  for await (const chunk of socket) {
    answer += chunk as string;
    if (/\r\n\r\n.*}$/s.test(answer)) break;
  }
  return answer;
}

describe('errors over HTTP', () => {
  it('have a code of their own for each way to be wrong', async () => {
    const http = service();
    const post = (headers: Record<string, string>, payload: string) =>
      http.inject({ method: 'POST', url: '/things/1', headers: { ...bearer('shop-token'), ...headers }, payload });
    expect(codeOf(await http.inject('/nowhere'))).toBe('TP_KERNEL_NOT_FOUND');
    expect(codeOf(await http.inject({ method: 'DELETE', url: '/things/1' }))).toBe('TP_KERNEL_METHOD');
    expect(codeOf(await post({ 'content-type': 'text/plain' }, '{"a":1}'))).toBe('TP_KERNEL_CONTENT_TYPE');
    expect(codeOf(await post(json, '{"a":'))).toBe('TP_KERNEL_BAD_JSON');
    expect(codeOf(await post(json, JSON.stringify({ a: 1, pad: 'x'.repeat(200) })))).toBe('TP_KERNEL_BODY_TOO_LARGE');
    expect(codeOf(await post(json, '{"a":"1","b":2}'))).toBe('TP_KERNEL_INVALID');
    expect((await post(json, '{"a":1}')).json()).toEqual({ a: 1 });
  });
  it('name the methods that a route does answer', async () => {
    const response = await service().inject({ method: 'DELETE', url: '/things/1' });
    expect(response.statusCode).toBe(405);
    expect(response.headers['allow']).toBe('POST');
  });
  it('have the same shape for what never becomes a request', async () => {
    const http = service();
    await http.listen({ host: '127.0.0.1', port: 0 });
    const { port } = http.server.address() as AddressInfo;
    const host = 'Host: 127.0.0.1\r\n';
    const answers = {
      'hello\r\n\r\n': [400, 'TP_KERNEL_BAD_HTTP'],
      [`FLY / HTTP/1.1\r\n${host}\r\n`]: [400, 'TP_KERNEL_BAD_HTTP'],
      [`POST /things/1 HTTP/1.1\r\n${host}Content-Length: -1\r\n\r\n`]: [400, 'TP_KERNEL_BAD_HTTP'],
      [`GET / HTTP/1.1\r\n${host}X: ${'x'.repeat(20_000)}\r\n\r\n`]: [431, 'TP_KERNEL_HEADERS_TOO_LARGE'],
      [`GET /%zz HTTP/1.1\r\n${host}\r\n`]: [404, 'TP_KERNEL_NOT_FOUND'],
      [`POST /things/${'x'.repeat(601)} HTTP/1.1\r\n${host}\r\n`]: [404, 'TP_KERNEL_NOT_FOUND'],
      [`DELETE /%74hings/1 HTTP/1.1\r\n${host}\r\n`]: [405, 'TP_KERNEL_METHOD'],
    };
    for (const [bytes, expected] of Object.entries(answers)) {
      const answer = await exchange(port, bytes);
      const body = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))) as ErrorBody;
      expect([Number(answer.split(' ')[1]), body.error.code]).toEqual(expected);
      expect(Object.keys(body)).toEqual(['error']);
    }
  });
  it('name every faulty field', async () => {
    const response = await service().inject({
      method: 'POST',
      url: '/things/1',
      headers: { ...bearer('shop-token'), ...json },
      payload: '{"a":"1","b":2}',
    });
    expect(response.json<ErrorBody>().error.issues?.map((issue) => issue.path)).toEqual(['a', '']);
  });
  it('keep our own failures to the log', async () => {
    const response = await service().inject('/fails');
    expect(response.statusCode).toBe(500);
    expect(response.body).not.toContain('hunter2');
  });
  it('tell a client when to come back', async () => {
    const response = await service().inject('/busy');
    expect(response.statusCode).toBe(503);
    expect(response.headers['retry-after']).toBe('2');
  });
});

describe('who may call', () => {
  it('a route must say', () => {
    const http = service();
    expect(() => http.get('/open', () => 'x')).toThrow('does not say who may call it');
  });
  it('is told from the token, and 401 differs from 403', async () => {
    const http = service();
    const call = (headers: Record<string, string>) =>
      http.inject({ method: 'POST', url: '/things/1', headers: { ...json, ...headers }, payload: '{"a":1}' });
    expect((await call({})).statusCode).toBe(401);
    expect((await call(bearer('wrong'))).statusCode).toBe(401);
    expect((await call(bearer('relay-token'))).statusCode).toBe(403);
    expect((await call(bearer('shop-token'))).statusCode).toBe(200);
  });
  it('may be told in the query where the route takes it, with 64-bit answers as strings', async () => {
    const http = service();
    expect((await http.inject({ method: 'POST', url: '/beacon?token=relay-token' })).json()).toEqual({
      count: '1152921504606846976',
    });
    expect((await http.inject({ method: 'GET', url: '/console?token=operator-token' })).json()).toEqual({
      kind: 'operator',
    });
    expect((await http.inject({ method: 'POST', url: '/things/1?token=shop-token' })).statusCode).toBe(401);
  });
});

describe('people in front of a loopback service', () => {
  it('need no login', async () => {
    const response = await service().inject({ url: '/console', headers: { host: '127.0.0.1:8080' } });
    expect(response.json()).toEqual({ kind: 'operator' });
  });
  it.each(['localhost:8080', 'LOCALHOST', '[::1]:8080', '127.0.0.2'])('may call it %s', async (host) => {
    expect((await service().inject({ url: '/console', headers: { host } })).statusCode).toBe(200);
  });
  it.each(['127.0.0.1.evil.example', 'localhost.evil.example:8080', '[::1].evil'])('but not %j', async (host) => {
    expect(codeOf(await service().inject({ url: '/console', headers: { host } }))).toBe('TP_KERNEL_HOST');
  });
  it('are refused under a name that was rebound to us', async () => {
    const response = await service().inject({ url: '/console', headers: { host: 'evil.example' } });
    expect(codeOf(response)).toBe('TP_KERNEL_HOST');
  });
  it.each([
    ['a foreign Origin', { origin: 'https://evil.example' }],
    ['an opaque Origin', { origin: 'null' }],
    ['a cross-site fetch', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'cors' }],
    ['another port of this host', { origin: 'http://127.0.0.1:9999' }],
  ])('are refused from %s', async (_name, headers) => {
    const response = await service().inject({ url: '/console', headers: { host: '127.0.0.1:8080', ...headers } });
    expect(codeOf(response)).toBe('TP_KERNEL_ORIGIN');
  });
  it('may follow a link from elsewhere', async () => {
    const headers = { host: '127.0.0.1:8080', 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' };
    expect((await service().inject({ url: '/console', headers })).statusCode).toBe(200);
  });
  it('need the operator token when the service is bound elsewhere', async () => {
    const http = service('0.0.0.0');
    const call = (headers: Record<string, string>) =>
      http.inject({ url: '/console', headers: { host: 'relay.example', ...headers } });
    const page = await call({ accept: 'text/html' });
    expect(page.statusCode).toBe(401);
    expect(page.headers['www-authenticate']).toContain('Basic');
    const login = `Basic ${Buffer.from('me:operator-token').toString('base64')}`;
    expect((await call({ authorization: login })).json()).toEqual({ kind: 'operator' });
    expect(codeOf(await call({ authorization: login, origin: 'https://evil.example' }))).toBe('TP_KERNEL_ORIGIN');
  });
});
