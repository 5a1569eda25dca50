import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeDeltas } from '../../../collector/client/delta.ts';
import type { ReportSample } from '../../../collector/contract.ts';
import { statsRoutes } from '../../../collector/intake/stats-routes.ts';
import type { Row } from '../../../collector/store/store.ts';
import { ManualClock } from '../../../kernel/clock.ts';
import { TurnpikeError } from '../../../kernel/errors.ts';
import { silentLog } from '../../../kernel/log.ts';
import { Metrics } from '../../../kernel/metrics.ts';
import { issueReportToken } from '../../../kernel/report-token.ts';
import { recordedSamples } from '../recording.ts';
import { scoreInboundAudio } from '../normalise/scorer.ts';
import { FakeWriter, reportToken, service } from '../service.ts';
import * as encode from './encoders.ts';
import { hasZstd, zstdBomb, zstdCompress } from './zstd-frames.ts';

const START = Date.UTC(2026, 10, 20, 18);

const client = { intervalMs: 3_000, issueIntervalMs: 1_000, uploadMs: 9_000, sampledShare: 0.5, omittedMembers: [] };

describe('POST /v1/stats', () => {
  let http: FastifyInstance;
  let clock: ManualClock;
  let writer: FakeWriter;
  let metrics: Metrics;
  beforeEach(async () => {
    clock = new ManualClock(START);
    writer = new FakeWriter();
    metrics = new Metrics();
    const made = service(clock);
    http = made.http;
    await http.register(statsRoutes, {
      writer,
      authority: made.authority,
      score: scoreInboundAudio,
      clock,
      metrics,
      log: silentLog,
      client,
      allowance: { requestsPerSecond: 2, burst: 10, appRequestsPerSecond: 15 },
      maxWaitMs: 0,
    });
  });
  afterEach(() => http.close());

  const samples = recordedSamples('chromium-156-good', 'b').slice(0, 6);
  const offset = START - (samples.at(-1)?.t ?? 0);
  const body = (change: object = {}) => ({
    v: 1,
    connection: 'connection-1',
    seq: 0,
    offset,
    call: 'from-body',
    participant: 'from-body',
    samples,
    events: [{ t: START - offset, type: 'setup', value: 'connected', ms: 250 }],
    ...change,
  });
  const post = (payload: unknown, options: { token?: string; headers?: object; url?: string } = {}) =>
    http.inject({
      method: 'POST',
      url: options.url ?? '/v1/stats',
      headers: {
        'content-type': 'application/json',
        ...(options.url === undefined
          ? { authorization: `Bearer ${options.token ?? reportToken('demo', START)}` }
          : {}),
        ...options.headers,
      },
      payload: typeof payload === 'string' ? payload : JSON.stringify(payload),
    });
  const claims = {
    call: '',
    participant: '',
    customId: '',
    maxConnections: 4,
    expiresAt: START / 1_000 + 3_600,
  };
  const counted = async (name: string) => {
    const metric = await metrics.registry.getSingleMetric(name)?.get();
    return metric?.values ?? [];
  };

  it('stores every row and says so, with the time here', async () => {
    const answer = await post(body());
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toEqual({
      stored: {
        streams: writer.rowsOf('stream_intervals').length,
        connections: writer.rowsOf('connection_intervals').length,
        events: 1,
      },
      serverTime: START,
      client,
    });
    expect(writer.rowsOf('stream_intervals').length).toBeGreaterThan(10);
    expect(writer.rowsOf('connection_intervals')).toHaveLength(5);
    for (const row of writer.rowsOf('connection_intervals')) expect(row['clock_offset_ms']).toBe(Math.round(offset));
  });

  it('does not know the clock of a client that has not learnt its offset, and makes none up', async () => {
    const now = samples.map(({ t, stats }) => ({ t: t + offset, stats }));
    await post(body({ offset: null, samples: now, events: [] }));
    const offsets = writer.rowsOf('connection_intervals').map((row) => row['clock_offset_ms']);
    expect(new Set(offsets)).toEqual(new Set([null]));
  });

  it('believes the token, not the report, about who it is; and the report where the token is silent', async () => {
    await post(body(), { token: reportToken('demo', START, { call: 'from-token', participant: 'alice' }) });
    await post(body({ call: undefined }), { token: reportToken('shop', START) });
    expect(writer.rowsOf('call_events')).toMatchObject([
      { app_id: 'demo', call_id: 'from-token', participant_id: 'alice' },
      { app_id: 'shop', call_id: 'connection-1', participant_id: 'from-body' },
    ]);
  });

  it('takes a beacon: text/plain, token in the query', async () => {
    const token = reportToken('demo', START);
    const answer = await post(body(), {
      url: `/v1/stats?token=${encodeURIComponent(token)}`,
      headers: { 'content-type': 'text/plain;charset=UTF-8', origin: 'https://demo.example' },
    });
    expect(answer.statusCode).toBe(200);
    expect(answer.headers['access-control-allow-origin']).toBe('https://demo.example');
  });

  it('tells the time to a client that has nothing to report yet', async () => {
    const answer = await post(body({ offset: null, samples: [], events: [] }));
    expect(answer.json()).toEqual({ stored: { streams: 0, connections: 0, events: 0 }, serverTime: START, client });
    expect(writer.inserts).toEqual([]);
  });

  it('has not stored what it did not acknowledge, and says that it may be tried again', async () => {
    writer.fault = (table) =>
      table === 'call_events' ? new TurnpikeError('TP_COLLECTOR_STORE_UNAVAILABLE') : undefined;
    const answer = await post(body());
    expect(answer.statusCode).toBe(503);
    expect(answer.json()).toMatchObject({ error: { code: 'TP_COLLECTOR_STORE_UNAVAILABLE' } });
    expect(answer.headers['retry-after']).toBe('2');
  });

  it('gives byte-identical rows for a batch that comes again, and counts them once in the metrics', async () => {
    await post(body());
    const first = writer.inserts.splice(0);
    clock.advance(30_000);
    await post(body());
    expect(writer.inserts).toEqual(first);
    expect(await counted('turnpike_quality_setups_total')).toMatchObject([
      { labels: { result: 'connected' }, value: 1 },
    ]);
    const scored = first.flatMap(({ rows }) => rows).filter((row) => typeof row['mos'] === 'number');
    const models = new Set(scored.map((row) => row['mos_model']));
    expect(scored.length).toBeGreaterThan(2);
    const mos = (await counted('turnpike_quality_mos')).filter(({ labels }) => labels['le'] === '+Inf');
    expect(mos.map(({ labels }) => labels['model'])).toEqual([...models]);
    expect(mos.reduce((sum, { value }) => sum + value, 0)).toBe(scored.length);
    expect(await counted('turnpike_collector_reports_total')).toMatchObject([
      { labels: { format: 'native', result: 'stored' }, value: 2 },
    ]);
  });

  describe('refuses', () => {
    const expired = () => reportToken('demo', START, { expiresAt: START / 1_000 - 1 });
    it.each([
      ['no token', 401, 'TP_KERNEL_UNAUTHORISED', () => '/v1/stats', undefined],
      ['a forged token', 401, 'TP_KERNEL_UNAUTHORISED', () => '/v1/stats', () => `${reportToken('demo', START)}x`],
      ['an expired token', 401, 'TP_KERNEL_UNAUTHORISED', () => '/v1/stats', expired],
      ['an app token', 403, 'TP_KERNEL_FORBIDDEN', () => '/v1/stats', () => 'demo-token'],
      ['a relay token', 403, 'TP_KERNEL_FORBIDDEN', () => '/v1/stats', () => 'relay-token'],
      ['an operator token', 403, 'TP_KERNEL_FORBIDDEN', () => '/v1/stats', () => 'operator-token'],
    ])('%s', async (_name, status, code, url, token) => {
      const headers = token === undefined ? {} : { authorization: `Bearer ${token()}` };
      const answer = await post(body(), { url: url(), headers });
      expect(answer.statusCode).toBe(status);
      expect(answer.json()).toMatchObject({ error: { code } });
      expect(writer.inserts).toEqual([]);
    });

    it('a page of an origin that the app does not allow', async () => {
      const answer = await post(body(), { headers: { origin: 'https://shop.example' } });
      expect(answer.statusCode).toBe(403);
      expect(answer.json()).toMatchObject({ error: { code: 'TP_KERNEL_ORIGIN' } });
      expect(answer.headers).not.toHaveProperty('access-control-allow-origin');
      expect(writer.inserts).toEqual([]);
    });

    it('a body that is not JSON, not the right type, or too large', async () => {
      for (const [payload, headers, status, code] of [
        ['{"v":1,', {}, 400, 'TP_KERNEL_BAD_JSON'],
        ['', {}, 400, 'TP_KERNEL_BAD_JSON'],
        ['{"v":1,', { 'content-type': 'text/plain' }, 400, 'TP_KERNEL_BAD_JSON'],
        ['{"v":1,"__proto__":{"admin":true}}', {}, 400, 'TP_KERNEL_BAD_JSON'],
        ['{"__proto__":1}', { 'content-type': 'text/plain' }, 400, 'TP_KERNEL_BAD_JSON'],
        ['<v>1</v>', { 'content-type': 'application/xml' }, 415, 'TP_KERNEL_CONTENT_TYPE'],
        [`{"v":"${'x'.repeat(5_000_000)}"}`, {}, 413, 'TP_KERNEL_BODY_TOO_LARGE'],
        [`"${'x'.repeat(5_000_000)}"`, { 'content-type': 'text/plain' }, 413, 'TP_KERNEL_BODY_TOO_LARGE'],
      ] as const) {
        const answer = await post(payload, { headers });
        expect([answer.statusCode, answer.json<{ error: { code: string } }>().error.code]).toEqual([status, code]);
      }
    });

    it('a report of the wrong shape, with every fault and where it is', async () => {
      const answer = await post({ ...body({ connection: 'x', seq: -1, samples: 'none' }), more: 1 });
      expect(answer.statusCode).toBe(400);
      const { error } = answer.json<{ error: { code: string; issues: { path: string }[] } }>();
      expect(error.code).toBe('TP_KERNEL_INVALID');
      expect(error.issues.map(({ path }) => path)).toEqual(['connection', 'seq', 'samples', '']);
    });

    it('a report full of faults, without listing them all', async () => {
      const events = Array.from({ length: 900 }, () => ({ t: 'x', type: '!' }));
      const answer = await post(body({ samples: [], events }));
      expect(answer.statusCode).toBe(400);
      const { error } = answer.json<{ error: { issues: { message: string }[] } }>();
      expect(error.issues).toHaveLength(21);
      expect(error.issues.at(-1)?.message).toBe('and 1780 more');
    });

    it('a report of another time, saying what time it is', async () => {
      const answer = await post(body({ offset: offset + 7_200_000 }), { headers: { origin: 'https://demo.example' } });
      expect(answer.statusCode).toBe(400);
      const { error, serverTime } = answer.json<{
        error: { code: string; issues: { path: string; message: string }[] };
        serverTime: number;
      }>();
      expect([error.code, serverTime]).toEqual(['TP_COLLECTOR_CLOCK', START]);
      expect(writer.inserts).toEqual([]);
      expect(error.issues.at(-1)).toEqual({
        path: 'events.0.t',
        message: expect.stringContaining('2026-11-20T18:00:00.000Z') as string,
      });
      expect(answer.headers['access-control-expose-headers']).toContain('date');
    });

    it('one connection more than the token allows, and still takes the others', async () => {
      for (let index = 1; index <= 4; index += 1) {
        expect((await post(body({ connection: `connection-${index}` }))).statusCode).toBe(200);
      }
      expect((await post(body({ connection: 'connection-5' }))).json()).toMatchObject({
        error: { code: 'TP_KERNEL_FORBIDDEN' },
      });
      expect((await post(body({ connection: 'connection-4', seq: 1 }))).statusCode).toBe(200);
      const other = reportToken('demo', START, { participant: 'bob' });
      expect((await post(body({ connection: 'connection-5' }), { token: other })).statusCode).toBe(200);
    });

    it('more requests than the token may make, until time has passed', async () => {
      const statuses: number[] = [];
      for (let index = 0; index < 11; index += 1) statuses.push((await post(body())).statusCode);
      expect(statuses).toEqual([...Array.from({ length: 10 }, () => 200), 429]);
      const answer = await post(body(), { headers: { origin: 'https://demo.example' } });
      expect(answer.headers).toMatchObject({
        'retry-after': '1',
        'access-control-allow-origin': 'https://demo.example',
      });
      expect((await post(body(), { token: reportToken('demo', START, { participant: 'bob' }) })).statusCode).toBe(200);
      clock.advance(500);
      expect((await post(body())).statusCode).toBe(200);
      expect((await post(body())).statusCode).toBe(429);
      clock.advance(60_000); // a minute of silence earns no more than a burst
      statuses.length = 0;
      for (let index = 0; index < 11; index += 1) statuses.push((await post(body())).statusCode);
      expect(statuses.indexOf(429)).toBe(10);
    });
  });

  describe('an app', () => {
    const of = (app: 'demo' | 'shop', participant: string) => ({ token: reportToken(app, START, { participant }) });

    it('may make so many requests a second, whoever of its users makes them, and leaves the others theirs', async () => {
      const users = Array.from({ length: 31 }, (_, index) => `user-${index}`);
      const statuses: number[] = [];
      for (const user of users) statuses.push((await post(body(), of('demo', user))).statusCode);
      expect(statuses).toEqual([...Array.from({ length: 30 }, () => 200), 429]);
      expect((await post(body(), of('demo', 'user-0'))).headers).toMatchObject({ 'retry-after': '1' });
      expect((await post(body(), of('shop', 'user-0'))).statusCode).toBe(200);
      clock.advance(1_000);
      expect((await post(body(), of('demo', 'user-30'))).statusCode).toBe(200);
    });

    it('loses nothing of it to one of its users who asks too often', async () => {
      for (let index = 0; index < 40; index += 1) await post(body(), of('demo', 'flooder'));
      for (let index = 0; index < 20; index += 1) {
        expect((await post(body(), of('demo', `user-${index}`))).statusCode).toBe(200);
      }
    });

    it('has no token for another: neither with its own secret nor in what a report says', async () => {
      const forged = issueReportToken({ ...claims, app: 'shop', keyId: 'demo-key' }, 'secret-of-the-demo-app');
      const forgedKey = issueReportToken({ ...claims, app: 'shop', keyId: 'shop-key' }, 'secret-of-the-demo-app');
      for (const token of [forged, forgedKey]) expect((await post(body(), { token })).statusCode).toBe(401);
      expect(writer.inserts).toEqual([]);
      expect((await post(body(), of('demo', 'user'))).statusCode).toBe(200);
      const apps = writer.inserts.flatMap(({ rows }) => rows.map((row) => row['app_id']));
      expect(new Set(apps)).toEqual(new Set(['demo']));
      expect((await post({ ...body(), app: 'shop' }, of('demo', 'user'))).statusCode).toBe(400);
    });
  });

  it('takes a sample with more members than any browser has, and names that objects are born with', async () => {
    const many = Object.fromEntries(Array.from({ length: 40_000 }, (_, index) => [`m${index}`, index]));
    const stats: object[] = [
      { id: 'constructor', type: 'toString', hasOwnProperty: 1 },
      { id: 'many', type: 'inbound-rtp', kind: 'audio', ssrc: 1, ...many },
    ];
    const t = samples.at(-1)?.t ?? 0;
    const answer = await post(
      body({
        samples: [
          { t: t - 1_000, stats: [] },
          { t, stats },
        ],
        events: [],
      }),
    );
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toMatchObject({ stored: { streams: 0, connections: 0, events: 0 } });
    expect(Object.keys({})).toEqual([]);
  });

  describe('one bad sample does not cost the others', () => {
    interface Partial207 {
      readonly stored: { readonly streams: number; readonly connections: number };
      readonly rejected: readonly { readonly path: string; readonly message: string }[];
      readonly serverTime: number;
    }
    const partial = async (change: object) => {
      const answer = await post(body(change));
      expect(answer.statusCode).toBe(207);
      return answer.json<Partial207>();
    };
    const [one, two, three, ...rest] = samples;
    const withMember = (sample: ReportSample | undefined, type: string, member: string, value: unknown) => ({
      ...sample,
      stats: sample?.stats.map((entry) => (entry.type === type ? { ...entry, [member]: value } : entry)),
    });

    it('one that is none is left out by name', async () => {
      const { rejected, stored, serverTime } = await partial({
        samples: [one, { t: 'noon', stats: [] }, three, ...rest],
      });
      expect(rejected).toEqual([{ path: 'samples.1.t', message: expect.any(String) as string }]);
      expect(stored.connections).toBe(4);
      expect(serverTime).toBe(START);
    });

    it('one that came twice, and one that is older than the one before', async () => {
      const { rejected, stored } = await partial({ samples: [one, two, two, one, three, ...rest] });
      expect(rejected.map(({ path }) => path)).toEqual(['samples.2.t', 'samples.3.t']);
      expect(stored.connections).toBe(5);
    });

    it('one of another time', async () => {
      const late = { ...rest.at(-1), t: (samples.at(-1)?.t ?? 0) + 8_000_000 };
      const { rejected, stored } = await partial({ samples: [...samples, late] });
      expect(rejected).toEqual([
        { path: 'samples.6.t', message: expect.stringContaining('2026-11-20T18:00') as string },
      ]);
      expect(stored.connections).toBe(5);
    });

    it.each([
      ['packetsReceived', 1e308],
      ['packetsReceived', -1],
      ['packetsReceived', '17'],
      ['bytesReceived', 0.5],
      ['jitter', 'NaN'],
      ['totalAudioEnergy', -0.1],
      ['concealedSamples', [1]],
      ['packetsLost', { a: 1 }],
    ])('a %s of %j is named, taken for missing, and costs no other member', async (member, value) => {
      const { rejected } = await partial({ samples: [one, withMember(two, 'inbound-rtp', member, value), three] });
      expect(rejected.length).toBeGreaterThan(0);
      for (const { path } of rejected) expect(path).toMatch(new RegExp(`^samples\\.1\\.stats\\.\\d+\\.${member}$`));
      const inbound = writer.rowsOf('stream_intervals').filter((row) => row['direction'] === 'inbound');
      expect(inbound.length).toBeGreaterThan(1);
      expect(inbound.some((row) => row['total_samples_received'] !== null)).toBe(true);
    });

    it('an event that is none', async () => {
      const { rejected, stored } = await partial({ events: [{ t: 0 }, { t: START - offset, type: 'setup' }] });
      expect(rejected.map(({ path }) => path)).toEqual(['events.0.type']);
      expect(stored).toMatchObject({ events: 1 });
    });

    it('and nothing that a browser says is named', async () => {
      for (const name of [
        'chromium-156-good',
        'chromium-156-turn-killed',
        'chromium-156-turn-stall',
        'firefox-153esr-good',
      ]) {
        const recorded = recordedSamples(name, 'a').slice(0, 20);
        const answer = await post(body({ offset: START - (recorded.at(-1)?.t ?? 0), samples: recorded, events: [] }));
        expect(answer.statusCode).toBe(200);
      }
    });

    it('names like those that objects are born with are members like others', async () => {
      const text = JSON.stringify(body()).replaceAll(
        '"packetsReceived":',
        '"__proto__":{"polluted":1},"constructor":7,"packetsReceived":',
      );
      const answer = await post(text);
      expect(answer.statusCode).toBe(200);
      expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
      expect(writer.rowsOf('stream_intervals').filter((row) => row['packets'] !== null).length).toBeGreaterThan(10);
    });
  });

  describe('a report of differences', () => {
    const differences = (change: object = {}) => body({ v: 2, samples: encodeDeltas(samples), ...change });

    it('makes the rows that it makes in full, compressed or not', async () => {
      await post(body());
      const inFull = writer.rowsOf('stream_intervals');
      for (const payload of [differences(), gzipSync(JSON.stringify(differences()))]) {
        const before = writer.rowsOf('stream_intervals').length;
        const answer = await http.inject({
          method: 'POST',
          url: '/v1/stats',
          headers: {
            'content-type': 'application/json',
            authorization: `Bearer ${reportToken('demo', START)}`,
            ...(payload instanceof Buffer ? { 'content-encoding': 'gzip' } : {}),
          },
          payload,
        });
        expect(answer.statusCode).toBe(200);
        expect(writer.rowsOf('stream_intervals').slice(before)).toEqual(inFull);
      }
    });

    it('is told to begin anew when it continues what is not known', async () => {
      const rest = encodeDeltas(samples).filter((sample) => 'delta' in sample);
      expect(rest.length).toBeGreaterThan(1);
      const answer = await post(differences({ samples: rest, events: [] }));
      expect(answer.statusCode).toBe(400);
      expect(answer.json().error).toMatchObject({
        code: 'TP_COLLECTOR_DESYNC',
        issues: rest.map((_, index) => ({ path: `samples.${index}.delta` })),
      });
      expect(writer.rowsOf('stream_intervals')).toEqual([]);
    });
  });

  it('tells clients how to sample and report', async () => {
    expect((await post(body())).json().client).toEqual(client);
    expect((await post(body({ seq: 1, events: [{ t: 'soon', type: 'x' }] }))).json()).toMatchObject({
      rejected: [{}],
      client,
    });
  });

  describe('a compressed report', () => {
    const squeezed = (payload: Buffer, encoding: string) =>
      http.inject({
        method: 'POST',
        url: '/v1/stats',
        headers: {
          'content-type': 'application/json',
          'content-encoding': encoding,
          authorization: `Bearer ${reportToken('demo', START)}`,
        },
        payload,
      });

    it.each([
      ['gzip', gzipSync],
      ['deflate', deflateSync],
      ['br', brotliCompressSync],
      ...(hasZstd ? ([['zstd', zstdCompress]] as const) : []),
    ] as const)('of %s is stored like any other', async (encoding, compress) => {
      const answer = await squeezed(compress(JSON.stringify(body())), encoding);
      expect(answer.statusCode).toBe(200);
      expect(writer.rowsOf('connection_intervals')).toHaveLength(5);
    });

    it('is refused when it does not decompress, becomes too large, or is of an encoding that nobody has', async () => {
      for (const [payload, encoding, status, code] of [
        [Buffer.from(JSON.stringify(body())), 'gzip', 400, 'TP_COLLECTOR_COMPRESSION'],
        [gzipSync(JSON.stringify(body())).subarray(0, 900), 'gzip', 400, 'TP_COLLECTOR_COMPRESSION'],
        [gzipSync(Buffer.alloc(50_000_000, ' ')), 'gzip', 413, 'TP_KERNEL_BODY_TOO_LARGE'],
        [gzipSync('{"v":1,'), 'gzip', 400, 'TP_KERNEL_BAD_JSON'],
        [Buffer.from('x'), 'compress', 415, 'TP_COLLECTOR_ENCODING'],
        ...(hasZstd
          ? ([
              [zstdCompress(JSON.stringify(body())).subarray(0, 900), 'zstd', 400, 'TP_COLLECTOR_COMPRESSION'],
              [zstdBomb(' ', 400), 'zstd', 413, 'TP_KERNEL_BODY_TOO_LARGE'],
            ] as const)
          : []),
      ] as const) {
        const answer = await squeezed(payload, encoding);
        expect([answer.statusCode, answer.json<{ error: { code: string } }>().error.code]).toEqual([status, code]);
      }
      expect(writer.inserts).toEqual([]);
    });
  });

  describe('ClientSamples of ObserveRTC', () => {
    const shift = START - (recordedSamples('chromium-156-good', 'b').at(-1)?.t ?? 0);
    const call = encode.recordedCall('chromium-156-good', 'b', shift);

    it('give the same rows as a report of ours, and the same again when they come again', async () => {
      expect((await post(clone(encode.clientSamples(call)))).statusCode).toBe(200);
      const first = writer.inserts.splice(0);
      expect((await post(encode.asObserveRtc(call))).statusCode).toBe(200);
      expect(writer.inserts).toEqual(first);
      const report = { v: 1, connection: 'connection-1', seq: 0, offset: 0, samples: call.samples, events: [] };
      writer.inserts.length = 0;
      expect((await post(report)).statusCode).toBe(200);
      const figures = (rows: readonly Row[]) =>
        rows.map(({ stream, ts, packets, mos, bytes }) => [stream, ts, packets, mos, bytes]);
      const streams = first.find(({ table }) => table === 'stream_intervals')?.rows ?? [];
      const order = (rows: unknown[][]) => rows.toSorted((a, b) => String(a).localeCompare(String(b)));
      expect(order(figures(streams))).toEqual(order(figures(writer.rowsOf('stream_intervals'))));
      expect(streams[0]).toMatchObject({ call_id: 'standup', participant_id: 'ann', app_id: 'demo' });
    });

    it('may be differences behind a whole one, and only then', async () => {
      const messages = encode
        .asObserveRtcDelta(call)
        .split('\n')
        .map((line): unknown => JSON.parse(line));
      expect((await post(messages)).statusCode).toBe(200);
      expect(writer.rowsOf('connection_intervals')).toHaveLength(call.samples.length - 1);
      const answer = await post(messages.slice(1, 3));
      expect(answer.statusCode).toBe(400);
      const issue = (index: number) => ({
        path: `${index}.peerConnections.0.inboundRtps.0.id`,
        message: 'was never sent',
      });
      expect(answer.json()).toMatchObject({ error: { code: 'TP_COLLECTOR_DESYNC', issues: [issue(0), issue(1)] } });
    });

    it('count under their own format', async () => {
      await post(encode.asObserveRtc(call));
      const [value] = await counted('turnpike_collector_reports_total');
      expect(value?.labels).toEqual({ format: 'observertc', result: 'stored' });
    });
  });

  describe('preflight', () => {
    const preflight = (origin?: string) =>
      http.inject({
        method: 'OPTIONS',
        url: '/v1/stats',
        headers: { ...(origin === undefined ? {} : { origin }), 'access-control-request-method': 'POST' },
      });

    it('is answered for an origin that some app allows', async () => {
      for (const origin of ['https://demo.example', 'https://shop.example']) {
        const answer = await preflight(origin);
        expect(answer.statusCode).toBe(204);
        expect(answer.headers).toMatchObject({
          'access-control-allow-origin': origin,
          'access-control-allow-headers': 'authorization, content-encoding, content-type',
          vary: 'origin',
        });
      }
    });

    it('is refused for any other', async () => {
      for (const origin of ['https://evil.example', 'https://demo.example.evil.example', 'null', undefined]) {
        const answer = await preflight(origin);
        expect(answer.statusCode).toBe(403);
        expect(answer.headers).not.toHaveProperty('access-control-allow-origin');
      }
    });
  });

  it('lets a page read why it was refused, when its origin is known', async () => {
    const answer = await post(body(), { url: '/v1/stats', headers: { origin: 'https://demo.example' } });
    expect(answer.statusCode).toBe(401);
    expect(answer.headers['access-control-allow-origin']).toBe('https://demo.example');
  });
});

const clone = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;
