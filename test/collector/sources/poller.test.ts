/** A server that is asked for its counters, from the first look to the statement. */
import { z } from 'zod';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Poller } from '../../../collector/sources/poller.ts';
import { SourceMetrics } from '../../../collector/sources/source-metrics.ts';
import { isPulled, sourceSettings } from '../../../collector/sources/source-settings.ts';
import { ManualClock } from '../../../kernel/clock.ts';
import { silentLog } from '../../../kernel/log.ts';
import { Metrics } from '../../../kernel/metrics.ts';
import { systemSleep } from '../../../kernel/sleep.ts';
import { hasEmbeddedStore, type TestDatabase, testDatabase } from '../../embedded-store.ts';

const totalRow = z.object({ bytes: z.coerce.bigint() });
const START = Date.UTC(2026, 10, 20, 12);

describe.skipIf(!hasEmbeddedStore)('a source that is asked', () => {
  let store: TestDatabase;
  beforeAll(async () => {
    store = await testDatabase();
  });
  afterAll(() => store.close());

  /** One that answers with these pages, one a look; an Error is no answer. */
  function scene(name: string, kind: string, pages: readonly (string | Error)[]) {
    const clock = new ManualClock(START);
    const metrics = new Metrics();
    const settings = sourceSettings.parse({ name, kind, url: 'http://sfu.test/metrics', authorization: 'Bearer x' });
    if (!isPulled(settings)) throw new Error('not a pulled one');
    const asked: (string | undefined)[] = [];
    const left = [...pages];
    const make = () =>
      new Poller({
        settings: { ...settings, app: 'demo' },
        reader: store,
        writer: store,
        fetch: async (_url, authorization) => {
          asked.push(authorization);
          const page = left.shift() ?? new Error('no more');
          if (page instanceof Error) throw page;
          return page;
        },
        sleep: systemSleep,
        clock,
        log: silentLog,
        metrics: new SourceMetrics(metrics, clock),
      });
    const look = async (poller: Poller, times = 1) => {
      for (let count = 0; count < times; count += 1) {
        await poller.tick();
        clock.advance(15_000);
      }
    };
    return { asked, look, make };
  }

  /** What it comes to on the bill of its month. */
  async function billed(source: string): Promise<bigint> {
    const rows = await store.select(
      totalRow,
      `SELECT sum(most) AS bytes FROM
         (SELECT max(client_tx_bytes) AS most FROM egress_samples WHERE source = {source:String}
          GROUP BY app_id, server_id, boot_id, object_id, peer_class)`,
      { source },
    );
    return rows[0]?.bytes ?? 0n;
  }

  it('is billed whole for a series that appears after it was heard without it, also when the collector was started anew in between', async () => {
    const nothing = '# TYPE turn_traffic_sentb counter\n';
    const ended = `${nothing}turn_traffic_sentb{realm="a"} 1906594\n`;
    const { asked, look, make } = scene('coturn-1', 'coturn', [nothing, ended, ended]);
    await look(make());
    await look(make(), 2);
    expect(await billed('coturn-1')).toBe(1_906_594n);
    expect(new Set(asked)).toEqual(new Set(['Bearer x']));
  });
});
