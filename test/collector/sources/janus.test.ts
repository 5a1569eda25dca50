/** Recordings of a real Janus 1.1.2: a clean call, a crash in the middle of one, and a run with combined, compressed statistics. */
import { readFileSync } from 'node:fs';
import { gunzipSync, gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Counters } from '../../../collector/sources/counters.ts';
import { JanusEvents } from '../../../collector/sources/janus.ts';
import { JanusSource } from '../../../collector/sources/janus-source.ts';
import { janusRoutes } from '../../../collector/sources/janus-routes.ts';
import { SourceMetrics } from '../../../collector/sources/source-metrics.ts';
import type { StoreReader } from '../../../collector/store/store.ts';
import { ManualClock } from '../../../kernel/clock.ts';
import { silentLog } from '../../../kernel/log.ts';
import { Metrics } from '../../../kernel/metrics.ts';
import { systemSleep } from '../../../kernel/sleep.ts';
import { FakeWriter, service } from '../service.ts';
import { totalOf } from './totals.ts';

interface Post {
  readonly receivedAt: number;
  readonly body: readonly Record<string, unknown>[];
}

function recorded(name: string): Post[] {
  const bytes = readFileSync(new URL(`../../vectors/janus-${name}.events.ndjson.gz`, import.meta.url));
  const lines = gunzipSync(bytes).toString('utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line) as Post);
}

const settings = { kind: 'janus', name: 'sfu', app: 'demo', opaqueId: 'participant', silentSeconds: 60 } as const;
const events = (change = {}) => new JanusEvents({ ...settings, ...change }, new Counters());

/** Bytes sent, counted the plain way: the most that each medium of each handle has shown. */
function sentIn(posts: readonly Post[]): bigint {
  const most = new Map<string, number>();
  for (const event of posts.flatMap(({ body }) => body)) {
    if (event['type'] !== 32 || event['subtype'] !== 3) continue;
    for (const medium of [event['event']].flat() as Record<string, unknown>[]) {
      const key = JSON.stringify([event['session_id'], event['handle_id'], medium['mid'], medium['media']]);
      most.set(key, Math.max(most.get(key) ?? 0, Number(medium['bytes-sent'])));
    }
  }
  return BigInt([...most.values()].reduce((sum, bytes) => sum + bytes, 0));
}

const readAll = (reader: JanusEvents, posts: readonly Post[]) =>
  posts.flatMap(({ body, receivedAt }) => reader.read(body, receivedAt).readings);

describe('the events of Janus', () => {
  it.each(['clean', 'crash', 'hangup-combined-gzip'])('come to every byte that was sent to clients: %s', (name) => {
    const posts = recorded(name);
    const total = totalOf(readAll(events(), posts));
    expect(total).toBe(sentIn(posts));
    expect(total).toBeGreaterThan(100_000n);
  });

  it('name the call by its room and the participant by opaque_id, publishers and subscribers', () => {
    const readings = readAll(events(), recorded('clean')).filter(({ egress_bytes: bytes }) => bytes > 0n);
    expect(new Set(readings.map(({ call_id: call }) => call))).toEqual(new Set(['1234']));
    expect(new Set(readings.map(({ participant_id: id }) => id))).toEqual(
      new Set(['call-7f3a-alice-1', 'call-7f3a-bob-1']),
    );
    expect(new Set(readings.map(({ server_id: server }) => server))).toEqual(new Set(['sfu-1']));
    const [one] = readAll(events({ opaqueId: 'customer' }), recorded('clean'));
    expect(one).toMatchObject({ custom_id: 'call-7f3a-alice-1', participant_id: '' });
  });

  it('may come twice, late, or not at all: the next has it all', () => {
    const posts = recorded('clean');
    const fate = fc.array(fc.constantFrom('once' as const, 'twice' as const, 'lost' as const), {
      minLength: posts.length,
      maxLength: posts.length,
    });
    fc.assert(
      fc.property(fate, (fates) => {
        const sent = posts.flatMap((post, index) => {
          const times = { once: 1, twice: 2, lost: 0 }[fates[index] ?? 'once'];
          return Array.from({ length: times }, () => post);
        });
        expect(totalOf(readAll(events(), sent))).toBe(sentIn(sent));
      }),
      { numRuns: 20 },
    );
  });

  it('may be anything at all', () => {
    const shape = fc.record({
      type: fc.constantFrom(32, 64, 2, 256),
      subtype: fc.constant(3),
      timestamp: fc.nat(),
      event: fc.jsonValue(),
    });
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), fc.array(shape), fc.array(fc.jsonValue())), (body) => {
        expect(events().read(body, 0).readings).toEqual([]);
      }),
    );
  });
});

