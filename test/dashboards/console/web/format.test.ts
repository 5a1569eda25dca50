import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatBitrate,
  formatBytes,
  formatDuration,
  formatModel,
  formatMoney,
  formatMs,
  formatRatio,
  formatSeconds,
  formatTook,
  formatWhen,
  group,
  plural,
  ratioOf,
} from '../../../../dashboards/console/web/format.ts';
import { formatBytes as kernelFormatBytes } from '../../../../kernel/bytes.ts';

/** Units stay on the line of their number. */
const plain = (text: string) => text.replaceAll('\u00a0', ' ');

describe('numbers for people', () => {
  it('writes bytes as the command line does, from 0 to 2^64 − 1', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (bytes) => {
        expect(plain(formatBytes(String(bytes)))).toBe(kernelFormatBytes(bytes));
      }),
    );
  });

  it.each([
    [null, '–'],
    [0, '0 %'],
    [0.0004, '< 0.1 %'],
    [0.031, '3.1 %'],
    [0.25, '25 %'],
  ])('writes the ratio %s as %s', (ratio, text) => {
    expect(plain(formatRatio(ratio))).toBe(text);
  });

  it.each([
    [null, '–'],
    [0, '< 1 ms'],
    [0.4, '0.4 ms'],
    [2.44, '2.4 ms'],
    [203.4, '203 ms'],
  ])('writes %s milliseconds as %s', (value, text) => {
    expect(plain(formatMs(value))).toBe(text);
  });

  it('writes what something took in milliseconds below a second, in seconds from there', () => {
    expect([null, 80.4, 999, 1_000, 30_000].map((value) => plain(formatTook(value)))).toEqual([
      '–',
      '80 ms',
      '999 ms',
      '1.00 s',
      '30.0 s',
    ]);
  });

  it('writes seconds, rates and durations', () => {
    expect(plain(formatSeconds(420))).toBe('0.42 s');
    expect(plain(formatSeconds(12_340))).toBe('12.3 s');
    expect(plain(formatBitrate(612_400))).toBe('612 kbps');
    expect(plain(formatBitrate(999_600))).toBe('1.00 Mbps');
    expect(plain(formatBitrate(12_340_000))).toBe('12.3 Mbps');
    expect(plain(formatDuration(134_000))).toBe('2 min 14 s');
    expect(plain(formatDuration(7_500_000))).toBe('2 h 5 min');
    expect(plain(formatDuration(-5))).toBe('0 s');
  });

  it.each([
    ['0', 'USD', '$0.00'],
    ['0.0000001', 'USD', '< $0.01'],
    ['0.005', 'USD', '$0.01'],
    ['1.994999', 'USD', '$1.99'],
    ['1234567.895', 'EUR', '€1,234,567.90'],
    ['99999999999999999999.99', 'USD', '$99,999,999,999,999,999,999.99'],
    ['12.5', 'CHF', 'CHF 12.50'],
  ])('writes %s %s as %s without a float', (decimal, currency, text) => {
    expect(plain(formatMoney(decimal, currency))).toBe(text);
  });

  it('divides 64-bit counts without losing them in a float first', () => {
    expect(ratioOf('18446744073709551615', '18446744073709551615')).toBe(1);
    expect(ratioOf('1', '0')).toBe(0);
    expect(ratioOf('31700000000', '1000000000000')).toBeCloseTo(0.0317, 6);
  });

  it('names the day only where it is not today', () => {
    const now = new Date(2026, 10, 21, 15, 0);
    expect(formatWhen(new Date(2026, 10, 21, 14, 3).toISOString(), now, 'en-GB')).toBe('14:03');
    expect(formatWhen(new Date(2026, 10, 20, 14, 3).toISOString(), now, 'en-GB')).toBe('20 Nov, 14:03');
  });

  it('groups, counts and names', () => {
    expect(group(1_000_000n)).toBe('1,000,000');
    expect([plural(1, 'call'), plural(2, 'call')]).toEqual(['1 call', '2 calls']);
    expect([formatModel('g107.2'), formatModel('other'), formatModel(null)]).toEqual(['ITU-T G.107.2', 'other', '']);
  });
});
