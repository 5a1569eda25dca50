/** Both families at once: ADDITIONAL-ADDRESS-FAMILY (RFC 8656 §7.2), and what each later request does to the two halves. */
import { describe, expect, it } from 'vitest';
import type { Command } from '../../../relay/planes/plane.ts';
import { attributes } from '../../../relay/stun/attributes.ts';
import { addressFamily } from '../../../relay/stun/number-attributes.ts';
import { TurnCore } from '../../../relay/turn/core.ts';
import { endpoint, type TurnClient } from '../turn-client.ts';
import { Bench, effects, type Exchange, tuple } from './bench.ts';

const requested = (family: 4 | 6) => addressFamily(attributes.REQUESTED_ADDRESS_FAMILY, family);
const both = { more: [addressFamily(attributes.ADDITIONAL_ADDRESS_FAMILY, 6)] };
const v4 = endpoint('203.0.113.9:5000');
const v6 = endpoint('[2001:db8:9::1]:5000');

const opens = ({ commands }: Exchange) => commands.filter((command) => command.type === 'open');
const named = (commands: readonly Command[]) => commands.map(({ type, allocation }) => [type, allocation]);

/** A client with an address of each family, and the ids behind them. */
function allocated(bench: Bench, username = 'alice'): { client: TurnClient; four: string; six: string } {
  const client = bench.client(username);
  const [four, six] = opens(bench.send(client.allocate({}, both)));
  if (four === undefined || six === undefined) throw new Error('no two allocations');
  return { client, four: four.allocation, six: six.allocation };
}

describe('an Allocate for both families (RFC 8656 §7.2)', () => {
  it('opens an address of each and tells both in one answer, IPv4 first, with one lifetime', () => {
    const bench = new Bench();
    const exchange = bench.send(bench.client().allocate({ seconds: 900 }, both));
    const [four, six] = opens(exchange);
    expect([four, six]).toMatchObject([
      { family: 4, deadline: 900_000 },
      { family: 6, deadline: 900_000 },
    ]);
    expect(exchange.answer).toMatchObject({ messageClass: 'success', lifetime: 900, addressError: undefined });
    expect(exchange.answer?.relayedAddresses).toEqual([
      { address: '192.0.2.1', port: four?.port },
      { address: '2001:db8:5::1', port: six?.port },
    ]);
    expect(bench.observed.filter((line) => line === 'allocation udp ok')).toHaveLength(1);
    expect(bench.core.size).toBe(2);
  });

  it('answers once the later of the two is open, and says nothing before', () => {
    const bench = new Bench();
    bench.ports = 'wait';
    const bytes = bench.client().allocate({}, both);
    bench.send(bytes);
    const [four, six] = bench.waiting.splice(0);
    const opened = (allocation = '', address = '') =>
      bench.event({ type: 'opened', allocation, relayed: { address, port: 50_000 } });
    expect(opened(six?.allocation, '2001:db8:5::1').commands).toEqual([]);
    expect(bench.core.allocation(six?.allocation ?? '')?.state).toBe('opening');
    expect(bench.send(bytes).commands).toEqual([]);
    const { answer } = opened(four?.allocation, '192.0.2.1');
    expect(answer?.relayedAddresses?.map(({ address }) => address)).toEqual(['192.0.2.1', '2001:db8:5::1']);
    expect(bench.send(bytes).answer?.bytes).toEqual(answer?.bytes);
  });

  it.each([
    [4, 6],
    [6, 4],
  ] as const)('with IPv%i alone, gives that and says 440 for IPv%i', (has, hasNot) => {
    const bench = new Bench({ families: [has] });
    const { answer } = bench.send(bench.client().allocate({}, both));
    expect(answer?.relayedAddresses).toHaveLength(1);
    expect(answer?.addressError).toEqual({ family: hasNot, code: 440 });
    expect(bench.core.size).toBe(1);
  });

  it.each([
    ['first', 6, 4],
    ['second', 4, 6],
  ] as const)('gives the other address and says 508 when no port is free for the %s', (which, given, missing) => {
    const bench = new Bench({ openAttempts: 2 });
    bench.ports = 'wait';
    bench.send(bench.client().allocate({}, both));
    const [four, six] = bench.waiting.splice(0);
    const [lost, kept] = which === 'first' ? [four, six] : [six, four];
    const relayed = { address: given === 4 ? '192.0.2.1' : '2001:db8:5::1', port: 50_000 };
    bench.event({ type: 'opened', allocation: kept?.allocation ?? '', relayed });
    bench.event({ type: 'exhausted', allocation: lost?.allocation ?? '' });
    const { answer } = bench.event({ type: 'exhausted', allocation: lost?.allocation ?? '' });
    expect(answer).toMatchObject({ messageClass: 'success', relayedAddresses: [relayed] });
    expect(answer?.addressError).toEqual({ family: missing, code: 508 });
    expect([...bench.core.allocations()].map(({ id }) => id)).toEqual([kept?.allocation]);
  });

  it('is answered 508 when neither can be had, and leaves nothing', () => {
    const bench = new Bench({ openAttempts: 2 });
    bench.ports = 'exhausted';
    const { answer } = bench.send(bench.client().allocate({}, both));
    expect(answer).toMatchObject({ messageClass: 'error', code: 508 });
    expect(Object.values(bench.core.entries).every((size) => size === 0)).toBe(true);
  });

  it('counts as two in every quota: the second is refused with 486 in ADDRESS-ERROR-CODE, or 508 by a full relay', () => {
    const bench = new Bench({ allocationsPerUser: 1 });
    const { answer } = bench.send(bench.client().allocate({}, both));
    expect(answer?.addressError).toEqual({ family: 6, code: 486 });
    expect(bench.observed).toContain('limit user_allocations');
    const full = new Bench({ maxAllocations: 1 });
    expect(full.send(full.client().allocate({}, both)).answer?.addressError).toEqual({ family: 6, code: 508 });
  });
});