describe('a Janus that tells nothing any more', () => {
  const SILENT = 60_000;
  const T = Date.UTC(2026, 10, 21);
  const handle = (number: number) => ({ session_id: 1, handle_id: number, timestamp: T * 1_000 });
  const told = (number: number) => ({
    ...handle(number),
    type: 32,
    subtype: 3,
    event: { media: 'audio', 'bytes-sent': 1 },
  });
  const hungUp = (number: number) => ({ ...handle(number), type: 16, event: { connection: 'hangup', reason: '' } });
  const detached = (number: number) => ({ ...handle(number), type: 2, event: { name: 'detached' } });
  const core = (status: string) => ({ timestamp: T * 1_000, type: 256, event: { status } });
  /** Whether it is missed when the silence has lasted just as long as it may, and a millisecond longer. */
  const missed = (...bodies: object[][]) => {
    const reader = events();
    for (const [index, body] of bodies.entries()) reader.read(body, T + index * SILENT * 1.5);
    const end = T + (bodies.length - 1) * SILENT * 1.5;
    return [reader.isSilent(end + SILENT), reader.isSilent(end + SILENT + 1)];
  };

  it.each([
    ['is missed while a handle is in a call', [[told(1)]], true],
    ['is not missed before anybody has called', [[core('started')]], false],
    ['is not missed when who was in the call has hung up', [[told(1), hungUp(1)]], false],
    ['is not missed when every handle has been detached', [[told(1), told(2), detached(1), detached(2)]], false],
    ['is missed when one of two is left', [[told(1), told(2), detached(1)]], true],
    ['is missed when a handle that hung up calls again', [[told(1), hungUp(1), told(1)]], true],
    ['is not missed for the calls of before it was started again', [[told(1)], [core('started')]], false],
    ['is not missed when it has been shut down', [[told(1), core('shutdown')]], false],
  ])('%s', (_, bodies, isMissed) => {
    expect(missed(...bodies)).toEqual([false, isMissed]);
  });

  it('is not missed for a handle whose end was not told, when the others have ended', () => {
    const reader = events();
    reader.read([told(1), told(2)], T);
    reader.read([told(2)], T + SILENT + 1);
    expect(reader.isSilent(T + SILENT + 2)).toBe(false);
    reader.read([detached(2)], T + SILENT + 3);
    expect(reader.isSilent(T + SILENT * 9)).toBe(false);
  });
});

