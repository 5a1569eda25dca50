import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../kernel/clock.ts';
import type { ErrorBody } from '../../../kernel/errors.ts';
import { createHttp } from '../../../kernel/http.ts';
import { silentLog } from '../../../kernel/log.ts';
import { Metrics } from '../../../kernel/metrics.ts';
import { createAuthority, hashToken } from '../../../kernel/principals.ts';
import type { AppSettings } from '../../../kernel/principals.ts';
import { systemRandom } from '../../../kernel/random.ts';
import { REPORT_GRACE_SECONDS } from '../../../kernel/report-token.ts';
import type {
  CredentialLimits,
  IceServersAnswer,
  LegacyIceServersAnswer,
  Revocation,
  TurnRestAnswer,
  TwilioTokenAnswer,
} from '../../../relay/contract.ts';
import { createAuthenticator } from '../../../relay/credentials/authenticator.ts';
import { credentialRoutes } from '../../../relay/credentials/routes.ts';

const START = Date.UTC(2026, 10, 20, 12);
const urls = {
  stunUrls: ['stun:relay.test:3478'],
  turnUrls: ['turn:relay.test:3478?transport=udp', 'turn:relay.test:3478?transport=tcp'],
  reportUrl: 'http://relay.test/v1/stats',
};

function app(id: string, plainUsernames = false, impairment = false): AppSettings {
  const keys = [{ id: `${id}-key`, secrets: [`${id} secret`], plainUsernames, impairment }];
  return { id, tokenHashes: [hashToken(`${id}-token`)], keys, origins: [] };
}

async function service(ceilings?: CredentialLimits, plainKey = false, impairment = false) {
  const clock = new ManualClock(START);
  const hashes = { relayTokenHash: hashToken('relay'), sourceTokenHash: '', operatorTokenHash: '' };
  const authority = createAuthority({ apps: [app('shop', plainKey, impairment), app('rival')], ...hashes }, clock);
  const metrics = new Metrics();
  const revoked: (Revocation & { app: string })[] = [];
  const http = createHttp({ log: silentLog, authority, host: '127.0.0.1' });
  await http.register(credentialRoutes, {
    authority,
    urls: () => urls,
    ceilingsOf: () => ceilings,
    revoke: async (app, revocation) => void revoked.push({ app, ...revocation }),
    metrics,
    clock,
    random: systemRandom,
  });
  const generate = (payload: unknown, key = 'shop-key', token = 'shop-token') =>
    http.inject({
      method: 'POST',
      url: `/v1/turn/keys/${key}/credentials/generate-ice-servers`,
      headers: { authorization: `Bearer ${token}` },
      ...(payload === undefined ? {} : { payload: payload as object }),
    });
  const claimsOf = (answer: IceServersAnswer) => {
    const at = { now: clock.now(), monotonic: 0 };
    return createAuthenticator(authority).lookup(answer.iceServers.at(-1)?.username ?? '', at);
  };
  const lookup = (username: string) =>
    createAuthenticator(authority).lookup(username, { now: clock.now(), monotonic: 0 });
  return { http, authority, metrics, clock, generate, claimsOf, lookup, revoked };
}

