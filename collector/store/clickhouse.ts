/**
 * The store over ClickHouse's HTTP interface. The endpoint is asked for again whenever a connection fails, because the
 * embedded server has another port after each start.
 */
import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { ClickHouseClient, ClickHouseSettings } from '@clickhouse/client';
import type { z } from 'zod';
import { TurnpikeError } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/log.ts';
import type { Metrics } from '../../kernel/metrics.ts';
import { connect } from './connect.ts';
import type { ConnectionOptions } from './connect.ts';
import { nativeEncoder } from './native-block.ts';
import { EndpointUnknown, isClosed, isOverloaded, isTlsFault, isUnreachable } from './store-failure.ts';
import type { QueryParameters, Row, Store, StoreEndpoint } from './store.ts';
import { writtenColumns } from './table.ts';
import { tables } from './tables.ts';
import type { TableName } from './tables.ts';

export interface StoreOptions extends ConnectionOptions {
  /** Asked for at first use and after each failed connection; may reject while the server is away. */
  readonly endpoint: () => StoreEndpoint | Promise<StoreEndpoint>;
  readonly log: Logger;
  readonly metrics?: Metrics;
  /** How long an insert is tried again while the server cannot be reached. Default 10 s. */
  readonly insertRetryMs?: number;
  /** The same for reading. Default 5 s. */
  readonly selectRetryMs?: number;
}

/** The store, with what only migrations need. */
export interface ClickHouseStore extends Store {
  /** Runs one statement that returns nothing. */
  command(sql: string, parameters?: QueryParameters): Promise<void>;
  /** Creates the endpoint's database when it is absent, on all servers of the cluster if one is named, and answers its name. */
  createDatabase(cluster?: string): Promise<string>;
}

/** Seconds after which the server gives an insert up: the roller counts on it that nothing becomes visible much later. */
export const INSERT_SECONDS = 30;

const INSERT_SETTINGS: ClickHouseSettings = {
  max_execution_time: INSERT_SECONDS,
  // One insert is one block, hence one part a partition: it is in the table as a whole or not at all.
  async_insert: 0,
  input_format_parallel_parsing: 0,
  max_insert_block_size: '1048576',
  // A misspelt column is an error, not a row without it.
  input_format_skip_unknown_fields: 0,
};

export function openStore(options: StoreOptions): ClickHouseStore {
  return new HttpStore(options);
}

/** Creates the endpoint's database when it is absent. Its engine is Atomic: names move to new tables without a gap. */
export async function createDatabase(
  endpoint: StoreEndpoint,
  options: ConnectionOptions = {},
  cluster?: string,
): Promise<void> {
  const client = connect(endpoint, undefined, options);
  const where = cluster === undefined ? '' : ` ON CLUSTER ${identifier(cluster)}`;
  try {
    await client.command({
      query: `CREATE DATABASE IF NOT EXISTS ${identifier(endpoint.database)}${where} ENGINE = Atomic`,
    });
  } finally {
    await client.close();
  }
}

function identifier(name: string): string {
  if (!/^[A-Za-z_]\w{0,63}$/.test(name)) throw new TypeError(`${JSON.stringify(name)} cannot name a database`);
  return name;
}

class HttpStore implements ClickHouseStore {
  readonly #options: StoreOptions;
  #current: { endpoint: StoreEndpoint; client: ClickHouseClient } | undefined;
  #doubted = false;
  #connecting: Promise<ClickHouseClient> | undefined;
  #closed = false;

  constructor(options: StoreOptions) {
    this.#options = options;
  }

