/** `turnpike migrate`: creates or upgrades the tables. */
import type { Command } from 'commander';
import { migrate } from '../collector/store/migrations.ts';
import { readerSql } from '../collector/store/reader-profile.ts';
import { TurnpikeError } from '../kernel/errors.ts';
import { createLog } from '../kernel/log.ts';
import type { Config } from './config.ts';
import { settingsOf } from './settings.ts';
import { migrationOf, withStore } from './store.ts';

export async function migrateTables(command: Command): Promise<void> {
  const config = settingsOf(command);
  const { printReader } = command.opts<{ printReader?: string }>();
  if (printReader !== undefined) {
    process.stdout.write(readerStatements(config, printReader));
    return;
  }
  const log = createLog('migrate', config.log.level);
  const result = await withStore(config, log, (store) => migrate(store, migrationOf(config, log)));
  const versions = result.applied.length === 0 ? 'is up to date' : `was brought to version ${result.applied.at(-1)}`;
  const retention =
    result.retentionChanged.length === 0 ? '' : `; retention changed: ${result.retentionChanged.join(', ')}`;
  process.stdout.write(`The database ${result.database} ${versions}${retention}.\n`);
}

function readerStatements(config: Config, user: string): string {
  if (!/^[A-Za-z_]\w{0,63}$/.test(user)) {
    throw new TurnpikeError('TP_CLI_USAGE', '--print-reader takes a name of letters, digits and _.');
  }
  return readerSql({ database: config.clickhouse.database, user });
}
