import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cidrContains, formatAddress, parseAddress } from '../../../kernel/address.ts';
import { deniedRanges } from '../../../relay/policy/denied-ranges.ts';
import { embeddedIpv4 } from '../../../relay/policy/embedded-ipv4.ts';
import type { Endpoint } from '../../../kernel/address.ts';
import { createPeerPolicy } from '../../../relay/policy/peer-policy.ts';
import type { AppPeers, PeerPolicyOptions } from '../../../relay/policy/peer-policy.ts';
import { cidr, encodings, inside } from './disguises.ts';

const OWN = '8.8.4.4';
const OWN6 = '2606:4700::1';

/** As it judges for one app. */
function policyOf(options: Partial<PeerPolicyOptions> = {}, app = 'shop') {
  const policy = createPeerPolicy({ ownAddresses: [OWN, OWN6], allow: [], sfuRanges: [], hairpin: 'app', ...options });
  return {
    judge: (peer: Endpoint) => policy.judge(peer, app),
    permits: (address: string) => policy.permits(address, app),
  };
}

/** Transition prefixes opened by an operator, so that only the address inside is left to judge. */
const openedPrefixes = ['64:ff9b::/96', '64:ff9b:1::/48', '2002::/16', '2001::/23'].map(cidr);

const publicV4 = fc
  .uint8Array({ minLength: 4, maxLength: 4 })
  .filter((bytes) => formatAddress(bytes) !== OWN)
  .filter((bytes) => !deniedRanges.some(({ range }) => cidrContains(cidr(range), bytes)));

const port = fc.integer({ min: 1024, max: 65_535 });

describe('the default peer policy', () => {
  it.each(deniedRanges)('refuses every peer of $range: $why', ({ range }) => {
    const policy = policyOf();
    fc.assert(
      fc.property(inside(cidr(range)), port, (bytes, port) => {
        const address = formatAddress(bytes);
        expect(policy.judge({ address, port })).toBe('denied');
        expect(policy.permits(address)).toBe(false);
      }),
    );
  });

  const v4Ranges = deniedRanges.filter(({ range }) => !range.includes(':'));
  it.each(Object.keys(encodings))(
    'refuses every denied IPv4 range written as %s, also below an opened prefix',
    (name) => {
      const encode = encodings[name];
      if (encode === undefined) throw new Error('unreachable');
      const closed = policyOf();
      const opened = policyOf({ allow: openedPrefixes });
      for (const { range } of v4Ranges) {
        fc.assert(
          fc.property(inside(cidr(range)), port, (bytes, port) => {
            const address = encode(bytes);
            for (const policy of [closed, opened]) {
              expect(policy.judge({ address, port })).toBe('denied');
              expect(policy.permits(address)).toBe(false);
            }
          }),
          { numRuns: 20 },
        );
      }
    },
  );

  it.each(Object.keys(encodings))('reads the IPv4 address back out of %s', (name) => {
    const encode = encodings[name];
    if (encode === undefined) throw new Error('unreachable');
    fc.assert(
      fc.property(publicV4, (bytes) => {
        const written = parseAddress(encode(bytes));
        if (written === undefined) throw new Error(`not an address: ${encode(bytes)}`);
        expect(embeddedIpv4(written).map(formatAddress)).toContain(formatAddress(bytes));
      }),
    );
  });

  it('allows any public IPv4 peer under the class internet, plain or IPv4-mapped', () => {
    const policy = policyOf();
    fc.assert(
      fc.property(publicV4, port, (bytes, port) => {
        for (const address of [formatAddress(bytes), `::ffff:${formatAddress(bytes)}`]) {
          expect(policy.judge({ address, port })).toBe('internet');
          expect(policy.permits(address)).toBe(true);
        }
      }),
    );
  });

  it('allows a public IPv6 peer under the class internet', () => {
    expect(policyOf().judge({ address: '2a00:1450:4001::200e', port: 50_000 })).toBe('internet');
    expect(embeddedIpv4(new Uint8Array([0x2a, ...Array.from({ length: 15 }, () => 1)]))).toEqual([]);
  });

  it.each(['169.254.169.254', 'fd00:ec2::254', '168.63.129.16', '100.100.100.200', '192.0.0.192'])(
    'refuses the cloud metadata service at %s',
    (address) => {
      expect(policyOf().judge({ address, port: 50_000 })).toBe('denied');
    },
  );

  it('refuses what is no address', () => {
    for (const address of ['', 'localhost', '1.2.3', '1.2.3.4.5', 'fe80::1%eth0', '0x7f.1', '2130706433']) {
      expect(policyOf().judge({ address, port: 50_000 })).toBe('denied');
      expect(policyOf().permits(address)).toBe(false);
    }
  });

  it('refuses ports below 1024, port 0 and what is no port', () => {
    const policy = policyOf();
    for (const port of [0, 1, 53, 443, 1023, -1, 65_536, 1.5, Number.NaN]) {
      expect(policy.judge({ address: '1.1.1.1', port })).toBe('denied');
    }
    expect(policy.judge({ address: '1.1.1.1', port: 1024 })).toBe('internet');
    expect(policyOf({ minPeerPort: 1 }).judge({ address: '1.1.1.1', port: 53 })).toBe('internet');
  });
});

