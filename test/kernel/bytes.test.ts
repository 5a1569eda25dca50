import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { bigintAsString, byteSize, formatBytes, secretsEqual, u64 } from '../../kernel/bytes.ts';

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

describe('byteSize', () => {
  it.each([
    ['50 GB', 50_000_000_000n],
    ['1.5TB', 1_500_000_000_000n],
    ['0.001 kB', 1n],
    ['999999999999 MB', 999_999_999_999_000_000n],
    ['12', 12n],
    [12, 12n],
  ])('reads %j exactly', (text, bytes) => {
    expect(byteSize.parse(text)).toBe(bytes);
  });
  it.each(['0.0001 kB', '99999999 TB', '1 GiB', '-1 GB', '1e3 GB', 'GB', '1,5 GB', ' 1 GB', 1.5])(
    'refuses %j',
    (text) => {
      expect(byteSize.safeParse(text).success).toBe(false);
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
