import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { ManualClock } from '../../kernel/clock.ts';
import { decimal, minorDigits, quotient } from '../../kernel/money.ts';
import { month, monthOf } from '../../kernel/period.ts';
import { randomBelow, seededRandom, systemRandom } from '../../kernel/random.ts';
import { uuidV7 } from '../../kernel/uuid.ts';

describe('money', () => {
  it('adds tenths without a float’s error', () => {
    expect(decimal('0.1').plus(decimal('0.2')).toFixed()).toBe('0.3');
  });
  it('takes any whole number and any decimal text exactly', () => {
    expect(decimal('0.000000000001').toFixed()).toBe('0.000000000001');
    expect(decimal(10n ** 30n).toFixed()).toBe('1000000000000000000000000000000');
  });
  it('divides with one rounding, half up, to the minor unit', () => {
    const cents = (dividend: string, divisor: bigint) => quotient(decimal(dividend), divisor, 2).toFixed(2);
    expect(cents('90.43', 2n)).toBe('45.22');
    expect(cents('90.4299998', 2n)).toBe('45.21');
    expect(cents('2', 3n)).toBe('0.67');
    expect(cents('0.0149999999999999', 3n)).toBe('0.00'); // twice rounded it would be a cent
  });
  it('knows the minor unit of a currency', () => {
    expect(['USD', 'JPY', 'BHD'].map(minorDigits)).toEqual([2, 0, 3]);
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
  it('gives the system’s octets in any length, and none of them twice', () => {
    const lengths = [0, 1, 4, 10, 16, 17, 32, 5000];
    for (const length of lengths) expect(systemRandom.bytes(length)).toHaveLength(length);
    const many = Array.from({ length: 2000 }, () => systemRandom.bytes(10).toString('hex'));
    expect(new Set(many).size).toBe(many.length);
    const [first, second] = [systemRandom.bytes(16), systemRandom.bytes(16)];
    const kept = first.toString('hex');
    second.fill(0);
    systemRandom.bytes(16);
    expect(first.toString('hex')).toBe(kept);
  });
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
