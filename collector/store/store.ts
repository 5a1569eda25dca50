/**
 * The store as the rest of Turnpike sees it: one implementation over @clickhouse/client, always over HTTP, whether the
 * server is the embedded child or a cluster by URL.
 */
import type { z } from 'zod';
import type { TableName } from './tables.ts';

/** Where a ClickHouse server is reached, and as whom. */
export interface StoreEndpoint {
  /** `http://` or `https://`, no path. */
  readonly url: string;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** Absent: the system's CAs, and no certificate of ours. */
  readonly tls?: StoreTls;
}

/** PEM texts: `ca` in place of the system's CAs; `cert` and `key` are shown to a server that asks for them. */
export interface StoreTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** Values bound to `{name:Type}` in a query; never spliced into its text. */
export type QueryParameters = Readonly<Record<string, string | number | boolean | readonly (string | number)[]>>;

/**
 * The reading side. 64-bit integers arrive as decimal strings, so that no count is rounded; decimals as numbers; points in
 * time as ISO 8601 in UTC (`2026-11-20T18:00:00.000Z`). A table without its database's name is one of ours.
 */
export interface StoreReader {
  /** Rows of a SELECT, each checked by the schema. Throws TP_COLLECTOR_STORE_UNAVAILABLE when the server cannot be reached. */
  select<S extends z.ZodType>(row: S, sql: string, parameters?: QueryParameters): Promise<z.output<S>[]>;
}

/** A row as JSON: bigint allowed; a member that was not delivered is null; a point in time is Unix milliseconds or ISO 8601. */
export type Row = Readonly<Record<string, string | number | boolean | bigint | null>>;

/** The writing side. Resolves when every row is in the store; rejects when it is not known to be. */
export interface StoreWriter {
  insert(table: TableName, rows: readonly Row[]): Promise<void>;
}

export interface Store extends StoreReader, StoreWriter {
  /** Whether the server answers now. */
  ping(): Promise<boolean>;
  close(): Promise<void>;
}
