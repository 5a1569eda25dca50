import { describe, expect, it } from 'vitest';
import { createMonthGauges } from '../../../billing/egress/month-gauges.ts';
import { ManualClock } from '../../../kernel/clock.ts';
import { silentLog } from '../../../kernel/log.ts';
import { Metrics } from '../../../kernel/metrics.ts';
import { month } from '../../../kernel/period.ts';
import type { StoreReader } from '../../../collector/store/store.ts';
import { cloudflare } from './usage-rows.ts';

const row = {
  app_id: 'demo',
  meter: 'sfu',
  custom_id: '',
  call_id: '',
  participant_id: '',
  egress_bytes: '250000000000',
  via_sfu_bytes: '0',
  newest_ms: '1793491200000',
};

function gauges(select: StoreReader['select']) {
  const metrics = new Metrics();
  const clock = new ManualClock(Date.UTC(2026, 10, 20));
  const updater = createMonthGauges({ reader: { select }, metrics, clock, log: silentLog, card: cloudflare });
  const value = async (name: string) =>
    (await metrics.registry.getSingleMetric(name)?.get())?.values.map((sample) => sample.value);
  return { updater, clock, value };
}

describe('the month’s gauges', () => {
  it('hold the bytes, cost and used allowance of the running month', async () => {
    const asked: unknown[] = [];
    const { updater, clock, value } = gauges(async (schema, _sql, parameters) => {
      asked.push(parameters);
      return [schema.parse(row)];
    });
    await updater.refresh();
    expect(await value('turnpike_billing_month_egress_bytes')).toEqual([250e9]);
    expect(await value('turnpike_billing_month_cost')).toEqual([0]);
    expect(await value('turnpike_billing_free_tier_used_ratio')).toEqual([0.25]);
    clock.advance(11 * 86_400_000);
    await updater.refresh();
    expect(asked).toEqual(['2026-11', '2026-12'].map(month).map(({ start, end }) => ({ start, end })));
  });
  it('keep their last value while the store is away', async () => {
    let away = false;
    const { updater, value } = gauges(async (schema) => {
      if (away) throw new Error('away');
      return [schema.parse(row)];
    });
    await updater.refresh();
    away = true;
    await expect(updater.refresh()).resolves.toBeUndefined();
    expect(await value('turnpike_billing_month_egress_bytes')).toEqual([250e9]);
  });
  it('are not read twice at once', async () => {
    let reads = 0;
    const { updater } = gauges(async () => {
      reads += 1;
      return [];
    });
    updater.start();
    await Promise.all([updater.refresh(), updater.refresh()]);
    await updater.stop();
    expect(reads).toBe(1);
  });
});
