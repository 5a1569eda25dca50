/**
 * Versioned, forward-only changes of the tables. Every statement may be run twice, and by two processes at once; a
 * version is written down only after its statements have run.
 */
import { z } from 'zod';
import { TurnpikeError } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/log.ts';
import type { ClickHouseStore } from './clickhouse.ts';
import { bookkeepingSql, columnSql, createTableSql, dropsWholeParts, retentionSql, storedTable } from './ddl.ts';
import type { Kept, Place } from './ddl.ts';
import { storedAt, storedAtIndex } from './table.ts';
import type { Column } from './table.ts';
import { clientNetwork, clockOffset, tableNames, tables, views } from './tables.ts';
import type { TableName } from './tables.ts';

/** Days each table keeps its rows. */
export type Retention = Readonly<Record<TableName, number>>;

/** What configuration says of retention; a table that is not named keeps its rows as long as `tables` says. */
export interface RetentionWanted {
  readonly retention?: Partial<Retention>;
  /** App → days of the tables that keep its rows for another time than everybody's. */
  readonly appRetention?: Readonly<Record<string, Partial<Retention>>>;
}

/** How long one table keeps its rows. */
export function keptIn(table: TableName, { retention = {}, appRetention = {} }: RetentionWanted): Kept {
  const apps = Object.entries(appRetention).flatMap(([app, { [table]: days }]): [string, number][] =>
    days === undefined ? [] : [[app, days]],
  );
  return { days: retention[table] ?? tables[table].retentionDays, apps: Object.fromEntries(apps) };
}

type KeptOf = (table: TableName) => Kept;

interface Migration {
  readonly version: number;
  readonly name: string;
  statements(place: Place, keptOf: KeptOf): readonly string[];
}

const RAW = ['stream_intervals', 'connection_intervals', 'call_events', 'egress_samples'] as const;

const migrations: readonly Migration[] = [
  {
    version: 1,
    name: 'tables',
    statements: (place, keptOf) => tableNames.flatMap((name) => createTableSql(tables[name], place, keptOf(name))),
  },
  {
    version: 2,
    name: 'control',
    statements: (place, keptOf) => createTableSql(tables.control, place, keptOf('control')),
  },
  {
    version: 3,
    name: 'rollups',
    statements: (place, keptOf) => [
      // Clusters came with this version: their tables were made with the column.
      ...(place.cluster === undefined ? RAW.flatMap((name) => addStoredAt(name, place)) : []),
      ...(['quality_minute', 'egress_hour'] as const).flatMap((name) =>
        createTableSql(tables[name], place, keptOf(name)),
      ),
      ...bookkeepingSql(
        {
          name: 'rollup_progress',
          columns: "rollup String, stored_until DateTime64(3, 'UTC')",
          version: 'stored_until',
          orderBy: 'rollup',
        },
        place,
      ),
    ],
  },
  {
    version: 4,
    name: 'client network',
    statements: (place) => addColumns('connection_intervals', clientNetwork, 'pair_state', place),
  },
  {
    version: 5,
    name: 'clock offset',
    statements: (place) => addColumns('connection_intervals', [clockOffset], 'client_as_name', place),
  },
];

/** Adds columns behind another one, to the table that holds the rows and to the one over all shards. */
function addColumns(name: TableName, columns: readonly Column[], last: string, place: Place): string[] {
  const over = place.cluster === undefined ? [] : [`${place.database}.${name} ON CLUSTER ${place.cluster}`];
  return [storedTable(name, place), ...over].flatMap((table) =>
    columns.map((column, index) => {
      const before = columns[index - 1]?.name ?? last;
      return `ALTER TABLE ${table} ADD COLUMN IF NOT EXISTS ${columnSql(column)} AFTER ${before}`;
    }),
  );
}

/**
 * Rows that are there already count as stored now, in writing: a column that is computed as it is read would make each look at
 * an old part find it new.
 */
function addStoredAt(name: TableName, place: Place): string[] {
  const table = storedTable(name, place);
  return [
    `ALTER TABLE ${table} ADD COLUMN IF NOT EXISTS ${columnSql(storedAt)}`,
    `ALTER TABLE ${table} MATERIALIZE COLUMN stored_at SETTINGS mutations_sync = 2`,
    `ALTER TABLE ${table} ADD INDEX IF NOT EXISTS ${storedAtIndex}`,
  ];
}

export interface MigrationResult {
  readonly database: string;
  /** Versions applied now, oldest first. */
  readonly applied: readonly number[];
  /** Tables whose retention was changed now. */
  readonly retentionChanged: readonly TableName[];
}

