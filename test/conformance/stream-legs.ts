/** What every plane must do for clients over TCP and TLS, beside what it does for all of them (test/conformance/plane.ts). */
import { connect } from 'node:net';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import type { ConnectionEnd, StreamTransport } from '../../relay/planes/plane.ts';
import { streamDefaults } from '../../relay/planes/stream/stream-limits.ts';
import { TlsIdentity } from '../../relay/planes/stream/tls-identity.ts';
import { bindingRequest, channelData, readDataIndication, sendIndication, stun } from './frames.ts';
import { hasIpv6, LOOPBACK, Stage, StreamLeg, certificate, downward, reading, until, upward } from './stage.ts';
import type { Allocated, CreatePlane, Leg, StageOptions } from './stage.ts';

const CHANNEL = 0x4001;
/** Eleven octets, one short of alignment. */
const odd = Buffer.from('hello, peer');
const onStream = (payload: Buffer) => channelData(CHANNEL, payload, -payload.length & 3);

type Open = (options?: StageOptions) => Promise<Stage>;

export function streamLegConformance(name: string, createPlane: CreatePlane, transport: StreamTransport): void {
  describe(`${name} plane with clients over ${transport.toUpperCase()}, as a stream`, () => {
    const stages: Stage[] = [];
    const open: Open = async (options) => {
      const stage = await Stage.open(createPlane, { transport, ...options });
      stages.push(stage);
      return stage;
    };
    afterEach(async () => {
      await Promise.all(stages.splice(0).map((stage) => stage.close()));
    });

    framing(open, transport);
    lifecycle(open, transport);
    timeouts(open, transport);
    connectionLimits(open, transport);
    slowReaders(open, transport);
    if (transport === 'tcp') resets(open);
    if (transport === 'tls') tls(open);
  });
}

async function channelScene(stage: Stage): Promise<{ allocation: Allocated; client: StreamLeg; peer: Leg }> {
  const client = await stage.connect();
  const allocation = await stage.allocate({ client });
  const peer = await stage.leg();
  stage.bind(allocation, CHANNEL, peer.local);
  return { allocation, client, peer };
}

/** How connections of this transport have ended so far, those of which there were any. */
function ended(stage: Stage, transport: StreamTransport): Partial<Record<ConnectionEnd, number>> {
  return Object.fromEntries(
    Object.entries(stage.plane.connections().ended[transport]).filter(([, count]) => count > 0),
  );
}

async function closed(client: StreamLeg): Promise<void> {
  await until('the connection is closed', () => client.closed);
}

