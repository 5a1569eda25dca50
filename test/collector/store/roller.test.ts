import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { histograms, quantileSql } from '../../../collector/store/histogram.ts';
import { keptIn } from '../../../collector/store/migrations.ts';
import { Roller } from '../../../collector/store/roller.ts';
import type { RollerOptions } from '../../../collector/store/roller.ts';
import type { Row } from '../../../collector/store/store.ts';
import type { TableName } from '../../../collector/store/tables.ts';
import { bigintAsString } from '../../../kernel/bytes.ts';
import { systemClock } from '../../../kernel/clock.ts';
import { silentLog } from '../../../kernel/log.ts';
import { Metrics } from '../../../kernel/metrics.ts';
import { systemSleep } from '../../../kernel/sleep.ts';
import { egressRow, streamRow } from '../../conformance/store.ts';
import { hasEmbeddedStore, testDatabase } from '../../embedded-store.ts';
import type { TestDatabase } from '../../embedded-store.ts';

/** The hour before the last one, so that nothing is too old. */
const HOUR = 3_600_000;
const START = Math.floor(Date.now() / HOUR) * HOUR - 2 * HOUR;
const EVERYTHING = z.record(z.string(), z.unknown());

let store: TestDatabase;

/** Inserts have ended when a test lets it look: there is nothing to wait for. */
function roller(change: Partial<RollerOptions> = {}): Roller {
  return new Roller({
    store,
    clock: systemClock,
    sleep: systemSleep,
    log: silentLog,
    metrics: new Metrics(),
    keptOf: (table) => keptIn(table, {}),
    interval: 1_000,
    settleMs: 0,
    ...change,
  });
}

const contents = (table: 'quality_minute' | 'egress_hour') =>
  store.select(EVERYTHING, `SELECT * EXCEPT rolled_at FROM ${table} FINAL ORDER BY ALL`);
const both = async () => ({ quality: await contents('quality_minute'), egress: await contents('egress_hour') });

