import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { livekitRoutes } from '../../../collector/sources/livekit-routes.ts';
import { isSigned, signedClaims } from '../../../collector/sources/livekit-signature.ts';
import { eventRow, livekitEvent } from '../../../collector/sources/livekit.ts';
import { SourceMetrics } from '../../../collector/sources/source-metrics.ts';
import { ManualClock } from '../../../kernel/clock.ts';
import { TurnpikeError } from '../../../kernel/errors.ts';
import { silentLog } from '../../../kernel/log.ts';
import { Metrics } from '../../../kernel/metrics.ts';
import { FakeWriter, service } from '../service.ts';
import { API_KEY, API_SECRET, authorization, hashOf, signed, webhook } from './livekit-sender.ts';

const NOW = Date.UTC(2026, 10, 20, 18);
const AT = NOW / 1000;
const secretOf = (key: string) => (key === API_KEY ? API_SECRET : undefined);

describe('a JWT of LiveKit', () => {
  it('is read as RFC 7515 A.1 has it, with HS256', () => {
    const token =
      'eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk';
    const key = 'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow';
    const claims = { iss: 'joe', exp: 1_300_819_380, 'http://example.com/is_root': true };
    expect(signedClaims(token, () => Buffer.from(key, 'base64url'))).toEqual(claims);
    expect(signedClaims(token, () => 'another')).toBeUndefined();
    expect(signedClaims(token, () => undefined)).toBeUndefined();
  });

  it.each([
    ['without a signature', { alg: 'none' }],
    ['of another algorithm', { alg: 'HS512' }],
    ['with extensions that must be understood', { alg: 'HS256', crit: ['b64'], b64: false }],
  ])('%s is none', (_, header) => {
    const token = signed({ iss: API_KEY }, API_SECRET, header);
    expect(signedClaims(token, secretOf)).toBeUndefined();
    expect(signedClaims(`${token.slice(0, token.lastIndexOf('.'))}.`, secretOf)).toBeUndefined();
  });

  it('stands for one body, from a minute before it was made to a minute after it has lapsed', () => {
    const body = webhook({ event: 'room_started', room: 'standup', at: AT });
    const token = authorization(body, NOW);
    const when = (seconds: number) => isSigned(token, Buffer.from(body), secretOf, NOW + seconds * 1000);
    expect([-61, -60, 0, 300, 359, 360].map(when)).toEqual([false, true, true, true, true, false]);
    expect(isSigned(token, Buffer.from(`${body} `), secretOf, NOW)).toBe(false);
  });

  it('must be whole', () => {
    const body = webhook({ event: 'room_started', room: 'standup', at: AT });
    const token = authorization(body, NOW);
    const isTaken = (text: string) => isSigned(text, Buffer.from(body), secretOf, NOW);
    expect(isTaken(token)).toBe(true);
    const places = fc.record({
      at: fc.nat(token.length - 1),
      character: fc.constantFrom('A', 'a', '0', '_', '-', '.', '='),
    });
    fc.assert(
      fc.property(places, ({ at, character }) => {
        const other = `${token.slice(0, at)}${character}${token.slice(at + 1)}`;
        expect(isTaken(other)).toBe(other === token);
      }),
    );
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(isTaken(text)).toBe(false);
      }),
    );
    for (const missing of ['exp', 'sha256', 'iss']) {
      expect(isTaken(authorization(body, NOW, { [missing]: undefined }))).toBe(false);
    }
  });
});

