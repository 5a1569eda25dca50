/**
 * Rating: from metered bytes to what they cost on a rate card. A pure function, made of five steps whose order is the
 * rule: bytes that a provider counts twice must go before anything is counted against the allowance; the allowance is
 * shared by a pool of meters, so the pool is formed before it; tiers price what the allowance did not cover, over the
 * whole pool; and only then is the price, rounded once, divided among the lines.
 */
import { decimal, minorDigits, quotient } from '../../kernel/money.ts';
import type { Money } from '../../kernel/money.ts';
import type { Meter, MeteredUsage, RateCard } from '../contract.ts';
import { allocate } from '../../kernel/allocation.ts';

export interface RatedUsage extends MeteredUsage {
  /** Bytes of this SFU usage that a TURN relay sent on, and that are charged there. */
  readonly overlapBytes: bigint;
}

/** One app and customer on one meter. bytes = overlapBytes + freeBytes + chargedBytes. */
export interface RatedLine {
  readonly app: string;
  readonly customId: string;
  readonly meter: Meter;
  readonly bytes: bigint;
  readonly overlapBytes: bigint;
  readonly freeBytes: bigint;
  readonly chargedBytes: bigint;
  readonly cost: Money;
}

/** What the steps hand on to one another; each fills in its part. */
export interface Rating {
  readonly card: RateCard;
  readonly usage: readonly RatedUsage[];
  /** In order of app, customer, meter. */
  readonly lines: readonly RatedLine[];
  readonly allowanceBytes: bigint;
  readonly usedBytes: bigint;
  /** Of the whole pool, in whole minor units of the currency. */
  readonly cost: Money;
}

/** In this order, always. */
export const ratingSteps = [
  { name: 'overlap', apply: applyOverlap },
  { name: 'pool', apply: applyPool },
  { name: 'allowance', apply: applyAllowance },
  { name: 'tiers', apply: applyTiers },
  { name: 'lines', apply: applyLines },
] as const satisfies readonly { name: string; apply: (rating: Rating) => Rating }[];

/** Rates one account's usage of one period. The order of the usage does not matter. */
export function rate(card: RateCard, usage: readonly MeteredUsage[]): Rating {
  const start: Rating = {
    card,
    usage: usage.map((item) => ({ ...item, overlapBytes: 0n })).sort(byUsage),
    lines: [],
    allowanceBytes: BigInt(card.allowanceGb) * card.gbBytes,
    usedBytes: 0n,
    cost: decimal(0n),
  };
  return ratingSteps.reduce((rating, step) => step.apply(rating), start);
}

/**
 * A call that goes from an SFU through TURN to the client is counted by both, and is charged once: for each app, call and
 * participant, the smaller of what the SFU sent and what TURN relayed from SFUs comes off the SFU's bytes. Without the
 * ids nothing proves that the two are the same bytes, and nothing is taken off.
 */
function applyOverlap(rating: Rating): Rating {
  if (rating.card.overlap === 'sum') return rating;
  const identified = rating.usage.filter(({ call, participant }) => call !== '' && participant !== '');
  const taken = new Map<RatedUsage, bigint>();
  for (const group of groupBy(identified, ({ app, call, participant }) => [app, call, participant])) {
    const sfu = group.filter(({ meter }) => meter === 'sfu');
    const viaSfu = total(
      group.filter(({ meter }) => meter === 'turn'),
      ({ viaSfuBytes }) => viaSfuBytes,
    );
    const sent = sfu.map(({ bytes }) => bytes);
    const shares = allocate(
      least(
        viaSfu,
        total(sent, (bytes) => bytes),
      ),
      sent,
    );
    sfu.forEach((item, index) => taken.set(item, shares[index] ?? 0n));
  }
  return { ...rating, usage: rating.usage.map((item) => ({ ...item, overlapBytes: taken.get(item) ?? 0n })) };
}

/** One line for each app, customer and meter of the card's pool. Other meters belong to another provider's card. */
function applyPool(rating: Rating): Rating {
  const metered = rating.usage.filter(({ meter }) => rating.card.pool.includes(meter));
  const lines = groupBy(metered, ({ app, customId, meter }) => [app, customId, meter]).map(([first, ...rest]) => ({
    app: first.app,
    customId: first.customId,
    meter: first.meter,
    bytes: total([first, ...rest], ({ bytes }) => bytes),
    overlapBytes: total([first, ...rest], ({ overlapBytes }) => overlapBytes),
    freeBytes: 0n,
    chargedBytes: 0n,
    cost: decimal(0n),
  }));
  return { ...rating, lines };
}

/** The free allowance is the account's: lines share it in proportion to their bytes, to the byte. */
function applyAllowance(rating: Rating): Rating {
  const chargeable = rating.lines.map(({ bytes, overlapBytes }) => bytes - overlapBytes);
  const usedBytes = least(
    rating.allowanceBytes,
    total(chargeable, (bytes) => bytes),
  );
  const free = allocate(usedBytes, chargeable);
  const lines = rating.lines.map((line, index) => {
    const freeBytes = free[index] ?? 0n;
    return { ...line, freeBytes, chargedBytes: (chargeable[index] ?? 0n) - freeBytes };
  });
  return { ...rating, lines, usedBytes };
}

/** Graduated: each tier prices the bytes that lie in it, over the whole pool. The price is rounded here, once. */
function applyTiers(rating: Rating): Rating {
  const { tiers, gbBytes, currency } = rating.card;
  const charged = total(rating.lines, ({ chargedBytes }) => chargedBytes);
  let from = 0n;
  let priced = decimal(0n);
  for (const { upToGb, pricePerGb } of tiers) {
    const to = upToGb === null ? charged : least(charged, BigInt(upToGb) * gbBytes);
    if (to > from) priced = priced.plus(decimal(to - from).times(decimal(pricePerGb)));
    from = to > from ? to : from;
  }
  return { ...rating, cost: quotient(priced, gbBytes, minorDigits(currency)) };
}

/** The rounded price, divided among the lines in proportion to the bytes that each is charged: lines sum to it exactly. */
function applyLines(rating: Rating): Rating {
  const digits = minorDigits(rating.card.currency);
  const unit = decimal(10n ** BigInt(digits));
  const shares = allocate(
    BigInt(rating.cost.times(unit).toFixed()),
    rating.lines.map(({ chargedBytes }) => chargedBytes),
  );
  const lines = rating.lines.map((line, index) => ({ ...line, cost: decimal(shares[index] ?? 0n).div(unit) }));
  return { ...rating, lines };
}

const least = (one: bigint, other: bigint): bigint => (one < other ? one : other);

export function total<T>(items: readonly T[], bytesOf: (item: T) => bigint): bigint {
  return items.reduce((sum, item) => sum + bytesOf(item), 0n);
}

/** Order by code unit, the same in every locale. */
const byText = (one: string, other: string): number => (one === other ? 0 : one < other ? -1 : 1);

function byUsage(one: RatedUsage, other: RatedUsage): number {
  return (
    byText(one.app, other.app) ||
    byText(one.customId, other.customId) ||
    byText(one.meter, other.meter) ||
    byText(one.call, other.call) ||
    byText(one.participant, other.participant) ||
    Number(one.bytes > other.bytes) - Number(one.bytes < other.bytes)
  );
}

/** Groups in order of first appearance; a key's parts may hold any text. */
function groupBy<T>(items: readonly T[], keyOf: (item: T) => readonly string[]): [T, ...T[]][] {
  const groups = new Map<string, [T, ...T[]]>();
  for (const item of items) {
    const key = JSON.stringify(keyOf(item));
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return [...groups.values()];
}