function framing(open: Open, transport: StreamTransport): void {
  it('wants ChannelData padded, counts the padding and relays the payload alone', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage);
    await client.send(Buffer.concat([onStream(odd), onStream(odd)]));
    expect((await peer.next()).bytes).toEqual(odd);
    expect((await peer.next()).bytes).toEqual(odd);
    await stage.settled(allocation, 'internet', { peerTxPackets: 2n });
    expect(stage.counters(allocation)).toEqual(reading({ internet: upward([16, 16], [11, 11]) }));
  });

  it('pads the ChannelData that it sends, with zeros, and counts them', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage);
    await peer.send(odd, allocation.relayed);
    await peer.send(odd.subarray(0, 9), allocation.relayed);
    expect((await client.next()).bytes).toEqual(onStream(odd));
    expect((await client.next()).bytes).toEqual(onStream(odd.subarray(0, 9)));
    await stage.settled(allocation, 'internet', { clientTxPackets: 2n });
    expect(stage.counters(allocation)).toEqual(reading({ internet: downward([11, 9], [16, 16]) }));
  });

  it('takes a stream octet by octet, and many frames at once', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage);
    for (const octet of Buffer.concat([bindingRequest, onStream(odd)])) await client.send(Buffer.of(octet));
    expect((await peer.next()).bytes).toEqual(odd);
    expect(stage.control.map(({ bytes }) => bytes)).toEqual([bindingRequest]);
    const frames = Array.from({ length: 100 }, (_, index) => onStream(Buffer.alloc(index, index)));
    await client.send(Buffer.concat(frames));
    for (let index = 0; index < 100; index += 1) expect((await peer.next()).bytes).toEqual(Buffer.alloc(index, index));
    const octets = frames.reduce((sum, { length }) => sum + length, 0);
    await until('all is counted', () => stage.counters(allocation).classes.internet.peerTxPackets === 101n);
    expect(stage.counters(allocation).classes.internet.clientRxBytes).toBe(BigInt(octets + 16));
  });

  it('lets others have their turn between the frames of one chunk', async () => {
    const stage = await open({ plane: { streams: { pendingBytes: 1 << 24 } } });
    const { client } = await channelScene(stage);
    const many = 12_000;
    const empty = sendIndication({ address: LOOPBACK, port: 50_000 }, Buffer.alloc(0)).subarray(0, 20);
    empty.writeUInt16BE(0, 2);
    let turns = 0;
    const count = () => {
      turns += 1;
      if (stage.plane.totals().dropped.malformed < many) setImmediate(count);
    };
    count();
    await client.send(Buffer.concat(Array.from({ length: many }, () => empty)));
    await stage.drops({ malformed: many });
    expect(turns).toBeGreaterThanOrEqual(many / 1000);
  });

  it('meets a client over UDP, each framed as its leg wants it', async () => {
    const at = { address: LOOPBACK, port: 0 };
    const listen = [
      { transport, ...at },
      { transport: 'udp', ...at },
    ] as const;
    const stage = await open({ policy: { allow: [] }, plane: { listen } });
    const [, udp] = stage.plane.listening();
    if (udp === undefined) throw new Error('the plane does not listen twice');
    const a = await stage.allocate();
    const client = await stage.leg();
    const b = await stage.allocate({ client, server: udp });
    stage.bind(a, CHANNEL, b.relayed);
    stage.bind(b, CHANNEL, a.relayed);
    for (let length = 0; length < 8; length += 1) {
      const payload = Buffer.alloc(length, 0x5a);
      await a.client.send(onStream(payload), stage.listener);
      expect((await client.next()).bytes).toEqual(channelData(CHANNEL, payload));
      await client.send(channelData(CHANNEL, payload), udp);
      expect((await a.client.next()).bytes).toEqual(onStream(payload));
    }
    await stage.settled(a, 'own_relay', { clientTxPackets: 8n });
    // 8 headers and 0 + 4 × 4 + 3 × 8 octets of payload with its padding, or 28 without.
    expect(stage.counters(a).classes.own_relay).toMatchObject({ clientTxBytes: 72n, clientRxBytes: 72n });
    expect(stage.counters(b).classes.own_relay).toMatchObject({ clientTxBytes: 60n, clientRxBytes: 60n });
  });

  it('relays what the largest frame carries, and drops what no datagram can', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage);
    const large = Buffer.alloc(65_501, 0x5a);
    await client.send(Buffer.concat([onStream(large), onStream(Buffer.alloc(0xffff)), onStream(odd)]));
    expect((await peer.next()).bytes.equals(large)).toBe(true);
    expect((await peer.next()).bytes).toEqual(odd);
    await stage.drops({ too_large: 1 });
    const largest = Buffer.alloc(65_507, 0x5a);
    await peer.send(largest, allocation.relayed);
    expect((await client.next()).bytes.equals(onStream(largest))).toBe(true);
    const other = await stage.leg();
    await other.send(largest, allocation.relayed);
    expect(readDataIndication((await client.next()).bytes).payload.equals(largest)).toBe(true);
  });

  const badCookie = Buffer.from(bindingRequest);
  badCookie[4] = 0;
  it.each([
    ['another protocol', Buffer.from('GET / HTTP/1.1\r\nHost: relay\r\n\r\n')],
    ['STUN without its cookie', badCookie],
    ['STUN of a length that is no multiple of four', Buffer.from('000100032112a442', 'hex')],
    ['a channel number of no channel', channelData(0x8000, odd, 1)],
    ['a length of 65,535 from a client that has no allocation', Buffer.from('4001ffff', 'hex')],
  ])('closes a connection on %s', async (_what, bytes) => {
    const stage = await open();
    const client = await stage.connect();
    await client.send(bytes);
    await closed(client);
    expect(ended(stage, transport)).toEqual({ malformed: 1 });
    expect(stage.control).toEqual([]);
  });

  it('ends the allocation of a client that stops speaking TURN', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage);
    await client.send(Buffer.concat([onStream(odd), Buffer.from([0xff]), onStream(odd)]));
    expect((await peer.next()).bytes).toEqual(odd);
    const counters = await stage.closed(allocation.id, 'disconnected');
    expect(counters).toEqual(reading({ internet: upward([16], [11]) }));
    await closed(client);
    await stage.drops({});
  });
}

