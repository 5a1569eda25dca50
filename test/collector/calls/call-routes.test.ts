import type { FastifyInstance } from 'fastify';
import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { CallDetail, CallsAnswer, CallSummary, ReportEvent, UsageAnswer } from '../../../collector/contract.ts';
import { callRoutes } from '../../../collector/calls/call-routes.ts';
import { MAX_POINTS, stepFor } from '../../../collector/calls/timeline.ts';
import { normaliseReport } from '../../../collector/normalise/report.ts';
import type { Row } from '../../../collector/store/store.ts';
import { ManualClock } from '../../../kernel/clock.ts';
import { egressRow, streamRow } from '../../conformance/store.ts';
import { hasEmbeddedStore, keptOf, testDatabase } from '../../embedded-store.ts';
import type { TestDatabase } from '../../embedded-store.ts';
import { scoreInboundAudio } from '../normalise/scorer.ts';
import { recordedSamples, reportOf } from '../recording.ts';
import { service } from '../service.ts';

const NOW = Date.UTC(2026, 10, 20, 18);
const second = 1_000;

describe.skipIf(!hasEmbeddedStore)('calls', () => {
  let store: TestDatabase;
  let http: FastifyInstance;
  beforeAll(async () => {
    store = await testDatabase();
    const clock = new ManualClock(NOW);
    http = service(clock).http;
    await http.register(callRoutes, { reader: store, keptOf, clock });
    await recordedCall();
    await relayedOnly();
    await mixedModels();
    await longCall();
    await dailyCall();
    await leftCall();
  });

  /** Both peers of a recorded call, the last sample five seconds ago; stored twice, as retries are. */
  async function recordedCall(): Promise<void> {
    for (const peer of ['a', 'b'] as const) {
      const samples = recordedSamples('chromium-156-good', peer);
      const offset = NOW - 5 * second - (samples.at(-1)?.t ?? 0);
      const t = samples[0]?.t ?? 0;
      const events: ReportEvent[] = [
        { t, type: 'setup', value: 'connected', ms: 300 },
        { t: t + 500, type: 'first_frame', value: 'video', ms: peer === 'a' ? 800 : 650 },
      ];
      const report = reportOf(samples, { connection: `connection-${peer}`, offset, events });
      const reporter = { app: 'demo', call: 'recorded', participant: peer };
      const rows = normaliseReport(report, reporter, scoreInboundAudio);
      for (let time = 0; time < 2; time += 1) {
        await store.insert('stream_intervals', rows.stream_intervals);
        await store.insert('connection_intervals', rows.connection_intervals);
        await store.insert('call_events', rows.call_events);
      }
    }
    const failed = { t: 0, type: 'setup', value: 'failed' };
    const third = reportOf([], { connection: 'connection-c', offset: NOW - 20 * second, events: [failed] });
    const rows = normaliseReport(third, { app: 'demo', call: 'recorded', participant: 'a' }, scoreInboundAudio);
    await store.insert('call_events', rows.call_events);
    const reading = (change: Record<string, Row[string]>) =>
      egressRow({ app_id: 'demo', call_id: 'recorded', participant_id: 'a', window_end: NOW - 10 * second, ...change });
    const sfu = { object_id: 'sfu', meter: 'sfu', source: 'janus', peer_class: 'none' };
    await store.insert('egress_samples', [
      reading({ seq: 1, client_tx_bytes: 2n ** 60n }),
      reading({ seq: 2, client_tx_bytes: 2n ** 60n + 1n, window_end: NOW - 6 * second }),
      reading({ seq: 2, client_tx_bytes: 10n, peer_class: 'control' }),
      reading({ object_id: 'allocation-2', client_tx_bytes: 5n, custom_id: 'acme' }),
      reading({ ...sfu, client_tx_bytes: 70n }),
      reading({ ...sfu, boot_id: 'boot-2', client_tx_bytes: 7n }),
    ]);
  }

  /** A call that nobody reported on, an hour ago, and one of another app. */
  async function relayedOnly(): Promise<void> {
    const old = { app_id: 'demo', call_id: 'relayed', participant_id: 'x', window_end: NOW - 3_600 * second };
    await store.insert('egress_samples', [
      egressRow({ ...old, object_id: 'allocation-3', client_tx_bytes: 1_000n }),
      egressRow({ ...old, app_id: 'shop', call_id: 'shops', object_id: 'allocation-4', client_tx_bytes: 9n }),
      egressRow({ ...old, app_id: 'shop', call_id: 'recorded', object_id: 'allocation-5', client_tx_bytes: 3n }),
    ]);
  }

  /** Three intervals scored by one model and two by another, two days before. */
  async function mixedModels(): Promise<void> {
    const scores = [
      ['g107', 4],
      ['g107', 3],
      ['g107', 2],
      ['g107.2', 1],
      ['g107.2', 1.5],
    ] as const;
    await store.insert(
      'stream_intervals',
      scores.map(([model, mos], index) =>
        streamRow({
          app_id: 'demo',
          call_id: 'mixed',
          ts: NOW - 48 * 3_600 * second + index * 5 * second,
          sample_index: index,
          mos,
          mos_model: model,
          packets: 90,
          packets_lost: index === 0 ? -5 : index === 1 ? 10 : null,
        }),
      ),
    );
  }

  /** Two streams of 6,000 intervals each, ending three days ago. */
  async function longCall(): Promise<void> {
    const rows = ['inbound/audio/1', 'inbound/audio/2'].flatMap((stream) =>
      Array.from({ length: 6_000 }, (_, index) =>
        streamRow({
          app_id: 'demo',
          call_id: 'long',
          stream,
          ts: NOW - 72 * 3_600 * second - index * 2 * second,
          sample_index: index % 240,
          batch_seq: Math.floor(index / 240),
          interval_ms: 2_000,
          bytes: 8_000,
          packets: 100,
          packets_lost: 0,
          mos: 4,
          mos_model: 'test',
        }),
      ),
    );
    await store.insert('stream_intervals', rows);
  }

  /** A meeting of another app that has the same name every day: today's began 90 minutes ago. */
  async function dailyCall(): Promise<void> {
    const days = [0, 3, 6].flatMap((days) => [0, 1].map((hours) => NOW - (days * 24 + hours + 0.5) * 3_600 * second));
    await store.insert(
      'stream_intervals',
      days.map((ts) => streamRow({ app_id: 'daily', call_id: 'standup', ts, packets: 1, packets_lost: 0 })),
    );
  }

  /** A closed tab: its allocation is read every ten seconds until it expires, and carries nothing more. */
  async function leftCall(): Promise<void> {
    const totals = [100n, 500n, ...Array<bigint>(58).fill(500n)];
    const readings = totals.map((client_tx_bytes, seq) =>
      egressRow({ app_id: 'idle', call_id: 'left', seq, client_tx_bytes, window_end: NOW - (600 - seq * 10) * second }),
    );
    await store.insert('egress_samples', readings);
  }

  const get = async (url: string, token = 'operator-token') => {
    const answer = await http.inject({ url, headers: { authorization: `Bearer ${token}` } });
    expect(answer.statusCode).toBeLessThan(500);
    return answer;
  };
  const list = async (query = '', token?: string) => (await get(`/v1/calls${query}`, token)).json<CallsAnswer>().calls;
  const summary = async (call: string): Promise<CallSummary | undefined> =>
    (await list('?app=demo')).find((found) => found.call === call);

  it('are listed newest first, with what is known of each', async () => {
    const calls = await list();
    expect(calls.map(({ app, call }) => `${app}/${call}`)).toEqual([
      'demo/recorded',
      'idle/left',
      'daily/standup',
      'demo/relayed',
      'shop/recorded',
      'shop/shops',
      'demo/mixed',
      'demo/long',
    ]);
    expect(calls[0]).toMatchObject({
      live: true,
      lastSeenAt: '2026-11-20T17:59:55.000Z',
      participants: 2,
      mosModel: 'test',
      lossRatio: 0,
      timeToFirstFrameMs: 800,
      connected: 2,
      failed: 1,
      relayedBytes: String(2n ** 60n + 16n),
      sfuBytes: '77',
    });
    expect(calls[0]?.mos).toBeGreaterThan(4);
    expect(calls[0]?.mosP5).toBeLessThanOrEqual(calls[0]?.mos ?? 0);
    expect(calls[0]?.rttMs).toBeLessThan(50);
    expect(calls[0]?.jitterMs).toBeLessThan(20);
  });

  it('receive what the newest intervals of their live streams say, both peers together', async () => {
    const bitrate = (await summary('recorded'))?.bitrateBps ?? 0;
    const rows = await store.select(
      z.object({ bps: z.number() }),
      `SELECT sum(bps) AS bps FROM (SELECT connection_id, stream, argMax(bytes * 8000 / interval_ms, ts) AS bps
       FROM stream_intervals FINAL WHERE call_id = 'recorded' AND direction = 'inbound' GROUP BY connection_id, stream)`,
    );
    expect(bitrate).toBe(Math.round(rows[0]?.bps ?? 0));
    expect(bitrate).toBeGreaterThan(500_000);
  });

  it('end with their last byte, however long their allocations are still read', async () => {
    const left = { startedAt: '2026-11-20T17:50:00.000Z', lastSeenAt: '2026-11-20T17:50:10.000Z' };
    expect((await list('?app=idle'))[0]).toMatchObject({ ...left, live: false, relayedBytes: '500' });
  });

  it('have nothing where nothing was reported', async () => {
    expect(await summary('relayed')).toEqual({
      app: 'demo',
      call: 'relayed',
      live: false,
      startedAt: '2026-11-20T17:00:00.000Z',
      lastSeenAt: '2026-11-20T17:00:00.000Z',
      participants: 1,
      mos: null,
      mosP5: null,
      mosModel: null,
      lossRatio: null,
      jitterMs: null,
      rttMs: null,
      bitrateBps: null,
      timeToFirstFrameMs: null,
      connected: 0,
      failed: 0,
      relayedBytes: '1000',
      sfuBytes: '0',
    });
  });

  it('never mix scores of two models: the one with more intervals speaks', async () => {
    expect(await summary('mixed')).toMatchObject({ mos: 3, mosP5: 2, mosModel: 'g107' });
    const detail = (await get('/v1/calls/mixed')).json<CallDetail>();
    expect(detail.streams.map(({ mos }) => mos)).toEqual([4, 3, 2, null, null]);
  });

  it('begin anew when their name is used again days later', async () => {
    const calls = await list();
    expect(calls.find(({ call }) => call === 'standup')).toMatchObject({ startedAt: '2026-11-20T16:30:00.000Z' });
    const detail = (await get('/v1/calls/standup')).json<CallDetail>();
    expect(detail).toMatchObject({ startedAt: '2026-11-20T16:30:00.000Z', streams: [{}, {}] });
  });

  it('do not let late packets pay for lost ones, nor unknown loss for any', async () => {
    expect((await summary('mixed'))?.lossRatio).toBe(0.05263); // 10 of 190: an interval of unknown loss counts for neither
  });

  it('are paged by when they were last seen', async () => {
    const first = await list('?limit=2&app=demo');
    expect(first.map(({ call }) => call)).toEqual(['recorded', 'relayed']);
    const before = encodeURIComponent(first[0]?.lastSeenAt ?? '');
    expect((await list(`?limit=2&app=demo&before=${before}`)).map(({ call }) => call)).toEqual(['relayed', 'mixed']);
    expect((await list('?live=true')).map(({ call }) => call)).toEqual(['recorded']);
  });

  it('are found by name, and there is no error when there is none of it', async () => {
    expect((await list('?call=recorded')).map(({ app, call }) => `${app}/${call}`)).toEqual([
      'demo/recorded',
      'shop/recorded',
    ]);
    expect((await list('?call=recorded&app=shop')).map(({ app }) => app)).toEqual(['shop']);
    expect(await list('?call=never')).toEqual([]);
  });

  it('are an app’s own, and nobody else’s', async () => {
    expect((await list('', 'shop-token')).map(({ app, call }) => `${app}/${call}`)).toEqual([
      'shop/recorded',
      'shop/shops',
    ]);
    expect((await get('/v1/calls/recorded', 'shop-token')).json<CallDetail>()).toMatchObject({
      app: 'shop',
      relayedBytes: '3',
      streams: [],
      events: [],
    });
    const stranger = await get('/v1/calls/relayed', 'shop-token');
    expect(stranger.statusCode).toBe(404);
    expect(stranger.json()).toMatchObject({ error: { code: 'TP_COLLECTOR_CALL' } });
    expect((await get('/v1/calls/relayed?app=demo', 'shop-token')).statusCode).toBe(403);
    expect((await get('/v1/calls?app=demo', 'shop-token')).statusCode).toBe(403);
    for (const token of ['relay-token', 'source-token']) {
      expect((await get('/v1/calls', token)).statusCode).toBe(403);
    }
  });

  it('are found by any name, and unknown when there is none such', async () => {
    expect((await get(`/v1/calls/${encodeURIComponent("'; DROP TABLE call_events; --")}`)).statusCode).toBe(404);
    expect((await get('/v1/calls/recorded?app=nobody')).statusCode).toBe(404);
  });

  it('refuse a query that makes no sense, all faults at once', async () => {
    const answer = await get('/v1/calls?limit=0&before=yesterday&colour=red');
    expect(answer.statusCode).toBe(400);
    const { error } = answer.json<{ error: { issues: { path: string }[] } }>();
    expect(error.issues.map(({ path }) => path)).toEqual(['limit', 'before', '']);
  });

  describe('over time', () => {
    it('show each interval of each stream, connection and event', async () => {
      const detail = (await get('/v1/calls/recorded?app=demo')).json<CallDetail>();
      expect(new Set(detail.streams.map(({ participant, stream }) => `${participant}/${stream}`)).size).toBe(8);
      expect(detail.connections.length).toBeGreaterThan(30);
      expect(detail.connections.at(-1)).toMatchObject({
        localCandidateType: 'relay',
        relayProtocol: 'udp',
        clockOffsetMs: expect.any(Number) as number,
      });
      expect(detail.events.map(({ type, value }) => `${type} ${value}`).sort()).toEqual([
        'first_frame video',
        'first_frame video',
        'setup connected',
        'setup connected',
        'setup failed',
      ]);
      const times = detail.streams.map(({ ts }) => ts);
      expect(times).toEqual([...times].sort());
      const video = detail.streams.findLast(({ direction, kind }) => direction === 'inbound' && kind === 'video');
      expect(video).toMatchObject({ mos: null, lossRatio: 0, freezes: 0 });
      expect(video?.framesPerSecond).toBeGreaterThan(14);
      expect(video?.bitrateBps).toBeGreaterThan(200_000);
    });

    it('add up to the same bytes as the rows do', async () => {
      const detail = (await get('/v1/calls/recorded?app=demo')).json<CallDetail>();
      const [row] = await store.select(
        z.object({ bytes: z.string() }),
        `SELECT sum(bytes_sent) AS bytes FROM connection_intervals FINAL WHERE call_id = 'recorded'`,
      );
      const sent = detail.connections.reduce((sum, { bytesSent }) => sum + BigInt(bytesSent ?? 0), 0n);
      expect(String(sent)).toBe(row?.bytes);
    });

    it('are thinned when long, to no more points than a browser draws', async () => {
      const detail = (await get('/v1/calls/long')).json<CallDetail>();
      expect(detail.streams.length).toBeLessThanOrEqual(MAX_POINTS);
      expect(detail.streams.length).toBeGreaterThan(MAX_POINTS / 2);
      for (const point of detail.streams) expect(point).toMatchObject({ mos: 4, lossRatio: 0, bitrateBps: 32_000 });
      expect(detail.streams.at(-1)?.ts).toBe(detail.lastSeenAt);
    });

    it('stay within the limit for any number of streams and any length', () => {
      for (const [rows, streams, length] of [
        [MAX_POINTS, 8, 1],
        [MAX_POINTS + 1, 1, 10_000_000],
        [1e6, 100, 86_400_000],
        [1e6, MAX_POINTS, 1_000],
      ] as const) {
        const step = stepFor(rows, streams, length);
        const points = step === 1 ? rows : streams * (Math.floor(length / step) + 1);
        expect(points).toBeLessThanOrEqual(step === 1 ? MAX_POINTS : Math.max(MAX_POINTS, 2 * streams));
      }
    });
  });

  describe('GET /v1/usage', () => {
    const usage = async (query: string, token?: string) => (await get(`/v1/usage?${query}`, token)).json<UsageAnswer>();
    const day = 'from=2026-11-20T00:00:00Z&to=2026-11-21T00:00:00Z';

    it('says what was metered, exactly, by app, call or customer', async () => {
      expect(await usage(`${day}&group=call`)).toEqual({
        from: '2026-11-20T00:00:00.000Z',
        to: '2026-11-21T00:00:00.000Z',
        group: 'call',
        usage: [
          { app: 'demo', key: 'recorded', turnBytes: String(2n ** 60n + 16n), sfuBytes: '77', grade: 'metered' },
          { app: 'demo', key: 'relayed', turnBytes: '1000', sfuBytes: '0', grade: 'metered' },
          { app: 'idle', key: 'left', turnBytes: '500', sfuBytes: '0', grade: 'metered' },
          { app: 'shop', key: 'recorded', turnBytes: '3', sfuBytes: '0', grade: 'metered' },
          { app: 'shop', key: 'shops', turnBytes: '9', sfuBytes: '0', grade: 'metered' },
        ],
      });
      expect((await usage(`${day}&group=customer&app=demo`)).usage).toEqual([
        { app: 'demo', key: '', turnBytes: String(2n ** 60n + 1_011n), sfuBytes: '77', grade: 'metered' },
        { app: 'demo', key: 'acme', turnBytes: '5', sfuBytes: '0', grade: 'metered' },
      ]);
      expect((await usage(day, 'shop-token')).usage).toEqual([
        { app: 'shop', key: '', turnBytes: '12', sfuBytes: '0', grade: 'metered' },
      ]);
    });

    it('cuts time without losing or doubling a byte', async () => {
      const cut = new Date(NOW - 8 * second).toISOString();
      const [before] = (await usage(`from=2026-11-20T17:30:00Z&to=${cut}&app=demo`)).usage;
      const [after] = (await usage(`from=${cut}&to=2026-11-21T00:00:00Z&app=demo`)).usage;
      expect(after).toEqual({ app: 'demo', key: '', turnBytes: '1', sfuBytes: '0', grade: 'metered' });
      expect(before?.turnBytes).toBe(String(2n ** 60n + 15n));
    });

    it('gives a reading at the cut to the span that ends there', async () => {
      const cut = new Date(NOW - 6 * second).toISOString();
      const [before] = (await usage(`from=2026-11-20T17:30:00Z&to=${cut}&app=demo`)).usage;
      expect(before?.turnBytes).toBe(String(2n ** 60n + 16n));
      expect((await usage(`from=${cut}&to=2026-11-21T00:00:00Z&app=demo`)).usage).toEqual([]);
      const earlier = new Date(NOW - 10 * second).toISOString(); // of the first readings, of which one goes on
      const [after] = (await usage(`from=${earlier}&to=2026-11-21T00:00:00Z&app=demo`)).usage;
      expect(after).toMatchObject({ turnBytes: '1', sfuBytes: '0', grade: 'metered' });
    });

    it('names nobody who was not metered in the span', async () => {
      const cut = new Date(NOW - 8 * second).toISOString();
      expect((await usage(`from=${cut}&to=2026-11-21T00:00:00Z&app=demo&group=call`)).usage).toEqual([
        { app: 'demo', key: 'recorded', turnBytes: '1', sfuBytes: '0', grade: 'metered' },
      ]);
    });

    it('refuses a span that ends before it begins, and another app’s', async () => {
      const answer = await get('/v1/usage?from=2026-11-21T00:00:00Z&to=2026-11-20T00:00:00Z');
      expect(answer.json()).toMatchObject({ error: { issues: [{ path: 'to' }] } });
      expect((await get(`/v1/usage?${day}&app=demo`, 'shop-token')).statusCode).toBe(403);
    });
  });
});