describe.skipIf(!hasEmbeddedStore)('the roller', () => {
  beforeEach(async () => {
    store = await testDatabase();
    return () => store.drop();
  });

  it('sums what streams, connections and events of a minute say, each row once', async () => {
    const at = START + 60_000;
    const streams = [
      streamRow({ ts: at, packets: 90, packets_lost: 10, mos: 4.05, mos_model: 'g107.2', jitter_ms: 3, bytes: 1_000 }),
      streamRow({ ts: at + 59_999, packets: 100, packets_lost: -2, mos: 4.11, mos_model: 'g107.2', bytes: 500 }),
      streamRow({ ts: at + 1, packets: 50, packets_lost: null, kind: 'video', stream: 'v', freeze_count: 2 }),
      streamRow({ ts: at + 60_000, packets: 7, packets_lost: 0 }),
    ];
    await store.insert('stream_intervals', streams);
    await store.insert('stream_intervals', streams.slice(1));
    await roller().round();
    const rows = await contents('quality_minute');
    expect(rows).toHaveLength(3);
    const [scored, video] = rows;
    expect(scored).toMatchObject({
      app_id: 'app',
      direction: 'inbound',
      kind: 'audio',
      mos_model: 'g107.2',
      intervals: '2',
      bytes: '1500',
      packets: '190',
      packets_lost: '8',
    });
    const counts = z.array(z.string()).parse(scored?.['mos_histogram']);
    expect(counts.flatMap((n, at) => (n === '0' ? [] : [[at, n]]))).toEqual([
      [30, '1'],
      [31, '1'],
    ]);
    expect(video).toMatchObject({ kind: 'video', mos_model: '', packets: '0', packets_lost: '0', freeze_count: '2' });
  });

  it('has the quantiles of connections and first frames to within their buckets', async () => {
    const leading = { app_id: 'app', call_id: 'c', participant_id: 'p', connection_id: 'k', batch_seq: 1 };
    const connections = [40, 45, 50, 260].map((rtt, index) => ({
      ...leading,
      ts: START + index,
      sample_index: index,
      interval_ms: 5_000,
      rtt_ms: rtt,
    }));
    const events = [
      { type: 'setup', value: 'connected' },
      { type: 'setup', value: 'failed' },
      { type: 'first_frame', value: 'video', value_ms: 40_000 },
    ].map((event, index) => ({ ...leading, ts: START, sample_index: 10 + index, detail: '{}', ...event }));
    await store.insert('connection_intervals', connections);
    await store.insert('call_events', events);
    await roller().round();
    const quantile = (level: number, column: string, histogram: Parameters<typeof quantileSql>[2]) =>
      quantileSql(level, `sumForEach(${column})`, histogram);
    expect(
      await store.select(
        EVERYTHING,
        `SELECT sum(setups) AS setups, sum(setups_connected) AS connected,
          ${quantile(0.5, 'rtt_histogram', histograms.rttMs)} AS median, ${quantile(1, 'rtt_histogram', histograms.rttMs)} AS most,
          ${quantile(0.5, 'first_frame_histogram', histograms.firstFrameMs)} AS frame,
          ${quantile(0.5, 'mos_histogram', histograms.mos)} AS mos
        FROM quality_minute FINAL`,
      ),
    ).toEqual([{ setups: '2', connected: '1', median: 45, most: 300, frame: 30_000, mos: null }]);
  });

  it('gives a reading at the exact hour to the hour before, and the month the sum of its hours', async () => {
    const readings = [-1_000, 0, 1, HOUR, HOUR + 1].map((after, seq) =>
      egressRow({ seq, window_end: START + HOUR + after, client_tx_bytes: BigInt((seq + 1) * 100) }),
    );
    await store.insert('egress_samples', readings);
    await roller().round();
    expect(
      await store.select(EVERYTHING, 'SELECT readings, egress_bytes FROM egress_hour FINAL ORDER BY hour'),
    ).toEqual([
      { readings: '2', egress_bytes: '200' },
      { readings: '2', egress_bytes: '200' },
      { readings: '1', egress_bytes: '100' },
    ]);
  });

  it('takes from later hours what a late reading of an earlier one had already counted', async () => {
    const reading = (seq: number, hours: number, bytes: bigint) =>
      egressRow({ seq, window_end: START + hours * HOUR - 1_000, client_tx_bytes: bytes });
    await store.insert('egress_samples', [reading(1, -3, 100n), reading(9, 1, 1_000n)]);
    await roller().round();
    await store.insert('egress_samples', [reading(5, -1, 700n)]);
    await roller().round();
    const rows = await store.select(EVERYTHING, 'SELECT egress_bytes FROM egress_hour FINAL ORDER BY hour');
    expect(rows).toEqual([{ egress_bytes: '100' }, { egress_bytes: '600' }, { egress_bytes: '300' }]);
  });

  it('reads again only what changed', async () => {
    const fillings: unknown[] = [];
    const watched: RollerOptions['store'] = {
      select: (row, sql, parameters) => store.select(row, sql, parameters),
      command: async (sql, parameters) => {
        if (sql.includes('INTO quality_minute')) fillings.push([parameters?.['start'], parameters?.['end']]);
        await store.command(sql, parameters);
      },
    };
    const minutes = [0, 1, 2, 30].map((minute) => streamRow({ ts: START + minute * 60_000, sample_index: minute }));
    await store.insert('stream_intervals', minutes);
    const watching = roller({ store: watched });
    await watching.round();
    await watching.round();
    await store.insert('stream_intervals', [streamRow({ ts: START + 1 * 60_000, sample_index: 77 })]);
    await watching.round();
    const second = START / 1_000;
    expect(fillings).toEqual([
      [second, second + 180],
      [second + 1_800, second + 1_860],
      [second + 60, second + 120],
    ]);
  });

  it('fills in halves what is too much for one statement, and comes to the same', async () => {
    const minutes = Array.from({ length: 7 }, (_, minute) =>
      streamRow({ ts: START + minute * 60_000, sample_index: minute, packets: minute, packets_lost: 0 }),
    );
    await store.insert('stream_intervals', minutes);
    const most = 2;
    const filled: number[] = [];
    const weak: RollerOptions['store'] = {
      select: (row, sql, parameters) => store.select(row, sql, parameters),
      command: async (sql, parameters) => {
        if (sql.includes('INTO quality_minute')) {
          const windows = (Number(parameters?.['end']) - Number(parameters?.['start'])) / 60;
          if (windows > most) throw new Error('Timeout error.');
          filled.push(windows);
        }
        await store.command(sql, parameters);
      },
    };
    await roller({ store: weak }).round();
    expect(filled).toEqual([1, 2, 2, 2]);
    const halved = await contents('quality_minute');
    expect(halved.map(({ packets }) => packets)).toEqual(minutes.map(({ packets }) => String(packets)));
    await store.command('TRUNCATE TABLE rollup_progress');
    await store.command('TRUNCATE TABLE quality_minute');
    await roller().round();
    expect(await contents('quality_minute')).toEqual(halved);
  });

  it('leaves rows alone that an insert under way may still be joined by', async () => {
    await store.insert('stream_intervals', [streamRow({ ts: START })]);
    await roller({ settleMs: 60_000 }).round();
    expect(await contents('quality_minute')).toEqual([]);
  });

  it('leaves minutes as they are of which the raw rows have reached their retention', async () => {
    const old = Date.now() - 5 * 86_400_000;
    await store.insert('stream_intervals', [streamRow({ ts: old, packets: 1, packets_lost: 0 })]);
    await roller().round();
    const before = await contents('quality_minute');
    expect(before).toHaveLength(1);
    await store.insert('stream_intervals', [streamRow({ ts: old, sample_index: 9, packets: 1, packets_lost: 0 })]);
    const shorter = { appRetention: { app: { call_events: 4 } } };
    await roller({ keptOf: (table) => keptIn(table, shorter) }).round();
    expect(await contents('quality_minute')).toEqual(before);
  });

  it('forgets what raw rows no longer support', async () => {
    await store.insert('stream_intervals', [streamRow({ ts: START, mos: 4, mos_model: 'old' })]);
    await roller().round();
    await store.insert('stream_intervals', [streamRow({ ts: START, mos: 4, mos_model: 'new' })]);
    await roller().round();
    const models = await store.select(EVERYTHING, 'SELECT mos_model FROM quality_minute FINAL');
    expect(models).toEqual([{ mos_model: 'new' }]);
  });

  it('says how far it is behind, and that it failed', async () => {
    const metrics = new Metrics();
    const broken: RollerOptions['store'] = {
      select: () => Promise.reject(new Error('away')),
      command: () => Promise.resolve(),
    };
    let monotonic = 0;
    const failing = roller({
      store: broken,
      metrics,
      settleMs: 60_000,
      clock: { ...systemClock, monotonic: () => monotonic },
    });
    failing.start();
    monotonic = 90_000;
    await failing.stop();
    expect(await metrics.registry.metrics()).toContain(
      'turnpike_collector_rollup_lag_seconds{rollup="egress_hour"} 150',
    );
  });

  it('comes to the same by any mix of retries, reorderings, crashes and other collectors', async () => {
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(history, async ({ rows, steps }) => {
        const [plain, troubled] = [`plain${++runs}`, `troubled${runs}`];
        for (const { table, row } of rows) await store.insert(table, [{ ...row, app_id: plain }]);
        const ofTroubled = rows.map(({ table, row }) => ({ table, row: { ...row, app_id: troubled } }));
        for (const step of steps) await take(step, ofTroubled);
        // Only what no batch had: sent again, it would be looked for again, and hide what was forgotten.
        const sent = new Set(steps.flatMap((step) => ('batch' in step ? step.batch : [])));
        for (const [index, { table, row }] of ofTroubled.entries()) {
          if (!sent.has(index)) await store.insert(table, [row]);
        }
        await roller().round();
        const { quality, egress } = await both();
        const of = (app: string) =>
          [...quality, ...egress].flatMap(({ app_id: owner, ...row }) => (owner === app ? [row] : []));
        expect(of(troubled)).toEqual(of(plain));
        expect(of(plain).reduce((sum, row) => sum + Number(row['intervals'] ?? row['readings']), 0)).toBe(
          new Set(rows.map(({ row }) => JSON.stringify(row, bigintAsString))).size,
        );
      }),
      { numRuns: 12 },
    );
  }, 120_000);
});