function lifecycle(open: Open, transport: StreamTransport): void {
  it('ends the allocation of a client that closes its connection, with the final counters', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage);
    await client.send(onStream(odd));
    await peer.next();
    client.socket.end();
    expect(await stage.closed(allocation.id, 'disconnected')).toEqual(reading({ internet: upward([16], [11]) }));
    await closed(client);
    await until('the connection is gone', () => stage.plane.connections().open[transport] === 0);
    expect(ended(stage, transport)).toEqual({ client: 1 });
    await peer.send(odd, allocation.relayed);
    const to = stage.tuple(client);
    stage.apply({ type: 'send', to, bytes: stun(0x0101) });
    await stage.drops({ send_failed: 1 });
  });

  it.skipIf(!hasIpv6)(
    'ends both allocations of a client that has two, and keeps its connection while one lives',
    async () => {
      const relayAddress = { 4: LOOPBACK, 6: '::1' };
      const stage = await open({ plane: { relayAddress } });
      const client = await stage.connect();
      const [four, six] = [await stage.allocate({ client }), await stage.allocate({ client, family: 6 })];
      stage.apply({ type: 'close', allocation: four.id, reason: 'refreshed_to_zero' });
      await stage.closed(four.id, 'refreshed_to_zero');
      stage.apply({ type: 'extend', allocation: six.id, deadline: Number.POSITIVE_INFINITY });
      stage.clock.advance(2 * streamDefaults.idleWithin);
      stage.plane.tick();
      const again = await stage.allocate({ client });
      client.socket.end();
      await stage.closed(six.id, 'disconnected');
      await stage.closed(again.id, 'disconnected');
      await until('the connection is gone', () => stage.plane.connections().open[transport] === 0);
      expect(ended(stage, transport)).toEqual({ client: 1 });
    },
  );

  it('answers what was asked before the client closed its side', async () => {
    const stage = await open();
    const client = await stage.connect();
    await client.send(bindingRequest);
    await until('control arrives', () => stage.control.length > 0);
    stage.apply({ type: 'send', to: stage.tuple(client), bytes: stun(0x0101) });
    client.socket.end();
    expect((await client.next()).bytes).toEqual(stun(0x0101));
    await closed(client);
  });

  it('keeps a connection whose allocation has ended, and lets it have another', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage);
    stage.apply({ type: 'close', allocation: allocation.id, reason: 'refreshed_to_zero' });
    await stage.closed(allocation.id, 'refreshed_to_zero');
    await client.send(onStream(odd));
    await stage.drops({ no_allocation: 1 });
    const second = await stage.allocate({ client });
    stage.bind(second, CHANNEL, peer.local);
    await client.send(onStream(odd));
    expect((await peer.next()).from).toEqual(second.relayed);
  });

  it('opens nothing for a client that is gone', async () => {
    const stage = await open();
    const client = await stage.connect();
    await client.close();
    await until('the connection is gone', () => stage.plane.connections().open[transport] === 0);
    expect((await stage.open({ client })).answer.type).toBe('exhausted');
  });

  it('closes every connection when it is closed itself, also of a client that does not read', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage);
    const idle = await stage.connect();
    await stall(stage, allocation, client, peer);
    await stage.plane.close();
    await stage.closed(allocation.id, 'shutdown');
    await closed(idle);
    expect(ended(stage, transport)).toEqual({ shutdown: 2 });
    expect(stage.plane.connections().open[transport]).toBe(0);
  });
}

function resets(open: Open): void {
  it('ends the allocation of a client whose connection is reset', async () => {
    const stage = await open();
    const { allocation, client } = await channelScene(stage);
    client.socket.resetAndDestroy();
    expect(await stage.closed(allocation.id, 'disconnected')).toEqual(reading({}));
    await until('the connection is gone', () => stage.plane.connections().open.tcp === 0);
  });
}