describe('POST /v1/sfu/janus', () => {
  const nothing: StoreReader = { select: async () => [] };

  async function collector(now: number, sources = [settings]) {
    const clock = new ManualClock(now);
    const writer = new FakeWriter();
    const metrics = new Metrics();
    const { http } = service(clock);
    const shown = new SourceMetrics(metrics, clock);
    const parts = { reader: nothing, writer, clock, metrics: shown, sleep: systemSleep, log: silentLog };
    const made = sources.map((each) => new JanusSource({ ...parts, settings: each }));
    await http.register(janusRoutes, { sources: made });
    const post = (body: Buffer, headers: Record<string, string> = {}, url = '/v1/sfu/janus') => {
      const authorization = `Basic ${Buffer.from('janus:source-token').toString('base64')}`;
      return http.inject({
        method: 'POST',
        url,
        headers: { authorization, 'content-type': 'application/json', ...headers },
        payload: body,
      });
    };
    return { clock, post, sources: made, writer, metrics };
  }

  it('takes what Janus sends, with Basic credentials and compressed as it is', async () => {
    const posts = recorded('hangup-combined-gzip') as (Post & { bodyGzipBase64: string })[];
    const { post, writer, metrics } = await collector(posts[0]?.receivedAt ?? 0);
    for (const { bodyGzipBase64: body } of posts) {
      const answer = await post(Buffer.from(body, 'base64'), { 'content-encoding': 'gzip' });
      expect([answer.statusCode, answer.json<{ ignored: number }>().ignored]).toEqual([200, 0]);
    }
    const stored = writer.rowsOf('egress_samples');
    expect(
      stored.every(({ app_id: app, meter, source }) => app === 'demo' && meter === 'sfu' && source === 'sfu'),
    ).toBe(true);
    expect(stored.length).toBeGreaterThan(40);
    const counted = await metrics.counter('turnpike_source_readings_total').get();
    expect(counted.values[0]?.value).toBe(stored.length);
  });

  it('stores what it can read and counts the rest, since Janus sends nothing twice', async () => {
    const posts = recorded('clean');
    const event = posts.flatMap(({ body }) => body).find(({ subtype, type }) => type === 32 && subtype === 3);
    const { post, writer } = await collector(posts[0]?.receivedAt ?? 0);
    const bad = { ...event, event: { media: 'audio', 'bytes-sent': -1 } };
    const old = { ...event, timestamp: 1 };
    const answer = await post(gzipSync(JSON.stringify([bad, old, event, 'nonsense'])), { 'content-encoding': 'gzip' });
    expect(answer.json()).toEqual({ stored: 1, ignored: 3 });
    expect(writer.rowsOf('egress_samples')).toHaveLength(1);
  });

  it('is missed by its source while it tells nothing of its calls, and heard again with the next event', async () => {
    const posts = recorded('clean');
    const [call, next] = posts.filter(({ body }) => body.some(({ subtype, type }) => type === 32 && subtype === 3));
    const { clock, metrics, post, sources } = await collector(call?.receivedAt ?? 0);
    const up = async () => (await metrics.gauge('turnpike_source_up').get()).values[0]?.value;
    const heard = async () => (await metrics.gauge('turnpike_source_heard_timestamp_seconds').get()).values[0]?.value;
    await post(Buffer.from(JSON.stringify(call?.body)));
    clock.advance(60_000);
    await sources[0]?.tick();
    expect([await up(), await heard()]).toEqual([1, (call?.receivedAt ?? 0) / 1_000]);
    clock.advance(1);
    await sources[0]?.tick();
    expect([await up(), await heard()]).toEqual([0, (call?.receivedAt ?? 0) / 1_000]);
    await post(Buffer.from(JSON.stringify(next?.body)));
    await sources[0]?.tick();
    expect([await up(), await heard()]).toEqual([1, clock.now() / 1_000]);
  });

  it('must know which Janus it is when there are several', async () => {
    const { post } = await collector(Date.now(), [settings, { ...settings, name: 'other' as 'sfu' }]);
    expect((await post(Buffer.from('[]'))).statusCode).toBe(400);
    expect((await post(Buffer.from('[]'), {}, '/v1/sfu/janus?source=other')).statusCode).toBe(200);
    expect((await post(Buffer.from('[]'), {}, '/v1/sfu/janus?source=nobody')).statusCode).toBe(400);
  });

  it('is for sources alone', async () => {
    const { post } = await collector(Date.now());
    const as = (token: string) => post(Buffer.from('[]'), { authorization: `Bearer ${token}` });
    expect((await as('demo-token')).statusCode).toBe(403);
    expect((await as('a guess')).statusCode).toBe(401);
  });
});
