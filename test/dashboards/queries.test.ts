import { egressRow } from '../conformance/store.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { callDashboard } from '../../dashboards/grafana/call.ts';
import { overviewDashboard } from '../../dashboards/grafana/overview.ts';
import type { PanelQuery } from '../../dashboards/grafana/clickhouse-query.ts';
import { callQueries, overviewQueries, variableQueries } from '../../dashboards/grafana/queries.ts';
import { trendAppQuery, trendQueries } from '../../dashboards/grafana/trend-queries.ts';
import { trendsDashboard } from '../../dashboards/grafana/trends.ts';
import { statementFor } from '../../billing/egress/statement.ts';
import type { RateCard } from '../../billing/contract.ts';
import { month } from '../../kernel/period.ts';
import { hasEmbeddedStore, rollUp, testDatabase } from '../embedded-store.ts';
import type { TestDatabase } from '../embedded-store.ts';
import { badCall, END, goodCall, INTERVAL_MS, INTERVALS, writeCallData } from './call-data.ts';
import { expandGrafana } from './grafana-macros.ts';
import type { DashboardState } from './grafana-macros.ts';
import { rateCard } from './rate-card.ts';

const row = z.record(z.string(), z.union([z.string(), z.number(), z.null()]));
type PanelRow = z.output<typeof row>;

const demo: DashboardState = {
  from: END - 3_600_000,
  to: END,
  intervalSeconds: 60,
  apps: ['demo'],
  call: goodCall.call,
};
const overview = overviewQueries(rateCard);
const panels = {
  ...Object.fromEntries(Object.entries(overview).map(([name, query]) => [`overview ${name}`, query])),
  ...Object.fromEntries(Object.entries(callQueries).map(([name, query]) => [`call ${name}`, query])),
  ...Object.fromEntries(Object.entries(trendQueries).map(([name, query]) => [`trends ${name}`, query])),
};

let store: TestDatabase;
const run = (sql: string, state: Partial<DashboardState> = {}): Promise<PanelRow[]> =>
  store.select(row, expandGrafana(sql, { ...demo, ...state }));
const ofCall = { call: badCall.call };
const values = (rows: readonly PanelRow[], column: string): unknown[] => rows.map((found) => found[column]);

/** SQL of every target of every panel, as Grafana gets it. */
const renderedSql = [overviewDashboard(rateCard), callDashboard(), trendsDashboard()]
  .flatMap(({ panels: list = [] }) => list)
  .flatMap((panel) => ('targets' in panel ? (panel.targets ?? []) : []))
  .map((target) => ('rawSql' in target ? target.rawSql : undefined));

