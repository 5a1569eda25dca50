/** `turnpike usage PERIOD`: what a month's calls and customers were sent, to the byte, and how that is known. */
import type { Command } from 'commander';
import { renderUsage } from '../collector/calls/usage-table.ts';
import { usageOf } from '../collector/calls/usage.ts';
import type { UsageAnswer } from '../collector/contract.ts';
import { keptIn } from '../collector/store/migrations.ts';
import { createLog } from '../kernel/log.ts';
import { month } from '../kernel/period.ts';
import { settingsOf } from './settings.ts';
import { requireStore, retentionOf, withStore } from './store.ts';

export async function usage(periodName: string, command: Command): Promise<void> {
  const options = command.opts<{ app?: string; group: UsageAnswer['group']; json?: boolean }>();
  const { start: from, end: to } = month(periodName);
  const config = settingsOf(command);
  requireStore(config);
  const wanted = { app: options.app ?? '', from, to, group: options.group };
  const kept = retentionOf(config);
  const found = await withStore(config, createLog('usage', config.log.level), (reader) =>
    usageOf({ reader, keptOf: (table) => keptIn(table, kept) }, wanted),
  );
  process.stdout.write(options.json === true ? `${JSON.stringify(found, null, 2)}\n` : renderUsage(found));
}