export interface MigrationOptions extends RetentionWanted {
  readonly log: Logger;
  /** Makes the tables on all servers of this cluster: replicated within a shard, distributed over the shards. */
  readonly cluster?: string | undefined;
}

/**
 * Brings the endpoint's database up to this version and to the configured retention. Throws TP_COLLECTOR_STORE_NEWER when
 * a newer version of Turnpike has been there, TP_COLLECTOR_STORE_CLUSTER when its tables are of one server and a cluster is
 * wanted, or the other way round.
 */
export async function migrate(store: ClickHouseStore, options: MigrationOptions): Promise<MigrationResult> {
  const { cluster, log } = options;
  const keptOf: KeptOf = (table) => keptIn(table, options);
  const database = await store.createDatabase(cluster);
  const place = { database, cluster };
  await refuseOtherKind(store, place);
  for (const statement of migrationsListSql(place)) await store.command(statement);
  const done = new Set(await appliedVersions(store));
  const newest = migrations.at(-1)?.version ?? 0;
  if ([...done].some((version) => version > newest)) throw new TurnpikeError('TP_COLLECTOR_STORE_NEWER');
  const applied: number[] = [];
  for (const migration of migrations.filter(({ version }) => !done.has(version))) {
    for (const statement of migration.statements(place, keptOf)) await store.command(statement);
    await store.command(
      `INSERT INTO ${database}.schema_migrations (version, name) VALUES (${migration.version}, '${migration.name}')`,
    );
    applied.push(migration.version);
    log.info({ version: migration.version, migration: migration.name }, 'migrated the store');
  }
  for (const statement of viewsSql(place)) await store.command(statement);
  return { database, applied, retentionChanged: await applyRetention(store, place, keptOf) };
}

/** All statements that make a new database, in order: what `migrate` does there. */
export function schemaSql(place: Place, wanted: RetentionWanted = {}): string[] {
  const keptOf: KeptOf = (table) => keptIn(table, wanted);
  return [
    ...migrationsListSql(place),
    ...migrations.flatMap((migration) => migration.statements(place, keptOf)),
    ...viewsSql(place),
  ];
}

function migrationsListSql(place: Place): string[] {
  const columns = "version UInt32, name String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')";
  return bookkeepingSql({ name: 'schema_migrations', columns, orderBy: 'version' }, place);
}

function viewsSql({ database, cluster }: Place): string[] {
  const where = cluster === undefined ? '' : ` ON CLUSTER ${cluster}`;
  return Object.entries(views).map(
    ([name, view]) =>
      `CREATE OR REPLACE VIEW ${database}.${name}${where} AS ${view.sql.replaceAll('{database}', database)} COMMENT '${view.comment}'`,
  );
}

/** Tables of one server do not become those of a cluster by making what is absent: their rows would be on one server alone. */
async function refuseOtherKind(store: ClickHouseStore, { database, cluster }: Place): Promise<void> {
  const rows = await store.select(
    z.object({ engine: z.string() }),
    `SELECT engine FROM system.tables WHERE database = {database:String} AND name = 'stream_intervals'`,
    { database },
  );
  const [found] = rows;
  if (found === undefined || (found.engine === 'Distributed') === (cluster !== undefined)) return;
  throw new TurnpikeError('TP_COLLECTOR_STORE_CLUSTER');
}

async function appliedVersions(store: ClickHouseStore): Promise<number[]> {
  const rows = await store.select(z.object({ version: z.number() }), 'SELECT DISTINCT version FROM schema_migrations');
  return rows.map((row) => row.version);
}

/** Changes only what differs: every change of a TTL makes the server look at all parts again. */
async function applyRetention(store: ClickHouseStore, place: Place, keptOf: KeptOf): Promise<TableName[]> {
  const rows = await store.select(
    z.object({ name: z.string(), engine_full: z.string() }),
    'SELECT name, engine_full FROM system.tables WHERE database = {database:String}',
    { database: place.database },
  );
  const engines = new Map(rows.map((row) => [row.name, row.engine_full]));
  const storedAs = (name: TableName) => (place.cluster === undefined ? name : `${name}_local`);
  const changed = tableNames.filter(
    (name) => engines.get(storedAs(name))?.includes(retentionSql(tables[name], keptOf(name))) === false,
  );
  for (const name of changed) {
    const kept = keptOf(name);
    const table = storedTable(name, place);
    await store.command(`ALTER TABLE ${table} MODIFY SETTING ttl_only_drop_parts = ${dropsWholeParts(kept)}`);
    await store.command(`ALTER TABLE ${table} MODIFY TTL ${retentionSql(tables[name], kept)}`);
  }
  return changed;
}