describe('addresses of this relay', () => {
  it('are own_relay at any port, so that the plane decides by its live allocations', () => {
    expect(policyOf().judge({ address: OWN, port: 50_000 })).toBe('own_relay');
    expect(policyOf().judge({ address: OWN, port: 22 })).toBe('own_relay');
    expect(policyOf().judge({ address: '2606:4700:0:0::1', port: 50_000 })).toBe('own_relay');
  });

  it('are refused in every disguise, also below an opened prefix', () => {
    const own = parseAddress(OWN);
    if (own === undefined) throw new Error('unreachable');
    for (const encode of Object.values(encodings)) {
      for (const policy of [policyOf(), policyOf({ allow: openedPrefixes })]) {
        expect(policy.judge({ address: encode(own), port: 50_000 })).toBe('denied');
      }
    }
  });

  it('take no permission where hairpin is none', () => {
    expect(policyOf({ hairpin: 'app' }).permits(OWN)).toBe(true);
    expect(policyOf({ hairpin: 'any' }).permits(OWN)).toBe(true);
    expect(policyOf({ hairpin: 'none' }).permits(OWN)).toBe(false);
  });

  it('are own even where their range is denied by default, as on a LAN', () => {
    expect(policyOf({ ownAddresses: ['10.0.0.5'] }).judge({ address: '10.0.0.5', port: 50_000 })).toBe('own_relay');
    expect(policyOf({ ownAddresses: ['10.0.0.5'] }).judge({ address: '10.0.0.6', port: 50_000 })).toBe('denied');
  });

  it('are open only where an operator allowed them by range', () => {
    const policy = policyOf({ ownAddresses: ['127.0.0.1'], allow: [cidr('127.0.0.0/8')] });
    expect(policy.judge({ address: '127.0.0.1', port: 50_000 })).toBe('internet');
  });

  it('must be addresses', () => {
    expect(() => policyOf({ ownAddresses: ['relay.example'] })).toThrow('not an address of this relay');
  });
});

describe("an operator's ranges", () => {
  it('lift the default policy for exactly that range, ports included', () => {
    const policy = policyOf({ allow: [cidr('10.1.0.0/16')] });
    expect(policy.judge({ address: '10.1.2.3', port: 443 })).toBe('internet');
    expect(policy.judge({ address: '::ffff:10.1.2.3', port: 443 })).toBe('internet');
    expect(policy.judge({ address: '10.2.0.1', port: 50_000 })).toBe('denied');
    expect(policy.judge({ address: '10.1.2.3', port: 0 })).toBe('denied');
  });

  it('do not open the transition prefixes that carry the range, nor the other way round', () => {
    expect(policyOf({ allow: [cidr('10.0.0.0/8')] }).judge({ address: '2002:a00:1::', port: 50_000 })).toBe('denied');
    expect(policyOf({ allow: [cidr('2002::/16')] }).judge({ address: '2002:a00:1::', port: 50_000 })).toBe('denied');
    const both = policyOf({ allow: [cidr('2002::/16'), cidr('10.0.0.0/8')] });
    expect(both.judge({ address: '2002:a00:1::', port: 50_000 })).toBe('internet');
  });

  it('allow ::1 where it is named, though it lies in the IPv4-compatible prefix', () => {
    expect(policyOf({ allow: [cidr('::1/128')] }).judge({ address: '::1', port: 50_000 })).toBe('internet');
  });

  it('of SFUs give the class sfu and lift the default policy', () => {
    const policy = policyOf({ sfuRanges: [cidr('10.9.0.0/16'), cidr('1.1.1.0/24')] });
    expect(policy.judge({ address: '10.9.8.7', port: 443 })).toBe('sfu');
    expect(policy.judge({ address: '1.1.1.1', port: 50_000 })).toBe('sfu');
    expect(policy.judge({ address: '::ffff:1.1.1.1', port: 50_000 })).toBe('sfu');
    expect(policy.permits('10.9.8.7')).toBe(true);
  });

  it('of denied peers win over everything', () => {
    const policy = policyOf({
      allow: [cidr('10.0.0.0/8')],
      sfuRanges: [cidr('10.0.0.0/8')],
      deny: [cidr('10.6.6.0/24'), cidr(OWN)],
    });
    expect(policy.judge({ address: '10.6.6.6', port: 50_000 })).toBe('denied');
    expect(policy.judge({ address: '::ffff:10.6.6.6', port: 50_000 })).toBe('denied');
    expect(policy.judge({ address: OWN, port: 50_000 })).toBe('denied');
    expect(policy.judge({ address: '10.6.7.1', port: 50_000 })).toBe('sfu');
  });
});

