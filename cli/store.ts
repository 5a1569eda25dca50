/** Which ClickHouse a command speaks to: the configured one, the running service's, or one started for the command. */
import { join } from 'node:path';
import { openStore } from '../collector/store/clickhouse.ts';
import type { ClickHouseStore, StoreOptions } from '../collector/store/clickhouse.ts';
import { adminEndpoint, readConnection } from '../collector/store/embedded/connection.ts';
import { startEmbedded } from '../collector/store/embedded/server.ts';
import type { EmbeddedOptions } from '../collector/store/embedded/server.ts';
import type { Retention } from '../collector/store/migrations.ts';
import type { StoreEndpoint } from '../collector/store/store.ts';
import { tableNames } from '../collector/store/tables.ts';
import { TurnpikeError } from '../kernel/errors.ts';
import type { Logger } from '../kernel/log.ts';
import type { Config } from './config.ts';

export function embeddedOptions(config: Config, log: Logger): EmbeddedOptions {
  return {
    directory: join(config.data, 'clickhouse'),
    database: config.clickhouse.database,
    maxMemoryBytes: config.clickhouse.memoryBytes,
    log: log.child({ part: 'clickhouse' }),
  };
}

/** Asked for again whenever a connection fails: the embedded server has another port after each start. */
export function endpointOf(config: Config): () => Promise<StoreEndpoint> {
  const { url, user, password, database } = config.clickhouse;
  return async () => {
    if (url !== undefined) return { url, user, password, database };
    const connection = await readConnection(join(config.data, 'clickhouse'));
    if (connection === undefined)
      throw new TurnpikeError('TP_COLLECTOR_STORE_UNAVAILABLE', 'No embedded store is running.');
    return adminEndpoint(connection);
  };
}

export function openConfiguredStore(config: Config, log: Logger, more: Partial<StoreOptions> = {}): ClickHouseStore {
  return openStore({ endpoint: endpointOf(config), log, ...more });
}

export function retentionOf(config: Config): Retention {
  const days = (name: string) =>
    config.retention[name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())];
  return Object.fromEntries(tableNames.map((name) => [name, days(name)])) as Retention;
}

/** Runs a command on the store. Starts the embedded server for its duration only when none runs. */
export async function withStore<T>(
  config: Config,
  log: Logger,
  run: (store: ClickHouseStore) => Promise<T>,
): Promise<T> {
  const store = openConfiguredStore(config, log, { selectRetryMs: 0, insertRetryMs: 0 });
  try {
    if (config.clickhouse.url !== undefined || (await store.ping())) return await run(store);
    const server = await startEmbedded(embeddedOptions(config, log));
    try {
      return await run(store);
    } finally {
      await server.stop();
    }
  } finally {
    await store.close();
  }
}
