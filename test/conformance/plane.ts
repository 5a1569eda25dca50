/**
 * What every plane must do, whatever its clients come over. Run against each of them by test/relay/planes/<plane>.test.ts. The
 * payload that most of it is told with has twelve octets, so that a frame is as long on a stream as in a datagram.
 */
import { setImmediate } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { Transport } from '../../kernel/address.ts';
import type { Command, Plane } from '../../relay/planes/plane.ts';
import { dropReasons, peerClasses } from '../../relay/planes/plane.ts';
import { attributes } from '../../relay/stun/attributes.ts';
import { emptySendIndication, parseSendIndication } from '../../relay/stun/send-indication.ts';
import {
  bindingRequest,
  channelData,
  indicationLength,
  readDataIndication,
  sendIndication,
  sendIndicationWithoutData,
  stun,
} from './frames.ts';
import { LOOPBACK, QUARANTINE, Stage, cidr, downward, hasIpv6, reading, until, upward } from './stage.ts';
import type { Allocated, AllocateOptions, CreatePlane, Leg, StageOptions } from './stage.ts';

const CHANNEL = 0x4001;
const hello = Buffer.from('hello, peer!');
const empty = Buffer.alloc(0);
/** What fills an Ethernet frame over IPv4, and what no longer fits one. */
const frameFillers = [1_472, 1_500];
const filler = (length: number) => Buffer.from(Array.from({ length }, (_octet, at) => at % 251));
/** An indication around a payload to or from an IPv4 peer: header, XOR-PEER-ADDRESS, the header of DATA. */
const INDICATION = 20 + 12 + 4;

type Open = (options?: StageOptions) => Promise<Stage>;

export function planeConformance(name: string, createPlane: CreatePlane, transport: Transport): void {
  describe(`${name} plane with clients over ${transport.toUpperCase()}`, () => {
    const stages: Stage[] = [];
    const open: Open = async (options) => {
      const stage = await Stage.open(createPlane, { transport, ...options });
      stages.push(stage);
      return stage;
    };
    afterEach(async () => {
      await Promise.all(stages.splice(0).map((stage) => stage.close()));
    });

    listening(open);
    control(open);
    opening(open);
    fromClientToPeer(open);
    fromPeerToClient(open);
    deadlines(open);
    peerPolicy(open, transport);
    hairpin(open);
    limits(open);
    impairment(open);
    closing(open);
    totals(open);
    bothFamilies(open, transport);
    heldPorts(open);
    if (transport === 'udp') inDatagrams(open);
    if (transport === 'udp') reopening(open);
  });
}

/** An allocation with a channel bound to a peer on loopback. */
async function channelScene(
  stage: Stage,
  options: Parameters<Stage['allocate']>[0] = {},
): Promise<{ allocation: Allocated; client: Leg; peer: Leg }> {
  const allocation = await stage.allocate(options);
  const peer = await stage.leg();
  stage.bind(allocation, CHANNEL, peer.local);
  return { allocation, client: allocation.client, peer };
}

function listening(open: Open): void {
  it('tells the port it got when it was told to choose', async () => {
    const stage = await open();
    const { transport } = stage;
    expect(stage.plane.listening()).toEqual([{ transport, address: LOOPBACK, port: expect.any(Number) as number }]);
    expect(stage.listener.port).toBeGreaterThan(0);
  });

  it('refuses to start on an address that is taken', async () => {
    const stage = await open();
    await expect(open({ plane: { listen: stage.plane.listening() } })).rejects.toThrow('Cannot listen');
  });
}

function control(open: Open): void {
  it('hands STUN up with its five-tuple, byte for byte', async () => {
    const stage = await open();
    const client = await stage.client();
    await client.send(bindingRequest, stage.listener);
    await until('control arrives', () => stage.control.length > 0);
    expect(stage.control[0]?.bytes.equals(bindingRequest)).toBe(true);
    expect(stage.control[0]?.event.from).toEqual(stage.tuple(client));
  });

  it('sends an answer from the listener, from bytes that may be overwritten at once', async () => {
    const stage = await open();
    const client = await stage.client();
    const answer = Buffer.from(stun(0x0101));
    const to = stage.tuple(client);
    stage.apply({ type: 'send', to, bytes: answer });
    answer.fill(0);
    expect(await client.next()).toEqual({ bytes: stun(0x0101), from: stage.listener });
  });

  it('counts an answer as control of the allocation it belongs to, and any other not at all', async () => {
    const stage = await open();
    const allocation = await stage.allocate();
    const to = stage.tuple(allocation.client);
    stage.apply({ type: 'send', to, bytes: stun(0x0101) });
    stage.apply({ type: 'send', to, bytes: stun(0x0103, [[0x000d, Buffer.alloc(4)]]), allocation: allocation.id });
    await allocation.client.next();
    await allocation.client.next();
    await until('the answer is counted', () => stage.counters(allocation).clientControlTxBytes > 0n);
    expect(stage.counters(allocation)).toEqual(reading({}, 28));
    expect(stage.plane.totals().clientControlTxBytes).toBe(28n);
  });
}

function opening(open: Open): void {
  it('answers open with the relayed address, never from inside apply', async () => {
    const stage = await open();
    const port = await stage.freePort();
    const { answer, id } = await stage.open({ port });
    expect(answer).toEqual({ type: 'opened', allocation: id, relayed: { address: LOOPBACK, port } });

    const client = await stage.client();
    const before = stage.events.length;
    stage.apply({
      type: 'open',
      allocation: 'another',
      client: stage.tuple(client),
      family: 4,
      port: await stage.freePort(),
      deadline: stage.now + 1000,
      app: 'app',
      credential: 'another',
      limits: {},
    });
    expect(stage.events.length).toBe(before);
    await until('open is answered', () => stage.events.length > before);
  });

  it('tells the external address where the relay stands behind NAT', async () => {
    const stage = await open({ plane: { externalAddress: { 4: '8.8.4.4' } } });
    const { relayed } = await stage.allocate();
    expect(relayed.address).toBe('8.8.4.4');
  });

  it('answers exhausted for a port that is taken', async () => {
    const stage = await open();
    const squatter = await stage.leg();
    const { answer, id } = await stage.open({ port: squatter.local.port });
    expect(answer).toEqual({ type: 'exhausted', allocation: id });
  });

  it('answers exhausted for a family it has no relay address in', async () => {
    const stage = await open();
    const { answer } = await stage.open({ family: 6, port: 50_000 });
    expect(answer.type).toBe('exhausted');
  });

  it('answers exhausted for a client that has an allocation already', async () => {
    const stage = await open();
    const { client } = await stage.allocate();
    const { answer } = await stage.open({ client });
    expect(answer.type).toBe('exhausted');
  });

  it('does not open a closed port again before its quarantine is over', async () => {
    const stage = await open();
    const first = await stage.allocate();
    const { port } = first.relayed;
    stage.apply({ type: 'close', allocation: first.id, reason: 'refreshed_to_zero' });
    await stage.closed(first.id, 'refreshed_to_zero');
    expect((await stage.open({ port })).answer.type).toBe('exhausted');
    stage.clock.advance(QUARANTINE - 1);
    stage.plane.tick();
    expect((await stage.open({ port })).answer.type).toBe('exhausted');
    stage.clock.advance(1);
    expect((await stage.open({ port })).answer.type).toBe('opened');
  });
}

