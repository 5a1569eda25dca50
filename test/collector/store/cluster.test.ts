/**
 * The tables of a cluster. None can be run here: the statements are held against files that a person has read, and the engine
 * is asked whether it can parse them.
 */
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { openStore } from '../../../collector/store/clickhouse.ts';
import type { ClickHouseStore } from '../../../collector/store/clickhouse.ts';
import { migrate, schemaSql } from '../../../collector/store/migrations.ts';
import type { Table } from '../../../collector/store/table.ts';
import { tableNames, tables } from '../../../collector/store/tables.ts';
import { silentLog } from '../../../kernel/log.ts';
import { freshEndpoint, hasEmbeddedStore, testDatabase } from '../../embedded-store.ts';

const golden = new URL('../../golden/schema/', import.meta.url).pathname;
const appRetention = { acme: { call_events: 3 } };
const onCluster = schemaSql({ database: 'turnpike', cluster: 'calls' }, { appRetention });
const onServer = schemaSql({ database: 'turnpike' });

describe('the schema', () => {
  it.each(Object.entries({ cluster: onCluster, server: onServer }))(
    'is the one that was read: %s',
    async (name, sql) => {
      await expect(`${sql.join(';\n\n')};\n`).toMatchFileSnapshot(`${golden}${name}.sql`);
    },
  );

  it('makes on a cluster every table twice: replicated in its shard, distributed over them', () => {
    const has = (start: string, engine: string) =>
      onCluster.some((sql) => sql.startsWith(`CREATE TABLE IF NOT EXISTS turnpike.${start} `) && sql.includes(engine));
    for (const name of tableNames) {
      expect([name, has(`${name}_local`, 'ENGINE = ReplicatedReplacingMergeTree(')]).toEqual([name, true]);
      expect([name, has(name, `ENGINE = Distributed(calls, turnpike, ${name}_local, `)]).toEqual([name, true]);
    }
    expect(onCluster.filter((sql) => !sql.includes(' ON CLUSTER calls'))).toEqual([]);
  });

  it('puts rows of one key on one shard', () => {
    const sharded = Object.values<Table>(tables).filter(({ shardBy }) => shardBy !== undefined);
    expect(sharded.length).toBeGreaterThan(4);
    expect(sharded.filter(({ orderBy, shardBy = '' }) => !orderBy.split(', ').includes(shardBy))).toEqual([]);
  });

  it('never makes a table of one server out of two statements', () => {
    expect(onServer.filter((sql) => /Distributed|Replicated|_local|ON CLUSTER/.test(sql))).toEqual([]);
  });
});

it.each([
  ['a cluster', 'a server', 'Distributed', undefined],
  ['a server', 'a cluster', 'ReplacingMergeTree', 'calls'],
])(
  'refuses tables of %s where those of %s are wanted, and changes nothing',
  async (_found, _wanted, engine, cluster) => {
    const commands: string[] = [];
    const store: Partial<ClickHouseStore> = {
      createDatabase: () => Promise.resolve('turnpike'),
      select: (row) => Promise.resolve([row.parse({ engine })]),
      command: async (sql) => void commands.push(sql),
    };
    const migrating = migrate(store as ClickHouseStore, { log: silentLog, cluster });
    await expect(migrating).rejects.toMatchObject({ code: 'TP_COLLECTOR_STORE_CLUSTER' });
    expect(commands).toEqual([]);
  },
);

describe.skipIf(!hasEmbeddedStore)('on the engine', () => {
  it('can be parsed, statement by statement', async () => {
    const store = await testDatabase();
    for (const sql of onCluster) {
      const [row] = await store.select(z.object({ parsed: z.string() }), 'SELECT formatQuery({sql:String}) AS parsed', {
        sql,
      });
      expect(row?.parsed).toMatch(/^(CREATE (TABLE|OR REPLACE VIEW)|ALTER TABLE)/);
    }
    await store.drop();
  });

  it('says that the server does not know the cluster', async () => {
    const endpoint = freshEndpoint();
    const store = openStore({ endpoint: () => endpoint, log: silentLog });
    await expect(migrate(store, { log: silentLog, cluster: 'nowhere' })).rejects.toThrow(/nowhere/);
  });
});
