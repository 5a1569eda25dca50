import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { meteredUsage, meteredUsageSql } from '../../../billing/egress/metered-usage.ts';
import { month } from '../../../kernel/period.ts';
import { randomBelow, seededRandom } from '../../../kernel/random.ts';
import { hasEmbeddedStore, testDatabase } from '../../embedded-store.ts';
import type { TestDatabase } from '../../embedded-store.ts';
import { reading } from './egress-readings.ts';

const november = month('2026-11');
const october = month('2026-10');
const { start, end } = november;
const MINUTE = 60_000;

it('asks the store exactly this', async () => {
  await expect(`${meteredUsageSql}\n`).toMatchFileSnapshot(
    fileURLToPath(new URL('../../golden/metered-usage.sql', import.meta.url)),
  );
});

describe.skipIf(!hasEmbeddedStore)('usage of a month', () => {
  let store: TestDatabase;
  beforeEach(async () => {
    store = await testDatabase();
  });
  const bytesIn = async (period = november) =>
    (await meteredUsage(store, period)).usage.reduce((sum, { bytes }) => sum + bytes, 0n);

  it('is the highest total in it minus the highest total before it', async () => {
    await store.insert('egress_samples', [
      reading({ seq: 1, window_end: start - 10 * MINUTE, client_tx_bytes: 100 }),
      reading({ seq: 2, window_end: start - MINUTE, client_tx_bytes: 400 }),
      reading({ seq: 3, window_end: start + MINUTE, client_tx_bytes: 1_000 }),
      reading({ seq: 4, window_end: start + 2 * MINUTE, client_tx_bytes: 1_700, final: true }),
    ]);
    expect(await bytesIn(november)).toBe(1_300n);
    expect(await bytesIn(october)).toBe(400n);
  });

  it('takes a reading at the month’s start for the month before, and one at its end for itself', async () => {
    await store.insert('egress_samples', [
      reading({ seq: 1, window_end: start, client_tx_bytes: 250 }),
      reading({ seq: 2, window_end: start + 1, client_tx_bytes: 251 }),
      reading({ seq: 3, window_end: end, client_tx_bytes: 900 }),
      reading({ seq: 4, window_end: end + 1, client_tx_bytes: 5_000 }),
    ]);
    expect(await bytesIn(october)).toBe(250n);
    expect(await bytesIn(november)).toBe(650n);
    expect(await bytesIn(month('2026-12'))).toBe(4_100n);
  });

  it('is unmoved by resent and reordered readings', async () => {
    const rows = [1, 2, 3].map((seq) => reading({ seq, window_end: start + seq * MINUTE, client_tx_bytes: seq * 500 }));
    await store.insert('egress_samples', rows);
    await store.insert('egress_samples', rows.toReversed());
    await store.insert('egress_samples', rows.slice(1));
    expect(await bytesIn()).toBe(1_500n);
  });

  it('starts again from zero with each boot, and adds objects, classes and servers up', async () => {
    await store.insert('egress_samples', [
      reading({ boot_id: 'boot-0', seq: 9, window_end: start - MINUTE, client_tx_bytes: 7_000 }),
      reading({ boot_id: 'boot-1', seq: 1, window_end: start + MINUTE, client_tx_bytes: 10 }),
      reading({ boot_id: 'boot-1', seq: 1, window_end: start + MINUTE, client_tx_bytes: 5, peer_class: 'control' }),
      reading({ boot_id: 'boot-2', seq: 1, window_end: start + 3 * MINUTE, client_tx_bytes: 20 }),
      reading({ object_id: 'allocation-2', seq: 1, window_end: start + MINUTE, client_tx_bytes: 40 }),
      reading({ server_id: 'relay-2', seq: 1, window_end: start + MINUTE, client_tx_bytes: 80 }),
    ]);
    expect(await bytesIn()).toBe(155n);
  });

  it('counts nothing for an allocation that ended before it', async () => {
    await store.insert('egress_samples', [
      reading({ seq: 1, window_end: start - MINUTE, client_tx_bytes: 400, final: true }),
    ]);
    expect(await meteredUsage(store, november)).toEqual({ usage: [], asOf: null });
  });

  it('is never negative when a source’s counter falls', async () => {
    await store.insert('egress_samples', [
      reading({ meter: 'sfu', seq: 1, window_end: start - MINUTE, client_tx_bytes: 900, peer_class: 'none' }),
      reading({ meter: 'sfu', seq: 2, window_end: start + MINUTE, client_tx_bytes: 100, peer_class: 'none' }),
    ]);
    expect(await bytesIn()).toBe(0n);
  });

  it('is exact to the last byte of 64 bits', async () => {
    await store.insert('egress_samples', [
      reading({ seq: 1, window_end: start - MINUTE, client_tx_bytes: 1 }),
      reading({ seq: 2, window_end: start + MINUTE, client_tx_bytes: 18_446_744_073_709_551_615n }),
    ]);
    expect(await bytesIn()).toBe(18_446_744_073_709_551_614n);
  });

  it('is what the view egress adds up to, though counters fall, clocks step back and readings come late', async () => {
    const random = seededRandom('egress');
    const rows = Array.from({ length: 400 }, (_, index) =>
      reading({
        object_id: `handle-${index % 5}`,
        peer_class: 'none',
        meter: 'sfu',
        seq: index,
        window_end: start - 40 * 86_400_000 + 60_000 * randomBelow(random, 80 * 1_440),
        client_tx_bytes: randomBelow(random, 1_000_000),
      }),
    );
    await store.insert('egress_samples', rows);
    for (const period of [october, november]) {
      const [row] = await store.select(
        z.object({ bytes: z.string() }),
        `SELECT sum(egress_bytes) AS bytes FROM egress
         WHERE window_end > fromUnixTimestamp64Milli({start:Int64}) AND window_end <= fromUnixTimestamp64Milli({end:Int64})`,
        { start: period.start, end: period.end },
      );
      const bytes = await bytesIn(period);
      expect(bytes).toBeGreaterThan(0n);
      expect(row?.bytes).toBe(String(bytes));
    }
  });

  it('names app, meter, customer, call and participant, what came from an SFU, and the newest reading', async () => {
    const names = { custom_id: 'alice', call_id: 'standup', participant_id: 'p1' };
    await store.insert('egress_samples', [
      reading({ ...names, seq: 1, window_end: start + MINUTE, client_tx_bytes: 11, peer_class: 'sfu' }),
      reading({ ...names, seq: 1, window_end: start + MINUTE, client_tx_bytes: 4, peer_class: 'internet' }),
      reading({
        app_id: 'shop',
        meter: 'sfu',
        seq: 1,
        window_end: start + 2 * MINUTE,
        client_tx_bytes: 9,
        peer_class: 'none',
      }),
    ]);
    expect(await meteredUsage(store, november)).toEqual({
      usage: [
        {
          app: 'demo',
          meter: 'turn',
          customId: 'alice',
          call: 'standup',
          participant: 'p1',
          bytes: 15n,
          viaSfuBytes: 11n,
        },
        { app: 'shop', meter: 'sfu', customId: '', call: '', participant: '', bytes: 9n, viaSfuBytes: 0n },
      ],
      asOf: start + 2 * MINUTE,
    });
  });

  it('learns the names of an object from its newest reading in the month', async () => {
    const sfu = { meter: 'sfu', peer_class: 'none', object_id: 'handle-7' };
    await store.insert('egress_samples', [
      reading({ ...sfu, seq: 1, window_end: start + MINUTE, client_tx_bytes: 5, call_id: '' }),
      reading({ ...sfu, seq: 2, window_end: start + 2 * MINUTE, client_tx_bytes: 8, call_id: 'standup' }),
      reading({ ...sfu, seq: 3, window_end: end + MINUTE, client_tx_bytes: 9, call_id: 'later' }),
    ]);
    expect((await meteredUsage(store, november)).usage).toMatchObject([{ call: 'standup', bytes: 8n }]);
  });

  it('adds up over months to the final totals, wherever the months cut', async () => {
    const rows = Array.from({ length: 120 }, (_, seq) =>
      reading({
        object_id: `allocation-${seq % 7}`,
        seq,
        window_end: start - 60 * 86_400_000 + seq * 18 * 3_600_000,
        client_tx_bytes: seq * 1_000 + (seq % 13),
      }),
    );
    await store.insert('egress_samples', rows);
    const finals = new Map(rows.map((row) => [row['object_id'], BigInt(Number(row['client_tx_bytes']))]));
    const periods = ['2026-08', '2026-09', '2026-10', '2026-11', '2026-12'].map(month);
    const sums = await Promise.all(periods.map((period) => bytesIn(period)));
    expect(sums.filter((sum) => sum > 0n).length).toBeGreaterThan(2);
    expect(sums.reduce((one, other) => one + other, 0n)).toBe(
      [...finals.values()].reduce((one, other) => one + other, 0n),
    );
  });
});