function reopening(open: Open): void {
  it('opens the port of a plane that is gone for the same client, and relays at once with what is installed', async () => {
    const first = await open();
    const { allocation, client, peer } = await channelScene(first);
    await client.send(channelData(CHANNEL, hello), first.listener);
    await peer.next();
    const listen = first.plane.listening();
    await first.plane.close();

    const second = await open({ plane: { listen } });
    // Sent before the plane has said a word: who commands in one go has it whole when the next packet comes.
    second.apply({
      type: 'open',
      allocation: allocation.id,
      client: second.tuple(client),
      family: 4,
      port: allocation.relayed.port,
      deadline: second.now + 1000,
      app: 'app',
      credential: 'another',
      limits: { bytes: 16n },
    });
    second.bind(allocation, CHANNEL, peer.local);
    await client.send(channelData(CHANNEL, hello), second.listener);
    expect(await peer.next()).toEqual({ bytes: hello, from: allocation.relayed });
    await peer.send(hello, allocation.relayed);
    expect((await client.next()).bytes).toEqual(channelData(CHANNEL, hello));
    expect(second.events[0]).toEqual({ type: 'opened', allocation: allocation.id, relayed: allocation.relayed });
    const counters = await second.closed(allocation.id, 'quota');
    expect(counters).toEqual(reading({ internet: { ...upward([4 + 12], [12]), ...downward([12], [4 + 12]) } }));
  });
}

function fromClientToPeer(open: Open): void {
  it('relays ChannelData to the peer of the channel: framed bytes from the client, raw bytes to the peer', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage);
    await client.send(channelData(CHANNEL, hello), stage.listener);
    expect(await peer.next()).toEqual({ bytes: hello, from: allocation.relayed });
    await stage.settled(allocation, 'internet', { peerTxPackets: 1n });
    expect(stage.counters(allocation)).toEqual(reading({ internet: upward([4 + 12], [12]) }));
    await stage.drops({});
  });

  it('relays a Send indication: framed bytes from the client, raw bytes to the peer', async () => {
    const stage = await open();
    const allocation = await stage.allocate();
    const peer = await stage.leg();
    stage.permit(allocation, LOOPBACK);
    const frame = sendIndication(peer.local, hello);
    await allocation.client.send(frame, stage.listener);
    expect(await peer.next()).toEqual({ bytes: hello, from: allocation.relayed });
    await stage.settled(allocation, 'internet', { peerTxPackets: 1n });
    expect(frame.length).toBe(indicationLength(12));
    expect(stage.counters(allocation)).toEqual(reading({ internet: upward([frame.length], [12]) }));
  });

  it('lets a permission hold for every port of its address, and for no other address', async () => {
    const stage = await open();
    const allocation = await stage.allocate();
    const [one, two] = [await stage.leg(), await stage.leg()];
    stage.permit(allocation, LOOPBACK);
    await allocation.client.send(sendIndication(one.local, hello), stage.listener);
    await allocation.client.send(sendIndication(two.local, hello), stage.listener);
    expect((await one.next()).bytes).toEqual(hello);
    expect((await two.next()).bytes).toEqual(hello);
    await allocation.client.send(sendIndication({ address: '127.0.0.2', port: 50_000 }, hello), stage.listener);
    await stage.drops({ no_permission: 1 });
  });

  it('relays many ports of one address alike', async () => {
    const stage = await open();
    const allocation = await stage.allocate();
    stage.permit(allocation, LOOPBACK);
    const peers: Leg[] = [];
    for (let index = 0; index < 40; index += 1) peers.push(await stage.leg());
    for (const peer of peers) await allocation.client.send(sendIndication(peer.local, hello), stage.listener);
    for (const peer of peers) expect((await peer.next()).bytes).toEqual(hello);
  });

  it('relays a payload of no octets, framed either way', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage);
    await client.send(channelData(CHANNEL, empty), stage.listener);
    await client.send(sendIndication(peer.local, empty), stage.listener);
    expect((await peer.next()).bytes).toEqual(empty);
    expect((await peer.next()).bytes).toEqual(empty);
    await stage.settled(allocation, 'internet', { peerTxPackets: 2n });
    expect(stage.counters(allocation)).toEqual(reading({ internet: upward([4, indicationLength(0)], [0, 0]) }));
  });

  it('relays the largest payload a frame can carry', async () => {
    const stage = await open();
    const { client, peer } = await channelScene(stage);
    const large = Buffer.alloc(65_500, 0x5a);
    await client.send(channelData(CHANNEL, large), stage.listener);
    expect((await peer.next()).bytes.equals(large)).toBe(true);
  });

  it.each(frameFillers)('sends a peer one datagram of the %i octets that were framed, either way', async (length) => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage);
    const payload = filler(length);
    await client.send(channelData(CHANNEL, payload), stage.listener);
    await client.send(sendIndication(peer.local, payload), stage.listener);
    for (let count = 0; count < 2; count += 1) expect((await peer.next()).bytes.equals(payload)).toBe(true);
    await stage.settled(allocation, 'internet', { peerTxPackets: 2n });
    const frames = [4 + length, INDICATION + length];
    expect(stage.counters(allocation)).toEqual(reading({ internet: upward(frames, [length, length]) }));
  });

  it('drops channel numbers outside 0x4000 to 0x4FFF', async () => {
    const stage = await open();
    const { allocation, client } = await channelScene(stage);
    for (const number of [0x5000, 0x7ffe, 0x7fff]) {
      await client.send(channelData(number, hello), stage.listener);
    }
    await stage.drops({ malformed: 3 });
    expect(stage.counters(allocation)).toEqual(reading({}));
  });

  it('drops ChannelData on a channel that is not bound', async () => {
    const stage = await open();
    const { allocation, client } = await channelScene(stage);
    await client.send(channelData(CHANNEL + 1, hello), stage.listener);
    await stage.drops({ no_channel: 1 });
    expect(stage.counters(allocation)).toEqual(reading({}));
  });

  it('drops data from a client without an allocation', async () => {
    const stage = await open();
    const { allocation } = await channelScene(stage);
    const stranger = await stage.client();
    await stranger.send(channelData(CHANNEL, hello), stage.listener);
    await stranger.send(sendIndication({ address: LOOPBACK, port: 50_000 }, hello), stage.listener);
    await stage.drops({ no_allocation: 2 });
    expect(stage.counters(allocation)).toEqual(reading({}));
  });

  it('drops a Send indication without a permission, and one without DATA', async () => {
    const stage = await open();
    const allocation = await stage.allocate();
    const peer = await stage.leg();
    await allocation.client.send(sendIndication(peer.local, hello), stage.listener);
    await stage.drops({ no_permission: 1 });
    stage.permit(allocation, LOOPBACK);
    await allocation.client.send(sendIndicationWithoutData(peer.local), stage.listener);
    await stage.drops({ no_permission: 1, malformed: 1 });
    expect(stage.counters(allocation)).toEqual(reading({}));
  });

  it('takes a Send indication by the attributes that it carries as well: unknown ones that must be understood spoil it', async () => {
    const stage = await open();
    const allocation = await stage.allocate();
    const peer = await stage.leg();
    stage.permit(allocation, LOOPBACK);
    const unknown = [0x0000, 0x0002, 0x0011, 0x0021, 0x0023, 0x7fff, 0x8fff, 0xffff].map((type) => ({
      type,
      least: 4,
    }));
    let refused = 0;
    for (const { type, least } of [...Object.values(attributes), ...unknown]) {
      const frame = sendIndication(peer.local, hello, [[type, Buffer.alloc(least)]]);
      const isSound = parseSendIndication(frame, emptySendIndication()) === undefined;
      await allocation.client.send(frame, stage.listener);
      if (isSound) expect((await peer.next()).bytes, `attribute ${type}`).toEqual(hello);
      else refused += 1;
      await until(`attribute ${type} is refused`, () => stage.dropped('malformed') === BigInt(refused));
    }
    expect(refused).toBeGreaterThan(unknown.length / 2);
  });

  it('relays no more over a channel that was unbound, nor to a peer whose permission was revoked', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage);
    stage.apply({ type: 'revoke', allocation: allocation.id, peer: LOOPBACK });
    await client.send(channelData(CHANNEL, hello), stage.listener);
    await client.send(sendIndication(peer.local, hello), stage.listener);
    await stage.drops({ no_permission: 2 });
    stage.permit(allocation, LOOPBACK);
    stage.apply({ type: 'unbind', allocation: allocation.id, channel: CHANNEL });
    await client.send(channelData(CHANNEL, hello), stage.listener);
    await stage.drops({ no_permission: 2, no_channel: 1 });
    await client.send(sendIndication(peer.local, hello), stage.listener);
    expect((await peer.next()).bytes).toEqual(hello);
  });
}