describe('POST /v1/turn/keys/:keyId/credentials/generate-ice-servers', () => {
  it("answers 201 with Cloudflare's shape", async () => {
    const { generate, claimsOf } = await service();
    const response = await generate({ ttl: 86_400, customIdentifier: 'user-7' });
    expect(response.statusCode).toBe(201);
    expect(response.headers['content-type']).toMatch(/^application\/json/);
    expect(response.headers['cache-control']).toBe('no-store');
    const answer = response.json<IceServersAnswer>();
    expect(answer).toEqual({
      iceServers: [
        { urls: urls.stunUrls },
        { urls: urls.turnUrls, username: expect.any(String), credential: expect.stringMatching(/^[\w+/]{27}=$/) },
      ],
      reporting: { url: urls.reportUrl, token: expect.any(String) },
    });
    expect(claimsOf(answer)).toMatchObject({
      ok: true,
      app: 'shop',
      claims: { customId: 'user-7', call: '', participant: '', limits: {} },
      expiresAt: START + 86_400_000,
    });
  });

  it('seals call, participant and limits, and ignores fields it does not know, as Cloudflare does', async () => {
    const { generate, claimsOf } = await service();
    const limits = { allocations: 4, bytes: '18446744073709551615', packetsPerSecond: 900, bitsPerSecond: 5_000_000 };
    const response = await generate({ ttl: 60, call: 'room', participant: 'ann', limits, colour: 'blue' });
    expect(response.statusCode).toBe(201);
    expect(claimsOf(response.json())).toMatchObject({
      claims: { call: 'room', participant: 'ann', limits: { ...limits, bytes: 18_446_744_073_709_551_615n } },
    });
  });

  it('seals network conditions for a key that allows them, and refuses them for any other', async () => {
    const impairment = { lossPercent: 3, delayMs: 200, jitterMs: 20, rateKbps: 1_000 };
    const { generate, claimsOf } = await service(undefined, false, true);
    const granted = await generate({ impairment });
    expect(granted.statusCode).toBe(201);
    expect(claimsOf(granted.json())).toMatchObject({ claims: { impairment } });
    const partly = await generate({ impairment: { lossPercent: 0.5 } });
    expect(claimsOf(partly.json())).toMatchObject({ claims: { impairment: { lossPercent: 0.5, delayMs: 0 } } });

    const refused = await (await service()).generate({ impairment });
    expect(refused.statusCode).toBe(403);
    expect(refused.json()).toMatchObject({ error: { code: 'TP_RELAY_IMPAIRMENT' } });
  });

  it('gives an hour to a call without ttl, and to one without any body', async () => {
    const { generate, claimsOf } = await service();
    for (const body of [{}, undefined]) {
      const response = await generate(body);
      expect(response.statusCode).toBe(201);
      expect(claimsOf(response.json())).toMatchObject({ expiresAt: START + 3_600_000 });
    }
  });

  it('issues a report token for the same names that outlives the credential by a day', async () => {
    const { generate, authority, clock } = await service();
    const answer = (await generate({ ttl: 60, call: 'room', participant: 'ann', customIdentifier: 'c' })).json();
    const { token } = (answer as IceServersAnswer).reporting;
    const expiresAt = START / 1000 + 60 + REPORT_GRACE_SECONDS;
    expect(authority.authenticate(token)).toEqual({
      kind: 'report',
      claims: expect.objectContaining({ app: 'shop', call: 'room', participant: 'ann', customId: 'c', expiresAt }),
    });
    clock.advance((60 + REPORT_GRACE_SECONDS) * 1000);
    expect(authority.authenticate(token)).toBeUndefined();
  });

  it("answers the same 404 for another app's key and for a key that never was", async () => {
    const { generate } = await service();
    const foreign = await generate({}, 'rival-key');
    const unknown = await generate({}, 'nobody');
    expect(foreign.statusCode).toBe(404);
    expect(foreign.json()).toEqual(unknown.json());
    expect(foreign.json()).toMatchObject({ error: { code: 'TP_RELAY_KEY' } });
  });

  it('answers 401 to a wrong token and 403 to a token of another kind', async () => {
    const { generate } = await service();
    expect((await generate({}, 'shop-key', 'guess')).json()).toMatchObject({
      error: { code: 'TP_KERNEL_UNAUTHORISED' },
    });
    expect((await generate({}, 'shop-key', 'relay')).json()).toMatchObject({ error: { code: 'TP_KERNEL_FORBIDDEN' } });
  });

  it.each([0, -1, 172_801, 1.5, 1e300])('answers TP_RELAY_TTL to a ttl of %s', async (ttl) => {
    const { generate } = await service();
    const response = await generate({ ttl });
    expect(response.statusCode).toBe(400);
    const { error } = response.json<{ error: { code: string; issues: { path: string }[] } }>();
    expect(error.code).toBe('TP_RELAY_TTL');
    expect(new Set(error.issues.map((issue) => issue.path))).toEqual(new Set(['ttl']));
  });

  it.each([
    ['a ttl in text', { ttl: '3600' }, ['ttl']],
    ['a customIdentifier that is a number', { ttl: 60, customIdentifier: 7 }, ['customIdentifier']],
    ['a name over 64 UTF-8 bytes', { call: 'é'.repeat(33) }, ['call']],
    ['a limit that is not known', { limits: { bandwidth: 1 } }, ['limits']],
    [
      'conditions out of range',
      { impairment: { lossPercent: 101, delayMs: 0.5, jitterMs: -1, rateKbps: 7 } },
      ['impairment.lossPercent', 'impairment.delayMs', 'impairment.jitterMs', 'impairment.rateKbps'],
    ],
    ['a bad ttl and a bad name together', { ttl: 0, participant: [] }, ['ttl', 'participant']],
    ['an array', [], ['']],
  ])('answers TP_KERNEL_INVALID, with every fault, to %s', async (_name, body, paths) => {
    const { generate } = await service();
    const response = await generate(body);
    expect(response.statusCode).toBe(400);
    const { error } = response.json<{ error: { code: string; issues: { path: string }[] } }>();
    expect(error.code).toBe('TP_KERNEL_INVALID');
    expect(error.issues.map((issue) => issue.path)).toEqual(paths);
  });

  it('answers TP_KERNEL_INVALID to a JSON null, and TP_KERNEL_BAD_JSON to what is not JSON', async () => {
    const { http } = await service();
    const post = (payload: string) =>
      http.inject({
        method: 'POST',
        url: '/v1/turn/keys/shop-key/credentials/generate-ice-servers',
        headers: { authorization: 'Bearer shop-token', 'content-type': 'application/json' },
        payload,
      });
    expect((await post('null')).json()).toMatchObject({ error: { code: 'TP_KERNEL_INVALID' } });
    expect((await post('{"ttl":')).json()).toMatchObject({ error: { code: 'TP_KERNEL_BAD_JSON' } });
    expect((await post('')).json()).toMatchObject({ error: { code: 'TP_KERNEL_BAD_JSON' } });
  });

  it("refuses limits above the app's ceilings by name, and seals the ceilings where none was asked for", async () => {
    const { generate, claimsOf } = await service({ bytes: 1_000n, bitsPerSecond: 64_000 });
    const refused = await generate({ limits: { bytes: '1001', bitsPerSecond: 64_001, allocations: 9 } });
    expect(refused.statusCode).toBe(400);
    expect(refused.json()).toMatchObject({
      error: { code: 'TP_RELAY_LIMITS', issues: [{ path: 'limits.bytes' }, { path: 'limits.bitsPerSecond' }] },
    });
    const granted = await generate({ limits: { bytes: '500' } });
    expect(claimsOf(granted.json())).toMatchObject({ claims: { limits: { bytes: 500n, bitsPerSecond: 64_000 } } });
  });

  it('counts what it issued, and what it refused by error code', async () => {
    const { generate, metrics } = await service();
    await generate({});
    await generate({ ttl: 0 });
    await generate({}, 'rival-key');
    await generate({}, 'shop-key', 'a guess');
    await generate({ ttl: 60 });
    const counted = await metrics.counter('turnpike_credentials_issued_total').get();
    expect(counted.values).toEqual([{ labels: { route: 'generate-ice-servers' }, value: 2 }]);
    const refused = await metrics.counter('turnpike_credentials_refused_total').get();
    expect(refused.values).toEqual([
      { labels: { code: 'TP_RELAY_TTL' }, value: 1 },
      { labels: { code: 'TP_RELAY_KEY' }, value: 1 },
      { labels: { code: 'TP_KERNEL_UNAUTHORISED' }, value: 1 },
    ]);
  });

  it('answers any JSON at all with a credential or an error of its own, never with 500', async () => {
    const { http } = await service({ bytes: 500n });
    const values = fc.oneof(
      { withCrossShrink: true },
      fc.jsonValue(),
      fc.constantFrom(-1, 1e308, '', '\u0000', null, {}, []),
    );
    const names = fc.constantFrom(
      'ttl',
      'customIdentifier',
      'call',
      'participant',
      'limits',
      'impairment',
      '__proto__',
    );
    const bodies = fc.oneof(
      fc.json(),
      fc.dictionary(names, values).map((body) => JSON.stringify(body)),
      fc.string(),
    );
    const routes = fc.constantFrom(
      '/v1/turn/keys/shop-key/credentials/generate-ice-servers',
      '/v1/turn/keys/shop-key/credentials/generate',
      '/v1/turn/keys/shop-key/credentials/a%3Ab/revoke',
      '/2010-04-01/Accounts/AC1/Tokens.json',
    );
    const types = fc.constantFrom('application/json', 'application/x-www-form-urlencoded', 'text/plain');
    await fc.assert(
      fc.asyncProperty(routes, types, bodies, async (url, type, payload) => {
        const headers = { authorization: 'Bearer shop-token', 'content-type': type };
        const response = await http.inject({ method: 'POST', url, headers, payload });
        expect(response.statusCode).toBeLessThan(500);
        if (response.statusCode >= 400) {
          expect(response.json<ErrorBody>().error.code).toMatch(/^TP_/);
          expect(response.body).not.toContain('shop secret');
        }
      }),
      { numRuns: 500 },
    );
  });

  it('answers any path and any query so, too', async () => {
    const { http } = await service();
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('', '-1', '1e9', '86401', 'shop-key'));
    const headers = { authorization: 'Bearer shop-token' };
    await fc.assert(
      fc.asyncProperty(text, text, text, async (one, other, third) => {
        const [first, second] = [one, other].map((part) => encodeURIComponent(part));
        const query = new URLSearchParams({ service: 'turn', username: one, ttl: other, key: third }).toString();
        const requests = [
          { method: 'GET', url: `/turn?${query}`, headers },
          { method: 'POST', url: `/v1/turn/keys/${first}/credentials/generate-ice-servers`, headers },
          { method: 'POST', url: `/v1/turn/keys/shop-key/credentials/${second}/revoke`, headers },
          { method: 'POST', url: `/2010-04-01/Accounts/${first}/Tokens.json`, headers },
        ] as const;
        for (const request of requests) expect((await http.inject(request)).statusCode).toBeLessThan(500);
      }),
      { numRuns: 200 },
    );
  });
});

