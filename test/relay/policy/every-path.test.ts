/** The peer policy where it counts: every path on which a byte could come or go, with every range and every spelling of it. */
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canonicalAddress, familyOf, formatAddress } from '../../../kernel/address.ts';
import type { Endpoint } from '../../../kernel/address.ts';
import { ManualClock } from '../../../kernel/clock.ts';
import { seededRandom } from '../../../kernel/random.ts';
import { createDgramPlane } from '../../../relay/planes/dgram/dgram-plane.ts';
import { dropReasons } from '../../../relay/planes/plane.ts';
import type { FiveTuple } from '../../../kernel/address.ts';
import type { Plane } from '../../../relay/planes/plane.ts';
import { deniedRanges } from '../../../relay/policy/denied-ranges.ts';
import { createPeerPolicy } from '../../../relay/policy/peer-policy.ts';
import { channelData, sendIndication } from '../../conformance/frames.ts';
import { Bench, tuple } from '../turn/bench.ts';
import { cidr, encodings, inside } from './disguises.ts';

const PEER_PORT = 50_000;
const CHANNEL = 0x4001;
const hello = Buffer.from('hello');

/** The plane below stands on loopback, which this relay does not call its own: nothing lifts the rule for it. */
const byDefault = createPeerPolicy({
  ownAddresses: ['8.8.4.4'],
  allow: [],
  sfuRanges: [],
  hairpin: 'app',
});

/** The address as it is written, and for IPv4 in every disguise. */
function spellings(bytes: Uint8Array): string[] {
  return bytes.length === 4
    ? [formatAddress(bytes), ...Object.values(encodings).map((encode) => encode(bytes))]
    : [formatAddress(bytes)];
}

/** A plane whose sockets are the test's: a packet can seem to come from anywhere. */
class Stage {
  readonly #sockets: Socket[] = [];
  readonly #clock = new ManualClock(Date.UTC(2026, 10, 20));
  readonly plane: Plane;
  readonly #relays = new Map<4 | 6, { id: string; client: FiveTuple; socket: Socket }>();

  constructor() {
    this.plane = createDgramPlane(
      {
        listen: [{ transport: 'udp', address: '127.0.0.1', port: 0 }],
        relayAddress: { 4: '127.0.0.1', 6: '::1' },
        policy: byDefault,
        portQuarantine: 0,
        socketBufferBytes: 65_536,
      },
      {
        clock: this.#clock,
        random: seededRandom('every path'),
        createSocket: (options) => {
          const socket = createSocket(options);
          this.#sockets.push(socket);
          return socket;
        },
      },
    );
  }

  async start(): Promise<void> {
    await this.plane.start(() => undefined);
    for (const family of [4, 6] as const) this.#open(family);
  }

