/**
 * A store for a test file: a fresh database with all tables on the run's embedded server. The server goes with the run,
 * so nothing needs to be cleaned up.
 *
 *     beforeAll(async () => {
 *       store = await testDatabase();
 *     });
 */
import { randomBytes } from 'node:crypto';
import { inject } from 'vitest';
import { openStore } from '../collector/store/clickhouse.ts';
import type { ClickHouseStore } from '../collector/store/clickhouse.ts';
import type { Kept } from '../collector/store/ddl.ts';
import { keptIn, migrate } from '../collector/store/migrations.ts';
import type { RetentionWanted } from '../collector/store/migrations.ts';
import { Roller } from '../collector/store/roller.ts';
import type { RollerOptions } from '../collector/store/roller.ts';
import type { StoreEndpoint } from '../collector/store/store.ts';
import type { TableName } from '../collector/store/tables.ts';
import { systemClock } from '../kernel/clock.ts';
import { silentLog } from '../kernel/log.ts';
import { Metrics } from '../kernel/metrics.ts';
import { systemSleep } from '../kernel/sleep.ts';

export interface TestDatabase extends ClickHouseStore {
  readonly endpoint: StoreEndpoint;
  readonly metrics: Metrics;
  /** For servers that outlive the run. */
  drop(): Promise<void>;
}

/** Whether this platform can run the embedded store, for `describe.skipIf(!hasEmbeddedStore)`. */
export const hasEmbeddedStore = inject('embeddedStore') !== undefined;

export function freshEndpoint(server: StoreEndpoint | undefined = inject('embeddedStore')): StoreEndpoint {
  if (server === undefined) throw new Error('the embedded store does not exist for this platform');
  return { ...server, database: `test_${randomBytes(6).toString('hex')}` };
}

export async function testDatabase({
  endpoint = freshEndpoint(),
  ...wanted
}: { endpoint?: StoreEndpoint } & RetentionWanted = {}): Promise<TestDatabase> {
  const metrics = new Metrics();
  const store = openStore({ endpoint: () => endpoint, log: silentLog, metrics });
  await migrate(store, { log: silentLog, ...wanted });
  const drop = () => store.command(`DROP DATABASE IF EXISTS ${endpoint.database} SYNC`);
  return Object.assign(store, { endpoint, metrics, drop });
}

/** How long tables keep their rows where nothing else is configured. */
export const keptOf = (table: TableName): Kept => keptIn(table, {});

/** Brings the rollups up to date. Inserts have ended when a test calls for it: there is nothing to wait for. */
export async function rollUp(store: RollerOptions['store']): Promise<void> {
  const parts = { clock: systemClock, sleep: systemSleep, log: silentLog, metrics: new Metrics(), interval: 1_000 };
  await new Roller({ ...parts, store, keptOf, settleMs: 0 }).round();
}
