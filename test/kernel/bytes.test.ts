import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { bigintAsString, formatBytes, secretsEqual, u64 } from '../../kernel/bytes.ts';

const U64_MAX = (1n << 64n) - 1n;

describe('u64', () => {
  it('takes every unsigned 64-bit integer as a decimal string, exactly', () => {
    fc.assert(fc.property(fc.bigInt({ min: 0n, max: U64_MAX }), (value) => u64.parse(value.toString()) === value));
  });
  it('survives a round trip through JSON above 2^53', () => {
    const value = 9_007_199_254_740_993n;
    const text = JSON.stringify({ value }, bigintAsString);
    expect(u64.parse((JSON.parse(text) as { value: unknown }).value)).toBe(value);
  });
  it.each(['-1', '1.5', '01', '', ' 1', '1e3', '18446744073709551616', 'x', 1.5, -1, 2 ** 60, null, true])(
    'refuses %j',
    (value) => {
      expect(u64.safeParse(value).success).toBe(false);
    },
  );
});

describe('secretsEqual', () => {
  it('tells equal from different whatever the lengths', () => {
    expect(secretsEqual('abc', 'abc')).toBe(true);
    expect(secretsEqual('abc', 'abd')).toBe(false);
    expect(secretsEqual('abc', 'abcd')).toBe(false);
    expect(secretsEqual('', '')).toBe(true);
  });
});

describe('formatBytes', () => {
  it.each([
    [0n, '0 B'],
    [999n, '999 B'],
    [1_000n, '1.00 kB'],
    [14_203_112n, '14.2 MB'],
    [31_700_000_000n, '31.7 GB'],
    [1_000_000_000_000n, '1.00 TB'],
    [U64_MAX, '18.4 EB'],
  ])('writes %s as %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});
