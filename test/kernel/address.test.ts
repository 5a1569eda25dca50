import { isIPv4 } from 'node:net';
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import {
  canonicalAddress,
  cidrContains,
  formatAddress,
  isLoopbackHost,
  parseAddress,
  parseCidr,
} from '../../kernel/address.ts';

describe('addresses', () => {
  it('gives back any IPv4 or IPv6 address through its canonical text', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
    );
    fc.assert(
      fc.property(bytes, (address) => {
        expect(parseAddress(formatAddress(address))).toEqual(address);
      }),
    );
  });
  it.each([
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['::ffff:192.0.2.1', '::ffff:c000:201'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['fe80::', 'fe80::'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['127.0.0.1', '127.0.0.1'],
  ])('writes %s as %s (RFC 5952)', (text, canonical) => {
    expect(canonicalAddress(text)).toBe(canonical);
  });
  it('takes for IPv4 what Node takes for it, whatever the text', () => {
    const part = fc.oneof(
      fc.integer({ min: 0, max: 300 }).map(String),
      fc.constantFrom('', '00', '01', '1e1', ' 1', '-1'),
    );
    const almost = fc.array(part, { minLength: 3, maxLength: 5 }).map((parts) => parts.join('.'));
    const broken = fc.string({ unit: fc.constantFrom('0', '1', '2', '5', '9', '.', '/', ':'), maxLength: 16 });
    fc.assert(
      fc.property(fc.oneof(almost, broken), (text) => {
        expect(parseAddress(text)?.length === 4).toBe(isIPv4(text));
      }),
    );
  });
  it.each(['', '1.2.3', '1.2.3.256', 'fe80::1%eth0', 'example.org', ':::', '1.2.3.4/8'])('refuses %j', (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });
});

describe('ranges', () => {
  it.each([
    ['10.0.0.0/8', '10.255.255.255', true],
    ['10.0.0.0/8', '11.0.0.0', false],
    ['172.16.0.0/12', '172.31.255.255', true],
    ['172.16.0.0/12', '172.32.0.0', false],
    ['fc00::/7', 'fdff::1', true],
    ['fc00::/7', 'fe00::1', false],
    ['0.0.0.0/0', '203.0.113.9', true],
    ['::/0', '203.0.113.9', false],
    ['192.0.2.7', '192.0.2.7', true],
    ['192.0.2.7', '192.0.2.6', false],
  ])('%s holds %s: %s', (range, address, holds) => {
    const cidr = parseCidr(range);
    const bytes = parseAddress(address);
    expect(cidr && bytes && cidrContains(cidr, bytes)).toBe(holds);
  });
  it.each(['10.0.0.0/33', '::/129', '10.0.0.0/', '10.0.0.0/8/8', 'x/8', '10.0.0.0/-1'])('refuses %j', (text) => {
    expect(parseCidr(text)).toBeUndefined();
  });
});

describe('isLoopbackHost', () => {
  it.each([
    ['127.0.0.1', true],
    ['127.9.9.9', true],
    ['localhost', true],
    ['::1', true],
    ['[::1]', true],
    ['0.0.0.0', false],
    ['localhost.example.org', false],
    ['192.168.0.1', false],
  ])('%s: %s', (host, loopback) => {
    expect(isLoopbackHost(host)).toBe(loopback);
  });
});
