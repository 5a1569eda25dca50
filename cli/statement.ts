/** `turnpike statement PERIOD`: what a month's egress costs, to the byte. */
import type { Command } from 'commander';
import { loadRateCard } from '../billing/egress/rate-card.ts';
import { renderTable } from '../billing/egress/statement-table.ts';
import { statementFor } from '../billing/egress/statement.ts';
import { createLog } from '../kernel/log.ts';
import { month } from '../kernel/period.ts';
import { settingsOf } from './settings.ts';
import { requireStore, withStore } from './store.ts';

export async function statement(periodName: string, command: Command): Promise<void> {
  const options = command.opts<{ app?: string; rateCard?: string; format: 'table' | 'json'; json?: boolean }>();
  const period = month(periodName);
  const config = settingsOf(command);
  const card = loadRateCard(options.rateCard ?? config.billing.rateCard);
  requireStore(config);
  const app = options.app === undefined ? {} : { app: options.app };
  const made = await withStore(config, createLog('statement', config.log.level), (reader) =>
    statementFor({ reader, period, card, ...app }),
  );
  const asJson = options.json === true || options.format === 'json';
  process.stdout.write(asJson ? `${JSON.stringify(made, null, 2)}\n` : renderTable(made));
}
