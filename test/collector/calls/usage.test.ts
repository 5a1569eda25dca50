/** Bytes of a span from rollups and readings together are those of the readings alone, however far the roller has come. */
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { usageOf } from '../../../collector/calls/usage.ts';
import type { EgressReader } from '../../../collector/calls/egress-hours.ts';
import type { StoreReader } from '../../../collector/store/store.ts';
import { keptIn } from '../../../collector/store/migrations.ts';
import type { RetentionWanted } from '../../../collector/store/migrations.ts';
import { egressRow } from '../../conformance/store.ts';
import { hasEmbeddedStore, rollUp, testDatabase } from '../../embedded-store.ts';
import type { TestDatabase } from '../../embedded-store.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const START = Math.floor(Date.now() / HOUR) * HOUR - 30 * HOUR;

let store: TestDatabase;

const roll = () => rollUp(store);

interface Reading {
  readonly app: string;
  readonly object: string;
  readonly meter: 'turn' | 'sfu';
  readonly seq: number;
  readonly at: number;
  readonly total: bigint;
}

const rowOf = ({ app, object, meter, seq, at, total }: Reading) =>
  egressRow({ app_id: app, object_id: object, meter, seq, window_end: at, client_tx_bytes: total });
const write = (readings: readonly Reading[]) => store.insert('egress_samples', readings.map(rowOf));

/** Highest total up to the end, minus highest up to the beginning, for each object: what a statement counts. */
function carried(readings: readonly Reading[], from: number, to: number): bigint {
  const objects = new Set(readings.map(({ object }) => object));
  const highest = (object: string, until: number) =>
    readings.reduce(
      (most, one) => (one.object === object && one.at <= until && one.total > most ? one.total : most),
      0n,
    );
  return [...objects].reduce((sum, object) => sum + highest(object, to) - highest(object, from), 0n);
}

const usage = (from: number, to: number, group: 'app' | 'hour', wanted: RetentionWanted = {}) => {
  const egress: EgressReader = { reader: store, keptOf: (table) => keptIn(table, wanted) };
  return usageOf(egress, { app: '', from, to, group }).then((answer) => answer.usage);
};

const readingOfA = (seq: number, at: number, total: bigint): Reading => ({
  app: 'acme',
  object: 'a',
  meter: 'turn',
  seq,
  at,
  total,
});

const reading: fc.Arbitrary<Reading> = fc
  .record({ object: fc.constantFrom('a', 'b', 'c'), seq: fc.nat(40), fall: fc.bigInt({ min: 0n, max: 2_500n }) })
  .map(({ object, seq, fall }) => {
    // Every quarter hour for ten hours; each has its time and its place. Some have counted less than the one before.
    const total = BigInt(seq) * 1_000n - fall;
    const names = { a: ['acme', 'turn'], b: ['acme', 'sfu'], c: ['shop', 'turn'] } as const;
    const [app, meter] = names[object];
    return { app, meter, object, seq, at: START + seq * 15 * MINUTE, total: total < 0n ? 0n : total + 2n ** 60n };
  });

const uniquely = (one: Reading) => `${one.object} ${one.seq}`;
const history = fc.record({
  batches: fc.array(fc.uniqueArray(reading, { selector: uniquely, minLength: 1, maxLength: 8 }), {
    minLength: 1,
    maxLength: 5,
  }),
  /** After which of them the roller goes round. */
  rolled: fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }),
  cuts: fc.tuple(fc.nat(11 * 60), fc.nat(11 * 60)).filter(([left, right]) => left !== right),
});

