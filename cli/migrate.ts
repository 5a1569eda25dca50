/** `turnpike migrate`: creates or upgrades the tables. */
import type { Command } from 'commander';
import { migrate } from '../collector/store/migrations.ts';
import { createLog } from '../kernel/log.ts';
import { settingsOf } from './settings.ts';
import { retentionOf, withStore } from './store.ts';

export async function migrateTables(command: Command): Promise<void> {
  const config = settingsOf(command);
  const log = createLog('migrate', config.log.level);
  const result = await withStore(config, log, (store) => migrate(store, { log, retention: retentionOf(config) }));
  const versions = result.applied.length === 0 ? 'is up to date' : `was brought to version ${result.applied.at(-1)}`;
  const retention =
    result.retentionChanged.length === 0 ? '' : `; retention changed: ${result.retentionChanged.join(', ')}`;
  process.stdout.write(`The database ${result.database} ${versions}${retention}.\n`);
}
