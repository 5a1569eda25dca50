import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { openStore } from '../../../collector/store/clickhouse.ts';
import { migrate } from '../../../collector/store/migrations.ts';
import { tableNames } from '../../../collector/store/tables.ts';
import { silentLog } from '../../../kernel/log.ts';
import { egressRow } from '../../conformance/store.ts';
import { freshEndpoint, hasEmbeddedStore, testDatabase } from '../../embedded-store.ts';

const log = silentLog;

describe.skipIf(!hasEmbeddedStore)('migrations', () => {
  it('make everything once, and nothing the second time', async () => {
    const endpoint = freshEndpoint();
    const store = openStore({ endpoint: () => endpoint, log });
    expect(await migrate(store, { log })).toEqual({
      database: endpoint.database,
      applied: [1, 2],
      retentionChanged: [],
    });
    expect(await migrate(store, { log })).toEqual({ database: endpoint.database, applied: [], retentionChanged: [] });
    const names = await store.select(
      z.object({ name: z.string() }),
      'SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY name',
    );
    expect(names.map((row) => row.name)).toEqual([...tableNames, 'egress', 'schema_migrations'].sort());
  });

  it('bring a database of the first version up to this one', async () => {
    const store = await testDatabase();
    await store.command('DROP TABLE control SYNC');
    await store.command('DELETE FROM schema_migrations WHERE version > 1');
    expect((await migrate(store, { log })).applied).toEqual([2]);
    expect(await store.select(z.object({ n: z.string() }), 'SELECT count() AS n FROM control')).toEqual([{ n: '0' }]);
  });

  it('may be run by several at once', async () => {
    const endpoint = freshEndpoint();
    const stores = [1, 2, 3, 4].map(() => openStore({ endpoint: () => endpoint, log }));
    await Promise.all(stores.map((store) => migrate(store, { log })));
    const versions = await stores[0]!.select(
      z.object({ version: z.number() }),
      'SELECT version FROM schema_migrations FINAL ORDER BY version',
    );
    expect(versions).toEqual([{ version: 1 }, { version: 2 }]);
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
    expect(rows.map((row) => row.name)).toEqual(['alerts', 'control', 'egress_samples']);
  });

  it('refuse tables made by a newer version', async () => {
    const store = await testDatabase();
    await store.command(`INSERT INTO schema_migrations (version, name) VALUES (4294967295, 'from the future')`);
    await expect(migrate(store, { log })).rejects.toMatchObject({ code: 'TP_COLLECTOR_STORE_NEWER' });
  });
});
