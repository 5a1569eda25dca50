import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { openAddressDatabase } from '../../../collector/privacy/address-database.ts';
import { ClientNetworks } from '../../../collector/privacy/client-network.ts';
import type { AddressLookup, AddressPolicy } from '../../../collector/privacy/client-network.ts';
import { cidrContains, parseAddress, parseCidr } from '../../../kernel/address.ts';
import { ManualClock } from '../../../kernel/clock.ts';
import { silentLog } from '../../../kernel/log.ts';
import { seededRandom } from '../../../kernel/random.ts';
import { addressFile } from './address-file.ts';

const DAY = 86_400_000;
const MIDNIGHT = Date.UTC(2026, 10, 21);

function networks(addresses: AddressPolicy, lookups: { geo?: AddressLookup; asn?: AddressLookup } = {}, seed = 'one') {
  const clock = new ManualClock(MIDNIGHT);
  return { clock, of: new ClientNetworks({ addresses, clock, random: seededRandom(seed), ...lookups }) };
}

describe('an address', () => {
  it.each([
    ['203.0.113.77', '203.0.113.0/24'],
    ['::ffff:203.0.113.77', '203.0.113.0/24'],
    ['2001:db8:77aa:1:2:3:4:5', '2001:db8:77aa::/48'],
    ['::1', '::/48'],
    ['fe80::1%eth0', null],
    ['nonsense', null],
  ])('%s is cut off to %s', (address, expected) => {
    expect(networks('truncate').of.of(address).client_network).toBe(expected);
  });

  it('lies in the network that is kept of it, with thousands of others', () => {
    const { of } = networks('truncate');
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (address) => {
        const kept = parseCidr(of.of(address).client_network ?? '');
        const bytes = parseAddress(address);
        if (kept === undefined || bytes === undefined) throw new Error(`nothing is kept of ${address}`);
        const isMapped = kept.bytes.length !== bytes.length;
        expect(cidrContains(kept, isMapped ? bytes.subarray(12) : bytes)).toBe(true);
        expect([24, 48]).toContain(kept.prefix);
      }),
    );
  });

  it('is nothing at all where that is asked for', () => {
    expect(new Set(Object.values(networks('drop').of.of('203.0.113.77')))).toEqual(new Set([null]));
  });

  it('has one hash for a day, and another the next day and with another collector', () => {
    const { clock, of } = networks('hash');
    const hash = (one = of) => one.of('203.0.113.77').client_network;
    const first = hash();
    expect(first).toMatch(/^[\w-]{16}$/);
    clock.advance(DAY - 1);
    expect(hash()).toBe(first);
    expect(of.of('::ffff:203.0.113.77').client_network).toBe(first);
    expect(of.of('203.0.113.78').client_network).not.toBe(first);
    clock.advance(1);
    expect(hash()).not.toBe(first);
    clock.advance(-DAY);
    expect(hash()).not.toBe(first);
    expect(hash(networks('hash', {}, 'two').of)).not.toBe(first);
  });
});

describe('a database of addresses', () => {
  const directory = mkdtempSync(join(tmpdir(), 'turnpike-addresses-'));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  const write = (name: string, content: Buffer | string): string => {
    const path = join(directory, name);
    writeFileSync(path, content);
    return path;
  };
  const open = (path: string, lookMs?: number) =>
    openAddressDatabase({ key: 'collector.privacy.geoDatabase', path, log: silentLog }, lookMs);
  const berlin = { country: { iso_code: 'DE' }, subdivisions: [{ iso_code: 'BE', names: { en: 'Land Berlin' } }] };

  it('is asked for the whole address, before anything is cut off', async () => {
    const geo = await open(
      write(
        'geo.mmdb',
        addressFile({ '203.0.113.64/26': berlin, '2001:db8:77aa::/49': { country: { iso_code: 'FR' } } }),
      ),
    );
    const asn = await open(
      write(
        'asn.mmdb',
        addressFile({
          '203.0.113.77/32': { autonomous_system_number: 64_500, autonomous_system_organization: 'Example Net' },
        }),
      ),
    );
    const { of } = networks('truncate', { geo: geo.lookup, asn: asn.lookup });
    expect(of.of('203.0.113.77')).toEqual({
      client_network: '203.0.113.0/24',
      client_country: 'DE',
      client_region: 'DE-BE',
      client_asn: 64_500,
      client_as_name: 'Example Net',
    });
    expect(of.of('203.0.113.1')).toMatchObject({ client_country: null, client_asn: null });
    expect(of.of('2001:db8:77aa::9')).toMatchObject({ client_country: 'FR', client_region: null });
    geo.close();
    asn.close();
  });

  it('may say regions by name, or nothing that is of use', async () => {
    const records = {
      '192.0.2.1/32': { country: { iso_code: 'DE' }, subdivisions: [{ names: { en: 'Land Berlin' } }] },
      '192.0.2.2/32': { country: 'DE', subdivisions: 'none', autonomous_system_number: 'AS64500' },
    };
    const database = await open(write('names.mmdb', addressFile(records)));
    const { of } = networks('drop', { geo: database.lookup, asn: database.lookup });
    expect(of.of('192.0.2.1')).toMatchObject({ client_country: 'DE', client_region: 'Land Berlin' });
    expect(new Set(Object.values(of.of('192.0.2.2')))).toEqual(new Set([null]));
    database.close();
  });

  it('is refused by the key that names it when it is none', async () => {
    for (const path of [join(directory, 'absent.mmdb'), write('text.mmdb', 'not a database')]) {
      await expect(open(path)).rejects.toMatchObject({
        code: 'TP_KERNEL_CONFIG',
        message: expect.stringMatching(/^collector\.privacy\.geoDatabase: .* is no database of addresses/),
      });
    }
  });

  it('is read again when its file is another one, and stays in use when that is broken', async () => {
    const warned = vi.spyOn(silentLog, 'warn');
    const inAustria = addressFile({ '192.0.2.0/24': { country: { iso_code: 'AT' } } });
    const path = write('changing.mmdb', addressFile({ '192.0.2.0/24': { country: { iso_code: 'DE' } } }));
    const database = await open(path, 20);
    const country = () => networks('drop', { geo: database.lookup }).of.of('192.0.2.9').client_country;
    expect(country()).toBe('DE');
    // Written until it is seen: what is written before the first look is no change.
    let length = 0;
    const breaking = () => {
      write('changing.mmdb', 'x'.repeat((length += 1)));
      return warned.mock.calls.length;
    };
    await expect.poll(breaking, { timeout: 20_000 }).toBeGreaterThan(0);
    expect(country()).toBe('DE');
    const mending = () => {
      write('changing.mmdb', inAustria);
      return country();
    };
    await expect.poll(mending, { timeout: 20_000 }).toBe('AT');
    database.close();
  });
});
