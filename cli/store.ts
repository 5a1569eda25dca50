/** Which ClickHouse a command speaks to: the configured one, the running service's, or one started for the command. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ClickHouseError } from '@clickhouse/client';
import { openStore } from '../collector/store/clickhouse.ts';
import type { ClickHouseStore, StoreOptions } from '../collector/store/clickhouse.ts';
import { adminEndpoint, readConnection, readerEndpoint } from '../collector/store/embedded/connection.ts';
import type { EmbeddedConnection } from '../collector/store/embedded/connection.ts';
import type { Place } from '../collector/store/ddl.ts';
import { startEmbedded } from '../collector/store/embedded/server.ts';
import type { EmbeddedOptions } from '../collector/store/embedded/server.ts';
import { migrate } from '../collector/store/migrations.ts';
import type { MigrationOptions, Retention } from '../collector/store/migrations.ts';
import { isTlsFault } from '../collector/store/store-failure.ts';
import type { StoreEndpoint } from '../collector/store/store.ts';
import { tableNames } from '../collector/store/tables.ts';
import { TurnpikeError } from '../kernel/errors.ts';
import type { Logger } from '../kernel/log.ts';
import { retentionKey } from './config.ts';
import type { Config } from './config.ts';
import { readTls } from './clickhouse-tls.ts';

const embeddedDirectory = (config: Config) => join(config.data, 'clickhouse');

export function embeddedOptions(config: Config, log: Logger): EmbeddedOptions {
  return {
    directory: embeddedDirectory(config),
    database: config.clickhouse.database,
    maxMemoryBytes: config.clickhouse.memoryBytes,
    log: log.child({ part: 'clickhouse' }),
  };
}

/**
 * Asked for again whenever a connection fails: the embedded server has another port after each start, and certificates are
 * replaced. Throws TP_COLLECTOR_STORE_CERTIFICATE when those of now cannot be used.
 */
export function endpointOf(config: Config): () => Promise<StoreEndpoint> {
  const { url, user, password, database, tls } = config.clickhouse;
  if (url === undefined) return async () => adminEndpoint(await embeddedConnection(config));
  readTls(tls);
  return async () => ({ url, user, password, database, ...readTls(tls) });
}

/** The embedded store as people may ask it; a server of one's own has its own users. */
export function readerEndpointOf(config: Config): (() => Promise<StoreEndpoint>) | undefined {
  if (config.clickhouse.url !== undefined) return undefined;
  return async () => readerEndpoint(await embeddedConnection(config));
}

async function embeddedConnection(config: Config): Promise<EmbeddedConnection> {
  const connection = await readConnection(embeddedDirectory(config));
  if (connection !== undefined) return connection;
  throw new TurnpikeError('TP_COLLECTOR_STORE_UNAVAILABLE', `no embedded store is running in ${config.data}`);
}

export function openConfiguredStore(config: Config, log: Logger, more: Partial<StoreOptions> = {}): ClickHouseStore {
  const { compression, timeoutSeconds } = config.clickhouse;
  return openStore({ endpoint: endpointOf(config), compression, timeoutMs: timeoutSeconds * 1_000, log, ...more });
}

/** How long each table keeps its rows: everybody's, and those of apps that say otherwise. */
export function retentionOf(config: Config): {
  retention: Retention;
  appRetention: Record<string, Partial<Retention>>;
} {
  const byTable = (days: Readonly<Record<string, number | undefined>>): Partial<Retention> =>
    Object.fromEntries(
      tableNames.flatMap((name) => {
        const found = days[retentionKey(name)];
        return found === undefined ? [] : [[name, found]];
      }),
    );
  const appRetention = config.apps.flatMap(({ id, retention }) =>
    retention === undefined ? [] : [[id, byTable(retention)] as const],
  );
  // The schema has a default for every table.
  return { retention: byTable(config.retention) as Retention, appRetention: Object.fromEntries(appRetention) };
}

/** Where the tables of this configuration are. */
export function placeOf({ clickhouse: { cluster, database } }: Config): Place {
  return { database, cluster };
}

/** What the tables of this configuration are made with. */
export function migrationOf(config: Config, log: Logger): MigrationOptions {
  return { log, ...retentionOf(config), cluster: config.clickhouse.cluster };
}

/** Days for which all that a client reported is kept. */
export function reportDays(config: Config): number {
  const { retention: kept } = retentionOf(config);
  return Math.min(kept.stream_intervals, kept.connection_intervals, kept.call_events);
}

/**
 * Runs a command on the store. Starts the embedded server for its duration only when none runs, and brings its tables up
 * to date: the service may never have run in this version.
 */
export async function withStore<T>(
  config: Config,
  log: Logger,
  run: (store: ClickHouseStore) => Promise<T>,
): Promise<T> {
  const store = openConfiguredStore(config, log, { selectRetryMs: 0, insertRetryMs: 0 });
  try {
    if (config.clickhouse.url !== undefined || (await store.ping())) {
      return await explainingStore(config, () => run(store));
    }
    const server = await startEmbedded(embeddedOptions(config, log));
    try {
      await migrate(store, migrationOf(config, log));
      return await run(store);
    } finally {
      await server.stop();
    }
  } finally {
    await store.close();
  }
}

/** Throws where no store was ever made where this configuration looks for one; of a server one cannot say without asking it. */
export function requireStore(config: Config): void {
  if (config.clickhouse.url !== undefined || existsSync(embeddedDirectory(config))) return;
  throw new TurnpikeError(
    'TP_COLLECTOR_STORE_UNAVAILABLE',
    `There is no store in ${config.data}: say where with --data DIR or --clickhouse URL, or start one with \`turnpike up\`.`,
  );
}

/** ClickHouse's own codes for what an operator can put right. */
const REMEDIES: Readonly<Record<string, string>> = {
  '60': 'lacks our tables; create them with `turnpike migrate`',
  '81': 'lacks our database; create it with `turnpike migrate`',
  '497': 'does not let this user do that',
  '516': 'refuses the login; set TURNPIKE_CLICKHOUSE_USER and TURNPIKE_CLICKHOUSE_PASSWORD',
};

/** What a failing store means to somebody at a terminal, who knows it by its URL. */
export async function explainingStore<T>(config: Config, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { url } = config.clickhouse;
    const place = url === undefined ? `The embedded store in ${config.data}` : `The ClickHouse server at ${url}`;
    const first = firstCauseOf(error);
    const remedy = first instanceof ClickHouseError ? REMEDIES[first.code] : undefined;
    const isAway = error instanceof TurnpikeError && error.code === 'TP_COLLECTOR_STORE_UNAVAILABLE';
    if (remedy === undefined && !isAway) throw error;
    const over = isTlsFault(first) ? ' over TLS (clickhouse.tls)' : '';
    const what = remedy ?? `cannot be reached${over}: ${first instanceof Error ? first.message : String(first)}`;
    throw new TurnpikeError('TP_COLLECTOR_STORE_UNAVAILABLE', `${place} ${what}.`, { cause: error });
  }
}

/** What it all began with. */
function firstCauseOf(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined ? firstCauseOf(error.cause) : error;
}
