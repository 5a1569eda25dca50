import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { openStore } from '../../../collector/store/clickhouse.ts';
import type { ClickHouseStore } from '../../../collector/store/clickhouse.ts';
import { migrate } from '../../../collector/store/migrations.ts';
import { clientNetwork, clockOffset, tableNames, tables } from '../../../collector/store/tables.ts';
import { silentLog } from '../../../kernel/log.ts';
import { egressRow, streamRow } from '../../conformance/store.ts';
import { freshEndpoint, hasEmbeddedStore, testDatabase } from '../../embedded-store.ts';

const log = silentLog;

describe.skipIf(!hasEmbeddedStore)('migrations', () => {
  it('make everything once, and nothing the second time', async () => {
    const endpoint = freshEndpoint();
    const store = openStore({ endpoint: () => endpoint, log });
    expect(await migrate(store, { log })).toEqual({
      database: endpoint.database,
      applied: [1, 2, 3, 4, 5],
      retentionChanged: [],
    });
    expect(await migrate(store, { log })).toEqual({ database: endpoint.database, applied: [], retentionChanged: [] });
    const names = await store.select(
      z.object({ name: z.string() }),
      'SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY name',
    );
    expect(names.map((row) => row.name)).toEqual(
      [...tableNames, 'egress', 'rollup_progress', 'schema_migrations'].sort(),
    );
  });

  it('bring a database of the first version up to this one', async () => {
    const store = await testDatabase();
    await store.command('DROP TABLE control SYNC');
    await store.command('DELETE FROM schema_migrations WHERE version > 1');
    expect((await migrate(store, { log })).applied).toEqual([2, 3, 4, 5]);
    expect(await store.select(z.object({ n: z.string() }), 'SELECT count() AS n FROM control')).toEqual([{ n: '0' }]);
  });

  it('add the client’s network and clock to a database of the third version, where new ones have them', async () => {
    const store = await testDatabase();
    for (const { name } of [...clientNetwork, clockOffset])
      await store.command(`ALTER TABLE connection_intervals DROP COLUMN ${name}`);
    await store.command('DELETE FROM schema_migrations WHERE version > 3');
    expect((await migrate(store, { log })).applied).toEqual([4, 5]);
    const columns = await store.select(
      z.object({ name: z.string() }),
      `SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'connection_intervals' ORDER BY position`,
    );
    expect(columns.map(({ name }) => name)).toEqual(tables.connection_intervals.columns.map(({ name }) => name));
  });

  it('may be run by several at once', async () => {
    const endpoint = freshEndpoint();
    const stores = [1, 2, 3, 4].map(() => openStore({ endpoint: () => endpoint, log }));
    await Promise.all(stores.map((store) => migrate(store, { log })));
    const versions = await stores[0]!.select(
      z.object({ version: z.number() }),
      'SELECT version FROM schema_migrations FINAL ORDER BY version',
    );
    expect(versions).toEqual([{ version: 1 }, { version: 2 }, { version: 3 }, { version: 4 }, { version: 5 }]);
  });

  it('keep the rows of a database of the second version, by one or by several at once, and what was stored before what', async () => {
    const store = await testDatabase();
    await backToVersion2(store);
    await store.insert('egress_samples', [egressRow({ seq: 1, client_tx_bytes: 5n })]);
    await store.insert('stream_intervals', [streamRow({ call_id: 'old' })]);
    const others = [1, 2, 3].map(() => openStore({ endpoint: () => store.endpoint, log }));
    await Promise.all([store, ...others].map((one) => migrate(one, { log })));
    await store.insert('stream_intervals', [streamRow({ call_id: 'new' })]);
    const stored = () =>
      store.select(
        z.object({ call_id: z.string(), at: z.string() }),
        'SELECT call_id, stored_at AS at FROM stream_intervals FINAL ORDER BY stored_at',
      );
    const times = await stored();
    expect(times.map(({ call_id }) => call_id)).toEqual(['old', 'new']);
    expect(await stored()).toEqual(times);
    expect(
      await store.select(z.object({ bytes: z.string() }), 'SELECT client_tx_bytes AS bytes FROM egress_samples'),
    ).toEqual([{ bytes: '5' }]);
  });

  it('follow the retention of single apps, and drop their rows one by one then', async () => {
    const store = await testDatabase({ appRetention: { acme: { call_events: 3 }, 'b-2': { call_events: 5 } } });
    const engine = async (table: string) => {
      const rows = await store.select(
        z.object({ engine: z.string() }),
        'SELECT engine_full AS engine FROM system.tables WHERE database = currentDatabase() AND name = {table:String}',
        { table },
      );
      return rows[0]?.engine;
    };
    expect(await engine('call_events')).toContain(`transform(app_id, ['acme', 'b-2'], [3, 5], 30)`);
    expect(await engine('call_events')).toContain('ttl_only_drop_parts = 0');
    expect(await engine('alerts')).toContain('ttl_only_drop_parts = 1');
    const again = await migrate(store, { log, appRetention: { acme: { call_events: 3 }, 'b-2': { call_events: 5 } } });
    expect(again.retentionChanged).toEqual([]);
    const none = await migrate(store, { log });
    expect(none.retentionChanged).toEqual(['call_events']);
    expect(await engine('call_events')).toContain('toIntervalDay(30)');
    expect(await engine('call_events')).toContain('ttl_only_drop_parts = 1');
  });

  it('drop the rows of an app that keeps them for less, and no others', async () => {
    const store = await testDatabase({ appRetention: { brief: { stream_intervals: 2 } } });
    const ts = Date.now() - 3 * 86_400_000;
    await store.insert('stream_intervals', [streamRow({ app_id: 'brief', ts }), streamRow({ app_id: 'long', ts })]);
    await store.command('OPTIMIZE TABLE stream_intervals FINAL');
    expect(await store.select(z.object({ app_id: z.string() }), 'SELECT app_id FROM stream_intervals')).toEqual([
      { app_id: 'long' },
    ]);
  });

  it('follow the configured retention, on tables that exist already too, without touching their rows', async () => {
    const store = await testDatabase({ retention: { egress_samples: 500 } });
    await store.insert('egress_samples', [egressRow({ window_end: Date.now() })]);
    const ttl = async () => {
      const rows = await store.select(
        z.object({ name: z.string(), ttl: z.string() }),
        `SELECT name, extract(engine_full, 'toIntervalDay\\\\((\\\\d+)\\\\)') AS ttl FROM system.tables WHERE database = currentDatabase() AND name IN ('egress_samples', 'stream_intervals') ORDER BY name`,
      );
      return Object.fromEntries(rows.map((row) => [row.name, Number(row.ttl)]));
    };
    expect(await ttl()).toEqual({ egress_samples: 500, stream_intervals: 30 });
    const again = await migrate(store, { log, retention: { egress_samples: 500, stream_intervals: 7 } });
    expect(again.retentionChanged).toEqual(['stream_intervals']);
    expect(await ttl()).toEqual({ egress_samples: 500, stream_intervals: 7 });
    expect(await store.select(z.object({ n: z.string() }), 'SELECT count() AS n FROM egress_samples')).toEqual([
      { n: '1' },
    ]);
  });

  it('flush metering and alerts to disk before they are acknowledged', async () => {
    const store = await testDatabase();
    const rows = await store.select(
      z.object({ name: z.string() }),
      `SELECT name FROM system.tables WHERE database = currentDatabase() AND engine_full LIKE '%fsync_after_insert = 1%' ORDER BY name`,
    );
    expect(rows.map((row) => row.name)).toEqual(['alerts', 'control', 'egress_hour', 'egress_samples']);
  });

  it('refuse tables made by a newer version', async () => {
    const store = await testDatabase();
    await store.command(`INSERT INTO schema_migrations (version, name) VALUES (4294967295, 'from the future')`);
    await expect(migrate(store, { log })).rejects.toMatchObject({ code: 'TP_COLLECTOR_STORE_NEWER' });
  });
});

/** The tables as the second version made them. */
async function backToVersion2(store: ClickHouseStore): Promise<void> {
  for (const table of ['stream_intervals', 'connection_intervals', 'call_events', 'egress_samples']) {
    await store.command(`ALTER TABLE ${table} DROP INDEX stored_at_range`);
    await store.command(`ALTER TABLE ${table} DROP COLUMN stored_at`);
  }
  for (const table of ['quality_minute', 'egress_hour', 'rollup_progress'])
    await store.command(`DROP TABLE ${table} SYNC`);
  await store.command('DELETE FROM schema_migrations WHERE version > 2');
}
