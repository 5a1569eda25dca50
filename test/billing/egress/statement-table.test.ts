import { describe, expect, it } from 'vitest';
import { renderTable } from '../../../billing/egress/statement-table.ts';
import { GB, goldenTable, statement, TB, used } from './usage-rows.ts';

const usage = [
  used({ app: 'demo', customId: 'alice', bytes: TB, call: 'c1', participant: 'p1', viaSfuBytes: 5n * GB }),
  used({ app: 'demo', customId: 'alice', meter: 'sfu', bytes: 6n * GB, call: 'c1', participant: 'p1' }),
  used({ app: 'demo', customId: 'zoë', bytes: 14_203_112n }),
  used({ app: 'shop', bytes: 123_456_789_012n }),
];

describe('the table', () => {
  it('lines up names to the left and figures to the right', async () => {
    await expect(renderTable(statement(usage))).toMatchFileSnapshot(goldenTable);
  });
  it('says so when nothing was metered', () => {
    const text = renderTable(statement([], { app: 'demo' }));
    expect(text).toContain('Nothing was metered in this period.');
    expect(text).toContain('Free allowance: 0 of 1,000,000,000,000 bytes used (0.00 %)');
  });
  it('calls the allowance fully used only when it is', () => {
    expect(renderTable(statement([used({ bytes: TB - 1n })]))).toContain('(99.99 %)');
    expect(renderTable(statement([used({ bytes: TB })]))).toContain('(100.00 %)');
  });
  it('lets no name move the cursor', () => {
    const hostile = '\u001B[2J\r\u202Eevil\u0007';
    const text = renderTable(statement([used({ customId: hostile, bytes: 1n })]));
    expect(text).toContain('\uFFFD[2J\uFFFD\uFFFDevil\uFFFD');
    expect(text.replaceAll('\n', '')).toMatch(/^[^\p{Cc}\p{Cf}]+$/u);
  });
});