function fromPeerToClient(open: Open): void {
  it('relays to the client as ChannelData where a channel is bound to the peer', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage);
    await peer.send(hello, allocation.relayed);
    expect(await client.next()).toEqual({ bytes: channelData(CHANNEL, hello), from: stage.listener });
    await stage.settled(allocation, 'internet', { clientTxPackets: 1n });
    expect(stage.counters(allocation)).toEqual(reading({ internet: downward([12], [4 + 12]) }));
    await stage.drops({});
  });

  it('relays to the client as a Data indication where none is', async () => {
    const stage = await open();
    const { allocation, client } = await channelScene(stage);
    const other = await stage.leg();
    await other.send(hello, allocation.relayed);
    const { bytes, from } = await client.next();
    expect(from).toEqual(stage.listener);
    expect(readDataIndication(bytes)).toEqual({ peer: other.local, payload: hello });
    await stage.settled(allocation, 'internet', { clientTxPackets: 1n });
    expect(bytes.length).toBe(indicationLength(12));
    expect(stage.counters(allocation)).toEqual(reading({ internet: downward([12], [bytes.length]) }));
  });

  it('gives every Data indication a transaction id of its own', async () => {
    const stage = await open();
    const allocation = await stage.allocate();
    stage.permit(allocation, LOOPBACK);
    const peer = await stage.leg();
    const ids = new Set<string>();
    for (let count = 0; count < 600; count += 1) {
      await peer.send(hello, allocation.relayed);
      ids.add((await allocation.client.next()).bytes.toString('hex', 8, 20));
    }
    expect(ids.size).toBe(600);
  });

  it('relays a payload of no octets, framed either way', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage);
    const other = await stage.leg();
    await peer.send(empty, allocation.relayed);
    expect((await client.next()).bytes).toEqual(channelData(CHANNEL, empty));
    await other.send(empty, allocation.relayed);
    expect(readDataIndication((await client.next()).bytes).payload).toEqual(empty);
  });

  it.each(frameFillers)('frames the %i octets of a datagram in one message, either way', async (length) => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage);
    const other = await stage.leg();
    const payload = filler(length);
    await peer.send(payload, allocation.relayed);
    expect((await client.next()).bytes.equals(channelData(CHANNEL, payload))).toBe(true);
    await other.send(payload, allocation.relayed);
    const { bytes } = await client.next();
    expect(readDataIndication(bytes)).toEqual({ peer: other.local, payload });
    await stage.settled(allocation, 'internet', { clientTxPackets: 2n });
    const frames = [4 + length, INDICATION + length];
    expect(stage.counters(allocation)).toEqual(reading({ internet: downward([length, length], frames) }));
  });

  it('drops what comes from an address without a permission', async () => {
    const stage = await open();
    const allocation = await stage.allocate();
    const peer = await stage.leg();
    await peer.send(hello, allocation.relayed);
    await stage.drops({ no_permission: 1 });
    stage.permit(allocation, '127.0.0.2');
    await peer.send(hello, allocation.relayed);
    await stage.drops({ no_permission: 2 });
    expect(stage.counters(allocation)).toEqual(reading({}));
  });
}

function deadlines(open: Open): void {
  it('relays until the millisecond before a permission ends and not from then on, in both directions', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage);
    stage.clock.advance(299_999);
    await client.send(channelData(CHANNEL, hello), stage.listener);
    await peer.next();
    await peer.send(hello, allocation.relayed);
    await client.next();
    stage.clock.advance(1);
    await client.send(channelData(CHANNEL, hello), stage.listener);
    await client.send(sendIndication(peer.local, hello), stage.listener);
    await peer.send(hello, allocation.relayed);
    await stage.drops({ no_permission: 3 });
    stage.plane.tick();
    await client.send(channelData(CHANNEL, hello), stage.listener);
    await peer.send(hello, allocation.relayed);
    await stage.drops({ no_permission: 5 });
    expect(stage.counters(allocation)).toEqual(
      reading({ internet: { ...upward([16], [12]), ...downward([12], [16]) } }),
    );
  });

  it('does not refresh a permission by traffic, only by permit', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage);
    stage.clock.advance(200_000);
    stage.plane.tick();
    stage.permit(allocation, LOOPBACK);
    stage.clock.advance(299_999);
    await client.send(channelData(CHANNEL, hello), stage.listener);
    await peer.next();
    await peer.send(hello, allocation.relayed);
    await client.next();
    stage.clock.advance(1);
    await client.send(channelData(CHANNEL, hello), stage.listener);
    await stage.drops({ no_permission: 1 });
    expect(stage.counters(allocation).classes.internet).toMatchObject({ clientRxPackets: 1n, peerRxPackets: 1n });
  });

  it('drops ChannelData on an expired channel and frames as Data indications what its peer sends', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage, { lifetime: 3_600_000 });
    stage.clock.advance(599_999);
    stage.permit(allocation, LOOPBACK);
    await client.send(channelData(CHANNEL, hello), stage.listener);
    await peer.next();
    stage.clock.advance(1);
    for (const ticks of [1, 2]) {
      await client.send(channelData(CHANNEL, hello), stage.listener);
      await stage.drops({ no_channel: ticks });
      await peer.send(hello, allocation.relayed);
      expect(readDataIndication((await client.next()).bytes).peer).toEqual(peer.local);
      stage.plane.tick();
    }
  });

  it('keeps a channel that is bound again, and moves it to another peer when told so', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage, { lifetime: 3_600_000 });
    stage.clock.advance(500_000);
    stage.bind(allocation, CHANNEL, peer.local);
    stage.clock.advance(200_000);
    stage.plane.tick();
    await client.send(channelData(CHANNEL, hello), stage.listener);
    expect((await peer.next()).bytes).toEqual(hello);

    const other = await stage.leg();
    stage.bind(allocation, CHANNEL, other.local);
    await client.send(channelData(CHANNEL, hello), stage.listener);
    expect((await other.next()).bytes).toEqual(hello);
    await peer.send(hello, allocation.relayed);
    expect(readDataIndication((await client.next()).bytes).peer).toEqual(peer.local);
  });

  it('relays nothing for an allocation past its deadline, and ends it at the next tick', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage, { lifetime: 100_000 });
    stage.clock.advance(99_999);
    stage.plane.tick();
    await client.send(channelData(CHANNEL, hello), stage.listener);
    await peer.next();
    stage.clock.advance(1);
    await client.send(channelData(CHANNEL, hello), stage.listener);
    await peer.send(hello, allocation.relayed);
    await stage.drops({ expired: 2 });
    expect(stage.closings(allocation.id)).toEqual([]);
    stage.plane.tick();
    expect(await stage.closed(allocation.id, 'expired')).toEqual(reading({ internet: upward([16], [12]) }));
    await client.send(channelData(CHANNEL, hello), stage.listener);
    await stage.drops({ expired: 2, no_allocation: 1 });
  });

  it('moves the deadline of an allocation on extend, later and sooner', async () => {
    const stage = await open();
    const later = await stage.allocate({ lifetime: 100_000 });
    const sooner = await stage.allocate({ lifetime: 3_600_000 });
    stage.apply(
      { type: 'extend', allocation: later.id, deadline: stage.now + 3_000_000 },
      { type: 'extend', allocation: sooner.id, deadline: stage.now + 50_000 },
    );
    stage.clock.advance(50_000);
    stage.plane.tick();
    await stage.closed(sooner.id, 'expired');
    stage.clock.advance(2_949_999);
    stage.plane.tick();
    expect(stage.plane.counters(later.id)).toEqual(reading({}));
    stage.clock.advance(1);
    stage.plane.tick();
    await stage.closed(later.id, 'expired');
  });
}

