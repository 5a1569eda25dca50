import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allocate } from '../../../kernel/allocation.ts';
import type { MeteredUsage, RateCard } from '../../../billing/contract.ts';
import { decimal } from '../../../kernel/money.ts';
import { cloudflare, statement, TB } from './usage-rows.ts';

const usageRow: fc.Arbitrary<MeteredUsage> = fc
  .record({
    app: fc.constantFrom('a', 'b', 'c'),
    meter: fc.constantFrom('turn' as const, 'sfu' as const),
    customId: fc.constantFrom('', 'x', 'y'),
    call: fc.constantFrom('', 'k1', 'k2'),
    participant: fc.constantFrom('', 'p1', 'p2'),
    bytes: fc.bigInt({ min: 0n, max: 2n * TB }),
    part: fc.bigInt({ min: 0n, max: 100n }),
  })
  .map(({ part, ...row }) => ({ ...row, viaSfuBytes: row.meter === 'turn' ? (row.bytes * part) / 100n : 0n }));
const usage = fc.array(usageRow, { maxLength: 12 });
const card: fc.Arbitrary<RateCard> = fc
  .record({
    gbBytes: fc.constantFrom(10n ** 9n, 2n ** 30n),
    allowanceGb: fc.constantFrom('0', '1', '1000'),
    overlap: fc.constantFrom('charge_once' as const, 'sum' as const),
    tiers: fc.constantFrom<RateCard['tiers']>(
      [{ upToGb: null, pricePerGb: '0.05' }],
      [
        { upToGb: '100', pricePerGb: '0.07' },
        { upToGb: null, pricePerGb: '0.031' },
      ],
    ),
  })
  .map((terms) => ({ ...cloudflare, ...terms }));

const columns = ['bytes', 'overlapBytes', 'freeBytes', 'chargedBytes'] as const;

describe('for any usage on any card', () => {
  it('lines add up to the totals exactly, in bytes and in money', () => {
    fc.assert(
      fc.property(usage, card, (rows, onCard) => {
        const { lines, totals } = statement(rows, { card: onCard });
        for (const column of columns) {
          expect(lines.reduce((sum, line) => sum + BigInt(line[column]), 0n)).toBe(BigInt(totals[column]));
        }
        const cost = lines.reduce((sum, line) => sum.plus(decimal(line.cost)), decimal(0n));
        expect(cost.toFixed(2)).toBe(totals.cost);
        expect(BigInt(totals.bytes)).toBe(rows.reduce((sum, { bytes }) => sum + bytes, 0n));
      }),
    );
  });
  it('every byte of a line is counted twice, free, or charged, and none is negative', () => {
    fc.assert(
      fc.property(usage, card, (rows, onCard) => {
        for (const line of statement(rows, { card: onCard }).lines) {
          expect(BigInt(line.overlapBytes) + BigInt(line.freeBytes) + BigInt(line.chargedBytes)).toBe(
            BigInt(line.bytes),
          );
          for (const column of columns) expect(BigInt(line[column])).toBeGreaterThanOrEqual(0n);
          expect(line.cost).toMatch(/^\d+\.\d\d$/);
        }
      }),
    );
  });
  it('no more is free than the allowance, and nothing is charged before it is used up', () => {
    fc.assert(
      fc.property(usage, card, (rows, onCard) => {
        const { totals, allowance } = statement(rows, { card: onCard });
        expect(BigInt(totals.freeBytes)).toBeLessThanOrEqual(BigInt(allowance.bytes));
        expect(totals.freeBytes).toBe(allowance.usedBytes);
        if (totals.chargedBytes !== '0') expect(allowance.usedBytes).toBe(allowance.bytes);
      }),
    );
  });
  it('the order of the usage does not matter', () => {
    fc.assert(
      fc.property(usage, card, fc.infiniteStream(fc.nat()), (rows, onCard, keys) => {
        const shuffled = rows
          .map((row) => ({ row, key: keys.next().value }))
          .sort((one, other) => one.key - other.key)
          .map(({ row }) => row);
        expect(statement(shuffled, { card: onCard })).toEqual(statement(rows, { card: onCard }));
      }),
    );
  });
  it('more bytes never cost less', () => {
    fc.assert(
      fc.property(usage, usageRow, card, (rows, more, onCard) => {
        const cost = (all: MeteredUsage[]) => decimal(statement(all, { card: onCard }).totals.cost);
        // More from the SFU of a relayed call may be an overlap: it costs nothing more, but never less.
        expect(cost([...rows, { ...more, viaSfuBytes: 0n }]).gte(cost(rows))).toBe(true);
      }),
    );
  });
  it('statements of single apps add up to the account’s', () => {
    fc.assert(
      fc.property(usage, card, (rows, onCard) => {
        const all = statement(rows, { card: onCard });
        const apart = ['a', 'b', 'c'].flatMap((app) => statement(rows, { card: onCard, app }).lines);
        expect(apart).toEqual(all.lines);
      }),
    );
  });
});

describe('sharing a whole', () => {
  const weights = fc.array(fc.bigInt({ min: 0n, max: 10n ** 15n }), { minLength: 1, maxLength: 20 });
  it('loses nothing, and gives nobody more than their weight while there is enough weight', () => {
    fc.assert(
      fc.property(weights, fc.bigInt({ min: 0n, max: 10n ** 15n }), (all, wanted) => {
        const sum = all.reduce((one, other) => one + other, 0n);
        const whole = wanted < sum ? wanted : sum;
        const shares = allocate(whole, all);
        expect(shares.reduce((one, other) => one + other, 0n)).toBe(whole);
        shares.forEach((share, index) => expect(share).toBeLessThanOrEqual(all[index] ?? 0n));
      }),
    );
  });
  it('is within one unit of the exact share', () => {
    fc.assert(
      fc.property(weights, fc.bigInt({ min: 0n, max: 10n ** 6n }), (all, whole) => {
        const sum = all.reduce((one, other) => one + other, 0n);
        fc.pre(sum > 0n);
        allocate(whole, all).forEach((share, index) => {
          const error = share * sum - whole * (all[index] ?? 0n);
          expect(error < 0n ? -error : error).toBeLessThan(sum);
        });
      }),
    );
  });
  it('shares nothing among no weight', () => {
    expect(allocate(5n, [0n, 0n])).toEqual([0n, 0n]);
  });
});
