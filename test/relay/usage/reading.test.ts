import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bigintAsString } from '../../../kernel/bytes.ts';
import { usageRecord } from '../../../relay/contract.ts';
import { NO_TOTALS, recordOf, recordText, sameTotals, totalsOf } from '../../../relay/usage/reading.ts';
import type { Totals } from '../../../relay/usage/reading.ts';
import { counters, identity, metered } from './samples.ts';

const reading = (totals: Totals) => ({ seq: 3, windowEnd: 1_795_221_605_000, final: false, totals });

describe("a reading's text", () => {
  it('is the JSON of the record, whatever its names and totals, and reads back as the same record', () => {
    const name = fc.string({ unit: 'grapheme', maxLength: 16 }).filter((text) => /^[^\p{Cc}]*$/u.test(text));
    fc.assert(
      fc.property(name, fc.bigInt({ min: 0n, max: 2n ** 57n }), (customId, scale) => {
        const record = recordOf(identity, { ...metered(1), customId }, reading(totalsOf(counters(scale))));
        const text = recordText(record);
        expect(text).toBe(JSON.stringify(record, bigintAsString));
        expect(usageRecord.parse(JSON.parse(text))).toEqual(record);
      }),
    );
  });
});

describe('totals', () => {
  it('are the same only when every counter is', () => {
    const totals = totalsOf(counters(5n));
    expect(sameTotals(totals, totalsOf(counters(5n)))).toBe(true);
    expect(sameTotals(NO_TOTALS, totalsOf(counters(0n)))).toBe(true);
    expect(sameTotals(totals, { ...totals, client_control_tx_bytes: 501n })).toBe(false);
    for (const name of ['internet', 'own_relay', 'sfu'] as const) {
      for (const field of Object.keys(totals.classes[name])) {
        const changed = { ...totals.classes[name], [field]: 1_000n };
        expect(sameTotals(totals, { ...totals, classes: { ...totals.classes, [name]: changed } })).toBe(false);
      }
    }
  });

  it('do not change when the plane goes on counting in its own object', () => {
    const counted = counters(1n);
    const internet = { ...counted.classes.internet };
    const totals = totalsOf({ ...counted, classes: { ...counted.classes, internet } });
    internet.clientRxBytes = 99n;
    expect(totals.classes.internet.client_rx_bytes).toBe(1n);
  });
});