  #open(family: 4 | 6): void {
    const [listener] = this.plane.listening();
    if (listener === undefined) throw new Error('the plane does not listen');
    const id = `019a0000-0000-7000-8000-00000000000${family}`;
    const client: FiveTuple = {
      transport: 'udp',
      client: { address: '127.0.0.1', port: 40_000 + family },
      server: { address: listener.address, port: listener.port },
    };
    const deadline = this.#clock.monotonic() + 600_000;
    for (let port = 50_000; this.plane.counters(id) === undefined; port += 1) {
      this.plane.apply({
        type: 'open',
        allocation: id,
        client,
        family,
        port,
        deadline,
        app: 'demo',
        credential: 'demo',
        limits: {},
      });
    }
    const socket = this.#sockets.at(-1);
    if (socket === undefined) throw new Error('no socket');
    this.#relays.set(family, { id, client, socket });
  }

  /**
   * Permits and binds the peer in the plane itself, as a core that forgot to ask would, and tries ChannelData, a Send indication and
   * a packet from the peer. Gives how many of the three were dropped, by reason.
   */
  try(peer: Endpoint): Record<string, number> {
    const { id, client, socket } = this.#relays.get(familyOf(peer.address)) ?? {};
    const [listener] = this.#sockets;
    if (id === undefined || client === undefined || socket === undefined || listener === undefined)
      throw new Error('not started');
    const before = this.plane.totals().dropped;
    const deadline = this.#clock.monotonic() + 300_000;
    this.plane.apply({ type: 'permit', allocation: id, peer: peer.address, deadline });
    this.plane.apply({ type: 'bind', allocation: id, channel: CHANNEL, peer, deadline });
    const from = { address: client.client.address, port: client.client.port, family: 'IPv4', size: 0 };
    listener.emit('message', channelData(CHANNEL, hello), from);
    listener.emit('message', sendIndication(peer, hello), from);
    const family = familyOf(peer.address) === 4 ? 'IPv4' : 'IPv6';
    socket.emit('message', Buffer.from(hello), { ...peer, family, size: hello.length });
    this.plane.apply({ type: 'unbind', allocation: id, channel: CHANNEL });
    this.plane.apply({ type: 'revoke', allocation: id, peer: peer.address });
    const after = this.plane.totals().dropped;
    return Object.fromEntries(
      dropReasons.flatMap((reason) => {
        const dropped = Number(after[reason] - before[reason]);
        return dropped === 0 ? [] : [[reason, dropped]];
      }),
    );
  }

  /** Bytes that any allocation has taken or given, on either side. */
  get relayed(): bigint {
    const { classes } = this.plane.totals();
    return Object.values(classes).reduce(
      (sum, row) => sum + row.clientRxBytes + row.clientTxBytes + row.peerRxBytes + row.peerTxBytes,
      0n,
    );
  }
}

describe('a denied peer, in every spelling', () => {
  const stage = new Stage();
  beforeAll(() => stage.start());
  afterAll(() => stage.plane.close());

  it.each(deniedRanges)('of $range gets no permission and no channel', ({ range }) => {
    const bench = new Bench({ policy: byDefault });
    const clients = {
      4: bench.allocated('alice', tuple('198.51.100.7:1'), 4).client,
      6: bench.allocated('alice', tuple('198.51.100.7:2'), 6).client,
    };
    const tuples = { 4: tuple('198.51.100.7:1'), 6: tuple('198.51.100.7:2') };
    fc.assert(
      fc.property(inside(cidr(range)), (bytes) => {
        for (const address of spellings(bytes)) {
          const family = familyOf(address);
          const peer = { address, port: PEER_PORT };
          for (const request of [
            clients[family].createPermission([peer]),
            clients[family].channelBind(CHANNEL, peer),
          ]) {
            const { answer, commands } = bench.send(request, tuples[family]);
            // An IPv4-mapped peer is an IPv4 one, to which an IPv6 relayed address does not fit (443).
            expect([403, 443]).toContain(answer?.code);
            expect(answer?.code === 443).toBe(familyOf(canonicalAddress(address) ?? '') !== family);
            expect(commands.map(({ type }) => type)).toEqual(['send']);
          }
        }
      }),
      { numRuns: 10 },
    );
  });

  it.each(deniedRanges)(
    'of $range gets nothing over ChannelData or Send, and nothing from it reaches the client',
    ({ range }) => {
      fc.assert(
        fc.property(inside(cidr(range)), (bytes) => {
          for (const address of spellings(bytes)) {
            const peer = { address: canonicalAddress(address) ?? address, port: PEER_PORT };
            expect({ address, dropped: stage.try(peer) }).toEqual({ address, dropped: { peer_denied: 3 } });
          }
        }),
        { numRuns: 25 },
      );
      expect(stage.relayed).toBe(0n);
    },
  );

  it('is told from one that is not denied, by every path', async () => {
    const open = { address: '198.41.0.4', port: PEER_PORT };
    const bench = new Bench({ policy: byDefault });
    const { client } = bench.allocated();
    expect(bench.send(client.createPermission([open])).answer?.messageClass).toBe('success');
    expect(bench.send(client.channelBind(CHANNEL, open)).answer?.messageClass).toBe('success');
    const low = { ...open, port: 1023 };
    expect(bench.send(client.channelBind(CHANNEL + 1, low)).answer?.code).toBe(403);
    expect(stage.try(low)).toEqual({ peer_denied: 3 });
    expect(stage.relayed).toBe(0n);
  });
});
