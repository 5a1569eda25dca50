import { beforeEach, describe, expect, it } from 'vitest';
import { listedAlerts } from '../../../billing/quality/alerts/alert-history.ts';
import { createAlertLoop } from '../../../billing/quality/alerts/alert-loop.ts';
import { standardRules } from '../../../billing/quality/alerts/alert-rules.ts';
import type { AlertBatch, AlertNotice } from '../../../billing/quality/alerts/delivery.ts';
import type { Store } from '../../../collector/store/store.ts';
import { ManualClock } from '../../../kernel/clock.ts';
import { silentLog } from '../../../kernel/log.ts';
import { Metrics } from '../../../kernel/metrics.ts';
import { hasEmbeddedStore, testDatabase } from '../../embedded-store.ts';
import type { TestDatabase } from '../../embedded-store.ts';
import { every5s, streamInterval } from './interval-rows.ts';

const START = Date.UTC(2026, 10, 20, 12);
const MINUTE = 60_000;

describe.skipIf(!hasEmbeddedStore)('the alert loop', () => {
  let store: TestDatabase;
  let clock: ManualClock;
  let metrics: Metrics;
  let batches: AlertBatch[];
  beforeEach(async () => {
    store = await testDatabase();
    clock = new ManualClock(START);
    metrics = new Metrics();
    batches = [];
  });

  const loop = (over: { store?: Store; rules?: typeof standardRules } = {}) =>
    createAlertLoop({
      store: over.store ?? store,
      clock,
      deliver: {
        name: 'test',
        async deliver(batch) {
          batches.push(batch);
        },
      },
      rules: over.rules ?? standardRules,
      log: silentLog,
      metrics,
      interval: 15_000,
    });
  const scores = (mos: number) =>
    store.insert(
      'stream_intervals',
      every5s(clock.now(), 60, (ts) => streamInterval({ ts, mos, mos_model: 'g107.2' })),
    );
  const short = ({ state, rule, app }: AlertNotice) => `${state} ${rule} ${app}`;
  const changed = () => batches.at(-1)?.changed.map(short);
  const firing = () => batches.at(-1)?.firing.map(short);
  const rows = async () => (await listedAlerts(store, 0)).map(({ state, rule }) => `${state} ${rule}`);
  const gauge = async () =>
    (await metrics.registry.getMetricsAsJSON()).find(({ name }) => name === 'turnpike_quality_alerts');

  /** Two evaluations a minute apart, over bad scores. */
  async function fire(running = loop()) {
    await scores(2.9);
    await running.tick();
    clock.advance(MINUTE);
    await scores(2.9);
    await running.tick();
    return running;
  }

  it('announces an alert once it has held, and repeats it as firing for as long as it does', async () => {
    const running = loop();
    await scores(2.9);
    await running.tick();
    expect(changed()).toEqual([]);
    expect(await rows()).toEqual(['pending TurnpikeMosLow']);
    clock.advance(MINUTE);
    await running.tick();
    expect(changed()).toEqual(['firing TurnpikeMosLow demo']);
    expect(batches.at(-1)).toMatchObject({
      changed: [{ startsAt: START + MINUTE, endsAt: null, value: 2.9, threshold: 3.5, severity: 'warning' }],
      validUntil: START + MINUTE + 60_000,
    });
    clock.advance(15_000);
    await running.tick();
    expect(changed()).toEqual([]);
    expect(firing()).toEqual(['firing TurnpikeMosLow demo']);
    expect(await rows()).toEqual(['firing TurnpikeMosLow']);
    expect((await gauge())?.values).toContainEqual(
      expect.objectContaining({ value: 1, labels: { rule: 'TurnpikeMosLow', severity: 'warning' } }),
    );
  });

  it('resolves it when scores are good again, and says since when it had fired', async () => {
    const running = await fire();
    clock.advance(6 * MINUTE);
    await scores(4.2);
    await running.tick();
    expect(batches.at(-1)).toMatchObject({
      changed: [{ state: 'resolved', startsAt: START + MINUTE, endsAt: START + 7 * MINUTE, value: 4.2 }],
      firing: [],
    });
    expect(await rows()).toEqual(['resolved TurnpikeMosLow']);
    expect((await gauge())?.values.every(({ value }) => value === 0)).toBe(true);
  });

  it('resolves it as stale, with that reason, when nothing is measured any more', async () => {
    const running = await fire();
    clock.advance(14 * MINUTE);
    await running.tick();
    expect(firing()).toHaveLength(1);
    clock.advance(MINUTE);
    await running.tick();
    expect(batches.at(-1)?.changed[0]?.summary).toContain('nothing has been measured for 15 min');
  });

  it('remembers over a restart what fires, without announcing it anew', async () => {
    await fire();
    batches = [];
    clock.advance(15_000);
    const restarted = loop();
    await restarted.tick();
    expect(changed()).toEqual([]);
    expect(batches.at(-1)?.firing).toMatchObject([{ rule: 'TurnpikeMosLow', startsAt: START + MINUTE }]);
    clock.advance(6 * MINUTE);
    await scores(4.2);
    await restarted.tick();
    expect(changed()).toEqual(['resolved TurnpikeMosLow demo']);
    expect(await rows()).toEqual(['resolved TurnpikeMosLow']);
  });

  it('remembers over a restart since when an alert is pending', async () => {
    await scores(2.9);
    await loop().tick();
    clock.advance(MINUTE);
    await scores(2.9);
    await loop().tick();
    expect(changed()).toEqual(['firing TurnpikeMosLow demo']);
  });

  it('does not take up again what was resolved before a restart', async () => {
    const running = await fire();
    clock.advance(6 * MINUTE);
    await scores(4.2);
    await running.tick();
    await loop().tick();
    expect(batches.at(-1)).toMatchObject({ changed: [], firing: [] });
  });

  it('ends alerts of a rule that was removed', async () => {
    await fire();
    const without = loop({ rules: standardRules.filter(({ name }) => name !== 'TurnpikeMosLow') });
    await without.tick();
    expect(changed()).toEqual(['resolved TurnpikeMosLow demo']);
    await without.tick();
    expect(changed()).toEqual([]);
    expect(await rows()).toEqual(['resolved TurnpikeMosLow']);
  });

  it('announces nothing that it could not write, and finds it again', async () => {
    let full = false;
    const failing: Store = {
      select: store.select.bind(store),
      insert: (table, all) => (full ? Promise.reject(new Error('full')) : store.insert(table, all)),
      ping: () => store.ping(),
      close: () => store.close(),
    };
    const running = loop({ store: failing });
    await scores(2.9);
    await running.tick();
    clock.advance(MINUTE);
    full = true;
    await running.tick();
    expect(batches.at(-1)).toMatchObject({ changed: [], firing: [] });
    full = false;
    clock.advance(15_000);
    await running.tick();
    expect(changed()).toEqual(['firing TurnpikeMosLow demo']);
  });

  it('keeps what fires through a time without the store', async () => {
    let away = false;
    const failing: Store = {
      select: (row, sql, parameters) => (away ? Promise.reject(new Error('away')) : store.select(row, sql, parameters)),
      insert: store.insert.bind(store),
      ping: () => store.ping(),
      close: () => store.close(),
    };
    const running = await fire(loop({ store: failing }));
    away = true;
    clock.advance(20 * MINUTE);
    await running.tick();
    expect(firing()).toEqual(['firing TurnpikeMosLow demo']);
    away = false;
    clock.advance(MINUTE);
    await running.tick();
    expect(firing()).toEqual(['firing TurnpikeMosLow demo']);
  });

  it('keeps apps apart', async () => {
    const running = loop();
    const both = () =>
      store.insert('stream_intervals', [
        ...every5s(clock.now(), 60, (ts) => streamInterval({ ts, mos: 2, mos_model: 'g107.2' })),
        ...every5s(clock.now(), 60, (ts) => streamInterval({ app_id: 'shop', ts, mos: 4.4, mos_model: 'g107.2' })),
      ]);
    await both();
    await running.tick();
    clock.advance(MINUTE);
    await both();
    await running.tick();
    expect(firing()).toEqual(['firing TurnpikeMosLow demo']);
  });
});
