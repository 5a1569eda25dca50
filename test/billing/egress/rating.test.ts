import { describe, expect, it } from 'vitest';
import { ratingSteps } from '../../../billing/egress/rating.ts';
import { bigintAsString } from '../../../kernel/bytes.ts';
import { cloudflare, GB, statement, TB, used } from './usage-rows.ts';

describe('rating on the Cloudflare Realtime card', () => {
  it('takes its steps in this order', () => {
    expect(ratingSteps.map(({ name }) => name)).toEqual(['overlap', 'pool', 'allowance', 'tiers', 'lines']);
  });

  it('charges nothing for exactly 1,000 GB', () => {
    expect(statement([used({ bytes: TB })])).toMatchObject({
      allowance: { bytes: '1000000000000', usedBytes: '1000000000000' },
      totals: { freeBytes: '1000000000000', chargedBytes: '0', cost: '0.00' },
    });
  });

  it('charges one byte beyond it, and rounds its price only on the statement', () => {
    expect(statement([used({ bytes: TB + 1n })]).totals).toEqual({
      bytes: '1000000000001',
      overlapBytes: '0',
      freeBytes: '1000000000000',
      chargedBytes: '1',
      cost: '0.00',
    });
  });

  it('charges $0.05 for the first GB beyond it', () => {
    expect(statement([used({ bytes: TB + GB })]).totals.cost).toBe('0.05');
  });

  it('rounds half a cent up, and less than half down', () => {
    expect(statement([used({ bytes: TB + GB / 10n })]).totals.cost).toBe('0.01');
    expect(statement([used({ bytes: TB + GB / 10n - 1n })]).totals.cost).toBe('0.00');
  });

  it('charges a thousand customers what their sum costs, not the sum of what each would round to', () => {
    const customers = Array.from({ length: 1000 }, (_, index) => used({ customId: `c${index}`, bytes: GB + GB / 25n }));
    const { totals, lines } = statement(customers); // 40 MB each beyond its share of the allowance: $0.002, 1000 times
    expect(totals.cost).toBe('2.00');
    expect(lines.filter(({ cost }) => cost === '0.01')).toHaveLength(200);
  });

  it('puts SFU and TURN into one pool', () => {
    const { totals, lines } = statement([used({ bytes: TB }), used({ meter: 'sfu', bytes: TB })]);
    expect(totals).toMatchObject({ freeBytes: TB.toString(), chargedBytes: TB.toString(), cost: '50.00' });
    expect(lines.map(({ meter, cost }) => [meter, cost])).toEqual([
      ['sfu', '25.00'],
      ['turn', '25.00'],
    ]);
  });

  it('keeps counts exact where a float would not', () => {
    const bytes = 2n ** 63n + 1n;
    expect(statement([used({ bytes })]).totals.bytes).toBe('9223372036854775809');
  });
});

describe('a call through SFU and TURN', () => {
  const ids = { call: 'standup', participant: 'ann' };

  it('is charged once: the bytes that TURN relayed from the SFU come off the SFU', () => {
    const { lines, totals } = statement([
      used({ ...ids, meter: 'sfu', bytes: 3n * TB }),
      used({ ...ids, meter: 'turn', bytes: 3n * TB + 7n, viaSfuBytes: 3n * TB }),
    ]);
    expect(lines.map(({ meter, overlapBytes }) => [meter, overlapBytes])).toEqual([
      ['sfu', (3n * TB).toString()],
      ['turn', '0'],
    ]);
    expect(totals).toMatchObject({
      bytes: (6n * TB + 7n).toString(),
      chargedBytes: (2n * TB + 7n).toString(),
      cost: '100.00',
    });
  });

  it('overlaps by no more than either side counted', () => {
    const sfu = used({ ...ids, meter: 'sfu', bytes: 100n });
    expect(statement([sfu, used({ ...ids, bytes: 500n, viaSfuBytes: 40n })]).totals.overlapBytes).toBe('40');
    expect(statement([sfu, used({ ...ids, bytes: 500n, viaSfuBytes: 400n })]).totals.overlapBytes).toBe('100');
  });

  it('does not overlap with another participant, call or app, nor without ids', () => {
    const turn = used({ ...ids, bytes: 500n, viaSfuBytes: 400n });
    for (const other of [{ ...ids, participant: 'bob' }, { ...ids, call: 'x' }, { ...ids, app: 'other' }, {}]) {
      expect(statement([turn, used({ ...other, meter: 'sfu', bytes: 100n })]).totals.overlapBytes).toBe('0');
    }
    const anonymous = used({ call: 'standup', bytes: 500n, viaSfuBytes: 400n });
    const fromSfu = used({ call: 'standup', meter: 'sfu', bytes: 100n });
    expect(statement([anonymous, fromSfu]).totals.overlapBytes).toBe('0');
    const uncalled = [
      used({ participant: 'ann', bytes: 500n, viaSfuBytes: 400n }),
      used({ participant: 'ann', meter: 'sfu', bytes: 100n }),
    ];
    expect(statement(uncalled).totals.overlapBytes).toBe('0');
  });

  it('divides the overlap when the SFU names several customers for one participant', () => {
    const { lines } = statement([
      used({ ...ids, meter: 'sfu', customId: 'a', bytes: 2n }),
      used({ ...ids, meter: 'sfu', customId: 'b', bytes: 1n }),
      used({ ...ids, bytes: 9n, viaSfuBytes: 2n }),
    ]);
    expect(lines.map(({ customId, meter, overlapBytes }) => [customId, meter, overlapBytes])).toEqual([
      ['', 'turn', '0'],
      ['a', 'sfu', '1'],
      ['b', 'sfu', '1'],
    ]);
  });

  it('is charged on both meters where the card says sum', () => {
    const usage = [used({ ...ids, meter: 'sfu', bytes: TB }), used({ ...ids, bytes: TB, viaSfuBytes: TB })];
    expect(statement(usage, { card: { ...cloudflare, overlap: 'sum' } }).totals.cost).toBe('50.00');
  });
});