describe("an app's own peers", () => {
  const sfu = [cidr('10.20.0.0/24'), cidr('8.8.8.0/24')];
  const rules = (peers: AppPeers, more: Partial<PeerPolicyOptions> = {}) => ({
    apps: new Map([['shop', peers]]),
    ...more,
  });
  const at = (address: string, port = 50_000) => ({ address, port });

  it('are nothing but the ranges it is held to, which may be private, on any port', () => {
    const policy = policyOf(rules({ only: sfu }));
    for (const peer of [at('10.20.0.7'), at('10.20.0.7', 443), at('8.8.8.8')])
      expect(policy.judge(peer)).toBe('internet');
    for (const address of ['10.20.1.7', '1.1.1.1', '169.254.169.254', '2606:4700::1111', OWN]) {
      expect(policy.judge(at(address))).toBe('denied');
      expect(policy.permits(address)).toBe(false);
    }
  });

  it('hold for that app alone', () => {
    const other = policyOf(rules({ only: sfu }), 'another');
    expect([other.judge(at('10.20.0.7')), other.judge(at('1.1.1.1')), other.permits(OWN)]).toEqual([
      'denied',
      'internet',
      true,
    ]);
  });

  it('are fewer by what it denies, and never more than the operator denies to all', () => {
    const policy = policyOf(rules({ only: sfu, deny: [cidr('8.8.8.8/32')] }, { deny: [cidr('10.20.0.128/25')] }));
    expect(policy.judge(at('8.8.8.8'))).toBe('denied');
    expect(policy.judge(at('8.8.8.9'))).toBe('internet');
    expect(policy.judge(at('10.20.0.200'))).toBe('denied');
    const open = policyOf(rules({ deny: [cidr('1.1.1.0/24')] }));
    expect([open.judge(at('1.1.1.1')), open.judge(at('8.8.8.8')), open.judge(at('10.0.0.1'))]).toEqual([
      'denied',
      'internet',
      'denied',
    ]);
  });

  it('are denied in every spelling, also where the spelling alone would be open', () => {
    const policy = policyOf(rules({ deny: [cidr('1.1.1.0/24')] }));
    const open = policyOf(rules({ only: [cidr('::/0')], deny: [cidr('1.1.1.0/24')] }));
    for (const encode of Object.values(encodings)) {
      const peer = at(encode(Uint8Array.of(1, 1, 1, 9)));
      expect([policy.judge(peer), policy.permits(peer.address)]).toEqual(['denied', false]);
      expect([open.judge(peer), open.permits(peer.address)]).toEqual(['denied', false]);
    }
  });

  it('may have ports of their own', () => {
    const high = policyOf(rules({ only: sfu, minPort: 10_000 }));
    expect([high.judge(at('8.8.8.8', 9_999)), high.judge(at('8.8.8.8', 10_000))]).toEqual(['denied', 'internet']);
    const low = policyOf(rules({ minPort: 53 }));
    expect([low.judge(at('1.1.1.1', 52)), low.judge(at('1.1.1.1', 53))]).toEqual(['denied', 'internet']);
  });

  it('keep the class of an SFU range, and other allocations where a range covers them', () => {
    const policy = policyOf(
      rules({ only: [cidr('10.20.0.0/24'), cidr(`${OWN}/32`)] }, { sfuRanges: [cidr('10.20.0.0/24')] }),
    );
    expect([policy.judge(at('10.20.0.7')), policy.judge(at(OWN))]).toEqual(['sfu', 'own_relay']);
  });
});
