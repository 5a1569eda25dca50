/** What the dgram plane does when the kernel does not take what it is given; sockets here fail on command. */
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { afterEach, describe, expect, it } from 'vitest';
import type { CreateSocket } from '../../../../relay/planes/dgram/datagram-socket.ts';
import { createDgramPlane } from '../../../../relay/planes/dgram/dgram-plane.ts';
import type { DgramPlane } from '../../../../relay/planes/dgram/dgram-plane.ts';
import { channelData, stun } from '../../../conformance/frames.ts';
import { Stage, downward, reading, until, upward } from '../../../conformance/stage.ts';
import type { Allocated, Leg } from '../../../conformance/stage.ts';

type Callback = (error: NodeJS.ErrnoException | null, bytes: number) => void;
/** How the next sends of a socket end; undefined = as usual. */
type Mode = { readonly error: string } | 'held' | undefined;

class FaultySockets {
  mode: Mode;
  readonly held: Callback[] = [];
  readonly sockets: Socket[] = [];

  readonly create: CreateSocket = (options) => {
    const socket = createSocket(options);
    const send = socket.send.bind(socket) as (bytes: Buffer, port: number, address: string, sent: Callback) => void;
    socket.send = ((bytes: Buffer, port: number, address: string, sent: Callback) => {
      const { mode } = this;
      if (mode === undefined) send(bytes, port, address, sent);
      else if (mode === 'held') this.held.push(sent);
      else process.nextTick(sent, Object.assign(new Error(mode.error), { code: mode.error }), 0);
    }) as Socket['send'];
    this.sockets.push(socket);
    return socket;
  };

  release(): void {
    this.mode = undefined;
    for (const sent of this.held.splice(0)) sent(null, 0);
  }
}

const CHANNEL = 0x4001;
const hello = Buffer.from('hello, peer');