function peerPolicy(open: Open, transport: Transport): void {
  const denies = (): StageOptions => ({ policy: { allow: [] } });

  it('counts a peer in a configured range under sfu, in both directions', async () => {
    const stage = await open({ policy: { sfuRanges: [cidr('127.0.0.0/8')] } });
    const { allocation, client, peer } = await channelScene(stage);
    await client.send(channelData(CHANNEL, hello), stage.listener);
    await peer.next();
    await peer.send(hello, allocation.relayed);
    await client.next();
    await stage.settled(allocation, 'sfu', { peerTxPackets: 1n, clientTxPackets: 1n });
    expect(stage.counters(allocation)).toEqual(reading({ sfu: { ...upward([16], [12]), ...downward([12], [16]) } }));
  });

  it('drops what goes to a denied peer, whatever was permitted and bound', async () => {
    const stage = await open(denies());
    const allocation = await stage.allocate();
    const denied = { address: '127.0.0.2', port: 50_000 };
    stage.bind(allocation, CHANNEL, denied);
    await allocation.client.send(channelData(CHANNEL, hello), stage.listener);
    await allocation.client.send(sendIndication(denied, hello), stage.listener);
    await stage.drops({ peer_denied: 2 });
    expect(stage.counters(allocation)).toEqual(reading({}));
  });

  it('drops what comes from a denied peer', async () => {
    const stage = await open(denies());
    const allocation = await stage.allocate();
    const peer = await stage.leg();
    stage.bind(allocation, CHANNEL, peer.local);
    await peer.send(hello, allocation.relayed);
    await stage.drops({ peer_denied: 1 });
    expect(stage.counters(allocation)).toEqual(reading({}));
  });

  it('holds each app to its own peers, in both directions', async () => {
    const stage = await open({ policy: { apps: new Map([['held', { only: [cidr('127.0.0.2/32')] }]]) } });
    const [free, held] = [await stage.allocate(), await stage.allocate({ app: 'held' })];
    const peer = await stage.leg();
    for (const allocation of [free, held]) stage.bind(allocation, CHANNEL, peer.local);
    await held.client.send(channelData(CHANNEL, hello), stage.listener);
    await held.client.send(sendIndication(peer.local, hello), stage.listener);
    await peer.send(hello, held.relayed);
    await stage.drops({ peer_denied: 3 });
    expect(stage.counters(held)).toEqual(reading({}));
    await free.client.send(channelData(CHANNEL, hello), stage.listener);
    expect((await peer.next()).from).toEqual(free.relayed);
  });

  it('reaches nothing on its own address but live allocations', async () => {
    const stage = await open(denies());
    const [allocation, gone] = [await stage.allocate(), await stage.allocate()];
    stage.apply({ type: 'close', allocation: gone.id, reason: 'refreshed_to_zero' });
    await stage.closed(gone.id, 'refreshed_to_zero');
    stage.permit(allocation, LOOPBACK);
    const service = await stage.leg();
    for (const peer of [service.local, stage.listener, gone.relayed, { address: LOOPBACK, port: 22 }]) {
      await allocation.client.send(sendIndication(peer, hello), stage.listener);
    }
    await stage.drops({ peer_denied: 4 });
    expect(stage.counters(allocation)).toEqual(reading({}));
  });

  it('keeps its listeners and quarantined ports out of reach even where own addresses are allowed', async () => {
    const at = { address: LOOPBACK, port: 0 };
    const listen = [
      { transport, ...at },
      { transport: 'udp', ...at },
    ] as const;
    const stage = await open({ plane: { listen } });
    const service = stage.plane.listening()[1];
    if (service === undefined) throw new Error('the plane does not listen twice');
    const [allocation, gone] = [await stage.allocate(), await stage.allocate()];
    stage.apply({ type: 'close', allocation: gone.id, reason: 'refreshed_to_zero' });
    await stage.closed(gone.id, 'refreshed_to_zero');
    stage.permit(allocation, LOOPBACK);
    await allocation.client.send(sendIndication(service, bindingRequest), stage.listener);
    await allocation.client.send(sendIndication(gone.relayed, hello), stage.listener);
    await stage.drops({ peer_denied: 2 });
    expect(stage.control).toEqual([]);
  });
}

function hairpin(open: Open): void {
  const denies = (hairpin: 'app' | 'any' | 'none' = 'app'): StageOptions => ({ policy: { allow: [], hairpin } });

  /** Two allocations that permit each other. */
  async function pair(stage: Stage, apps: readonly [string, string] = ['app', 'app']): Promise<[Allocated, Allocated]> {
    const a = await stage.allocate({ app: apps[0] });
    const b = await stage.allocate({ app: apps[1] });
    stage.permit(a, b.relayed.address);
    stage.permit(b, a.relayed.address);
    return [a, b];
  }

  it('relays between two allocations over channels, counted exactly on both', async () => {
    const stage = await open(denies());
    const [a, b] = await pair(stage);
    stage.bind(a, CHANNEL, b.relayed);
    stage.bind(b, CHANNEL + 1, a.relayed);
    await a.client.send(channelData(CHANNEL, hello), stage.listener);
    expect(await b.client.next()).toEqual({ bytes: channelData(CHANNEL + 1, hello), from: stage.listener });
    await stage.settled(b, 'own_relay', { clientTxPackets: 1n });
    expect(stage.counters(a)).toEqual(reading({ own_relay: upward([16], [12]) }));
    expect(stage.counters(b)).toEqual(reading({ own_relay: downward([12], [16]) }));
    await stage.drops({});
  });

  it('relays between two allocations without channels, as Send and Data indications', async () => {
    const stage = await open(denies());
    const [a, b] = await pair(stage);
    const frame = sendIndication(b.relayed, hello);
    await a.client.send(frame, stage.listener);
    const { bytes } = await b.client.next();
    expect(readDataIndication(bytes)).toEqual({ peer: a.relayed, payload: hello });
    await stage.settled(b, 'own_relay', { clientTxPackets: 1n });
    expect(stage.counters(a)).toEqual(reading({ own_relay: upward([frame.length], [12]) }));
    expect(stage.counters(b)).toEqual(reading({ own_relay: downward([12], [bytes.length]) }));
  });

  it('relays between a channel on one side and indications on the other', async () => {
    const stage = await open(denies());
    const [a, b] = await pair(stage);
    stage.bind(a, CHANNEL, b.relayed);
    await a.client.send(channelData(CHANNEL, hello), stage.listener);
    expect(readDataIndication((await b.client.next()).bytes)).toEqual({ peer: a.relayed, payload: hello });
    await b.client.send(sendIndication(a.relayed, hello), stage.listener);
    expect((await a.client.next()).bytes).toEqual(channelData(CHANNEL, hello));
  });

  it('meets by the external address where the relay stands behind NAT', async () => {
    const external = '8.8.4.4';
    const stage = await open({
      policy: { allow: [], ownAddresses: [LOOPBACK, external] },
      plane: { externalAddress: { 4: external } },
    });
    const [a, b] = await pair(stage);
    await a.client.send(sendIndication(b.relayed, hello), stage.listener);
    expect(readDataIndication((await b.client.next()).bytes)).toEqual({ peer: a.relayed, payload: hello });
  });

  it('is own_relay also where own addresses are allowed', async () => {
    const stage = await open();
    const [a, b] = await pair(stage);
    await a.client.send(sendIndication(b.relayed, hello), stage.listener);
    await b.client.next();
    await stage.settled(b, 'own_relay', { clientTxPackets: 1n });
    expect(stage.counters(a).classes.internet).toEqual(reading({}).classes.internet);
  });

  it('relays an allocation to itself like to any other', async () => {
    const stage = await open(denies());
    const a = await stage.allocate();
    stage.permit(a, a.relayed.address);
    const frame = sendIndication(a.relayed, hello);
    await a.client.send(frame, stage.listener);
    await a.client.next();
    await stage.settled(a, 'own_relay', { clientTxPackets: 1n });
    expect(stage.counters(a)).toEqual(
      reading({ own_relay: { ...upward([frame.length], [12]), ...downward([12], [frame.length]) } }),
    );
  });

  it("reaches nobody else's allocation under the rule app", async () => {
    const stage = await open();
    const [a, b] = await pair(stage, ['one', 'two']);
    await a.client.send(sendIndication(b.relayed, hello), stage.listener);
    await stage.drops({ peer_denied: 1 });
    expect(stage.counters(a)).toEqual(reading({}));
    expect(stage.counters(b)).toEqual(reading({}));
  });

  it('reaches any allocation under the rule any, and none under the rule none', async () => {
    const any = await open(denies('any'));
    const [a, b] = await pair(any, ['one', 'two']);
    await a.client.send(sendIndication(b.relayed, hello), any.listener);
    expect(readDataIndication((await b.client.next()).bytes).payload).toEqual(hello);

    const none = await open(denies('none'));
    const [c, d] = await pair(none);
    await c.client.send(sendIndication(d.relayed, hello), none.listener);
    await none.drops({ peer_denied: 1 });
  });

  it('counts as received, but sends and counts nothing further, where the other side has no permission', async () => {
    const stage = await open(denies());
    const [a, b] = [await stage.allocate(), await stage.allocate()];
    stage.permit(a, LOOPBACK);
    const frame = sendIndication(b.relayed, hello);
    await a.client.send(frame, stage.listener);
    await stage.drops({ no_permission: 1 });
    expect(stage.counters(a)).toEqual(reading({ own_relay: upward([frame.length], []) }));
    expect(stage.counters(b)).toEqual(reading({}));
    stage.permit(b, LOOPBACK, 1000);
    stage.clock.advance(1000);
    await a.client.send(frame, stage.listener);
    await stage.drops({ no_permission: 2 });
  });

  it('needs a permission on the own side as well', async () => {
    const stage = await open(denies());
    const [a, b] = [await stage.allocate(), await stage.allocate()];
    stage.permit(b, LOOPBACK);
    await a.client.send(sendIndication(b.relayed, hello), stage.listener);
    await stage.drops({ no_permission: 1 });
    expect(stage.counters(a)).toEqual(reading({}));
  });

  it('does not reach an allocation past its deadline', async () => {
    const stage = await open(denies());
    const a = await stage.allocate();
    const b = await stage.allocate({ lifetime: 1000 });
    stage.permit(a, LOOPBACK);
    stage.permit(b, LOOPBACK);
    stage.clock.advance(1000);
    await a.client.send(sendIndication(b.relayed, hello), stage.listener);
    await stage.drops({ expired: 1 });
    expect(stage.counters(b)).toEqual(reading({}));
  });
}