  async select<S extends z.ZodType>(row: S, sql: string, parameters: QueryParameters = {}): Promise<z.output<S>[]> {
    const rows = await this.#attempt(this.#options.selectRetryMs ?? 5_000, async (client) => {
      const result = await client.query({ query: sql, query_params: parameters, format: 'JSONEachRow' });
      return result.json();
    });
    return rows.map((found) => row.parse(found));
  }

  async insert(table: TableName, rows: readonly Row[]): Promise<void> {
    if (rows.length === 0) return;
    const send = senderOf(table, rows);
    const { metrics } = this.#options;
    const timed = metrics?.histogram('turnpike_collector_insert_seconds').startTimer({ table });
    await this.#attempt(this.#options.insertRetryMs ?? 10_000, send, { isPassing: isOverloaded, isLasting: isClosed });
    timed?.();
    metrics?.counter('turnpike_collector_rows_total').inc({ table }, rows.length);
  }

  async command(sql: string, parameters: QueryParameters = {}): Promise<void> {
    await this.#attempt(this.#options.selectRetryMs ?? 5_000, (client) =>
      client.command({ query: sql, query_params: parameters }),
    );
  }

  async createDatabase(cluster?: string): Promise<string> {
    return this.#attempt(this.#options.selectRetryMs ?? 5_000, async () => {
      const endpoint = await this.#options.endpoint();
      await createDatabase(endpoint, this.#options, cluster);
      return endpoint.database;
    });
  }

  async ping(): Promise<boolean> {
    try {
      const client = await this.#client();
      const { success } = await client.ping({ select: true });
      this.#doubted ||= !success;
      return success;
    } catch {
      return false;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#current?.client.close();
    this.#current = undefined;
  }

  /**
   * Does the work; does it again, for a bounded time, while the server cannot be reached or `isPassing` says that the failure may
   * pass. What `isLasting` names is not tried again, and says no more of the work than a server that is away.
   */
  async #attempt<T>(
    retryMs: number,
    work: (client: ClickHouseClient) => Promise<T>,
    { isPassing, isLasting }: Partial<Record<'isPassing' | 'isLasting', (error: unknown) => boolean>> = {},
  ): Promise<T> {
    const until = performance.now() + retryMs;
    for (let delay = 50; ; delay = Math.min(delay * 2, 500)) {
      try {
        return await work(await this.#client());
      } catch (error) {
        const isLost = isTlsFault(error) || isLasting?.(error) === true;
        if (!isLost && !isUnreachable(error) && isPassing?.(error) !== true) throw error;
        this.#doubted = true;
        if (isLost || this.#closed || performance.now() + delay > until) {
          this.#options.log.warn({ err: error }, 'the store cannot be reached');
          throw new TurnpikeError('TP_COLLECTOR_STORE_UNAVAILABLE', undefined, { cause: error });
        }
      }
      await pause(delay);
    }
  }

  async #client(): Promise<ClickHouseClient> {
    if (this.#closed) throw new TurnpikeError('TP_COLLECTOR_STORE_UNAVAILABLE', 'The store is closed.');
    if (this.#current !== undefined && !this.#doubted) return this.#current.client;
    this.#connecting ??= this.#reconnect().finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  /** Keeps the client, and its open connections, when the endpoint turns out to be the same. */
  async #reconnect(): Promise<ClickHouseClient> {
    let endpoint: StoreEndpoint;
    try {
      endpoint = await this.#options.endpoint();
    } catch (error) {
      throw new EndpointUnknown(error);
    }
    const before = this.#current;
    this.#doubted = false;
    if (before !== undefined && isDeepStrictEqual(before.endpoint, endpoint)) return before.client;
    const client = connect(endpoint, identifier(endpoint.database), this.#options);
    this.#current = { endpoint, client };
    await before?.client.close();
    return client;
  }
}

/** Tables of which there are many rows. */
const columnar = new Map<TableName, ReturnType<typeof nativeEncoder>>(
  (['stream_intervals', 'connection_intervals'] as const).map((name) => [
    name,
    nativeEncoder(writtenColumns(tables[name])),
  ]),
);

/** Encodes the rows once, for as many attempts as it takes. */
function senderOf(table: TableName, rows: readonly Row[]): (client: ClickHouseClient) => Promise<unknown> {
  const block = columnar.get(table)?.(rows);
  if (block === undefined) {
    const values = encode(table, rows);
    return (client) => client.insert({ table, values, format: 'JSONEachRow', clickhouse_settings: INSERT_SETTINGS });
  }
  return async (client) => {
    const query = `INSERT INTO ${table} FORMAT Native`;
    const values = Readable.from([block], { objectMode: false });
    const { stream } = await client.exec({ query, values, clickhouse_settings: INSERT_SETTINGS });
    // An answer that nobody reads keeps its connection.
    await finished(stream.resume());
  };
}

const timeColumns = new Map<TableName, readonly string[]>(
  Object.values(tables).map((table) => [
    table.name as TableName,
    table.columns.filter((column) => column.type.startsWith('DateTime64')).map((column) => column.name),
  ]),
);

/**
 * Rows as ClickHouse parses them without doubt. It takes a bare number for seconds or milliseconds by its number of
 * digits, and refuses the whole insert for one lone surrogate in a string.
 */
function encode(table: TableName, rows: readonly Row[]): Row[] {
  const times = timeColumns.get(table) ?? [];
  return rows.map((row) => {
    const copy: Record<string, Row[string]> = { ...row };
    for (const column in row) {
      const value = row[column];
      if (typeof value === 'string' && SURROGATE.test(value)) copy[column] = Buffer.from(value).toString();
      if (typeof value === 'number' && times.includes(column)) copy[column] = new Date(Math.round(value)).toISOString();
    }
    return copy;
  });
}

const SURROGATE = /[\ud800-\udfff]/;
