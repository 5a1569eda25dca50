/** A statement: one period's usage, rated, as readers get it. */
import type { StoreReader } from '../../collector/store/store.ts';
import type { Period } from '../../kernel/period.ts';
import type { RateCard, Statement } from '../contract.ts';
import { decimal, minorDigits } from '../../kernel/money.ts';
import { meteredUsage } from './metered-usage.ts';
import type { Metered } from './metered-usage.ts';
import { rate, total } from './rating.ts';

export interface StatementRequest {
  readonly reader: StoreReader;
  readonly period: Period;
  readonly card: RateCard;
  /** Show only this app's lines. The allowance is still the account's, used by all of its apps. */
  readonly app?: string;
}

/** Reads the store and rates what it finds. Throws TP_COLLECTOR_STORE_UNAVAILABLE when the store cannot be reached. */
export async function statementFor({ reader, period, card, app }: StatementRequest): Promise<Statement> {
  return makeStatement({
    metered: await meteredUsage(reader, period),
    period,
    card,
    ...(app === undefined ? {} : { app }),
  });
}

/** The statement of what was metered. Pure: the same usage, in any order, gives the same statement, byte for byte. */
export function makeStatement(request: Omit<StatementRequest, 'reader'> & { readonly metered: Metered }): Statement {
  const { metered, period, card, app } = request;
  const rating = rate(card, metered.usage);
  const digits = minorDigits(card.currency);
  const lines = rating.lines.filter((line) => app === undefined || line.app === app);
  const cost = lines.reduce((sum, line) => sum.plus(line.cost), decimal(0n));
  return {
    period: { name: period.name, start: iso(period.start), end: iso(period.end) },
    asOf: metered.asOf === null ? null : iso(metered.asOf),
    app: app ?? null,
    rateCard: {
      id: card.id,
      provider: card.provider,
      currency: card.currency,
      gbBytes: card.gbBytes.toString(),
      source: card.source,
      asOf: card.asOf,
    },
    allowance: { bytes: rating.allowanceBytes.toString(), usedBytes: rating.usedBytes.toString() },
    lines: lines.map((line) => ({
      app: line.app,
      customId: line.customId,
      meter: line.meter,
      bytes: line.bytes.toString(),
      overlapBytes: line.overlapBytes.toString(),
      freeBytes: line.freeBytes.toString(),
      chargedBytes: line.chargedBytes.toString(),
      cost: line.cost.toFixed(digits),
    })),
    totals: {
      bytes: total(lines, ({ bytes }) => bytes).toString(),
      overlapBytes: total(lines, ({ overlapBytes }) => overlapBytes).toString(),
      freeBytes: total(lines, ({ freeBytes }) => freeBytes).toString(),
      chargedBytes: total(lines, ({ chargedBytes }) => chargedBytes).toString(),
      cost: cost.toFixed(digits),
    },
  };
}

const iso = (milliseconds: number): string => new Date(milliseconds).toISOString();