function limits(open: Open): void {
  it('relays so many packets a second, both directions together', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage, { limits: { packetsPerSecond: 5 } });
    for (let count = 0; count < 4; count += 1) await client.send(channelData(CHANNEL, hello), stage.listener);
    for (let count = 0; count < 4; count += 1) await peer.next();
    await peer.send(hello, allocation.relayed);
    await client.next();
    await client.send(channelData(CHANNEL, hello), stage.listener);
    await peer.send(hello, allocation.relayed);
    await stage.drops({ packet_rate: 2 });
    stage.clock.advance(200);
    await peer.send(hello, allocation.relayed);
    await client.next();
    await client.send(channelData(CHANNEL, hello), stage.listener);
    await stage.drops({ packet_rate: 3 });
    expect(stage.counters(allocation).classes.internet).toMatchObject({ clientRxPackets: 4n, peerRxPackets: 2n });
  });

  it('relays so many bits a second on the client side, both directions together', async () => {
    const stage = await open();
    const bitsPerSecond = 2 * (4 + 100) * 8;
    const { allocation, client, peer } = await channelScene(stage, { limits: { bitsPerSecond } });
    const payload = Buffer.alloc(100);
    await client.send(channelData(CHANNEL, payload), stage.listener);
    await peer.next();
    await peer.send(payload, allocation.relayed);
    await client.next();
    await client.send(channelData(CHANNEL, payload), stage.listener);
    await peer.send(payload, allocation.relayed);
    await stage.drops({ bit_rate: 2 });
    stage.clock.advance(500);
    await client.send(channelData(CHANNEL, payload), stage.listener);
    expect((await peer.next()).bytes).toEqual(payload);
  });

  it('never sends a client more than its quota, and ends the allocation there', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage, { limits: { bytes: 40n } });
    await peer.send(hello, allocation.relayed);
    await peer.send(hello, allocation.relayed);
    await client.next();
    await client.next();
    await client.send(channelData(CHANNEL, hello), stage.listener);
    await peer.next();
    await peer.send(hello, allocation.relayed);
    const counters = await stage.closed(allocation.id, 'quota');
    expect(counters).toEqual(reading({ internet: { ...downward([12, 12], [16, 16]), ...upward([16], [12]) } }));
    await stage.drops({ byte_quota: 1 });
  });

  it('holds the allocations of one credential to its limits together, and those of others not', async () => {
    const stage = await open();
    const peer = await stage.leg();
    const limits = { bytes: 32n };
    const shared = { limits, credential: 'shared' };
    const [one, two] = [await stage.allocate(shared), await stage.allocate(shared)];
    const other = await stage.allocate({ limits, credential: 'other' });
    for (const allocation of [one, two, other]) stage.bind(allocation, CHANNEL, peer.local);
    await peer.send(hello, one.relayed);
    await one.client.next();
    await peer.send(hello, two.relayed);
    await two.client.next();
    await stage.closed(two.id, 'quota');
    await peer.send(hello, one.relayed);
    await stage.closed(one.id, 'quota');
    await stage.drops({ byte_quota: 1 });
    await peer.send(hello, other.relayed);
    expect((await other.client.next()).bytes).toEqual(channelData(CHANNEL, hello));
  });

  it('leaves a credential no more than the latest open says, and begins anew when all of it has ended', async () => {
    const stage = await open();
    const peer = await stage.leg();
    const allocate = (bytes: bigint) => stage.allocate({ limits: { bytes }, credential: 'shared' });
    const [rich, poor] = [await allocate(1_000n), await allocate(16n)];
    stage.bind(rich, CHANNEL, peer.local);
    await peer.send(hello, rich.relayed);
    await stage.closed(rich.id, 'quota');
    stage.apply({ type: 'close', allocation: poor.id, reason: 'refreshed_to_zero' });
    await stage.closed(poor.id, 'refreshed_to_zero');
    const fresh = await allocate(1_000n);
    stage.bind(fresh, CHANNEL, peer.local);
    for (let sent = 0; sent < 2; sent += 1) {
      await peer.send(hello, fresh.relayed);
      expect((await fresh.client.next()).bytes).toEqual(channelData(CHANNEL, hello));
    }
  });

  it('ends the allocation with the byte that fills its quota', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage, { limits: { bytes: 16n } });
    await peer.send(hello, allocation.relayed);
    await client.next();
    expect(await stage.closed(allocation.id, 'quota')).toEqual(reading({ internet: downward([12], [16]) }));
    await stage.drops({});
  });
}

/** Time for what is on its way to arrive, where none should. */
async function quiet(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await setImmediate();
}

