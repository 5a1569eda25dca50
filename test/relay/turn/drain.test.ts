import { describe, expect, it } from 'vitest';
import { readPlainAddress } from '../../../relay/stun/address-attributes.ts';
import { attributes } from '../../../relay/stun/attributes.ts';
import { decodeMessage } from '../../../relay/stun/message.ts';
import { readText } from '../../../relay/stun/text-attributes.ts';
import { type Answer, endpoint } from '../turn-client.ts';
import { Bench, tuple } from './bench.ts';

const alternates = [
  { address: '192.0.2.9', port: 3478 },
  { address: '2001:db8:5::9', port: 3479, tls: { port: 5349, domain: 'two.example.org' } },
];
const V6 = '[2001:db8::7]:50000';

function target({ bytes }: Answer) {
  const decoded = decodeMessage(bytes);
  if (!decoded.ok) throw new Error(decoded.fault);
  return {
    server: readPlainAddress(decoded.message, attributes.ALTERNATE_SERVER),
    domain: readText(decoded.message, attributes.ALTERNATE_DOMAIN),
  };
}

describe('a relay that is being drained (RFC 8489 §10)', () => {
  it.each([
    [tuple(), 300, { server: endpoint('192.0.2.9:3478'), domain: undefined }],
    [tuple(V6), 300, { server: endpoint('[2001:db8:5::9]:3479'), domain: undefined }],
    [tuple(V6, 'tcp'), 300, { server: endpoint('[2001:db8:5::9]:3479'), domain: undefined }],
    [tuple(V6, 'tls'), 300, { server: endpoint('[2001:db8:5::9]:5349'), domain: 'two.example.org' }],
    [tuple(undefined, 'tls'), 508, { server: undefined, domain: undefined }],
  ])(
    'sends a client to an alternate of its own family, one that its transport reaches (%j: %i)',
    (from, code, where) => {
      const bench = new Bench({ alternates });
      bench.core.drain();
      const client = bench.client('alice', undefined, from);
      const { answer } = bench.send(client.allocate(), from);
      expect(answer?.code).toBe(code);
      expect(target(answer!)).toEqual(where);
      expect(client.verifies(answer!)).toBe(true);
      expect(bench.observed).toContain('limit draining');
      expect(bench.core.size).toBe(0);
    },
  );

  it('answers 508 without an alternate', () => {
    const bench = new Bench();
    bench.core.drain();
    expect(bench.send(bench.client().allocate()).answer?.code).toBe(508);
  });

  it('tells nobody without credentials where else to go', () => {
    const bench = new Bench({ alternates });
    bench.core.drain();
    expect(bench.send(bench.client('alice', 'guess').allocate()).answer?.code).toBe(401);
  });

  it('goes on with the allocations it has, and answers their retransmissions and second Allocates as ever', () => {
    const bench = new Bench({ alternates });
    const client = bench.client();
    const bytes = client.allocate();
    const first = bench.send(bytes);
    bench.core.drain();
    expect(bench.core.isDraining).toBe(true);
    expect(bench.send(bytes).answer?.bytes).toEqual(first.answer?.bytes);
    expect(bench.send(client.allocate()).answer?.code).toBe(437);
    expect(bench.send(client.refresh(900)).answer?.lifetime).toBe(900);
    expect(bench.send(client.channelBind(0x4000, endpoint('203.0.113.9:5000'))).answer?.messageClass).toBe('success');
    expect(bench.send(client.refresh(0)).answer?.messageClass).toBe('success');
    expect(bench.send(client.allocate()).answer?.code).toBe(300);
  });

  it('lets one that was being opened begin', () => {
    const bench = new Bench();
    bench.ports = 'wait';
    bench.send(bench.client().allocate());
    bench.core.drain();
    expect(bench.settleOpens().answer?.messageClass).toBe('success');
  });

  it('spreads clients over several alternates', () => {
    const several = ['192.0.2.9', '192.0.2.10', '192.0.2.11'].map((address) => ({ address, port: 3478 }));
    const bench = new Bench({ alternates: several });
    bench.core.drain();
    const client = bench.client();
    const seen = new Set(
      Array.from({ length: 60 }, () => target(bench.send(client.allocate()).answer!).server?.address),
    );
    expect(seen).toEqual(new Set(several.map(({ address }) => address)));
  });
});

describe('a relay that is full', () => {
  it('sends clients to its alternate, and takes them again when there is room', () => {
    const bench = new Bench({ alternates, maxAllocations: 1 });
    const { client } = bench.allocated('alice', tuple('198.51.100.7:1'));
    expect(target(bench.send(bench.client().allocate()).answer!).server).toEqual(endpoint('192.0.2.9:3478'));
    expect(bench.observed).toContain('limit relay_allocations');
    bench.send(client.refresh(0), tuple('198.51.100.7:1'));
    expect(bench.send(bench.client().allocate()).answer?.messageClass).toBe('success');
  });
});