describe('POST /v1/turn/keys/:keyId/credentials/generate', () => {
  it("answers 201 with Cloudflare's older shape: one object, every URL in it", async () => {
    const { http, lookup } = await service();
    const response = await http.inject({
      method: 'POST',
      url: '/v1/turn/keys/shop-key/credentials/generate',
      headers: { authorization: 'Bearer shop-token' },
      payload: { ttl: 86_400, customIdentifier: 'user-7' },
    });
    expect(response.statusCode).toBe(201);
    expect(response.headers['cache-control']).toBe('no-store');
    const answer = response.json<LegacyIceServersAnswer>();
    expect(answer).toEqual({
      iceServers: {
        urls: [...urls.stunUrls, ...urls.turnUrls],
        username: expect.any(String),
        credential: expect.stringMatching(/^[\w+/]{27}=$/),
      },
      reporting: { url: urls.reportUrl, token: expect.any(String) },
    });
    const { username = '', credential } = answer.iceServers;
    expect(lookup(username)).toMatchObject({ passwords: [credential], claims: { customId: 'user-7' } });
  });

  it("knows no other app's key, and no ttl out of range", async () => {
    const { http } = await service();
    const post = (key: string, payload: object) =>
      http.inject({
        method: 'POST',
        url: `/v1/turn/keys/${key}/credentials/generate`,
        headers: { authorization: 'Bearer shop-token' },
        payload,
      });
    expect((await post('rival-key', {})).json()).toMatchObject({ error: { code: 'TP_RELAY_KEY' } });
    expect((await post('shop-key', { ttl: 172_801 })).json()).toMatchObject({ error: { code: 'TP_RELAY_TTL' } });
  });
});