function impairment(open: Open): void {
  /** The clock moves, and what is due by then arrives. */
  const pass = (stage: Stage, milliseconds: number) => {
    stage.clock.advance(milliseconds);
    stage.plane.tick();
  };
  const nothingYet = async (stage: Stage, ...legs: Leg[]) => {
    pass(stage, 0);
    await quiet();
    expect(legs.flatMap(({ received }) => received)).toEqual([]);
  };

  it('delays what a client sends and what it is sent, once each, and not its requests', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage, { impairment: { delayMs: 150 } });
    await client.send(channelData(CHANNEL, hello), stage.listener);
    await client.send(bindingRequest, stage.listener);
    await until('the request arrives', () => stage.control.length > 0);
    await nothingYet(stage, peer);
    expect(stage.counters(allocation)).toEqual(reading({}));
    pass(stage, 150);
    expect(await peer.next()).toEqual({ bytes: hello, from: allocation.relayed });

    await peer.send(hello, allocation.relayed);
    await stage.settled(allocation, 'internet', { peerRxPackets: 1n });
    await nothingYet(stage, client);
    pass(stage, 149);
    await nothingYet(stage, client);
    pass(stage, 1);
    expect((await client.next()).bytes).toEqual(channelData(CHANNEL, hello));
    await stage.settled(allocation, 'internet', { clientTxPackets: 1n });
    expect(stage.counters(allocation)).toEqual(
      reading({ internet: { ...upward([16], [12]), ...downward([12], [16]) } }),
    );
    await stage.drops({});
  });

  it('loses packets in both directions, counted as impaired and never as sent', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage, { impairment: { lossPercent: 100 } });
    await client.send(channelData(CHANNEL, hello), stage.listener);
    await stage.drops({ impaired: 1 });
    await peer.send(hello, allocation.relayed);
    await stage.drops({ impaired: 2 });
    expect(stage.counters(allocation)).toEqual(reading({ internet: downward([12], []) }));
  });

  it('loses the same packets of the same allocation, about as many as were asked for', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage, { impairment: { lossPercent: 30 } });
    for (let count = 0; count < 200; count += 1)
      await client.send(channelData(CHANNEL, Buffer.of(count, 0, 0, 0)), stage.listener);
    await until('each is relayed or lost', () => peer.received.length + Number(stage.dropped('impaired')) === 200);
    expect(peer.received.length).toBeGreaterThan(110);
    expect(peer.received.length).toBeLessThan(170);
    expect(stage.counters(allocation).classes.internet.clientRxPackets).toBe(BigInt(peer.received.length));
  });

  it('treats two allocations of this relay each on its own leg', async () => {
    const stage = await open();
    const near = await stage.allocate({ impairment: { delayMs: 100 } });
    const far = await stage.allocate();
    stage.bind(near, CHANNEL, far.relayed);
    stage.bind(far, CHANNEL, near.relayed);
    await near.client.send(channelData(CHANNEL, hello), stage.listener);
    await near.client.send(bindingRequest, stage.listener);
    await until('the request arrives', () => stage.control.length > 0);
    await nothingYet(stage, far.client);
    pass(stage, 100);
    expect((await far.client.next()).bytes).toEqual(channelData(CHANNEL, hello));
    await far.client.send(channelData(CHANNEL, hello), stage.listener);
    await stage.settled(near, 'own_relay', { peerRxPackets: 1n });
    await nothingYet(stage, near.client);
    pass(stage, 100);
    expect((await near.client.next()).bytes).toEqual(channelData(CHANNEL, hello));
  });

  it('lets nothing arrive of an allocation that has ended, nor without its permission', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage, { impairment: { delayMs: 5_000 } });
    await client.send(channelData(CHANNEL, hello), stage.listener);
    await client.send(bindingRequest, stage.listener);
    await until('all has come', () => stage.control.length > 0);
    stage.apply({ type: 'revoke', allocation: allocation.id, peer: LOOPBACK });
    pass(stage, 5_000);
    await stage.drops({ no_permission: 1 });

    stage.permit(allocation, LOOPBACK);
    await client.send(channelData(CHANNEL, hello), stage.listener);
    await client.send(bindingRequest, stage.listener);
    await until('all has come', () => stage.control.length > 1);
    stage.apply({ type: 'close', allocation: allocation.id, reason: 'revoked' });
    expect(await stage.closed(allocation.id, 'revoked')).toEqual(reading({}));
    pass(stage, 5_000);
    await stage.drops({ no_permission: 1, no_allocation: 1 });
    expect(peer.received).toEqual([]);
  });
}

function closing(open: Open): void {
  it('says closed once, with the final counters, and forgets the allocation', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage);
    await client.send(channelData(CHANNEL, hello), stage.listener);
    await peer.next();
    const before = stage.events.length;
    const close: Command = { type: 'close', allocation: allocation.id, reason: 'revoked' };
    stage.apply(close, close);
    expect(stage.events.length).toBe(before);
    expect(await stage.closed(allocation.id, 'revoked')).toEqual(reading({ internet: upward([16], [12]) }));
    expect(stage.plane.counters(allocation.id)).toBeUndefined();
    await client.send(channelData(CHANNEL, hello), stage.listener);
    await stage.drops({ no_allocation: 1 });
    stage.apply(close);
    stage.clock.advance(3_600_000);
    stage.plane.tick();
    expect(stage.closings(allocation.id)).toHaveLength(1);
  });

  it('counts an answer that was sent together with the end of its allocation', async () => {
    const stage = await open();
    const allocation = await stage.allocate();
    const to = stage.tuple(allocation.client);
    stage.apply(
      { type: 'close', allocation: allocation.id, reason: 'refreshed_to_zero' },
      { type: 'send', to, bytes: stun(0x0104), allocation: allocation.id },
    );
    await allocation.client.next();
    expect(await stage.closed(allocation.id, 'refreshed_to_zero')).toEqual(reading({}, 20));
  });

  it('obeys no command about an allocation that is gone, and throws for none', async () => {
    const stage = await open();
    const allocation = await stage.allocate();
    stage.apply({ type: 'close', allocation: allocation.id, reason: 'failed' });
    await stage.closed(allocation.id, 'failed');
    const before = stage.events.length;
    for (const id of [allocation.id, 'never there']) {
      stage.apply(
        { type: 'extend', allocation: id, deadline: stage.now + 1000 },
        { type: 'permit', allocation: id, peer: LOOPBACK, deadline: stage.now + 1000 },
        { type: 'bind', allocation: id, channel: CHANNEL, peer: allocation.relayed, deadline: stage.now + 1000 },
        { type: 'unbind', allocation: id, channel: CHANNEL },
        { type: 'revoke', allocation: id, peer: LOOPBACK },
        { type: 'close', allocation: id, reason: 'expired' },
      );
    }
    stage.plane.tick();
    expect(stage.events.length).toBe(before);
  });

  it('lets the client of an ended allocation begin anew at once', async () => {
    const stage = await open();
    const first = await stage.allocate();
    stage.apply({ type: 'close', allocation: first.id, reason: 'refreshed_to_zero' });
    const second = await stage.allocate({ client: first.client });
    const peer = await stage.leg();
    stage.bind(second, CHANNEL, peer.local);
    await second.client.send(channelData(CHANNEL, hello), stage.listener);
    expect((await peer.next()).from).toEqual(second.relayed);
  });

  it('ends every allocation once when it is closed itself, then says nothing more', async () => {
    const stage = await open();
    const scenes = [await channelScene(stage), await channelScene(stage), await channelScene(stage)];
    await Promise.all([stage.plane.close(), stage.plane.close()]);
    for (const { allocation } of scenes) expect(await stage.closed(allocation.id, 'shutdown')).toEqual(reading({}));
    const before = stage.events.length;
    for (const { allocation } of scenes) stage.apply({ type: 'close', allocation: allocation.id, reason: 'expired' });
    const [first] = scenes;
    if (first === undefined) throw new Error('unreachable');
    const to = { transport: 'udp', client: first.client.local, server: { address: LOOPBACK, port: 1 } } as const;
    stage.apply({ type: 'send', to, bytes: bindingRequest });
    stage.plane.tick();
    await stage.plane.close();
    expect(stage.events.length).toBe(before);
  });
}

