/** The current month's statement in the figures that both pages show. */
import type { Statement } from '../../../billing/contract.ts';
import { formatBytes, formatMoney, group, ratioOf } from './format.ts';

export interface MonthFigures {
  readonly bytes: string;
  readonly relayed: string;
  readonly cost: string;
  /** Share of the free allowance used, 0 and up; null when the card has none. */
  readonly share: number | null;
  readonly shareText: string;
  /** `31.7 GB of 1,000 GB free` */
  readonly used: string;
  /** Whose prices, and of which day. */
  readonly card: string;
}

/** Bytes that our relays sent, of all that was metered. */
export function relayedIn({ lines }: Statement): bigint {
  return lines.filter(({ meter }) => meter === 'turn').reduce((sum, { bytes }) => sum + BigInt(bytes), 0n);
}

export function monthFigures(statement: Statement): MonthFigures {
  const { allowance, totals, rateCard } = statement;
  const share = allowance.bytes === '0' ? null : ratioOf(allowance.usedBytes, allowance.bytes);
  const free = `${group(BigInt(allowance.bytes) / BigInt(rateCard.gbBytes))}\u00a0GB`;
  return {
    bytes: formatBytes(totals.bytes),
    relayed: formatBytes(relayedIn(statement)),
    cost: formatMoney(totals.cost, rateCard.currency),
    share,
    shareText: share === null ? 'None' : shareText(share),
    used: share === null ? formatBytes(totals.bytes) : `${formatBytes(allowance.usedBytes)} of ${free} free`,
    card: `${rateCard.provider}, prices of ${rateCard.asOf}`,
  };
}

function shareText(share: number): string {
  const percent = share * 100;
  if (percent === 0) return '0\u00a0%';
  if (percent < 0.01) return '<\u00a00.01\u00a0%';
  return `${percent.toFixed(percent < 1 ? 2 : percent < 10 ? 1 : 0)}\u00a0%`;
}