function timeouts(open: Open, transport: StreamTransport): void {
  const { greetWithin, idleWithin } = streamDefaults;
  const advance = (stage: Stage, milliseconds: number) => {
    stage.clock.advance(milliseconds);
    stage.plane.tick();
  };

  it('closes a connection that has not brought a whole STUN message in time, however busy it is', async () => {
    const stage = await open();
    const [silent, slow] = [await stage.connect(), await stage.connect()];
    for (const octet of bindingRequest.subarray(0, 19)) await slow.send(Buffer.of(octet));
    await slow.send(Buffer.alloc(0));
    advance(stage, greetWithin - 1);
    await slow.send(bindingRequest.subarray(19, 19));
    expect(stage.plane.connections().open[transport]).toBe(2);
    advance(stage, 1);
    await closed(silent);
    await closed(slow);
    expect(ended(stage, transport)).toEqual({ timeout: 2 });
  });

  it('closes a connection that has greeted but has had no allocation for too long, however often it asks', async () => {
    const stage = await open();
    const client = await stage.connect();
    for (let asked = 1; asked <= 6; asked += 1) {
      await client.send(bindingRequest);
      await until('control arrives', () => stage.control.length === asked);
      advance(stage, idleWithin / 6 - 1);
    }
    expect(client.closed).toBe(false);
    advance(stage, 6);
    await closed(client);
    expect(ended(stage, transport)).toEqual({ timeout: 1 });
  });

  it('keeps a connection as long as its allocation lives, however quiet, and closes it later', async () => {
    const stage = await open();
    const client = await stage.connect();
    const allocation = await stage.allocate({ client, lifetime: 3_600_000 });
    advance(stage, 3_599_999);
    expect(stage.plane.connections().open[transport]).toBe(1);
    advance(stage, 1);
    await stage.closed(allocation.id, 'expired');
    advance(stage, idleWithin - 1);
    expect(stage.plane.connections().open[transport]).toBe(1);
    advance(stage, 1);
    await closed(client);
    expect(ended(stage, transport)).toEqual({ timeout: 1 });
  });

  it('says closed of an ended allocation whose client does not read, once the connection is given up', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage);
    await stall(stage, allocation, client, peer);
    stage.apply({ type: 'close', allocation: allocation.id, reason: 'revoked' });
    const before = stage.counters(allocation).classes.internet.clientTxBytes;
    advance(stage, idleWithin);
    const counters = await stage.closed(allocation.id, 'revoked');
    // What was still waiting was not sent, and is not counted as if it were.
    expect(counters.classes.internet.clientTxBytes).toBe(before);
    expect(stage.dropped('send_failed')).toBeGreaterThan(0n);
  });
}

function connectionLimits(open: Open, transport: StreamTransport): void {
  it('takes so many connections from one source and no more, and another when one of them ends', async () => {
    const stage = await open({ plane: { streams: { connectionsPerSource: 2 } } });
    const [first] = [await stage.connect(), await stage.connect()];
    const refused = connect(stage.listener);
    refused.on('error', () => undefined);
    await until('a connection is refused', () => ended(stage, transport).refused === 1);
    await until('the refused one is closed', () => refused.destroyed || refused.readableEnded);
    refused.destroy();
    await first?.close();
    await until('it is gone', () => stage.plane.connections().open[transport] === 1);
    await stage.connect();
    expect(stage.plane.connections().open[transport]).toBe(2);
  });

  it('takes so many connections altogether and no more', async () => {
    const stage = await open({ plane: { streams: { connections: 1 } } });
    await stage.connect();
    const refused = connect(stage.listener);
    refused.on('error', () => undefined);
    await until('a connection is refused', () => ended(stage, transport).refused === 1);
    refused.destroy();
    expect(stage.plane.connections().open[transport]).toBe(1);
  });
}

/** Floods a client that does not read until the plane drops; returns once it does. */
async function stall(stage: Stage, allocation: Allocated, client: StreamLeg, peer: Leg): Promise<void> {
  client.socket.pause();
  const payload = Buffer.alloc(8_000, 0x5a);
  await until('the plane drops what the client does not read', () => {
    for (let count = 0; count < 16; count += 1) void peer.send(payload, allocation.relayed);
    return stage.dropped('overload') > 0n;
  });
}