describe('POST /v1/turn/keys/:keyId/credentials/:username/revoke', () => {
  const GRACE = 172_800_000;
  const revoking = async (plainKey = false) => {
    const made = await service(undefined, plainKey);
    const revoke = (username: string, key = 'shop-key', token = 'shop-token') =>
      made.http.inject({
        method: 'POST',
        url: `/v1/turn/keys/${key}/credentials/${encodeURIComponent(username)}/revoke`,
        headers: { authorization: `Bearer ${token}` },
      });
    const issue = async (ttl = 60) => {
      const answer = (await made.generate({ ttl, customIdentifier: 'user-7' })).json<IceServersAnswer>();
      return answer.iceServers.at(-1)?.username ?? '';
    };
    const codeOf = async (...asked: Parameters<typeof revoke>) => (await revoke(...asked)).json<ErrorBody>().error.code;
    return { ...made, revoke, issue, codeOf };
  };

  it('answers 204 without a body, once it is kept until two days after the expiry', async () => {
    const { revoke, issue, revoked, metrics } = await revoking();
    const username = await issue();
    const response = await revoke(username);
    expect(response.statusCode).toBe(204);
    expect(response.body).toBe('');
    expect(revoked).toEqual([{ app: 'shop', username, until: START + 60_000 + GRACE }]);
    expect((await metrics.counter('turnpike_credentials_revoked_total').get()).values).toEqual([
      { labels: {}, value: 1 },
    ]);
  });

  it('answers 204 again, and to the name of an expired credential, whose allocation may have gone on', async () => {
    const { revoke, issue, revoked, clock } = await revoking();
    const username = await issue();
    await revoke(username);
    expect((await revoke(username)).statusCode).toBe(204);
    clock.advance(3_600_000);
    expect((await revoke(username)).statusCode).toBe(204);
    expect(revoked.at(-1)?.until).toBe(START + 3_600_000 + GRACE);
  });

  it('takes the name unescaped too, as it is in a path', async () => {
    const { http, issue } = await revoking();
    const url = `/v1/turn/keys/shop-key/credentials/${await issue()}/revoke`;
    const headers = { authorization: 'Bearer shop-token' };
    expect((await http.inject({ method: 'POST', url, headers })).statusCode).toBe(204);
  });

  it("answers the same 404 for another app's key, a key that never was, and a name of another key", async () => {
    const { codeOf, issue, revoked } = await revoking();
    const username = await issue();
    expect(await codeOf(username, 'rival-key')).toBe('TP_RELAY_KEY');
    expect(await codeOf(username, 'nobody')).toBe('TP_RELAY_KEY');
    expect(await codeOf(username, 'rival-key', 'rival-token')).toBe('TP_RELAY_KEY');
    expect(await codeOf(username.replace(':shop-key.', ':gone.'))).toBe('TP_RELAY_KEY');
    expect(revoked).toEqual([]);
  });

  it('answers 400 to what the key cannot have issued', async () => {
    const { codeOf, issue, revoked } = await revoking();
    const username = await issue();
    for (const name of [
      'alice',
      `${START / 1000}:alice`,
      `${START / 1000}`,
      username.slice(0, -20),
      username.replace(/^\d+/, '99999999999'),
      username.replace(':', '-'),
    ]) {
      expect(await codeOf(name)).toBe('TP_RELAY_USERNAME');
    }
    expect(revoked).toEqual([]);
  });

  it('takes a plain name of the key that takes plain names', async () => {
    const { revoke, codeOf, revoked } = await revoking(true);
    const username = `${START / 1000 + 60}:alice@example.org/7`;
    expect((await revoke(username)).statusCode).toBe(204);
    expect(revoked).toEqual([{ app: 'shop', username, until: START + 60_000 + GRACE }]);
    expect(await codeOf(`${START / 1000 + 60}:${'x'.repeat(65)}`)).toBe('TP_RELAY_USERNAME');
    expect(await codeOf(`${START / 1000 + 60}:shop-key.alice`)).toBe('TP_RELAY_USERNAME');
  });
});

