import { describe, expect, it } from 'vitest';
import { methods } from '../../../relay/stun/methods.ts';
import { xorAddress } from '../../../relay/stun/address-attributes.ts';
import { attributes } from '../../../relay/stun/attributes.ts';
import { channelNumber } from '../../../relay/stun/number-attributes.ts';
import { endpoint } from '../turn-client.ts';
import { Bench, effects } from './bench.ts';

const [one, two, samePeerOtherPort] = [
  endpoint('203.0.113.9:5000'),
  endpoint('203.0.113.10:5000'),
  endpoint('203.0.113.9:5001'),
];

/** A bench with an allocation that lives for an hour. */
function hour(overrides = {}) {
  const bench = new Bench(overrides);
  const client = bench.client();
  const { commands } = bench.send(client.allocate({ seconds: 3600 }));
  const id = commands[0]?.type === 'open' ? commands[0].allocation : '';
  /** Binds, with a fresh nonce when the last one has gone stale. */
  const bind = (channel: number, peer = one) => {
    const exchange = bench.send(client.channelBind(channel, peer));
    if (exchange.answer?.code !== 438) return exchange;
    client.learn(exchange.answer);
    return bench.send(client.channelBind(channel, peer));
  };
  return { bench, client, id, bind };
}

describe('ChannelBind (RFC 8656 §12)', () => {
  it('binds for 600 seconds and permits the peer for 300', () => {
    const { bench, id, bind } = hour();
    bench.clock.advance(1000);
    const exchange = bind(0x4000);
    expect(exchange.answer?.messageClass).toBe('success');
    expect(effects(exchange)).toEqual([
      { type: 'permit', allocation: id, peer: one.address, deadline: 301_000 },
      { type: 'bind', allocation: id, channel: 0x4000, peer: one, deadline: 601_000 },
    ]);
  });

  it('answers 437 where there is no allocation', () => {
    const bench = new Bench();
    expect(bench.send(bench.client().channelBind(0x4000, one)).answer?.code).toBe(437);
  });

  it('answers 400 without number or peer', () => {
    const { bench, client } = hour();
    const bare = (setter: Parameters<typeof client.request>[1]) => client.request(methods.CHANNEL_BIND.code, setter);
    expect(bench.send(bare([channelNumber(0x4000)])).answer?.code).toBe(400);
    expect(bench.send(bare([xorAddress(attributes.XOR_PEER_ADDRESS, one)])).answer?.code).toBe(400);
  });

  it.each([0, 0x3fff, 0x5000, 0x7fff, 0x8000, 0xffff])('answers 400 to channel %i', (channel) => {
    expect(hour().bind(channel).answer?.code).toBe(400);
  });

  it.each([0x4000, 0x4fff])('accepts channel %i', (channel) => {
    expect(hour().bind(channel).answer?.messageClass).toBe('success');
  });

  it('answers 400 to a number bound to another peer and to a peer bound to another number', () => {
    const { bind } = hour();
    bind(0x4000, one);
    expect(bind(0x4000, two).answer?.code).toBe(400);
    expect(bind(0x4001, one).answer?.code).toBe(400);
    expect(bind(0x4000, samePeerOtherPort).answer?.code).toBe(400);
    expect(bind(0x4001, samePeerOtherPort).answer?.messageClass).toBe('success');
  });

  it('refreshes by binding the same pair again, alive or expired', () => {
    const { bench, bind } = hour();
    bind(0x4000);
    bench.clock.advance(599_000);
    expect(effects(bind(0x4000))).toMatchObject([
      { type: 'permit', deadline: 899_000 },
      { type: 'bind', deadline: 1_199_000 },
    ]);
    bench.clock.advance(700_000);
    expect(effects(bind(0x4000))).toMatchObject([{ type: 'permit' }, { type: 'bind', deadline: 1_899_000 }]);
  });

  it('lets number and peer rest for 5 minutes after expiry, then takes the old binding back first', () => {
    const { bench, id, bind } = hour();
    bind(0x4000, one);
    bench.clock.advance(899_999);
    expect(bind(0x4000, two).answer?.code).toBe(400);
    expect(bind(0x4001, one).answer?.code).toBe(400);
    bench.clock.advance(1);
    expect(effects(bind(0x4000, two))[0]).toEqual({ type: 'unbind', allocation: id, channel: 0x4000 });
    expect(effects(bind(0x4001, one)).map(({ type }) => type)).toEqual(['permit', 'bind']);
  });

  it('takes a rested number back when its peer moves to another', () => {
    const { bench, id, bind } = hour();
    bind(0x4000, one);
    bench.clock.advance(900_000);
    expect(effects(bind(0x4001, one))).toMatchObject([
      { type: 'unbind', allocation: id, channel: 0x4000 },
      { type: 'permit' },
      { type: 'bind', channel: 0x4001 },
    ]);
    expect(bind(0x4000, two).answer?.messageClass).toBe('success');
  });

  it('answers 443 to a peer of the other family and 403 to one that policy denies, by address or by port', () => {
    const { bind } = hour();
    expect(bind(0x4000, endpoint('[2001:db8:9::1]:5000')).answer?.code).toBe(443);
    expect(bind(0x4000, endpoint('10.0.0.1:5000')).answer?.code).toBe(403);
    expect(bind(0x4000, endpoint('203.0.113.9:22')).answer?.code).toBe(403);
  });

  it('answers 508 beyond the cap of channels, resting ones included, or of permissions', () => {
    const channels = hour({ channelsPerAllocation: 1 });
    channels.bind(0x4000, one);
    channels.bench.clock.advance(899_999);
    expect(channels.bind(0x4001, two).answer?.code).toBe(508);
    channels.bench.clock.advance(1);
    expect(channels.bind(0x4001, two).answer?.messageClass).toBe('success');

    const permissions = hour({ permissionsPerAllocation: 1 });
    permissions.bind(0x4000, one);
    expect(permissions.bind(0x4001, two).answer?.code).toBe(508);
    expect(permissions.bind(0x4001, samePeerOtherPort).answer?.messageClass).toBe('success');
  });
});
