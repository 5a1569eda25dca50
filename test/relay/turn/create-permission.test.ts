import { describe, expect, it } from 'vitest';
import { attributes } from '../../../relay/stun/attributes.ts';
import { attribute, endpoint } from '../turn-client.ts';
import { Bench, effects, tuple } from './bench.ts';

const [good, other, denied, six] = [
  endpoint('203.0.113.9:5000'),
  endpoint('203.0.113.10:0'),
  endpoint('10.0.0.1:5000'),
  endpoint('[2001:db8:9::1]:5000'),
];

describe('CreatePermission (RFC 8656 §10)', () => {
  it('permits every peer address, once each and without its port, for 300 seconds', () => {
    const bench = new Bench();
    const { client, id } = bench.allocated();
    bench.clock.advance(1000);
    const exchange = bench.send(client.createPermission([good, other, { ...good, port: 6000 }]));
    expect(exchange.answer?.messageClass).toBe('success');
    expect(exchange.commands).toEqual([
      { type: 'permit', allocation: id, peer: '203.0.113.9', deadline: 301_000 },
      { type: 'permit', allocation: id, peer: '203.0.113.10', deadline: 301_000 },
      expect.objectContaining({ type: 'send', allocation: id }),
    ]);
  });

  it('lives its 300 seconds whole even where the allocation is to end before: that may yet be refreshed', () => {
    const bench = new Bench();
    const { client } = bench.allocated();
    bench.clock.advance(500_000);
    expect(effects(bench.send(client.createPermission([good])))).toMatchObject([{ deadline: 800_000 }]);
  });

  it('answers 437 where there is no allocation', () => {
    const bench = new Bench();
    expect(bench.send(bench.client().createPermission([good])).answer?.code).toBe(437);
  });

  it('answers 400 without a peer or with one that does not parse', () => {
    const bench = new Bench();
    const { client } = bench.allocated();
    const malformed = { more: [attribute(attributes.XOR_PEER_ADDRESS.type, Uint8Array.of(0, 9, 0, 0, 0, 0, 0, 0))] };
    expect(bench.send(client.createPermission([])).answer?.code).toBe(400);
    expect(bench.send(client.createPermission([good], malformed)).answer?.code).toBe(400);
  });

  it('answers 443 to a peer of the other family, both ways, an IPv4-mapped one included', () => {
    const bench = new Bench();
    const { client } = bench.allocated();
    expect(bench.send(client.createPermission([six])).answer?.code).toBe(443);
    expect(bench.send(client.createPermission([endpoint('[::ffff:203.0.113.9]:5000')])).answer?.code).toBe(443);
    const from = tuple('[2001:db8::7]:50000');
    const ipv6 = bench.allocated('bob', from, 6).client;
    expect(bench.send(ipv6.createPermission([good]), from).answer?.code).toBe(443);
    expect(bench.send(ipv6.createPermission([six]), from).answer?.messageClass).toBe('success');
  });

  it('answers 403 to a peer that policy denies', () => {
    const bench = new Bench();
    const { client } = bench.allocated();
    expect(bench.send(client.createPermission([denied])).answer?.code).toBe(403);
  });

  it('installs all or none', () => {
    const bench = new Bench();
    const { client } = bench.allocated();
    for (const bad of [denied, six]) {
      expect(effects(bench.send(client.createPermission([good, bad])))).toEqual([]);
      expect(effects(bench.send(client.createPermission([bad, good])))).toEqual([]);
    }
  });

  it('answers 508 beyond the cap, refreshing always fits, and the dead make room', () => {
    const bench = new Bench({ permissionsPerAllocation: 2 });
    const { client } = bench.allocated();
    const third = endpoint('203.0.113.11:5000');
    expect(bench.send(client.createPermission([good, other])).answer?.messageClass).toBe('success');
    expect(bench.send(client.createPermission([third])).answer?.code).toBe(508);
    bench.clock.advance(200_000);
    expect(bench.send(client.createPermission([good])).answer?.messageClass).toBe('success');
    bench.clock.advance(100_000);
    expect(bench.send(client.createPermission([third])).answer?.messageClass).toBe('success');
    expect(bench.send(client.createPermission([other])).answer?.code).toBe(508);
  });

  it('asks what this app may reach, for a permission and for a channel', () => {
    const asked: string[] = [];
    const note = (app: string) => {
      asked.push(app);
      return false;
    };
    const bench = new Bench({ policy: { permits: (_address, app) => note(app), judge: () => 'denied' } });
    const { client } = bench.allocated();
    const peer = endpoint('203.0.113.9:5000');
    expect(bench.send(client.createPermission([peer])).answer?.code).toBe(403);
    expect(bench.send(client.channelBind(0x4000, peer)).answer?.code).toBe(403);
    expect(new Set(asked)).toEqual(new Set([bench.core.allocations().next().value?.app]));
    expect(asked).toHaveLength(2);
  });
});