describe('a client with an address of each family', () => {
  it('refreshes both, or the one that it names', () => {
    const bench = new Bench();
    const { client, four, six } = allocated(bench);
    bench.clock.advance(60_000);
    expect(named(effects(bench.send(client.refresh(900))))).toEqual([
      ['extend', four],
      ['extend', six],
    ]);
    const { commands } = bench.send(client.refresh(3600, { more: [requested(6)] }));
    expect(named(commands)).toEqual([
      ['extend', six],
      ['send', expect.any(String) as string],
    ]);
    expect(bench.core.allocation(four)?.deadline).toBe(960_000);
    expect(bench.core.allocation(six)?.deadline).toBe(3_660_000);
  });

  it('gives one of them back and keeps the other, its permissions and channels untouched (§8.1)', () => {
    const bench = new Bench();
    const { client, four, six } = allocated(bench);
    bench.send(client.channelBind(0x4000, v4));
    bench.send(client.channelBind(0x4001, v6));
    expect(named(effects(bench.send(client.refresh(0, { more: [requested(4)] }))))).toEqual([['close', four]]);
    expect(named(effects(bench.send(client.channelBind(0x4001, v6))))).toEqual([
      ['permit', six],
      ['bind', six],
    ]);
    expect(bench.send(client.createPermission([v4])).answer?.code).toBe(443);
    expect(bench.send(client.refresh(600, { more: [requested(4)] })).answer?.code).toBe(443);
    expect(bench.send(client.allocate()).answer?.code).toBe(437);
    expect(named(effects(bench.send(client.refresh(0))))).toEqual([['close', six]]);
    expect(bench.send(client.refresh(600)).answer?.code).toBe(437);
  });

  it('gives both back with LIFETIME 0 and no family', () => {
    const bench = new Bench();
    const { client, four, six } = allocated(bench);
    expect(named(effects(bench.send(client.refresh(0))))).toEqual([
      ['close', four],
      ['close', six],
    ]);
    expect(Object.values(bench.core.entries).every((size) => size === 0)).toBe(true);
  });

  it('has permissions for peers of both families, from one request, each with its own address', () => {
    const bench = new Bench();
    const { client, four, six } = allocated(bench);
    expect(effects(bench.send(client.createPermission([v6, v4])))).toEqual([
      { type: 'permit', allocation: four, peer: v4.address, deadline: 300_000 },
      { type: 'permit', allocation: six, peer: v6.address, deadline: 300_000 },
    ]);
  });

  it('is refused all of a request when one of its peers is denied', () => {
    const bench = new Bench();
    const { client } = allocated(bench);
    const exchange = bench.send(client.createPermission([v6, endpoint('10.0.0.1:1')]));
    expect(exchange.answer?.code).toBe(403);
    expect(effects(exchange)).toEqual([]);
  });

  it('has one space of channel numbers for both', () => {
    const bench = new Bench();
    const { client, six } = allocated(bench);
    bench.send(client.channelBind(0x4000, v4));
    expect(bench.send(client.channelBind(0x4000, v6)).answer?.code).toBe(400);
    bench.clock.advance(550_000);
    bench.send(client.refresh(3600));
    bench.clock.advance(50_000 + 299_999);
    const nonceIsStale = bench.send(client.refresh(3600));
    if (nonceIsStale.answer?.code === 438) client.learn(nonceIsStale.answer);
    expect(bench.send(client.channelBind(0x4000, v6)).answer?.code).toBe(400);
    bench.clock.advance(1);
    expect(named(effects(bench.send(client.channelBind(0x4000, v6))))).toEqual([
      ['permit', six],
      ['bind', six],
    ]);
  });

  it('loses one at its deadline and keeps the other, which answers as ever', () => {
    const bench = new Bench();
    const { client, four, six } = allocated(bench);
    bench.send(client.refresh(1200, { more: [requested(6)] }));
    bench.clock.advance(600_000);
    const stale = bench.send(client.refresh(600));
    expect(stale.commands).toContainEqual({ type: 'close', allocation: four, reason: 'expired' });
    if (stale.answer?.code === 438) client.learn(stale.answer);
    expect(named(effects(bench.send(client.refresh(600))))).toEqual([['extend', six]]);
    expect(bench.expire().commands).toEqual([]);
  });

  it('is ended whole when its credential is', () => {
    const bench = new Bench();
    const { four, six } = allocated(bench);
    expect(bench.core.allocationsOf('alice').map(({ id }) => id)).toEqual([four, six]);
  });

  it('goes on with both after a restart, in whatever order they were written down', () => {
    const bench = new Bench();
    const { client, four, six } = allocated(bench);
    const written = [six, four].map((id): unknown => JSON.parse(JSON.stringify(bench.core.written(id, bench.at()))));
    const core = new TurnCore(bench.options);
    const resumed = written.map((entry) => core.resume(entry, 0n, bench.at()));
    expect(resumed).toMatchObject([
      { ok: true, id: six, commands: [{ family: 6 }] },
      { ok: true, id: four, commands: [{ family: 4 }] },
    ]);
    const commands = core.handleControl(client.refresh(900), tuple(), bench.at());
    expect(named(commands).slice(0, 2)).toEqual([
      ['extend', four],
      ['extend', six],
    ]);
    expect(core.resume(written[0], 0n, bench.at())).toEqual({ ok: false, reason: 'taken' });
  });
});