describe('GET /turn', () => {
  it("answers in the TURN REST draft's shape, for a day, to a user whom the name keeps to itself", async () => {
    const { http, lookup } = await service();
    const response = await http.inject('/turn?service=turn&username=mbzrxpgjys&key=shop-token');
    expect(response.statusCode).toBe(200);
    expect(response.headers['cache-control']).toBe('no-store');
    const answer = response.json<TurnRestAnswer>();
    expect(answer).toEqual({
      username: expect.stringMatching(/^\d+:shop-key\./),
      password: expect.stringMatching(/^[\w+/]{27}=$/),
      ttl: 86_400,
      uris: urls.turnUrls,
    });
    expect(answer.username).not.toContain('mbzrxpgjys');
    expect(lookup(answer.username)).toMatchObject({
      ok: true,
      app: 'shop',
      passwords: [answer.password],
      claims: { customId: 'mbzrxpgjys' },
      expiresAt: START + 86_400_000,
    });
  });

  it('takes the token as a Bearer too, and a ttl; needs no username', async () => {
    const { http } = await service();
    const headers = { authorization: 'Bearer shop-token' };
    const response = await http.inject({ url: '/turn?service=turn&ttl=60', headers });
    expect(response.json()).toMatchObject({ ttl: 60 });
  });

  it('is for services of that name, for apps, and by GET alone', async () => {
    const { http } = await service();
    const codeOf = async (url: string, method: 'GET' | 'POST' | 'HEAD' = 'GET') => {
      const response = await http.inject({ method, url });
      return method === 'HEAD' ? String(response.statusCode) : response.json<ErrorBody>().error.code;
    };
    expect(await codeOf('/turn?service=stun&key=shop-token')).toBe('TP_KERNEL_INVALID');
    expect(await codeOf('/turn?key=shop-token')).toBe('TP_KERNEL_INVALID');
    expect(await codeOf('/turn?service=turn&ttl=0&key=shop-token')).toBe('TP_KERNEL_INVALID');
    expect(await codeOf(`/turn?service=turn&key=shop-token&username=${'x'.repeat(65)}`)).toBe('TP_KERNEL_INVALID');
    expect(await codeOf('/turn?service=turn')).toBe('TP_KERNEL_UNAUTHORISED');
    expect(await codeOf('/turn?service=turn&token=shop-token')).toBe('TP_KERNEL_UNAUTHORISED');
    expect(await codeOf('/turn?service=turn&key=guess')).toBe('TP_KERNEL_UNAUTHORISED');
    expect(await codeOf('/turn?service=turn&key=relay')).toBe('TP_KERNEL_FORBIDDEN');
    expect(await codeOf('/turn?service=turn&key=shop-token', 'POST')).toBe('TP_KERNEL_METHOD');
    expect(await codeOf('/turn?service=turn&key=shop-token', 'HEAD')).toBe('405');
  });
});