function totals(open: Open): void {
  it('keeps totals that are the sum of all allocations past and present', async () => {
    const stage = await open();
    const scenes = [];
    for (let index = 0; index < 6; index += 1) scenes.push(await channelScene(stage));
    let control = 0;
    for (const [index, { allocation, client, peer }] of scenes.entries()) {
      const payload = Buffer.alloc(100 * index);
      await client.send(channelData(CHANNEL, payload), stage.listener);
      await peer.next();
      await peer.send(payload, allocation.relayed);
      await client.next();
      const to = stage.tuple(client);
      stage.apply({ type: 'send', to, bytes: stun(0x0104), allocation: allocation.id });
      await client.next();
      control += 20;
    }
    const past = scenes.slice(0, 3).map(({ allocation }) => allocation);
    for (const { id } of past) stage.apply({ type: 'close', allocation: id, reason: 'refreshed_to_zero' });
    const readings = [];
    for (const { id } of past) readings.push(await stage.closed(id, 'refreshed_to_zero'));
    for (const { allocation } of scenes.slice(3)) {
      await until('the answer is counted', () => stage.counters(allocation).clientControlTxBytes === 20n);
      readings.push(stage.counters(allocation));
    }
    const totals = stage.plane.totals();
    expect(totals.clientControlTxBytes).toBe(BigInt(control));
    expect(totals.classes.internet).toMatchObject({
      peerTxBytes: 1500n,
      clientTxBytes: 1500n + 24n,
      peerTxPackets: 6n,
    });
    for (const peerClass of peerClasses) {
      for (const [member, total] of Object.entries(totals.classes[peerClass])) {
        const parts = readings.map(({ classes }) => Object.entries(classes[peerClass]));
        const sum = parts.flat().reduce((before, [name, value]) => (name === member ? before + value : before), 0n);
        expect(total, `${peerClass}.${member}`).toBe(sum);
      }
    }
    expect(Object.keys(totals.dropped)).toEqual([...dropReasons]);
  });
}

function bothFamilies(open: Open, transport: Transport): void {
  const listen = [
    { transport, address: LOOPBACK, port: 0 },
    { transport, address: '::1', port: 0 },
  ];
  const relayAddress = { 4: LOOPBACK, 6: '::1' };
  const serverOf = (plane: Plane, address: string) => {
    const server = plane.listening().find((endpoint) => endpoint.address === address);
    if (server === undefined) throw new Error(`not listening on ${address}`);
    return server;
  };

  it.skipIf(!hasIpv6).each([
    ['IPv4', 'IPv4', LOOPBACK, LOOPBACK],
    ['IPv4', 'IPv6', LOOPBACK, '::1'],
    ['IPv6', 'IPv4', '::1', LOOPBACK],
    ['IPv6', 'IPv6', '::1', '::1'],
  ] as const)('relays between a client on %s and a peer on %s, over channels and indications', async (...names) => {
    const [, , near, far] = names;
    const stage = await open({ plane: { listen, relayAddress } });
    const server = serverOf(stage.plane, near);
    const client = await stage.client(near);
    const peer = await stage.leg(far);
    const family = far === LOOPBACK ? 4 : 6;
    const allocation = await stage.allocate({ client, family });
    stage.permit(allocation, far);
    const frame = sendIndication(peer.local, hello);
    await client.send(frame, server);
    expect(await peer.next()).toEqual({ bytes: hello, from: allocation.relayed });
    await peer.send(hello, allocation.relayed);
    const { bytes } = await client.next();
    expect(readDataIndication(bytes)).toEqual({ peer: peer.local, payload: hello });
    expect(bytes.length).toBe(indicationLength(12, family));
    stage.bind(allocation, CHANNEL, peer.local);
    await client.send(channelData(CHANNEL, hello), server);
    await peer.next();
    await peer.send(hello, allocation.relayed);
    expect((await client.next()).bytes).toEqual(channelData(CHANNEL, hello));
    await stage.settled(allocation, 'internet', { peerTxPackets: 2n, clientTxPackets: 2n });
    expect(stage.counters(allocation)).toEqual(
      reading({ internet: { ...upward([frame.length, 16], [12, 12]), ...downward([12, 12], [bytes.length, 16]) } }),
    );
  });

  /** A client with an address of each family, and a peer in each. */
  const dual = async (stage: Stage, options: Partial<AllocateOptions> = {}) => {
    const client = await stage.client();
    const four = await stage.allocate({ ...options, client, family: 4 });
    const six = await stage.allocate({ ...options, client, family: 6 });
    return { client, four, six, near: await stage.leg(), far: await stage.leg('::1') };
  };

  it.skipIf(!hasIpv6)('relays for one client in both families at once, each counted on its own', async () => {
    const stage = await open({ plane: { listen, relayAddress } });
    const { client, four, six, near, far } = await dual(stage);
    stage.bind(four, CHANNEL, near.local);
    stage.bind(six, CHANNEL + 1, far.local);
    await client.send(channelData(CHANNEL, hello), stage.listener);
    await client.send(channelData(CHANNEL + 1, hello), stage.listener);
    expect(await near.next()).toEqual({ bytes: hello, from: four.relayed });
    expect(await far.next()).toEqual({ bytes: hello, from: six.relayed });
    await near.send(hello, four.relayed);
    expect((await client.next()).bytes).toEqual(channelData(CHANNEL, hello));
    await far.send(hello, six.relayed);
    expect((await client.next()).bytes).toEqual(channelData(CHANNEL + 1, hello));
    for (const one of [four, six]) {
      await stage.settled(one, 'internet', { peerTxPackets: 1n, clientTxPackets: 1n });
      expect(stage.counters(one)).toEqual(reading({ internet: { ...upward([16], [12]), ...downward([12], [16]) } }));
    }
  });

  it.skipIf(!hasIpv6)('takes Send indications of such a client by the family of their peer', async () => {
    const stage = await open({ plane: { listen, relayAddress } });
    const { client, four, six, near, far } = await dual(stage);
    stage.permit(four, LOOPBACK);
    stage.permit(six, '::1');
    await client.send(sendIndication(far.local, hello), stage.listener);
    await client.send(sendIndication(near.local, hello), stage.listener);
    expect(await far.next()).toEqual({ bytes: hello, from: six.relayed });
    expect(await near.next()).toEqual({ bytes: hello, from: four.relayed });
  });

  it.skipIf(!hasIpv6)('keeps one of the two when the other ends, whichever it is', async () => {
    const stage = await open({ plane: { listen, relayAddress } });
    for (const first of ['four', 'six'] as const) {
      const { client, four, six, near, far } = await dual(stage);
      stage.bind(four, CHANNEL, near.local);
      stage.bind(six, CHANNEL + 1, far.local);
      const [ended, kept] = first === 'four' ? [four, six] : [six, four];
      const server = stage.listener;
      stage.apply({ type: 'close', allocation: ended.id, reason: 'refreshed_to_zero' });
      await stage.closed(ended.id, 'refreshed_to_zero');
      await client.send(channelData(first === 'four' ? CHANNEL + 1 : CHANNEL, hello), server);
      expect((await (first === 'four' ? far : near).next()).from).toEqual(kept.relayed);
      await client.send(channelData(first === 'four' ? CHANNEL : CHANNEL + 1, hello), server);
      await until('the other channel is gone', () => stage.dropped('no_channel') === (first === 'four' ? 1n : 2n));
      stage.apply({ type: 'close', allocation: kept.id, reason: 'refreshed_to_zero' });
      await stage.closed(kept.id, 'refreshed_to_zero');
      expect((await stage.open({ client, family: 4 })).answer.type).toBe('opened');
    }
  });

  it.skipIf(!hasIpv6)('gives a client no second address in a family, and no third', async () => {
    const stage = await open({ plane: { listen, relayAddress } });
    const { client } = await dual(stage);
    for (const family of [4, 6] as const) {
      expect((await stage.open({ client, family })).answer.type).toBe('exhausted');
    }
  });

  it.skipIf(!hasIpv6)('imposes network conditions once on the leg that both share', async () => {
    const stage = await open({ plane: { listen, relayAddress } });
    const { client, four, six, near, far } = await dual(stage, { impairment: { delayMs: 0, rateKbps: 8 } });
    stage.bind(four, CHANNEL, near.local);
    stage.bind(six, CHANNEL + 1, far.local);
    // 200 octets of frame take 200 ms at 8 kbit/s, and the second frame waits for the first.
    const payload = Buffer.alloc(196);
    await client.send(channelData(CHANNEL, payload), stage.listener);
    await client.send(channelData(CHANNEL + 1, payload), stage.listener);
    await client.send(bindingRequest, stage.listener);
    await until('both frames are in', () => stage.control.length === 1);
    stage.clock.advance(200);
    stage.plane.tick();
    await near.next();
    expect(far.received).toEqual([]);
    stage.clock.advance(200);
    stage.plane.tick();
    await far.next();
  });
}