describe.skipIf(!hasEmbeddedStore)('bytes by hour', () => {
  beforeEach(async () => {
    store = await testDatabase();
    return () => store.drop();
  });

  it('are those of the readings, to the byte, whatever came late, fell, was sent twice, or is not rolled yet', async () => {
    await fc.assert(
      fc.asyncProperty(history, async ({ batches, rolled, cuts }) => {
        for (const table of ['egress_samples', 'egress_hour', 'rollup_progress']) {
          await store.command(`TRUNCATE TABLE ${table}`);
        }
        // A reading has one content, however often it comes.
        const known = new Map<string, Reading>();
        for (const [index, batch] of batches.entries()) {
          for (const one of batch) if (!known.has(uniquely(one))) known.set(uniquely(one), one);
          await write(batch.map((one) => known.get(uniquely(one)) ?? one));
          if (rolled[index] === true) await roll();
        }
        const [from, to] = cuts.toSorted((left, right) => left - right).map((minutes) => START + minutes * MINUTE);
        if (from === undefined || to === undefined) return;
        const readings = [...known.values()];
        const of = (app: string, meter: string) => readings.filter((one) => one.app === app && one.meter === meter);
        const hours = await usage(from, to, 'hour');
        const totals = await usage(from, to, 'app');
        for (const app of ['acme', 'shop']) {
          for (const [meter, column] of [
            ['turn', 'turnBytes'],
            ['sfu', 'sfuBytes'],
          ] as const) {
            const expected = carried(of(app, meter), from, to);
            const found = (rows: typeof hours) =>
              rows.reduce((sum, row) => (row.app === app ? sum + BigInt(row[column]) : sum), 0n);
            expect(found(totals)).toBe(expected);
            expect(found(hours)).toBe(expected);
            for (const row of hours.filter((one) => one.app === app)) {
              const hour = Date.parse(row.key);
              const share = carried(of(app, meter), Math.max(hour, from), Math.min(hour + HOUR, to));
              expect(BigInt(row[column])).toBe(share);
            }
          }
        }
      }),
      { numRuns: 12 },
    );
  }, 120_000);

  it('come from the rollup where it has looked, and from the readings since', async () => {
    const of = (seq: number, hours: number) => readingOfA(seq, START + hours * HOUR, BigInt(seq) * 100n);
    await write([of(1, 1), of(2, 2)]);
    await roll();
    // What nobody can have from the readings shows where an hour was read.
    await store.command(
      `INSERT INTO egress_hour (hour, app_id, meter, source, peer_class, egress_bytes, rolled_at)
      SELECT hour, app_id, meter, source, peer_class, egress_bytes + 7, now64(3) FROM egress_hour FINAL`,
    );
    await write([of(3, 3)]);
    const bytes = async () => (await usage(START, START + 3 * HOUR, 'hour')).map(({ turnBytes }) => turnBytes);
    expect(await bytes()).toEqual(['107', '107', '100']);
    await write([{ ...of(9, 1), seq: 9, at: START + HOUR - 1, total: 150n }]);
    expect(await bytes()).toEqual(['150', '50', '100']);
  });

  it('miss nothing of a reading of a rolled hour that arrives while they are asked for', async () => {
    const of = (seq: number, at: number, total: bigint) => readingOfA(seq, START + at, total);
    await write([of(1, HOUR, 100n), of(2, 2 * HOUR, 200n)]);
    await roll();
    await write([of(4, 3 * HOUR, 300n)]);
    let questions = 0;
    const reader: StoreReader = {
      select: async (...question) => {
        questions += 1;
        if (questions === 2) await write([of(3, 2 * HOUR - 1, 250n)]);
        return store.select(...question);
      },
    };
    const egress: EgressReader = { reader, keptOf: (table) => keptIn(table, {}) };
    const { usage: lines } = await usageOf(egress, { app: '', from: START, to: START + 3 * HOUR, group: 'app' });
    expect(lines.map(({ turnBytes }) => turnBytes)).toEqual(['300']);
  });

  it('stay as they were when the readings are gone, also where a counter goes on', async () => {
    const long = START - 100 * DAY;
    const of = (seq: number) => readingOfA(seq, long + seq * HOUR, BigInt(seq) * 1_000n);
    await write([of(1), of(2), of(3), of(4)]);
    await roll();
    await store.command(`DELETE FROM egress_samples WHERE window_end <= fromUnixTimestamp64Milli(${long + 2 * HOUR})`);
    const shorter = { retention: { egress_samples: 90 } };
    const all = (wanted: RetentionWanted) => usage(long, long + 4 * HOUR, 'app', wanted);
    expect(await all(shorter)).toEqual([{ app: 'acme', key: '', turnBytes: '4000', sfuBytes: '0', grade: 'metered' }]);
    // One that straggles in after that is nothing to the hours, as it is nothing to the roller.
    await write([{ ...of(5), total: 99_000n, at: long + HOUR }]);
    expect(await all(shorter)).toEqual([{ app: 'acme', key: '', turnBytes: '4000', sfuBytes: '0', grade: 'metered' }]);
    const ofApp = { appRetention: { acme: { egress_samples: 90 } } };
    expect(await all(ofApp)).toEqual([{ app: 'acme', key: '', turnBytes: '4000', sfuBytes: '0', grade: 'metered' }]);
  });

  it('come from the readings where those are kept longer than the rollup', async () => {
    await write([{ app: 'acme', object: 'a', meter: 'sfu', seq: 1, at: START - 20 * DAY, total: 5n }]);
    await roll();
    await store.command('TRUNCATE TABLE egress_hour');
    const wanted = { retention: { egress_hour: 10 } };
    expect(await usage(START - 21 * DAY, START, 'app', wanted)).toEqual([
      { app: 'acme', key: '', turnBytes: '0', sfuBytes: '5', grade: 'metered' },
    ]);
  });

  it('are refused as a whole where they would be cut short', async () => {
    await store.command(
      `INSERT INTO egress_hour (hour, app_id, meter, source, peer_class, egress_bytes, rolled_at)
      SELECT toDateTime(${START / 1_000}, 'UTC') - toIntervalHour(number), 'acme', 'turn', 'turnpike', 'internet', 1, now64(3) FROM numbers(10001)`,
    );
    await expect(usage(START - 10_001 * HOUR, START + HOUR, 'hour')).rejects.toMatchObject({
      code: 'TP_KERNEL_INVALID',
      issues: [{ path: 'to' }],
    });
    expect(await usage(START - 9_999 * HOUR, START + HOUR, 'hour')).toHaveLength(10_000);
  });
});
