import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { ManualClock } from '../../kernel/clock.ts';
import { decimal, decimalText, decimalToText, roundMoney } from '../../kernel/money.ts';
import { month, monthOf } from '../../kernel/period.ts';
import { randomBelow, seededRandom } from '../../kernel/random.ts';
import { uuidV7 } from '../../kernel/uuid.ts';

describe('money', () => {
  it('adds tenths without a float’s error', () => {
    expect(decimalToText(decimal('0.1').plus(decimal('0.2')))).toBe('0.3');
  });
  it('never writes an exponent', () => {
    expect(decimalToText(decimal('0.000000000001'))).toBe('0.000000000001');
    expect(decimalToText(decimal(10n ** 30n))).toBe('1000000000000000000000000000000');
    expect(decimalToText(decimal('0'))).toBe('0');
  });
  it('rounds half up to the minor unit', () => {
    expect(decimalToText(roundMoney(decimal('45.215')))).toBe('45.22');
    expect(decimalToText(roundMoney(decimal('45.2149999')))).toBe('45.21');
  });
  it.each(['1,5', '1e3', '.5', '1.', 'NaN', ''])('refuses %j as a decimal', (text) => {
    expect(decimalText.safeParse(text).success).toBe(false);
  });
});

describe('periods', () => {
  it('makes a month of UTC days, across the end of a year', () => {
    expect(month('2026-12')).toEqual({ name: '2026-12', start: Date.UTC(2026, 11, 1), end: Date.UTC(2027, 0, 1) });
  });
  it('names the month of a moment by UTC', () => {
    expect(monthOf(Date.UTC(2026, 11, 1) - 1).name).toBe('2026-11');
    expect(monthOf(Date.UTC(2026, 11, 1)).name).toBe('2026-12');
  });
  it.each(['2026-13', '2026-00', '2026-1', '26-01', '2026-11-01'])('refuses %s', (name) => {
    expect(() => month(name)).toThrow('must be a month');
  });
});

describe('randomness and identifiers', () => {
  it('gives the same stream for the same seed, however it is cut', () => {
    const whole = seededRandom('s').bytes(100);
    const cut = seededRandom('s');
    expect(Buffer.concat([cut.bytes(1), cut.bytes(63), cut.bytes(36)])).toEqual(whole);
  });
  it('stays below the bound', () => {
    const random = seededRandom('below');
    fc.assert(fc.property(fc.integer({ min: 1, max: 2 ** 32 - 1 }), (bound) => randomBelow(random, bound) < bound));
  });
  it('makes version 7 UUIDs that sort by time (RFC 9562 §5.7)', () => {
    const clock = new ManualClock(1_795_000_000_000);
    const random = seededRandom('uuid');
    const first = uuidV7(clock, random);
    clock.advance(1);
    const second = uuidV7(clock, random);
    expect(first).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(Number.parseInt(first.replaceAll('-', '').slice(0, 12), 16)).toBe(1_795_000_000_000);
    expect(second > first).toBe(true);
  });
});
