import { describe, expect, it } from 'vitest';
import { endpoint } from '../turn-client.ts';
import { Bench, effects, tuple } from './bench.ts';

const peerAt = (index: number) => endpoint(`203.0.113.${index}:5000`);
const peers = (from: number, count: number) => Array.from({ length: count }, (_, index) => peerAt(from + index));

describe('new peers of an allocation', () => {
  it('may come at five seconds\u2019 worth at once, then at their rate; the rest wait for their retransmission', () => {
    const bench = new Bench({ newPeersPerSecond: 2 });
    const { client } = bench.allocated();
    for (const peer of peers(1, 10))
      expect(bench.send(client.createPermission([peer])).answer?.messageClass).toBe('success');
    const bytes = client.createPermission([peerAt(11)]);
    expect(bench.send(bytes).commands).toEqual([]);
    expect(bench.observed.slice(-2)).toEqual(['limit new_peers', 'create_permission limited']);
    bench.clock.advance(500);
    expect(bench.send(bytes).answer?.messageClass).toBe('success');
    expect(bench.send(client.channelBind(0x4000, peerAt(12))).commands).toEqual([]);
  });

  it('are answered 508 over a connection, where nothing is sent twice', () => {
    const bench = new Bench({ newPeersPerSecond: 1 });
    const from = tuple(undefined, 'tls');
    const { client } = bench.allocated('alice', from);
    expect(bench.send(client.createPermission(peers(1, 5)), from).answer?.messageClass).toBe('success');
    const refused = bench.send(client.createPermission([peerAt(6)]), from);
    expect(refused.answer?.code).toBe(508);
    expect(effects(refused)).toEqual([]);
    expect(client.verifies(refused.answer!)).toBe(true);
  });

  it('are not those it had before: refreshes are never held up', () => {
    const bench = new Bench({ newPeersPerSecond: 1 });
    const { client } = bench.allocated();
    bench.send(client.createPermission(peers(1, 5)));
    expect(bench.send(client.createPermission(peers(1, 5))).answer?.messageClass).toBe('success');
    expect(bench.send(client.channelBind(0x4000, peerAt(5))).answer?.messageClass).toBe('success');
    bench.clock.advance(300_000);
    bench.send(client.refresh());
    expect(bench.send(client.createPermission(peers(1, 5))).answer?.messageClass).toBe('success');
    expect(bench.send(client.createPermission(peers(6, 5))).answer?.messageClass).toBe('success');
    expect(bench.send(client.createPermission([peerAt(11)])).commands).toEqual([]);
  });

  it('may be more than the burst in one request, which later ones wait for', () => {
    const bench = new Bench({ newPeersPerSecond: 1 });
    const { client } = bench.allocated();
    expect(bench.send(client.createPermission(peers(1, 20))).answer?.messageClass).toBe('success');
    bench.clock.advance(15_000);
    expect(bench.send(client.createPermission([peerAt(21)])).commands).toEqual([]);
    bench.clock.advance(1_000);
    expect(bench.send(client.createPermission([peerAt(21)])).answer?.messageClass).toBe('success');
  });

  it('cost nothing when they are refused', () => {
    const bench = new Bench({ newPeersPerSecond: 1 });
    const { client } = bench.allocated();
    for (let index = 1; index < 50; index += 1) {
      expect(bench.send(client.createPermission([endpoint(`10.0.0.${index}:1`)])).answer?.code).toBe(403);
    }
    expect(bench.send(client.createPermission(peers(1, 1))).answer?.messageClass).toBe('success');
  });

  it('come at the rate of the credential where it says one', () => {
    const bench = new Bench({ newPeersPerSecond: 1 });
    bench.accounts.set('alice', { passwords: ['secret'], limits: { newPeersPerSecond: 3 } });
    const { client } = bench.allocated();
    const answers = peers(1, 20).map((peer) => bench.send(client.createPermission([peer])).answer);
    expect(answers.filter((answer) => answer !== undefined)).toHaveLength(15);
  });
});