describe('the dgram plane on a kernel that refuses', () => {
  const stages: Stage[] = [];
  afterEach(async () => {
    await Promise.all(stages.splice(0).map((stage) => stage.close()));
  });

  async function scene(limits = {}): Promise<{
    stage: Stage;
    faults: FaultySockets;
    plane: DgramPlane;
    allocation: Allocated;
    client: Leg;
    peer: Leg;
  }> {
    const faults = new FaultySockets();
    const created: DgramPlane[] = [];
    const stage = await Stage.open((options, deps) => {
      const plane = createDgramPlane(options, { ...deps, createSocket: faults.create });
      created.push(plane);
      return plane;
    });
    stages.push(stage);
    const allocation = await stage.allocate({ limits });
    const peer = await stage.leg();
    stage.bind(allocation, CHANNEL, peer.local);
    return { stage, faults, plane: created[0]!, allocation, client: allocation.client, peer };
  }

  it('counts what could not be sent as received, as dropped, and never as sent', async () => {
    const { stage, faults, allocation, client, peer } = await scene();
    faults.mode = { error: 'EPERM' };
    await client.send(channelData(CHANNEL, hello), stage.listener);
    await peer.send(hello, allocation.relayed);
    await stage.drops({ send_failed: 2 });
    expect(stage.counters(allocation)).toEqual(reading({ internet: { ...upward([15], []), ...downward([11], []) } }));
    expect(stage.events.filter(({ type }) => type === 'unreachable')).toEqual([]);
  });

  it('counts a datagram that the network cannot take in one piece as too large', async () => {
    const { stage, faults, client } = await scene();
    faults.mode = { error: 'EMSGSIZE' };
    await client.send(channelData(CHANNEL, hello), stage.listener);
    await stage.drops({ too_large: 1 });
    expect(stage.plane.totals().classes.internet.peerTxPackets).toBe(0n);
  });

  it('says unreachable of a peer once a second at most, and never of a client', async () => {
    const { stage, faults, allocation, client, peer } = await scene();
    const unreachable = () => stage.events.filter(({ type }) => type === 'unreachable');
    faults.mode = { error: 'EHOSTUNREACH' };
    await peer.send(hello, allocation.relayed);
    await stage.drops({ send_failed: 1 });
    expect(unreachable()).toEqual([]);
    for (let count = 0; count < 3; count += 1) await client.send(channelData(CHANNEL, hello), stage.listener);
    await stage.drops({ send_failed: 4 });
    expect(unreachable()).toEqual([{ type: 'unreachable', allocation: allocation.id, peer: peer.local }]);
    stage.clock.advance(1000);
    await client.send(channelData(CHANNEL, hello), stage.listener);
    await stage.drops({ send_failed: 5 });
    expect(unreachable()).toHaveLength(2);
  });

  it('gives a quota back what was not sent', async () => {
    const { stage, faults, allocation, client, peer } = await scene({ bytes: 30n });
    faults.mode = { error: 'EPERM' };
    for (let count = 0; count < 5; count += 1) await peer.send(hello, allocation.relayed);
    await stage.drops({ send_failed: 5 });
    faults.mode = undefined;
    await peer.send(hello, allocation.relayed);
    await peer.send(hello, allocation.relayed);
    await client.next();
    await client.next();
    const counters = await stage.closed(allocation.id, 'quota');
    expect(counters.classes.internet).toMatchObject({ clientTxBytes: 30n, peerRxPackets: 7n });
  });

  it('holds no more datagrams for a kernel that does not take them than it may', async () => {
    const { stage, faults, allocation, client } = await scene();
    faults.mode = 'held';
    for (let count = 0; count < 256; count += 1) await client.send(channelData(CHANNEL, hello), stage.listener);
    await until('256 datagrams wait', () => faults.held.length === 256);
    await client.send(channelData(CHANNEL, hello), stage.listener);
    await stage.drops({ overload: 1 });
    expect(stage.counters(allocation).classes.internet).toMatchObject({ clientRxPackets: 257n, peerTxPackets: 0n });
    faults.release();
    expect(stage.counters(allocation).classes.internet).toMatchObject({ peerTxPackets: 256n, peerTxBytes: 2816n });
  });

  it('says closed only when every send has settled, with those in the counters', async () => {
    const { stage, faults, allocation, client, peer } = await scene();
    faults.mode = 'held';
    await peer.send(hello, allocation.relayed);
    await client.send(channelData(CHANNEL, hello), stage.listener);
    const to = { transport: 'udp', client: client.local, server: stage.listener } as const;
    stage.apply({ type: 'send', to, bytes: stun(0x0104), allocation: allocation.id });
    await until('three datagrams wait', () => faults.held.length === 3);
    stage.apply({ type: 'close', allocation: allocation.id, reason: 'revoked' });
    const rest = await stage.allocate();
    stage.apply({ type: 'close', allocation: rest.id, reason: 'revoked' });
    await stage.closed(rest.id, 'revoked');
    expect(stage.closings(allocation.id)).toEqual([]);
    expect(stage.plane.counters(allocation.id)).toEqual(
      reading({ internet: { ...upward([15], []), ...downward([11], []) } }),
    );
    faults.release();
    expect(await stage.closed(allocation.id, 'revoked')).toEqual(
      reading({ internet: { ...upward([15], [11]), ...downward([11], [15]) } }, 20),
    );
  });

  it('goes on after a passing error of receiving, and ends an allocation whose socket is broken', async () => {
    const { stage, faults, allocation, client, peer } = await scene();
    const relay = faults.sockets.at(-1)!;
    relay.emit('error', Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }));
    await client.send(channelData(CHANNEL, hello), stage.listener);
    expect((await peer.next()).bytes).toEqual(hello);
    await stage.settled(allocation, 'internet', { peerTxPackets: 1n });
    relay.emit('error', Object.assign(new Error('bad descriptor'), { code: 'EBADF' }));
    expect(await stage.closed(allocation.id, 'failed')).toEqual(reading({ internet: upward([15], [11]) }));
  });

  it('tells what the kernel granted of the socket buffers', async () => {
    const { stage, plane } = await scene();
    const [buffers] = plane.socketBuffers();
    expect(buffers?.listener).toEqual(stage.listener);
    expect(buffers?.receive).toBeGreaterThan(0);
    expect(buffers?.send).toBeGreaterThan(0);
  });
});