function slowReaders(open: Open, transport: StreamTransport): void {
  it('drops what a client does not read, and delivers whole all that it counts as sent', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage);
    await stall(stage, allocation, client, peer);
    const counters = () => stage.counters(allocation).classes.internet;
    const dropped = () => Number(stage.dropped('overload'));
    client.socket.resume();
    let before = -1;
    await until('nothing waits any more', () => {
      const settled = before === client.received.length && before === Number(counters().clientTxPackets);
      before = client.received.length;
      return settled && Number(counters().peerRxPackets) === before + dropped();
    });
    expect(client.received.every(({ bytes }) => bytes.equals(onStream(Buffer.alloc(8_000, 0x5a))))).toBe(true);
    expect(counters().clientTxBytes).toBe(BigInt(client.received.length * 8_004));
    await peer.send(odd, allocation.relayed);
    await until('the client is served again', () => client.received.at(-1)?.bytes.length === 16);
  });

  it('still answers a client whose media waits', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage);
    await stall(stage, allocation, client, peer);
    stage.apply({ type: 'send', to: stage.tuple(client), bytes: stun(0x0104), allocation: allocation.id });
    client.socket.resume();
    const isAnswer = ({ bytes }: { bytes: Buffer }) => bytes.equals(stun(0x0104));
    await until('the answer arrives', () => client.received.some(isAnswer));
    expect(client.received.filter(isAnswer)).toHaveLength(1);
  });

  it('lets answers wait no more than their own room, and media of all clients no more than theirs', async () => {
    const stage = await open({ plane: { streams: { pendingBytes: 0, pendingAnswerBytes: 1 } } });
    const client = await stage.connect();
    const allocation = await stage.allocate({ client });
    const peer = await stage.leg();
    stage.bind(allocation, CHANNEL, peer.local);
    await peer.send(odd, allocation.relayed);
    await stage.drops({ overload: 1 });
    const answer = { type: 'send', to: stage.tuple(client), bytes: stun(0x0104) } as const;
    stage.apply(answer, answer);
    await stage.drops({ overload: 2 });
    expect((await client.next()).bytes).toEqual(stun(0x0104));

    const shared = await open({ plane: { streams: { pendingBytesOfAll: 0 } } });
    const other = await channelScene(shared);
    await other.peer.send(odd, other.allocation.relayed);
    await shared.drops({ overload: 1 });
    expect(ended(shared, transport)).toEqual({});
  });
}

function tls(open: Open): void {
  const subject = (client: StreamLeg) => (client.socket as TLSSocket).getPeerCertificate().subject.CN;

  it('agrees on stun.turn, and serves a client that names no protocol', async () => {
    const stage = await open();
    const named = await stage.connect(LOOPBACK, { ALPNProtocols: ['h2', 'stun.turn'] });
    expect((named.socket as TLSSocket).alpnProtocol).toBe('stun.turn');
    const unnamed = await stage.connect(LOOPBACK, { ALPNProtocols: [] });
    expect((unnamed.socket as TLSSocket).alpnProtocol).toBe(false);
    await unnamed.send(bindingRequest);
    await until('control arrives', () => stage.control.length === 1);
    expect(stage.control[0]?.event.from.transport).toBe('tls');
  });

  const others: readonly (readonly [string, ConnectionOptions])[] = [
    ['speaks another protocol only', { ALPNProtocols: ['http/1.1'] }],
    ['knows no TLS above 1.1', { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT:@SECLEVEL=0' }],
  ];
  it.each(others)('refuses the handshake of a client that %s', async (_what, options) => {
    const stage = await open();
    await expect(stage.connect(LOOPBACK, options)).rejects.toMatchObject({ code: expect.stringContaining('ALERT') });
    await until('the connection is gone', () => ended(stage, 'tls').handshake === 1);
    expect(stage.plane.connections().open.tls).toBe(0);
  });

  it('closes a connection on which no handshake is made, and one that is not TLS', async () => {
    const stage = await open();
    const [silent, plain] = [connect(stage.listener), connect(stage.listener)];
    plain.write(bindingRequest);
    plain.on('error', () => undefined);
    await until('the plain one is refused', () => ended(stage, 'tls').handshake === 1);
    await until('the silent one is accepted', () => stage.plane.connections().open.tls === 1);
    stage.clock.advance(streamDefaults.greetWithin);
    stage.plane.tick();
    await until('the silent one is closed', () => ended(stage, 'tls').timeout === 1);
    expect(ended(stage, 'tls')).toEqual({ handshake: 1, timeout: 1 });
    silent.destroy();
    plain.destroy();
  });

  it('shows new connections a certificate that was replaced, and goes on with the old ones', async () => {
    const identity = new TlsIdentity(certificate('first'));
    const stage = await open({ plane: { tls: identity } });
    const { client, peer } = await channelScene(stage);
    identity.replace(certificate('second'));
    const later = await stage.connect();
    expect([subject(client), subject(later)]).toEqual(['turnpike test first', 'turnpike test second']);
    await client.send(onStream(odd));
    expect((await peer.next()).bytes).toEqual(odd);

    const mixed = { certificate: certificate('first').certificate, key: certificate('second').key };
    expect(() => identity.replace(mixed)).toThrow('The TLS certificate cannot be used');
    expect(subject(await stage.connect())).toBe('turnpike test second');
  });
}