interface Written {
  readonly table: TableName;
  readonly row: Row;
}

/** A batch of some of the rows, or a round of one or two collectors, which may be killed before or after any of its writes. */
type Step =
  | { readonly batch: readonly number[] }
  | { readonly rounds: readonly { readonly killedAt: number; readonly after: boolean }[] };

const minute = fc.integer({ min: 0, max: 4 });
const written: fc.Arbitrary<Written> = fc.oneof(
  fc
    .record({
      minute,
      second: fc.integer({ min: 0, max: 59 }),
      sample: fc.integer({ min: 1, max: 3 }),
      lost: fc.nat(9),
    })
    .map(({ minute: at, second, sample, lost }): Written => {
      const ts = START + at * 60_000 + second * 1_000;
      // The rest of a row follows from its identity: a repeated row is the same.
      const row = streamRow({ ts, sample_index: sample, packets: 100 + sample, packets_lost: second % 7 });
      return { table: 'stream_intervals', row: { ...row, stream: `inbound/audio/${lost}`, jitter_ms: lost } };
    }),
  fc.record({ seq: fc.integer({ min: 1, max: 12 }), object: fc.nat(2) }).map(({ seq, object }): Written => {
    const window_end = START - 3 * HOUR + seq * (HOUR / 3);
    const total = BigInt(seq * 1_000 - (seq % 4) * 900);
    return {
      table: 'egress_samples',
      row: egressRow({ object_id: `o${object}`, seq, window_end, client_tx_bytes: total }),
    };
  }),
);