describe('an event of LiveKit', () => {
  const source = { name: 'lk', app: 'demo' };
  const row = (said: Omit<Parameters<typeof webhook>[0], 'at'>) =>
    eventRow(source, livekitEvent.parse(JSON.parse(webhook({ at: AT, ...said }))));

  it('says who was in which call, on which source, and since when', () => {
    const joined = row({ event: 'participant_joined', room: 'standup', identity: 'ann' });
    const left = row({ event: 'participant_left', room: 'standup', identity: 'ann', joinedAt: AT - 90 });
    const ann = { app_id: 'demo', call_id: 'standup', participant_id: 'ann', connection_id: 'lk/PA_ann', ts: NOW };
    expect(joined).toMatchObject({ ...ann, type: 'participant_joined', value: 'lk', value_ms: null });
    expect(left).toMatchObject({ ...ann, type: 'participant_left', value: 'lk', value_ms: 90_000 });
    expect(row({ event: 'track_published', room: 'standup', identity: 'ann', track: 'VIDEO' })).toMatchObject({
      ...ann,
      type: 'track_published',
      value: 'video',
    });
    expect(row({ event: 'room_finished', room: 'standup' })).toMatchObject({
      participant_id: '',
      connection_id: '',
      type: 'room_finished',
      value: 'lk',
    });
  });

  it('leaves names for people, metadata and passwords where they are', () => {
    const stored = JSON.stringify(row({ event: 'participant_left', room: 'standup', identity: 'ann', joinedAt: AT }));
    expect(stored).not.toMatch(/name for people|phone|not for us/);
    expect(stored).toContain('CLIENT_INITIATED');
  });

  it('is one row, however often it comes, and another event of the same second is another', () => {
    const said = { event: 'track_published', room: 'standup', identity: 'ann', track: 'AUDIO' } as const;
    expect(row({ ...said, id: 'EV_a' })).toEqual(row({ ...said, id: 'EV_a' }));
    expect(row({ ...said, id: 'EV_a' })).not.toEqual(row({ ...said, id: 'EV_b' }));
  });

  it('of no interest, or with names longer than ours, is no row', () => {
    expect(row({ event: 'egress_started', room: 'standup' })).toBeUndefined();
    expect(row({ event: 'participant_joined', room: 'x'.repeat(65), identity: 'ann' })).toBeUndefined();
    expect(row({ event: 'participant_joined', room: 'standup', identity: 'x'.repeat(65) })).toBeUndefined();
    expect(row({ event: 'participant_joined', room: 'standup' })).toBeUndefined();
    expect(row({ event: '__proto__', room: 'standup' })).toBeUndefined();
  });
});

