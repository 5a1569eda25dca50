import { describe, expect, it } from 'vitest';
import { endpoint } from '../turn-client.ts';
import { Bench, tuple, zeroCounters, noEntries } from './bench.ts';

describe('the life of an allocation', () => {
  it('ends at its deadline, not a millisecond before', () => {
    const bench = new Bench();
    const { id } = bench.allocated();
    expect(bench.core.nextDeadline()).toBe(600_000);
    bench.clock.advance(599_999);
    expect(bench.expire().commands).toEqual([]);
    bench.clock.advance(1);
    expect(bench.expire().commands).toEqual([{ type: 'close', allocation: id, reason: 'expired' }]);
    expect(bench.core.nextDeadline()).toBeUndefined();
    expect(bench.core.entries).toEqual(noEntries);
  });

  it('ends several in the order of their deadlines', () => {
    const bench = new Bench();
    const ids = [2400, 600, 1200].map((seconds, index) => {
      const from = tuple(`198.51.100.7:${index + 1}`);
      bench.send(bench.client('alice', 'secret', from).allocate({ seconds }), from);
      return [...bench.core.allocations()].at(-1)?.id;
    });
    bench.clock.advance(3_600_000);
    const closed = bench.expire().commands.map((command) => command.type === 'close' && command.allocation);
    expect(closed).toEqual([ids[1], ids[2], ids[0]]);
  });

  it('is over for a packet that comes after the deadline and before the timer', () => {
    const bench = new Bench();
    const { client, id } = bench.allocated();
    bench.clock.advance(590_000);
    client.learn(bench.send(client.refresh(600, { bare: true })).answer!);
    bench.clock.advance(10_000);
    const exchange = bench.send(client.refresh(600));
    expect(exchange.commands[0]).toEqual({ type: 'close', allocation: id, reason: 'expired' });
    expect(exchange.answer?.code).toBe(437);
  });

  it('can be ended from outside, once, with the reason given', () => {
    const bench = new Bench();
    const { id } = bench.allocated();
    const [allocation] = bench.core.allocationsOf('alice');
    expect(bench.core.close(allocation?.id ?? '', 'revoked')).toEqual([
      { type: 'close', allocation: id, reason: 'revoked' },
    ]);
    expect(bench.core.close(id, 'revoked')).toEqual([]);
    expect(bench.core.close('nobody', 'revoked')).toEqual([]);
    expect(bench.core.allocationsOf('alice')).toEqual([]);
  });

  it('stays readable from the close command to the plane\u2019s last word, for the meter', () => {
    const bench = new Bench();
    bench.confirmsCloses = false;
    const { id } = bench.allocated();
    bench.obey(bench.core.close(id, 'revoked'));
    expect(bench.core.size).toBe(0);
    expect(bench.core.allocation(id)).toMatchObject({ state: 'closing', username: 'alice' });
    bench.event({ type: 'closed', allocation: id, reason: 'revoked', counters: zeroCounters });
    expect(bench.core.allocation(id)).toBeUndefined();
    expect(bench.core.entries).toEqual(noEntries);
  });

  it('frees its five-tuple at once, also while the plane is still closing', () => {
    const bench = new Bench();
    bench.confirmsCloses = false;
    const { client, id } = bench.allocated();
    bench.send(client.refresh(0));
    const next = bench.send(client.allocate());
    expect(next.answer?.messageClass).toBe('success');
    bench.event({ type: 'closed', allocation: id, reason: 'refreshed_to_zero', counters: zeroCounters });
    expect(bench.core.size).toBe(1);
  });

  it('ends when the plane ends it, without a word back', () => {
    const bench = new Bench();
    const { client, id } = bench.allocated();
    expect(bench.event({ type: 'closed', allocation: id, reason: 'quota', counters: zeroCounters }).commands).toEqual(
      [],
    );
    expect(bench.core.entries).toEqual(noEntries);
    expect(bench.send(client.refresh()).answer?.code).toBe(437);
  });

  it('closed while its port was being opened, is never announced', () => {
    const bench = new Bench();
    bench.ports = 'wait';
    bench.confirmsCloses = false;
    bench.send(bench.client().allocate());
    const id = bench.waiting[0]?.allocation ?? '';
    expect(bench.core.allocation(id)?.state).toBe('opening');
    bench.obey(bench.core.close(id, 'shutdown'));
    expect(bench.settleOpens().commands).toEqual([]);
    bench.event({ type: 'exhausted', allocation: id });
    expect(bench.core.entries).toEqual(noEntries);
  });

  it('is not disturbed by events about strangers or about ports it already has', () => {
    const bench = new Bench();
    const { id } = bench.allocated();
    const relayed = endpoint('192.0.2.1:50000');
    const events = [
      { type: 'opened', allocation: 'nobody', relayed },
      { type: 'opened', allocation: id, relayed },
      { type: 'exhausted', allocation: 'nobody' },
      { type: 'exhausted', allocation: id },
      { type: 'unreachable', allocation: id, peer: relayed },
      { type: 'closed', allocation: 'nobody', reason: 'failed', counters: zeroCounters },
    ] as const;
    for (const event of events) expect(bench.event(event).commands).toEqual([]);
    expect(bench.core.size).toBe(1);
  });
});