function heldPorts(open: Open): void {
  /** Two neighbouring ports that were free a moment ago, the lower one even. */
  const freePair = async (stage: Stage): Promise<number> => {
    for (;;) {
      const port = await stage.freePort();
      const next = await stage.open({ port: port + 1 });
      if (next.answer.type !== 'opened') continue;
      stage.apply({ type: 'close', allocation: next.id, reason: 'refreshed_to_zero' });
      await stage.closed(next.id, 'refreshed_to_zero');
      if (port % 2 === 0) return port;
    }
  };
  const pair = async (stage: Stage, holdFor = 40_000) => {
    const port = await freePair(stage);
    stage.clock.advance(QUARANTINE);
    stage.plane.tick();
    const first = await stage.open({ port, holdNext: stage.now + holdFor });
    expect(first.answer).toMatchObject({ type: 'opened', relayed: { port } });
    return { ...first, port };
  };

  it('holds the port after one that was opened, for an open that asks for a held one and for no other', async () => {
    const stage = await open();
    const { port } = await pair(stage);
    expect((await stage.open({ port: port + 1 })).answer.type).toBe('exhausted');
    const next = await stage.allocate({ port: port + 1, isHeld: true });
    const peer = await stage.leg();
    stage.permit(next, LOOPBACK);
    await peer.send(hello, next.relayed);
    expect(readDataIndication((await next.client.next()).bytes)).toEqual({ peer: peer.local, payload: hello });
  });

  it('holds it though the allocation below has ended, until its time is over, and lets it rest then', async () => {
    const stage = await open();
    const { id, port } = await pair(stage);
    stage.apply({ type: 'close', allocation: id, reason: 'refreshed_to_zero' });
    await stage.closed(id, 'refreshed_to_zero');
    stage.clock.advance(39_999);
    stage.plane.tick();
    expect((await stage.open({ port: port + 1 })).answer.type).toBe('exhausted');
    stage.clock.advance(1);
    expect((await stage.open({ port: port + 1, isHeld: true })).answer.type).toBe('exhausted');
    stage.plane.tick();
    expect((await stage.open({ port: port + 1 })).answer.type).toBe('exhausted');
    stage.clock.advance(QUARANTINE);
    stage.plane.tick();
    expect((await stage.open({ port: port + 1 })).answer.type).toBe('opened');
  });

  it('opens neither of a pair when the second is taken', async () => {
    const stage = await open();
    const port = await freePair(stage);
    stage.clock.advance(QUARANTINE);
    stage.plane.tick();
    const taken = await stage.open({ port: port + 1 });
    expect(taken.answer.type).toBe('opened');
    expect((await stage.open({ port, holdNext: stage.now + 40_000 })).answer.type).toBe('exhausted');
    expect((await stage.open({ port })).answer.type).toBe('opened');
  });

  it('has nothing held where nobody held it', async () => {
    const stage = await open();
    expect((await stage.open({ isHeld: true })).answer.type).toBe('exhausted');
  });

  it('passes nothing on that comes to a port before its owner', async () => {
    const stage = await open();
    const { id, port, client } = await pair(stage);
    const peer = await stage.leg();
    stage.permit({ id, client, relayed: { address: LOOPBACK, port } }, LOOPBACK);
    await peer.send(hello, { address: LOOPBACK, port: port + 1 });
    await stage.drops({ no_allocation: 1 });
    expect(client.received).toEqual([]);
  });
}

/** What holds where each frame is a datagram; test/conformance/stream-legs.ts has what holds on a stream. */
function inDatagrams(open: Open): void {
  const odd = Buffer.from('hello, peer');

  it('drops what is neither STUN nor ChannelData, and hands none of it up', async () => {
    const stage = await open();
    const client = await stage.client();
    const badCookie = Buffer.from(bindingRequest);
    badCookie[4] = 0;
    const garbage = [
      empty,
      Buffer.from([0]),
      bindingRequest.subarray(0, 19),
      badCookie,
      Buffer.concat([bindingRequest, Buffer.alloc(4)]),
      channelData(0x8000, odd),
      channelData(0xffff, odd),
      Buffer.alloc(1200, 0x80),
      Buffer.alloc(1200, 0xff),
    ];
    for (const bytes of garbage) await client.send(bytes, stage.listener);
    await stage.drops({ malformed: garbage.length });
    expect(stage.control).toEqual([]);
  });

  it('accepts padding behind ChannelData and counts it as received, but relays the payload alone', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage);
    await client.send(channelData(CHANNEL, odd, 1), stage.listener);
    expect((await peer.next()).bytes).toEqual(odd);
    await stage.settled(allocation, 'internet', { peerTxPackets: 1n });
    expect(stage.counters(allocation)).toEqual(reading({ internet: upward([4 + 11 + 1], [11]) }));
  });

  it('drops ChannelData that says it is longer than it is', async () => {
    const stage = await open();
    const { allocation, client } = await channelScene(stage);
    await client.send(channelData(CHANNEL, hello).subarray(0, 14), stage.listener);
    await client.send(Buffer.from([0x40, 0x01, 0x00]), stage.listener);
    await stage.drops({ malformed: 2 });
    expect(stage.counters(allocation)).toEqual(reading({}));
  });

  it('drops what is too large once framed, but counts that it came', async () => {
    const stage = await open();
    const { allocation, client, peer } = await channelScene(stage);
    const other = await stage.leg();
    const large = Buffer.alloc(65_500, 0x5a);
    await other.send(large, allocation.relayed);
    await stage.drops({ too_large: 1 });
    await peer.send(large, allocation.relayed);
    expect((await client.next()).bytes.equals(channelData(CHANNEL, large))).toBe(true);
    await stage.settled(allocation, 'internet', { clientTxPackets: 1n });
    expect(stage.counters(allocation)).toEqual(reading({ internet: downward([65_500, 65_500], [65_504]) }));
  });

  it('keeps clients apart that differ in the listener alone', async () => {
    const once = { transport: 'udp', address: LOOPBACK, port: 0 } as const;
    const stage = await open({ plane: { listen: [once, once] } });
    const [first, second] = stage.plane.listening();
    if (first === undefined || second === undefined) throw new Error('the plane does not listen twice');
    const { client } = await channelScene(stage);
    expect(first).toMatchObject(stage.listener);
    await client.send(channelData(CHANNEL, hello), second);
    await stage.drops({ no_allocation: 1 });
    expect(stage.plane.totals().classes.internet.clientRxPackets).toBe(0n);
  });
}