describe('POST /v1/sfu/livekit', () => {
  const livekit = (name: string, webhookKeys: Record<string, string> = { [API_KEY]: API_SECRET }) => ({
    kind: 'livekit' as const,
    name,
    app: 'demo',
    url: `http://${name}.example:6789/metrics`,
    intervalSeconds: 15,
    webhookKeys,
  });

  async function collector(sources = [livekit('lk')]) {
    const clock = new ManualClock(NOW);
    const writer = new FakeWriter();
    const metrics = new Metrics();
    const { http } = service(clock);
    const shown = new SourceMetrics(metrics, clock);
    await http.register(livekitRoutes, { sources, writer, clock, log: silentLog, metrics: shown, maxWaitMs: 0 });
    const post = async (body: string, headers: Record<string, string> = {}, url = '/v1/sfu/livekit') => {
      const standard = { authorization: authorization(body, NOW), 'content-type': 'application/webhook+json' };
      return http.inject({ method: 'POST', url, headers: { ...standard, ...headers }, payload: body });
    };
    return { post, writer, metrics, clock };
  }
  const joined = (change: Partial<Parameters<typeof webhook>[0]> = {}) =>
    webhook({ event: 'participant_joined', room: 'standup', identity: 'ann', at: AT, ...change });

  it('stores what LiveKit signed, and takes and counts what is of no interest', async () => {
    const { metrics, post, writer } = await collector();
    const answers = [await post(joined()), await post(webhook({ event: 'egress_ended', room: 'standup', at: AT }))];
    expect(answers.map((answer) => [answer.statusCode, answer.json()])).toEqual([
      [200, { stored: true }],
      [200, { stored: false }],
    ]);
    expect(writer.rowsOf('call_events')).toMatchObject([{ app_id: 'demo', participant_id: 'ann' }]);
    const { values } = await metrics.counter('turnpike_source_events_total').get();
    expect(values.map(({ labels, value }) => [labels['source'], labels['result'], value])).toEqual([
      ['lk', 'stored', 1],
      ['lk', 'ignored', 1],
    ]);
  });

  it('answers only when the event is durable, so that LiveKit sends it again otherwise', async () => {
    const { post, writer } = await collector();
    writer.fault = () => new TurnpikeError('TP_COLLECTOR_SPOOL_FULL');
    const body = joined();
    expect((await post(body)).statusCode).toBe(503);
    writer.fault = () => undefined;
    expect([(await post(body)).statusCode, (await post(body)).statusCode]).toEqual([200, 200]);
    const [first, second] = writer.rowsOf('call_events');
    expect(first).toEqual(second);
  });

  it.each([
    ['by nobody', { authorization: '' }],
    ['by nobody at all', { authorization: 'Bearer source-token' }],
    ['with another secret', { authorization: authorization(joined({ id: 'EV_1' }), NOW, {}, 'guessed') }],
    [
      'with a key that is none of the source',
      { authorization: authorization(joined({ id: 'EV_1' }), NOW, { iss: 'API' }) },
    ],
    [
      'with a key named like a member of every object',
      { authorization: authorization(joined({ id: 'EV_1' }), NOW, { iss: 'toString' }) },
    ],
    ['for another body', { authorization: authorization(joined({ id: 'EV_2' }), NOW) }],
    ['an hour ago', { authorization: authorization(joined({ id: 'EV_1' }), NOW - 3_600_000) }],
  ])('refuses what was signed %s', async (_, headers) => {
    const { post, writer } = await collector();
    const answer = await post(joined({ id: 'EV_1' }), headers);
    expect([answer.statusCode, answer.json()]).toMatchObject([401, { error: { code: 'TP_KERNEL_UNAUTHORISED' } }]);
    expect(writer.inserts).toEqual([]);
  });

  it('takes nothing where no source has a key', async () => {
    const { post } = await collector([livekit('lk', {})]);
    expect((await post(joined())).statusCode).toBe(401);
  });

  it('takes either key while LiveKit changes from one to the other', async () => {
    const keys = { [API_KEY]: API_SECRET, APInext: 'the-next-secret' };
    const { post, writer } = await collector([livekit('lk', keys)]);
    const body = joined();
    await post(body);
    const other = joined();
    const next = authorization(other, NOW, { iss: 'APInext' }, 'the-next-secret');
    expect((await post(other, { authorization: next })).statusCode).toBe(200);
    expect(writer.rowsOf('call_events')).toHaveLength(2);
  });

  it('must know which LiveKit it is where several have the same key', async () => {
    const { post, writer } = await collector([livekit('one'), livekit('two')]);
    expect((await post(joined())).json()).toMatchObject({ error: { issues: [{ path: 'source' }] } });
    expect((await post(joined(), {}, '/v1/sfu/livekit?source=two')).statusCode).toBe(200);
    expect((await post(joined(), {}, '/v1/sfu/livekit?source=three')).statusCode).toBe(401);
    expect(writer.rowsOf('call_events')).toMatchObject([{ connection_id: 'two/PA_ann' }]);
  });

  it('knows LiveKit by its key where each has its own', async () => {
    const { post, writer } = await collector([livekit('one', { other: 'x' }), livekit('two')]);
    expect((await post(joined())).statusCode).toBe(200);
    expect(writer.rowsOf('call_events')).toMatchObject([{ value: 'two' }]);
  });

  it('ignores what cannot have happened now', async () => {
    const { post, writer } = await collector();
    for (const at of [AT - 15 * 86_400, AT + 2 * 3_600]) {
      expect((await post(joined({ at }))).json()).toEqual({ stored: false });
    }
    expect(writer.inserts).toEqual([]);
  });

  it.each([
    ['{', 400, 'TP_KERNEL_BAD_JSON'],
    ['[]', 400, 'TP_KERNEL_INVALID'],
    ['{"event":"participant_joined"}', 400, 'TP_KERNEL_INVALID'],
    [JSON.stringify({ padding: 'x'.repeat(262_144) }), 413, 'TP_KERNEL_BODY_TOO_LARGE'],
  ])('refuses a body that is no webhook, though it is signed: %.40s', async (body, status, code) => {
    const { post } = await collector();
    const answer = await post(body);
    expect([answer.statusCode, answer.json()]).toMatchObject([status, { error: { code } }]);
  });

  it('takes LiveKit’s content type alone', async () => {
    const { post } = await collector();
    expect((await post(joined(), { 'content-type': 'application/json' })).statusCode).toBe(415);
  });

  it('may be anything at all that somebody with the key sends', async () => {
    const { post } = await collector();
    const shape = fc.record({
      event: fc.constantFrom('participant_joined', 'room_started', 'track_published'),
      id: fc.string({ minLength: 1 }),
      createdAt: fc.oneof(fc.constant(String(AT)), fc.jsonValue()),
      room: fc.jsonValue(),
      participant: fc.jsonValue(),
    });
    await fc.assert(
      fc.asyncProperty(fc.oneof(shape, fc.jsonValue()), async (value) => {
        const { statusCode } = await post(JSON.stringify(value));
        expect([200, 400]).toContain(statusCode);
      }),
      { numRuns: 50 },
    );
  });

  it('hashes the body as LiveKit does', () => {
    expect(hashOf('')).toBe('47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=');
  });
});
