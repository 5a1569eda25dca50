/** What a table is, and the few kinds of columns that ours are made of. */

export interface Column {
  readonly name: string;
  readonly type: string;
  readonly codec?: string;
  /** Expression by which the server fills the column; it cannot be inserted, and `SELECT *` leaves it out. */
  readonly materialized?: string;
  readonly comment: string;
}

export interface Table {
  readonly name: string;
  readonly comment: string;
  readonly columns: readonly Column[];
  readonly partitionBy: string;
  /** Sorting key = row identity. */
  readonly orderBy: string;
  /** Column that ages the row; the retention itself is configuration. */
  readonly ageColumn: string;
  /** Days kept unless configured otherwise. */
  readonly retentionDays: number;
  /** Of rows with one key the one with the highest value here is the row; absent: the one stored last. */
  readonly version?: string;
  /** Rows whose value here is 1 say that their key has no row any more. */
  readonly deletion?: string;
  /** Skip indexes, as DDL. */
  readonly indexes?: readonly string[];
  /** Hash of this decides the shard on a cluster: rows of one key, and what one query joins, are on one. */
  readonly shardBy?: string;
  /** Every part is flushed to disk before its insert is acknowledged, so that money survives a power cut too. */
  readonly flushed?: true;
}

/** Rises from row to row: the steps are small and alike. */
export const COUNTER = 'Delta, ZSTD(1)';
/**
 * Small numbers in wide columns: T64 leaves out the bits that no value of a block has. Gauges are scaled integers for it: rows of 42
 * columns took 18.8 bytes so, 24.1 with Float32 under ZSTD alone and 29.3 under Gorilla, which suits none that jitter.
 */
export const GAUGE = 'T64, ZSTD(1)';

export const column = (name: string, type: string, comment: string, codec?: string): Column =>
  codec === undefined ? { name, type, comment } : { name, type, comment, codec };
export const counter = (name: string, comment: string, type = 'Nullable(UInt64)') => column(name, type, comment, GAUGE);
export const gauge = (name: string, scale: number, comment: string) =>
  column(name, `Nullable(Decimal32(${scale}))`, comment, GAUGE);
export const word = (name: string, comment: string) => column(name, 'LowCardinality(Nullable(String))', comment);

/**
 * When the server took the row, by the server's clock: how the roller finds what was added since it last looked. Rows of one
 * insert have one value, so the column costs next to nothing, and the index leaves out all parts and granules that are older.
 */
export const storedAt: Column = {
  name: 'stored_at',
  type: "DateTime64(3, 'UTC')",
  codec: COUNTER,
  materialized: "now64(3, 'UTC')",
  comment: 'When the store took the row; of a repeated row the last time. `SELECT *` leaves it out.',
};
export const storedAtIndex = 'stored_at_range stored_at TYPE minmax GRANULARITY 1';

/** Columns that come with a row; the server makes the others. */
export const writtenColumns = (table: Table): readonly Column[] =>
  table.columns.filter(({ materialized }) => materialized === undefined);