describe.skipIf(!hasEmbeddedStore)('the SQL behind the panels', () => {
  beforeAll(async () => {
    store = await testDatabase();
    await writeCallData(store);
    await rollUp(store);
  });
  afterAll(async () => {
    await store.drop();
    await store.close();
  });

  it('is all of the named queries and nothing else', () => {
    expect(new Set(renderedSql)).toEqual(new Set(Object.values(panels).map(({ sql }) => sql)));
  });

  it.each(Object.entries(panels))('answers with rows: %s', async (_, query) => {
    const rows = await run(query.sql, ofCall);
    expect(rows.length).toBeGreaterThan(0);
    const columns = Object.entries(rows[0] ?? {});
    expect(columns.some(([, value]) => typeof value === 'number')).toBe(true);
  });

  it.each(Object.entries(panels).filter(([, { shape }]) => shape === 'timeseries'))(
    'gives a plot a time, labels as text and finite numbers: %s',
    async (_, query) => {
      const rows = await run(query.sql, ofCall);
      const times = values(rows, 'time').map((time) => Date.parse(String(time)));
      expect(times.every((time) => time >= demo.from - 60_000 && time <= END)).toBe(true);
      expect(times).toEqual(times.toSorted((left, right) => left - right));
      const numbers = rows.flatMap((found) => Object.values(found).filter((value) => typeof value === 'number'));
      expect(numbers.length).toBeGreaterThanOrEqual(rows.length);
      expect(numbers.every(Number.isFinite)).toBe(true);
    },
  );

  it.each(Object.entries(panels))(
    'is answered, without rows or with zeroes, where nothing happened: %s',
    async (_, query) => {
      const rows = await run(query.sql, {
        from: END + 86_400_000,
        to: END + 90_000_000,
        call: 'nobody',
        apps: ['nobody'],
      });
      const measured = rows.flatMap((found) => Object.entries(found));
      const account = new Set(['egress', 'used', 'cost']);
      expect(measured.filter(([name, value]) => value !== 0 && value !== null && !account.has(name))).toEqual([]);
    },
  );

  it.each(Object.entries(panels))('is valid before Grafana knows of any app: %s', async (_, query) => {
    await expect(run(query.sql, { apps: [] })).resolves.toBeDefined();
  });

  it('does not count a call whose allocation is only read, and no longer carries anything', async () => {
    const to = END + 40 * 86_400_000; // beyond the month of the other rows
    const reading = (object: string, seq: number, bytes: bigint) =>
      egressRow({
        app_id: 'idle',
        call_id: object,
        object_id: object,
        seq,
        window_end: to - 30_000 + seq * 10_000,
        client_tx_bytes: bytes,
      });
    const carried = { silent: [7n, 7n, 7n], talking: [7n, 8n, 9n] };
    const rows = Object.entries(carried).flatMap(([object, totals]) =>
      totals.map((bytes, seq) => reading(object, seq, bytes)),
    );
    await store.insert('egress_samples', rows);
    expect(await run(overview.callsNow.sql, { to, apps: ['idle'] })).toEqual([{ calls: 1 }]);
  });

  it('counts a call as live for 20 seconds after its last row', async () => {
    expect(await run(overview.callsNow.sql)).toEqual([{ calls: 1 }]);
    expect(await run(overview.callsNow.sql, { to: END + 19_000 })).toEqual([{ calls: 1 }]);
    expect(await run(overview.callsNow.sql, { to: END + 20_000 })).toEqual([{ calls: 0 }]);
    expect(await run(overview.callsNow.sql, { to: END - 600_000, apps: ['demo', 'other'] })).toEqual([{ calls: 1 }]);
  });

  it('takes the quantiles of MOS over all intervals, each counted once', async () => {
    // 48 intervals of each call: the good one was sent twice and must not weigh more.
    expect(await run(overview.mosNow.sql)).toEqual([{ model: 'g107.2', p50: 3.25, p5: 2.1 }]);
  });

  it('never mixes the scores of two models', async () => {
    const both = { apps: ['demo', 'other'] };
    expect(await run(overview.mosNow.sql, both)).toEqual([
      { model: 'g107', p50: 3.9, p5: 3.9 },
      { model: 'g107.2', p50: 3.25, p5: 2.1 },
    ]);
    expect(new Set(values(await run(overview.mos.sql, both), 'model'))).toEqual(new Set(['g107', 'g107.2']));
    const scored = Object.values(panels).filter(({ sql }) => /\((?:toFloat64\()?mos\)/.test(sql));
    expect(scored.length).toBeGreaterThan(4);
    expect(scored.every(({ sql }) => /GROUP BY .*\bmodel\b/.test(sql) && sql.includes('mos_model'))).toBe(true);
  });

  it('puts loss as lost of all inbound packets, and leaves what the browser did not deliver out', async () => {
    expect(await run(callQueries.loss.sql, ofCall)).toEqual([{ loss: 25 / 750 }]);
    const audio = (await run(overview.loss.sql)).filter(({ media }) => media === 'audio');
    expect(new Set(values(audio, 'loss'))).toEqual(new Set([0, 0.1]));
  });

  it('puts success as the share of set-ups that connected', async () => {
    expect(await run(overview.setupSuccess.sql)).toEqual([{ success: 0.8, setups: 5 }]);
  });

  it('finds the slowest first frame', async () => {
    expect(await run(callQueries.timeToFirstFrame.sql, ofCall)).toEqual([{ slowest: 3_600 }]);
    const rows = await run(overview.timeToFirstFrame.sql);
    expect(Math.max(...values(rows, 'p95').map(Number))).toBe(3_600);
  });

  it('computes a stream’s bitrate from its bytes and the length of its intervals', async () => {
    const rows = await run(callQueries.bitrate.sql);
    const video = rows.filter(({ source }) => source === 'ana inbound/video/2');
    expect(video.length).toBeGreaterThan(1);
    expect(new Set(values(video, 'bitrate'))).toEqual(new Set([800_000]));
    expect(values(rows, 'source')).not.toContain('ana inbound/audio/4');
  });

  it('counts freezes, and frames in each second', async () => {
    const freezes = await run(callQueries.freezes.sql, ofCall);
    expect(values(freezes, 'freezes').reduce((sum: number, count) => sum + Number(count), 0)).toBe(2 * INTERVALS);
    const inbound = (await run(callQueries.frameRate.sql, ofCall)).filter(
      ({ source }) => source === 'cara inbound/video/2',
    );
    expect(new Set(values(inbound, 'fps'))).toEqual(new Set([12]));
  });

  it('shows what relays sent in the range, exactly, out of counters that no float holds', async () => {
    const rows = await run(overview.relayedBytes.sql, { from: END - 15_000, intervalSeconds: 1 });
    expect(rows.filter((found) => found['class'] === 'internet').map(({ bytes }) => bytes)).toEqual([
      400_000_000, 100_000_000,
    ]);
    expect(await run(callQueries.relayedTotal.sql, { from: END - 15_000 })).toEqual([{ bytes: 500_002_000 }]);
  });

  it('holds the month against the allowance, what SFU and TURN both carried counted once', async () => {
    // 401.5 GB + 2,000 B + 100 GB through the SFU by TURN + 700 GB by the SFU − 100 GB seen twice, and
    // 0.5 GB on either meter that nobody can match.
    expect(await run(overview.monthEgress.sql)).toEqual([{ egress: 1_102_500_002_000, used: 1.102500002 }]);
    expect(await run(overview.monthCost.sql)).toEqual([{ cost: 5.13 }]);
  });

  it.each<[string, Partial<RateCard>]>([
    ['as it is', {}],
    ['with both meters charged in full', { overlap: 'sum' }],
    ['for TURN alone', { pool: ['turn'] }],
    ['for the SFU alone', { pool: ['sfu'], allowanceGb: '10' }],
    [
      'with three tiers',
      {
        allowanceGb: '100',
        tiers: [
          { upToGb: '400', pricePerGb: '0.05' },
          { upToGb: '900', pricePerGb: '0.04' },
          { upToGb: null, pricePerGb: '0.0255' },
        ],
      },
    ],
    ['with nothing free, and GB of 2^30', { allowanceGb: '0', gbBytes: 2n ** 30n }],
  ])('comes to the statement’s figures on the card %s', async (_, change) => {
    const card = { ...rateCard, ...change };
    const { totals } = await statementFor({ reader: store, period: month('2099-11'), card });
    const queries = overviewQueries(card);
    const [usage] = await run(queries.monthEgress.sql);
    const [money] = await run(queries.monthCost.sql);
    expect(BigInt(Number(usage?.['egress']))).toBe(BigInt(totals.bytes) - BigInt(totals.overlapBytes));
    expect(money?.['cost']).toBe(Number(totals.cost));
  });

  it('gives a reading at the month’s exact end to that month', async () => {
    const firstMinute = { to: Date.UTC(2099, 11, 1, 0, 1) };
    expect(await run(overview.monthEgress.sql, firstMinute)).toEqual([{ egress: 0, used: 0 }]);
  });

  it('lists each alert once, in its newest state, what fires first', async () => {
    const rows = await run(overview.alerts.sql);
    expect(rows.map(({ rule, state }) => [rule, state])).toEqual([
      ['loss', 'firing'],
      ['mos', 'resolved'],
    ]);
  });

  it('puts the call with the worst moments first', async () => {
    const rows = await run(overview.worstCalls.sql, { apps: ['demo', 'other'] });
    expect(values(rows, 'call')).toEqual(["cara's call", 'elsewhere', 'standup']);
    expect(rows[0]).toMatchObject({ app: 'demo', model: 'g107.2', 'MOS p5': 2.1, loss: 0.1, participants: 2 });
  });

  it('tells a call’s events in order', async () => {
    const rows = await run(callQueries.events.sql, ofCall);
    expect(values(rows, 'event')).toEqual(['setup', 'first_frame', 'setup', 'first_frame', 'setup']);
    expect(rows.at(-1)).toMatchObject({ participant: 'eve', value: 'failed', duration: 15_000 });
  });

  it('shows an app nothing of another', async () => {
    const rows = await run(callQueries.mosNow.sql, { apps: ['other'], call: goodCall.call });
    expect(rows).toEqual([]);
  });

  it('offers the apps and calls of the range to choose from', async () => {
    expect(values(await run(variableQueries.app), 'app_id')).toEqual(['demo', 'other']);
    expect(values(await run(variableQueries.call), 'call_id')).toEqual(['standup', "cara's call"]);
  });

  it('has in its trends what the rows say: sums exactly, quantiles to within a bucket', async () => {
    const both = { apps: ['demo', 'other'] };
    const loss = await run(trendQueries.loss.sql, both);
    expect(loss.length).toBeGreaterThan(2);
    expect(loss).toEqual(await run(overview.loss.sql, both));
    const [{ success } = {}] = await run(trendQueries.successOfRange.sql);
    expect(await run(overview.setupSuccess.sql)).toMatchObject([{ success }]);
    const exact = { g107: 3.9, 'g107.2': 2.1 };
    const scores = await run(trendQueries.mosOfRange.sql, both);
    expect(values(scores, 'model')).toEqual(Object.keys(exact));
    for (const [index, score] of Object.values(exact).entries()) {
      expect(Math.abs(Number(scores[index]?.['p10']) - score)).toBeLessThanOrEqual(0.1);
    }
    expect(await run(trendQueries.hoursOfRange.sql)).toEqual([{ hours: (4 * INTERVALS * INTERVAL_MS) / 3_600_000 }]);
    expect(new Set(values(await run(trendQueries.concealed.sql), 'concealed'))).toEqual(new Set([0, 0.1]));
    expect(new Set(values(await run(trendQueries.freezes.sql), 'freezes'))).toEqual(new Set([0, 720]));
    const [{ bytes } = {}] = await run(trendQueries.bytesOfRange.sql);
    const relayed = await run(overview.relayedBytes.sql, { intervalSeconds: 3_600 });
    const bySource = await run(trendQueries.egressBySource.sql, { intervalSeconds: 3_600 });
    const sum = (rows: readonly PanelRow[]) => rows.reduce((total, one) => total + Number(one['bytes']), 0);
    expect(sum(bySource)).toBe(bytes);
    expect(sum(bySource.filter(({ source }) => source === 'turnpike'))).toBe(sum(relayed));
  });

  it('has its trends when the rows behind them are gone', async () => {
    const bare = await testDatabase();
    await writeCallData(bare);
    await rollUp(bare);
    const all = () =>
      Promise.all(
        [trendAppQuery, ...Object.values(trendQueries).map(({ sql }) => sql)].map((sql) =>
          bare.select(row, expandGrafana(sql, { ...demo, apps: ['demo', 'other'] })),
        ),
      );
    const before = await all();
    expect(before.every((rows) => rows.length > 0)).toBe(true);
    for (const name of ['stream_intervals', 'connection_intervals', 'call_events', 'egress_samples']) {
      await bare.command(`TRUNCATE TABLE ${name}`);
    }
    expect(await all()).toEqual(before);
    await bare.drop();
    await bare.close();
  });

  it('reads tables FINAL wherever it counts', () => {
    // Not for a maximum, nor to name what a set holds: there a repeated row changes nothing.
    const raw =
      /(?<!object_id )\b(FROM|JOIN) (stream_intervals|connection_intervals|call_events|egress_samples|alerts|quality_minute|egress_hour)\b(?! FINAL)/;
    const maxima = new Set<PanelQuery>([overview.monthEgress, overview.monthCost]);
    const counting = Object.values(panels).filter((query) => !maxima.has(query));
    expect(counting.filter(({ sql }) => raw.test(sql))).toEqual([]);
  });
});