const history = fc.array(written, { minLength: 1, maxLength: 12 }).chain((rows) => {
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.array(fc.nat(rows.length - 1), { minLength: 1, maxLength: 6 }).map((batch) => ({ batch })),
    fc
      .array(fc.record({ killedAt: fc.nat(5), after: fc.boolean() }), { minLength: 1, maxLength: 2 })
      .map((rounds) => ({ rounds })),
  );
  return fc.record({ rows: fc.constant(rows), steps: fc.array(step, { maxLength: 6 }) });
});

async function take(step: Step, rows: readonly Written[]): Promise<void> {
  if ('rounds' in step) {
    await Promise.all(step.rounds.map((round) => roller({ store: mortal(round) }).round()));
    return;
  }
  for (const table of ['stream_intervals', 'egress_samples'] as const) {
    const batch = step.batch.flatMap((index) => rows[index] ?? []).filter((found) => found.table === table);
    await store.insert(
      table,
      batch.map(({ row }) => row),
    );
  }
}

/** A collector that dies at its n-th write: before the store has it, or after without hearing of it. */
function mortal({ killedAt, after }: { killedAt: number; after: boolean }): RollerOptions['store'] {
  let writes = 0;
  return {
    select: (row, sql, parameters) =>
      writes > killedAt ? Promise.reject(new Error('dead')) : store.select(row, sql, parameters),
    command: async (sql, parameters) => {
      const isLast = writes++ >= killedAt;
      if (!isLast || (after && writes === killedAt + 1)) await store.command(sql, parameters);
      if (isLast) throw new Error('killed');
    },
  };
}