describe('the allowance', () => {
  it('is the account’s: apps share it in proportion to their bytes', () => {
    const { lines } = statement([used({ app: 'a', bytes: 3n * TB }), used({ app: 'b', bytes: TB })]);
    expect(lines.map(({ app, freeBytes, cost }) => [app, freeBytes, cost])).toEqual([
      ['a', '750000000000', '112.50'],
      ['b', '250000000000', '37.50'],
    ]);
  });

  it('stays the account’s on a statement that shows one app', () => {
    const usage = [used({ app: 'a', bytes: 3n * TB }), used({ app: 'b', bytes: TB })];
    const all = statement(usage);
    const onlyB = statement(usage, { app: 'b' });
    expect(onlyB.lines).toEqual(all.lines.filter(({ app }) => app === 'b'));
    expect(onlyB.totals.cost).toBe('37.50');
    expect(onlyB.allowance).toEqual(all.allowance);
    expect(statement(usage, { app: 'c' })).toMatchObject({ app: 'c', lines: [], totals: { bytes: '0', cost: '0.00' } });
  });

  it('gives the bytes that do not divide to the largest remainders, in order of the lines', () => {
    const card = { ...cloudflare, allowanceGb: '10', gbBytes: 1n };
    const { lines } = statement(
      ['a', 'b', 'c'].map((app) => used({ app, bytes: 7n })),
      { card },
    );
    expect(lines.map(({ freeBytes }) => freeBytes)).toEqual(['4', '3', '3']);
  });
});

describe('other cards', () => {
  it('price each byte in its own tier', () => {
    const tiers = [
      { upToGb: '10', pricePerGb: '0.10' },
      { upToGb: '30', pricePerGb: '0.05' },
      { upToGb: null, pricePerGb: '0.01' },
    ];
    const cost = (gb: bigint) =>
      statement([used({ bytes: gb * GB })], { card: { ...cloudflare, allowanceGb: '0', tiers } }).totals.cost;
    expect([5n, 10n, 11n, 30n, 130n].map(cost)).toEqual(['0.50', '1.00', '1.05', '2.00', '3.00']);
  });

  it('count in GiB where they say so', () => {
    const card = { ...cloudflare, gbBytes: 2n ** 30n };
    expect(statement([used({ bytes: 1001n * 2n ** 30n })], { card }).totals.cost).toBe('0.05');
    expect(statement([used({ bytes: 1000n * 2n ** 30n })], { card }).totals.cost).toBe('0.00');
    const tiers = [
      { upToGb: '100', pricePerGb: '0.10' },
      { upToGb: null, pricePerGb: '0' },
    ];
    const tiered = { ...card, allowanceGb: '0', tiers };
    expect(statement([used({ bytes: 100n * 2n ** 30n })], { card: tiered }).totals.cost).toBe('10.00');
  });

  it('leave out meters of another provider', () => {
    const usage = [used({ bytes: 2n * TB }), used({ meter: 'sfu', bytes: TB })];
    const { lines, totals } = statement(usage, { card: { ...cloudflare, pool: ['turn'] } });
    expect(lines.map(({ meter }) => meter)).toEqual(['turn']);
    expect(totals.cost).toBe('50.00');
  });

  it('round to their currency’s minor unit', () => {
    const card = { ...cloudflare, currency: 'JPY', tiers: [{ upToGb: null, pricePerGb: '7.5' }] };
    expect(statement([used({ bytes: TB + GB })], { card }).totals.cost).toBe('8');
  });
});

it('a statement is the same, byte for byte, each time it is made', () => {
  const usage = [
    used({ app: 'b', bytes: TB }),
    used({ app: 'a', customId: 'z', bytes: 3n }),
    used({ app: 'a', bytes: 5n }),
  ];
  const written = JSON.stringify(statement(usage), bigintAsString);
  expect(JSON.stringify(statement(usage.toReversed()), bigintAsString)).toBe(written);
  expect(written).toContain('"asOf":"2026-11-20T12:00:00.000Z"');
});
