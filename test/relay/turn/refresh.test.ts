import { describe, expect, it } from 'vitest';
import { attributes } from '../../../relay/stun/attributes.ts';
import { addressFamily } from '../../../relay/stun/number-attributes.ts';
import { Bench, effects, START, tuple } from './bench.ts';

const family = (number: 4 | 6) => ({ more: [addressFamily(attributes.REQUESTED_ADDRESS_FAMILY, number)] });

describe('Refresh (RFC 8656 §8)', () => {
  it.each([
    [undefined, 600],
    [1, 600],
    [1800, 1800],
    [100_000, 3600],
  ])('asked for %s seconds, extends by %i from now', (seconds, granted) => {
    const bench = new Bench();
    const { client, id } = bench.allocated();
    bench.clock.advance(100_000);
    const exchange = bench.send(client.refresh(seconds));
    expect(exchange.answer).toMatchObject({ messageClass: 'success', lifetime: granted });
    expect(exchange.commands).toEqual([
      { type: 'extend', allocation: id, deadline: 100_000 + granted * 1000 },
      expect.objectContaining({ type: 'send', allocation: id }),
    ]);
    expect(bench.core.allocation(id)?.deadline).toBe(100_000 + granted * 1000);
  });

  it('of zero seconds answers, then closes, and frees the five-tuple', () => {
    const bench = new Bench();
    const { client, id } = bench.allocated();
    const exchange = bench.send(client.refresh(0));
    expect(exchange.answer).toMatchObject({ messageClass: 'success', lifetime: 0 });
    expect(exchange.commands.map(({ type }) => type)).toEqual(['send', 'close']);
    expect(exchange.commands[1]).toEqual({ type: 'close', allocation: id, reason: 'refreshed_to_zero' });
    expect(bench.core.entries.ids).toBe(0);
    expect(bench.send(client.refresh(0)).answer?.code).toBe(437);
    expect(bench.send(client.allocate()).answer?.messageClass).toBe('success');
  });

  it('answers 437 where there is no allocation, and while it is being opened', () => {
    const bench = new Bench();
    const client = bench.client();
    expect(bench.send(client.refresh()).answer?.code).toBe(437);
    bench.ports = 'wait';
    bench.send(client.allocate());
    expect(bench.send(client.refresh()).answer?.code).toBe(437);
  });

  it('answers 443 to another address family than the relayed one, and accepts the same', () => {
    const bench = new Bench();
    const { client } = bench.allocated();
    expect(bench.send(client.refresh(0, family(6))).answer?.code).toBe(443);
    expect(bench.send(client.refresh(600, family(4))).answer?.messageClass).toBe('success');
  });

  it('can shorten: what expires sooner is closed sooner', () => {
    const bench = new Bench();
    const client = bench.client();
    bench.send(client.allocate({ seconds: 3600 }));
    bench.send(client.refresh(600));
    expect(bench.core.nextDeadline()).toBe(600_000);
    bench.clock.advance(600_000);
    expect(effects(bench.expire())).toMatchObject([{ type: 'close', reason: 'expired' }]);
  });

  it('goes on after the credential\u2019s end by default: a long call is not cut', () => {
    const bench = new Bench();
    bench.accounts.set('alice', { passwords: ['secret'], expiresAt: START + 60_000 });
    const { client } = bench.allocated();
    bench.clock.advance(120_000);
    expect(bench.send(client.refresh(3600)).answer).toMatchObject({ messageClass: 'success', lifetime: 3600 });
  });

  it('cannot go beyond the credential where onExpiry is disconnect, and the allocation ends with it', () => {
    const bench = new Bench({ onExpiry: 'disconnect' });
    bench.accounts.set('alice', { passwords: ['secret'], expiresAt: START + 900_500 });
    const { client, id } = bench.allocated();
    expect(bench.core.allocation(id)?.deadline).toBe(600_000);
    bench.clock.advance(500_000);
    expect(bench.send(client.refresh(3600))).toMatchObject({
      answer: { messageClass: 'success', lifetime: 400 },
      commands: [{ type: 'extend', deadline: 900_500 }, { type: 'send' }],
    });
    bench.clock.advance(400_499);
    expect(bench.expire().commands).toEqual([]);
    bench.clock.advance(1);
    expect(bench.expire().commands).toEqual([{ type: 'close', allocation: id, reason: 'credential_expired' }]);
    expect(bench.core.size).toBe(0);
  });

  it('of another five-tuple does not touch the allocation', () => {
    const bench = new Bench();
    bench.allocated();
    const elsewhere = tuple('198.51.100.7:50001');
    const client = bench.client('alice', 'secret', elsewhere);
    expect(bench.send(client.refresh(0), elsewhere).answer?.code).toBe(437);
    expect(bench.core.size).toBe(1);
  });
});
