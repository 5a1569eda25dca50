/**
 * Tables as DDL. On one server a table is one ReplacingMergeTree. On a cluster each is two: `<name>_local`, replicated within
 * its shard, and `<name>`, Distributed over the shards, which is what everybody reads and writes.
 */
import type { Column, Table } from './table.ts';

/** Where tables are made. */
export interface Place {
  readonly database: string;
  /** Name of the cluster in the server's configuration; absent: that one server. */
  readonly cluster?: string | undefined;
}

/** Days that a table keeps its rows; those of single apps may be fewer. */
export interface Kept {
  readonly days: number;
  readonly apps?: Readonly<Record<string, number>>;
}

const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

/** DateTime at which a row of the table has reached its age. */
export function retentionSql({ ageColumn }: Pick<Table, 'ageColumn'>, { days, apps = {} }: Kept): string {
  const names = Object.keys(apps).toSorted();
  if (names.length === 0) return `toDateTime(${ageColumn}) + toIntervalDay(${days})`;
  const ofApps = names.map((name) => apps[name]).join(', ');
  return `toDateTime(${ageColumn}) + toIntervalDay(transform(app_id, [${names.map(quoted).join(', ')}], [${ofApps}], ${days}))`;
}

/**
 * Partitions are days or months, so that age drops whole parts. Where apps differ, a part holds rows of several ages and its
 * merges drop them one by one. Merges of flushed tables are flushed like inserts.
 */
export function dropsWholeParts({ apps = {} }: Kept): 0 | 1 {
  return Object.keys(apps).length === 0 ? 1 : 0;
}

function settingsOf(table: Table, kept: Kept): string[] {
  const flushed = ['fsync_after_insert = 1', 'fsync_part_directory = 1', 'min_rows_to_fsync_after_merge = 1'];
  return [`ttl_only_drop_parts = ${dropsWholeParts(kept)}`, ...(table.flushed === true ? flushed : [])];
}

const onCluster = ({ cluster }: Place): string => (cluster === undefined ? '' : ` ON CLUSTER ${cluster}`);

/** The table that holds the rows, as ALTER names it. */
export function storedTable(name: string, place: Place): string {
  const local = place.cluster === undefined ? name : `${name}_local`;
  return `${place.database}.${local}${onCluster(place)}`;
}

/** Replicas of one shard share a path in the keeper; macros of the server's configuration tell shards and replicas apart. */
function engine(table: Table, place: Place): string {
  const rows = [table.version, table.deletion].filter((name) => name !== undefined);
  if (place.cluster === undefined)
    return rows.length === 0 ? 'ReplacingMergeTree' : `ReplacingMergeTree(${rows.join(', ')})`;
  const path = `'/clickhouse/tables/{shard}/${place.database}/${table.name}', '{replica}'`;
  return `ReplicatedReplacingMergeTree(${[path, ...rows].join(', ')})`;
}

export function columnSql({ name, type, materialized, codec, comment }: Column): string {
  const value = materialized === undefined ? '' : ` MATERIALIZED ${materialized}`;
  return `${name} ${type}${value} COMMENT ${quoted(comment)}${codec === undefined ? '' : ` CODEC(${codec})`}`;
}

/** Statements that make one table; each may be run again. */
export function createTableSql(table: Table, place: Place, kept: Kept): string[] {
  const columns = table.columns.map((column) => `  ${columnSql(column)}`);
  const indexes = (table.indexes ?? []).map((index) => `  INDEX ${index}`);
  const stored = `CREATE TABLE IF NOT EXISTS ${storedTable(table.name, place)} (
${[...columns, ...indexes].join(',\n')}
) ENGINE = ${engine(table, place)}
PARTITION BY ${table.partitionBy}
ORDER BY (${table.orderBy})
TTL ${retentionSql(table, kept)}
SETTINGS ${settingsOf(table, kept).join(', ')}
COMMENT ${quoted(table.comment)}`;
  return [stored, ...distributedSql(table.name, place, table.shardBy)];
}

/** The table over all shards. Without a column to shard by, rows of one sorting key would not meet: one shard has them all. */
export function distributedSql(name: string, place: Place, shardBy: string | undefined): string[] {
  const { database, cluster } = place;
  if (cluster === undefined) return [];
  const shard = shardBy === undefined ? '0' : `cityHash64(${shardBy})`;
  return [
    `CREATE TABLE IF NOT EXISTS ${database}.${name} ON CLUSTER ${cluster} AS ${database}.${name}_local
ENGINE = Distributed(${cluster}, ${database}, ${name}_local, ${shard})`,
  ];
}

/** A small table of the store's own bookkeeping; on a cluster on one shard, like all that has no column to shard by. */
export function bookkeepingSql(
  table: { readonly name: string; readonly columns: string; readonly version?: string; readonly orderBy: string },
  place: Place,
): string[] {
  const rows = engine({ ...table, comment: '', columns: [], partitionBy: '', ageColumn: '', retentionDays: 0 }, place);
  return [
    `CREATE TABLE IF NOT EXISTS ${storedTable(table.name, place)} (${table.columns}) ENGINE = ${rows} ORDER BY ${table.orderBy}`,
    ...distributedSql(table.name, place, undefined),
  ];
}