describe('POST /2010-04-01/Accounts/:sid/Tokens.json', () => {
  const SID = 'AC00112233445566778899aabbccddeeff';
  const post = async (payload?: string, headers: Record<string, string> = {}) => {
    const made = await service();
    const response = await made.http.inject({
      method: 'POST',
      url: `/2010-04-01/Accounts/${SID}/Tokens.json`,
      headers: {
        authorization: `Basic ${Buffer.from(`${SID}:shop-token`).toString('base64')}`,
        ...(payload === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' }),
        ...headers,
      },
      ...(payload === undefined ? {} : { payload }),
    });
    return { ...made, response };
  };

  it("answers 201 in the shape of Twilio's Network Traversal Service", async () => {
    const { response, lookup } = await post('Ttl=3600');
    expect(response.statusCode).toBe(201);
    const answer = response.json<TwilioTokenAnswer>();
    const { username, password } = answer;
    const [udp, tcp] = urls.turnUrls;
    expect(answer).toEqual({
      username: expect.any(String),
      password: expect.stringMatching(/^[\w+/]{27}=$/),
      ttl: '3600',
      account_sid: SID,
      date_created: 'Fri, 20 Nov 2026 12:00:00 +0000',
      date_updated: 'Fri, 20 Nov 2026 12:00:00 +0000',
      ice_servers: [
        { url: urls.stunUrls[0], urls: urls.stunUrls[0] },
        { url: udp, urls: udp, username, credential: password },
        { url: tcp, urls: tcp, username, credential: password },
      ],
    });
    expect(lookup(username)).toMatchObject({ ok: true, passwords: [password], expiresAt: START + 3_600_000 });
  });

  it('gives a day to a form without Ttl, an empty form and a call without any body', async () => {
    for (const payload of ['Colour=blue', '', undefined]) {
      const { response } = await post(payload);
      expect(response.statusCode).toBe(201);
      expect(response.json()).toMatchObject({ ttl: '86400' });
    }
  });

  it.each(['Ttl=0', 'Ttl=86401', 'Ttl=-1', 'Ttl=1e3', 'Ttl='])('answers TP_RELAY_TTL to %s', async (payload) => {
    const { response } = await post(payload);
    expect(response.statusCode).toBe(400);
    expect(response.json()).toMatchObject({ error: { code: 'TP_RELAY_TTL', issues: [{ path: 'Ttl' }] } });
  });

  it('reads forms only, and no other route reads one', async () => {
    const { response, http } = await post('{"Ttl":"60"}', { 'content-type': 'application/json' });
    expect(response.json()).toMatchObject({ error: { code: 'TP_KERNEL_CONTENT_TYPE' } });
    const elsewhere = await http.inject({
      method: 'POST',
      url: '/v1/turn/keys/shop-key/credentials/generate',
      headers: { authorization: 'Bearer shop-token', 'content-type': 'application/x-www-form-urlencoded' },
      payload: 'ttl=60',
    });
    expect(elsewhere.json()).toMatchObject({ error: { code: 'TP_KERNEL_CONTENT_TYPE' } });
  });

  it('answers 401 to a wrong password, whatever the account is called', async () => {
    const authorization = `Basic ${Buffer.from(`${SID}:guess`).toString('base64')}`;
    expect((await post('', { authorization })).response.statusCode).toBe(401);
  });
});
