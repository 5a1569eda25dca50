/**
 * Versioned, forward-only changes of the tables. Every statement may be run twice, and by two processes at once; a
 * version is written down only after its statements have run.
 */
import { z } from 'zod';
import { TurnpikeError } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/log.ts';
import type { ClickHouseStore } from './clickhouse.ts';
import { createTableSql, retentionSql, tableNames, tables, views } from './tables.ts';
import type { TableName } from './tables.ts';

/** Days each table keeps its rows. */
export type Retention = Readonly<Record<TableName, number>>;

interface Migration {
  readonly version: number;
  readonly name: string;
  statements(database: string, retention: Retention): readonly string[];
}

const migrations: readonly Migration[] = [
  {
    version: 1,
    name: 'tables',
    statements: (database, retention) =>
      tableNames.map((name) => createTableSql(tables[name], database, retention[name])),
  },
  {
    version: 2,
    name: 'control',
    statements: (database, retention) => [createTableSql(tables.control, database, retention.control)],
  },
];

export interface MigrationResult {
  readonly database: string;
  /** Versions applied now, oldest first. */
  readonly applied: readonly number[];
  /** Tables whose retention was changed now. */
  readonly retentionChanged: readonly TableName[];
}

/**
 * Brings the endpoint's database up to this version and to the configured retention. Throws TP_COLLECTOR_STORE_NEWER when
 * a newer version of Turnpike has been there.
 */
export async function migrate(
  store: ClickHouseStore,
  options: { log: Logger; retention?: Partial<Retention> },
): Promise<MigrationResult> {
  const retention = retentionOf(options.retention ?? {});
  const database = await store.createDatabase();
  await store.command(`CREATE TABLE IF NOT EXISTS ${database}.schema_migrations (
  version UInt32,
  name String,
  applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
) ENGINE = ReplacingMergeTree ORDER BY version`);
  const done = new Set(await appliedVersions(store));
  const newest = migrations.at(-1)?.version ?? 0;
  if ([...done].some((version) => version > newest)) throw new TurnpikeError('TP_COLLECTOR_STORE_NEWER');
  const applied: number[] = [];
  for (const migration of migrations.filter(({ version }) => !done.has(version))) {
    for (const statement of migration.statements(database, retention)) await store.command(statement);
    await store.command(
      `INSERT INTO ${database}.schema_migrations (version, name) VALUES (${migration.version}, '${migration.name}')`,
    );
    applied.push(migration.version);
    options.log.info({ version: migration.version, migration: migration.name }, 'migrated the store');
  }
  for (const [name, view] of Object.entries(views)) {
    await store.command(
      `CREATE OR REPLACE VIEW ${database}.${name} AS ${view.sql.replaceAll('{database}', database)} COMMENT '${view.comment}'`,
    );
  }
  return { database, applied, retentionChanged: await applyRetention(store, database, retention) };
}

function retentionOf(configured: Partial<Retention>): Retention {
  const days = tableNames.map((name) => [name, configured[name] ?? tables[name].retentionDays] as const);
  return Object.fromEntries(days) as Record<TableName, number>;
}

async function appliedVersions(store: ClickHouseStore): Promise<number[]> {
  const rows = await store.select(z.object({ version: z.number() }), 'SELECT DISTINCT version FROM schema_migrations');
  return rows.map((row) => row.version);
}

/** Changes only what differs: every change of a TTL makes the server look at all parts again. */
async function applyRetention(store: ClickHouseStore, database: string, retention: Retention): Promise<TableName[]> {
  const rows = await store.select(
    z.object({ name: z.string(), engine_full: z.string() }),
    'SELECT name, engine_full FROM system.tables WHERE database = {database:String}',
    { database },
  );
  const engines = new Map(rows.map((row) => [row.name, row.engine_full]));
  const changed = tableNames.filter(
    (name) => engines.get(name)?.includes(retentionSql(tables[name], retention[name])) === false,
  );
  for (const name of changed) {
    await store.command(`ALTER TABLE ${database}.${name} MODIFY TTL ${retentionSql(tables[name], retention[name])}`);
  }
  return changed;
}
