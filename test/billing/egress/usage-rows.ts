/** Shorthand for usage and cards in the rating tests. */
import { fileURLToPath } from 'node:url';
import { loadRateCard } from '../../../billing/egress/rate-card.ts';
import { makeStatement } from '../../../billing/egress/statement.ts';
import type { MeteredUsage, RateCard, Statement } from '../../../billing/contract.ts';
import { month } from '../../../kernel/period.ts';

export const GB = 1_000_000_000n;
export const TB = 1000n * GB;
export const cloudflare = loadRateCard('cloudflare-realtime');
export const goldenTable = fileURLToPath(new URL('../../golden/statement-table.txt', import.meta.url));

export function used(row: Partial<MeteredUsage>): MeteredUsage {
  return { app: 'demo', meter: 'turn', customId: '', call: '', participant: '', bytes: 0n, viaSfuBytes: 0n, ...row };
}

export function statement(usage: readonly MeteredUsage[], options: { app?: string; card?: RateCard } = {}): Statement {
  return makeStatement({
    metered: { usage, asOf: usage.length === 0 ? null : Date.UTC(2026, 10, 20, 12) },
    period: month('2026-11'),
    card: options.card ?? cloudflare,
    ...(options.app === undefined ? {} : { app: options.app }),
  });
}
