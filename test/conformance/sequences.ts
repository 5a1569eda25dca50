/**
 * The core with a plane behind it, over real sockets, held to a second account of what TURN is (turn-model.ts): random sequences of
 * right and wrong requests, of data in both directions and of time. Every answer and the fate of every packet is predicted.
 */
import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { familyOf } from '../../kernel/address.ts';
import { seededRandom } from '../../kernel/random.ts';
import type { PlaneEvent } from '../../relay/planes/plane.ts';
import { attributes } from '../../relay/stun/attributes.ts';
import { isChannelData } from '../../relay/stun/channel-data.ts';
import { addressFamily, evenPort } from '../../relay/stun/number-attributes.ts';
import { TurnCore } from '../../relay/turn/core.ts';
import { type Answer, attribute, readAnswer, TurnClient } from '../relay/turn-client.ts';
import { channelData, readDataIndication, sendIndication } from './frames.ts';
import { allowLoopback, cidr, type CreatePlane, hasIpv6, type Leg, LOOPBACK, Stage, until } from './stage.ts';
import { type AllocateRequest, type Asked, type Expected, type Party, type Signed, TurnModel } from './turn-model.ts';

const users = { alice: 'secret', bob: 'hunter2', carol: 'sesame' } as const;
type User = keyof typeof users;
/** Milliseconds after which carol's credentials are over. */
const CAROLS_END = 300_000;
const endOf = (user: string) => (user === 'carol' ? CAROLS_END : Number.POSITIVE_INFINITY);
const CLIENTS = 2;
const PEERS = 4;
const LIMITS = { allocationsPerUser: 3, permissionsPerAllocation: 3, channelsPerAllocation: 3 };
/** Nobody is there, and the policy says so. */
const denied: Party = { address: '10.0.0.1', port: 5000, family: 4 };

/** One request as it was signed and sent. */
interface Sent {
  readonly asked: Asked;
  readonly signed: Signed;
  readonly bytes: Uint8Array;
}

/** What a client learnt from a challenge, and when: a nonce tells whole seconds. */
interface Challenged {
  readonly client: TurnClient;
  nonceFrom: number;
}

interface Client {
  readonly leg: Leg;
  readonly as: Readonly<Record<User, Challenged>>;
}

/** A Refresh is as long as a client's first request must be. */
const bareRefresh: Asked = { method: 'refresh', lifetime: 600, family: undefined };

class Scene {
  readonly #stage: Stage;
  readonly #core: TurnCore;
  readonly #model: TurnModel;
  readonly #clients: readonly Client[];
  readonly #peers: readonly (Party & { readonly leg: Leg })[];
  readonly #relayed = new Map<string, Leg['local']>();
  readonly #answers = new Map<number, Answer>();
  readonly #held = new Map<string, number>();
  readonly #sent: Sent[][] = [];
  #token = '00'.repeat(8);
  #transactions = 0;
  #payloads = 0;
  #handled = { control: 0, events: 0 };

  private constructor(stage: Stage, core: TurnCore, clients: readonly Leg[], peers: readonly Leg[]) {
    this.#stage = stage;
    this.#core = core;
    this.#model = new TurnModel({
      families: hasIpv6 ? [4, 6] : [4],
      allocationsPerUser: LIMITS.allocationsPerUser,
      permissions: LIMITS.permissionsPerAllocation,
      channels: LIMITS.channelsPerAllocation,
      nonceLifetime: 600_000,
      endOf,
      isDenied: (address) => address === denied.address,
    });
    this.#clients = clients.map((leg, index) => ({
      leg,
      as: { alice: known('alice', index), bob: known('bob', index), carol: known('carol', index) },
    }));
    this.#peers = peers.map((leg) => ({ ...leg.local, family: familyOf(leg.local.address), leg }));
  }

  /** `wrap` puts a fault into the core, for a test of this test. */
  static async open(create: CreatePlane, wrap: Fault = (core) => core): Promise<Scene> {
    const stage = await Stage.open(create, {
      policy: { allow: [...allowLoopback, cidr('127.0.0.2/31')] },
      plane: { relayAddress: hasIpv6 ? { 4: LOOPBACK, 6: '::1' } : { 4: LOOPBACK } },
    });
    const begin = stage.clock.now();
    const core = new TurnCore({
      ...LIMITS,
      realm: 'test',
      nonceKey: Buffer.alloc(32, 7),
      random: seededRandom('sequences'),
      relayPorts: { first: 61_000, last: 65_535 },
      families: hasIpv6 ? [4, 6] : [4],
      newPeersPerSecond: 1e9,
      refusalsPerSecond: 1e9,
      policy: { permits: (address) => address !== denied.address, judge: () => 'internet' },
      authenticator: {
        lookup: (username) => {
          if (!(username in users)) return { ok: false, reason: 'unknown' };
          const claims = { customId: username, call: '', participant: '', limits: {} };
          const passwords = [users[username as User]];
          const expiresAt = Math.min(begin + endOf(username), Number.MAX_SAFE_INTEGER);
          return { ok: true, app: 'app', keyId: 'key', passwords, claims, expiresAt };
        },
      },
    });
    const clients: Leg[] = [];
    for (let index = 0; index < CLIENTS; index += 1) clients.push(await stage.client());
    const peers = [await stage.leg('127.0.0.2'), await stage.leg('127.0.0.2'), await stage.leg('127.0.0.3')];
    peers.push(await stage.leg(hasIpv6 ? '::1' : '127.0.0.3'));
    return new Scene(stage, wrap(core), clients, peers);
  }

  close(): Promise<void> {
    return this.#stage.close();
  }

  peer(index: number): Party {
    const peer = this.#peers[index % PEERS];
    return peer === undefined || index >= PEERS ? denied : peer;
  }

  get token(): string {
    return this.#token;
  }

  advance(milliseconds: number, ticks: boolean): void {
    this.#stage.clock.advance(milliseconds);
    this.#obey(this.#core.expire(this.#at()));
    if (ticks) this.#stage.plane.tick();
    this.#model.pass(this.#stage.now);
  }

  async ask(index: number, user: User, asked: Asked, password: Signed['password'] = 'right'): Promise<void> {
    const { as } = this.#client(index);
    const { client } = as[user];
    if (client.nonce === undefined && password !== 'none') await this.ask(index, user, bareRefresh, 'none');
    this.#transactions += 1;
    const transaction = this.#transactions;
    client.password = password === 'wrong' ? 'a guess' : users[user];
    const bytes = build(client, asked, password === 'none');
    const signed = { user, password, nonceFrom: as[user].nonceFrom, transaction };
    (this.#sent[index] ??= []).push({ asked, signed, bytes });
    const answer = await this.#exchange(index, user, { asked, signed, bytes });
    // As every client does; its nonce is fresh now.
    if (answer.code === 438 && password === 'right') await this.ask(index, user, asked);
  }

  /** An earlier request of this client, as it was. */
  async repeat(index: number, back: number): Promise<void> {
    const sent = this.#sent[index]?.at(-1 - back);
    if (sent !== undefined) await this.#exchange(index, sent.signed.user as User, sent);
  }

  async #exchange(index: number, user: User, { asked, signed, bytes }: Sent): Promise<Answer> {
    const { leg, as } = this.#client(index);
    const now = this.#stage.now;
    const expected = this.#model.ask(index, asked, signed, now);
    await leg.send(Buffer.from(bytes), this.#stage.listener);
    const answer = readAnswer(await this.#next(leg));
    this.#compare(index, expected, answer, signed.transaction);
    // Whoever could not be believed is answered without a seal (RFC 8489 §9.2.4), everybody else under the key they share.
    const { client } = as[user];
    client.password = users[user];
    const isChallenge = answer.code === 401 || answer.code === 438;
    assert.equal(answer.hasIntegrity && client.verifies(answer), !isChallenge, 'a seal');
    if (isChallenge && client.learn(answer)) as[user].nonceFrom = now - (now % 1000);
    return answer;
  }

  #compare(index: number, expected: Expected, answer: Answer, transaction: number): void {
    if ('repeats' in expected) {
      assert.deepEqual(answer.bytes, this.#answers.get(expected.repeats)?.bytes, 'the same answer again');
      return;
    }
    if ('code' in expected) {
      assert.equal(answer.code, expected.code);
      return;
    }
    assert.equal(answer.code, undefined, `success, not ${answer.code}`);
    if (expected.success !== 'allocate') {
      if (expected.lifetime !== undefined) assert.equal(answer.lifetime, expected.lifetime);
      return;
    }
    this.#answers.set(transaction, answer);
    const relayed = answer.relayedAddresses ?? [];
    assert.deepEqual(
      relayed.map(({ address }) => familyOf(address)),
      expected.families,
    );
    assert.equal(answer.lifetime, expected.lifetime);
    assert.deepEqual(answer.addressError, expected.addressError);
    assert.deepEqual(answer.mapped, this.#client(index).leg.local);
    const [port = 0] = relayed.map((endpoint) => endpoint.port);
    if (expected.even) assert.equal(port % 2, 0, 'an even port');
    if (expected.redeems !== undefined) assert.equal(port, this.#held.get(expected.redeems), 'the port of the token');
    assert.equal(answer.token !== undefined, expected.givesToken);
    for (const endpoint of relayed) this.#relayed.set(`${index} ${familyOf(endpoint.address)}`, endpoint);
    if (answer.token === undefined) return;
    this.#token = Buffer.from(answer.token).toString('hex');
    this.#held.set(this.#token, port + 1);
    this.#model.name(this.#token, index, this.#stage.now);
  }

  async send(index: number, to: number): Promise<void> {
    const peer = this.#peers[to % PEERS];
    assert(peer !== undefined);
    const payload = this.#payload();
    const arrives = this.#model.sends(index, peer, this.#stage.now);
    await this.#upward(index, sendIndication(peer, payload), payload, arrives ? peer : undefined);
  }

  async sendOnChannel(index: number, number: number): Promise<void> {
    const payload = this.#payload();
    const peer = this.#model.channel(index, number, this.#stage.now);
    await this.#upward(index, channelData(number, payload), payload, peer);
  }

  async #upward(index: number, frame: Buffer, payload: Buffer, to: Party | undefined): Promise<void> {
    const peer = this.#peers.find(({ address, port }) => address === to?.address && port === to.port);
    const { leg } = this.#client(index);
    const source = peer === undefined ? undefined : this.#relayed.get(`${index} ${peer.family}`);
    await this.#fateOf(
      () => leg.send(frame, this.#stage.listener),
      peer?.leg,
      ({ bytes, from }) => assert.deepEqual([bytes, from], [payload, source]),
    );
  }

  /** A datagram to this client's relayed address, while there is one. */
  async receive(index: number, from: number): Promise<void> {
    const peer = this.#peers[from % PEERS];
    assert(peer !== undefined);
    const to = this.#relayed.get(`${index} ${peer.family}`);
    if (to === undefined || !this.#model.families(index).includes(peer.family)) return;
    const payload = this.#payload();
    const how = this.#model.receives(index, peer, this.#stage.now);
    await this.#fateOf(
      () => peer.leg.send(payload, to),
      how === undefined ? undefined : this.#client(index).leg,
      ({ bytes }) => {
        assert.equal(isChannelData(bytes), how !== 'indication');
        if (typeof how === 'number') assert.deepEqual(bytes, channelData(how, payload));
        else assert.deepEqual(readDataIndication(bytes), { peer: peer.leg.local, payload });
      },
    );
  }

  /** Sends a packet that arrives at one place, or is counted as dropped and arrives nowhere. */
  async #fateOf(
    send: () => Promise<void>,
    destination: Leg | undefined,
    judge: (arrived: { bytes: Buffer; from: Leg['local'] }) => void,
  ): Promise<void> {
    const before = this.#dropped();
    const legs = [...this.#clients, ...this.#peers].map(({ leg }) => leg);
    await send();
    await until('a packet meets its fate', () => {
      return this.#dropped() > before || legs.some(({ received }) => received.length > 0);
    });
    const arrived = legs.filter(({ received }) => received.length > 0);
    assert.deepEqual(
      arrived.map(({ local }) => local),
      destination === undefined ? [] : [destination.local],
    );
    for (const leg of arrived) judge(await leg.next());
    assert.equal(this.#dropped() - before, destination === undefined ? 1n : 0n);
  }

  #dropped(): bigint {
    return Object.values(this.#stage.plane.totals().dropped).reduce((sum, count) => sum + count, 0n);
  }

  /** Lets the core decide until the client hears something. */
  async #next(leg: Leg): Promise<Buffer> {
    await until('the client is answered', () => {
      this.#pump();
      return leg.received.length > 0;
    });
    return (await leg.next()).bytes;
  }

  #pump(): void {
    const { control, events } = this.#stage;
    const next: PlaneEvent[] = [
      ...control.slice(this.#handled.control).map(({ bytes, event }) => ({ ...event, bytes })),
      ...events.slice(this.#handled.events),
    ];
    this.#handled = { control: control.length, events: events.length };
    for (const event of next) this.#obey(this.#core.handleEvent(event, this.#at()));
  }

  #obey(commands: ReturnType<TurnCore['expire']>): void {
    this.#stage.apply(...commands);
  }

  #at(): { now: number; monotonic: number } {
    return { now: this.#stage.clock.now(), monotonic: this.#stage.now };
  }

  #client(index: number): Client {
    const client = this.#clients[index % CLIENTS];
    assert(client !== undefined);
    return client;
  }

  /** Twelve octets, so that no frame needs padding. */
  #payload(): Buffer {
    this.#payloads += 1;
    return Buffer.from(String(this.#payloads).padStart(12, '.'));
  }
}

export type Fault = (core: TurnCore) => TurnCore;

function known(user: User, index: number): Challenged {
  return { client: new TurnClient(user, users[user], seededRandom(`${user} ${index}`)), nonceFrom: 0 };
}

function build(client: TurnClient, asked: Asked, bare: boolean): Uint8Array {
  const requested = attributes.REQUESTED_ADDRESS_FAMILY;
  switch (asked.method) {
    case 'allocate': {
      const { additional, dontFragment, family, lifetime, port, token, transport } = asked;
      const more = [
        ...(family === undefined
          ? []
          : [
              family === 'other'
                ? attribute(requested.type, Uint8Array.of(9, 0, 0, 0))
                : addressFamily(requested, family),
            ]),
        ...(additional === undefined ? [] : [addressFamily(attributes.ADDITIONAL_ADDRESS_FAMILY, additional)]),
        ...(port === 'any' ? [] : [evenPort(port === 'pair')]),
        ...(token === undefined ? [] : [attribute(attributes.RESERVATION_TOKEN.type, Buffer.from(token, 'hex'))]),
        ...(dontFragment ? [attribute(attributes.DONT_FRAGMENT.type)] : []),
      ];
      const number = transport === undefined ? null : transport === 'udp' ? 17 : 6;
      return client.allocate(
        { transport: number, ...(lifetime === undefined ? {} : { seconds: lifetime }) },
        { more, bare },
      );
    }
    case 'refresh': {
      const more = asked.family === undefined ? [] : [addressFamily(requested, asked.family)];
      return client.refresh(asked.lifetime, { more, bare });
    }
    case 'permission':
      return client.createPermission(asked.peers, { bare });
    default:
      return client.channelBind(asked.number, asked.peer, { bare });
  }
}

/** A step says what it does when it fails: what is shrunk to is read by people. */
interface Step {
  readonly what: string;
  run(scene: Scene): Promise<void> | void;
}

const client = fc.nat(CLIENTS - 1);
const user = fc.oneof(
  { weight: 9, arbitrary: fc.constant<User>('alice') },
  { weight: 1, arbitrary: fc.constantFrom<User>('bob', 'carol') },
);
const peer = fc.nat(PEERS - 1);
const peerOrDenied = fc.oneof({ weight: 6, arbitrary: peer }, { weight: 1, arbitrary: fc.constant(PEERS) });
const lifetime = fc.constantFrom(undefined, undefined, 5, 900, 1_000_000);
const channel = fc.constantFrom(0x4000, 0x4001, 0x4fff);
const anyChannel = fc.oneof(
  { weight: 8, arbitrary: channel },
  { weight: 1, arbitrary: fc.constantFrom(0x3fff, 0x5000) },
);
const rarely = <T>(value: T, often: T) => fc.constantFrom(...Array.from({ length: 9 }, () => often), value);

const allocation = fc.record({
  transport: fc.constantFrom(...Array.from({ length: 10 }, () => 'udp' as const), 'tcp' as const, undefined),
  lifetime,
  family: fc.constantFrom(undefined, undefined, undefined, 4 as const, 6 as const, 'other' as const),
  additional: fc.constantFrom(undefined, undefined, undefined, undefined, 6 as const, 6 as const, 4 as const),
  port: fc.constantFrom('any' as const, 'any' as const, 'any' as const, 'even' as const, 'pair' as const),
  token: fc.constantFrom(undefined, undefined, undefined, 'last', 'ab'.repeat(8)),
  dontFragment: rarely(true, false),
});

/** An ordinary one, so that sequences have something to work on. */
const plain = fc.record({
  transport: fc.constant('udp' as const),
  lifetime,
  family: fc.constantFrom(undefined, 6 as const),
  additional: fc.constant(undefined),
  port: fc.constantFrom('any' as const, 'any' as const, 'any' as const, 'pair' as const),
  token: fc.constant(undefined),
  dontFragment: fc.constant(false),
});

function step(what: string, parts: readonly unknown[], run: Step['run']): Step {
  const text = `${what} ${JSON.stringify(parts)}`;
  return Object.assign({ what: text, run }, { [fc.toStringMethod]: () => text });
}

function allocating(parts: readonly [number, User, Omit<AllocateRequest, 'method'>]): Step {
  const [at, who, { token, ...rest }] = parts;
  return step('allocate', parts, (scene) => {
    const shown = token === 'last' ? scene.token : token;
    return scene.ask(at, who, { method: 'allocate', ...rest, token: shown });
  });
}

/** A channel's end, that many milliseconds away, while its permission is kept alive: chance alone hardly ever gets there. */
function outliving(parts: readonly [number, number, number, number]): Step {
  const [at, number, to, away] = parts;
  return step('outlive a channel', parts, async (scene) => {
    const permission: Asked = { method: 'permission', peers: [scene.peer(to)] };
    await scene.ask(at, 'alice', { method: 'refresh', lifetime: 900, family: undefined });
    await scene.ask(at, 'alice', { method: 'channel', number, peer: scene.peer(to) });
    for (const wait of [299_999, 299_999]) {
      scene.advance(wait, true);
      await scene.ask(at, 'alice', permission);
    }
    scene.advance(2 + away, true);
    await scene.sendOnChannel(at, number);
    await scene.receive(at, to);
  });
}

const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.tuple(client, user, fc.oneof(allocation, plain)).map(allocating),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(
        client,
        user,
        fc.constantFrom(undefined, 0, 5, 900),
        fc.constantFrom(undefined, undefined, 4 as const, 6 as const),
      )
      .map((parts) => {
        const [at, who, seconds, family] = parts;
        return step('refresh', parts, (scene) => scene.ask(at, who, { method: 'refresh', lifetime: seconds, family }));
      }),
  },
  {
    weight: 6,
    arbitrary: fc.tuple(client, user, fc.array(peerOrDenied, { maxLength: 3 })).map((parts) => {
      const [at, who, peers] = parts;
      return step('permit', parts, (scene) => {
        return scene.ask(at, who, { method: 'permission', peers: peers.map((index) => scene.peer(index)) });
      });
    }),
  },
  {
    weight: 6,
    arbitrary: fc.tuple(client, user, anyChannel, peerOrDenied).map((parts) => {
      const [at, who, number, to] = parts;
      return step('bind', parts, (scene) => scene.ask(at, who, { method: 'channel', number, peer: scene.peer(to) }));
    }),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(client, user, fc.constantFrom('wrong' as const, 'none' as const)).map((parts) => {
      const [at, who, password] = parts;
      return step('unauthenticated refresh', parts, (scene) => {
        return scene.ask(at, who, { method: 'refresh', lifetime: 0, family: undefined }, password);
      });
    }),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(client, fc.nat(2)).map((parts) => {
      return step('repeat', parts, (scene) => scene.repeat(...parts));
    }),
  },
  { weight: 1, arbitrary: fc.tuple(client, channel, peer, fc.constantFrom(-1, 0, 1)).map(outliving) },
  {
    weight: 5,
    arbitrary: fc.tuple(client, peer).map((parts) => step('send', parts, (scene) => scene.send(...parts))),
  },
  {
    weight: 5,
    arbitrary: fc
      .tuple(client, channel)
      .map((parts) => step('channel data', parts, (scene) => scene.sendOnChannel(...parts))),
  },
  {
    weight: 5,
    arbitrary: fc.tuple(client, peer).map((parts) => step('from peer', parts, (scene) => scene.receive(...parts))),
  },
  {
    weight: 4,
    arbitrary: fc
      .tuple(
        fc.constantFrom(1, 1, 1000, 1000, 39_999, 40_000, 40_000, 299_999, 300_000, 599_999, 600_000),
        fc.boolean(),
      )
      .map((parts) => step('wait', parts, (scene) => scene.advance(...parts))),
  },
);

/** Runs a sequence on a relay of its own. */
export async function play(create: CreatePlane, list: readonly Step[], fault?: Fault): Promise<void> {
  const scene = await Scene.open(create, fault);
  try {
    for (const [index, one] of list.entries()) {
      try {
        await one.run(scene);
      } catch (error) {
        throw new Error(`step ${index + 1}, ${one.what}: ${error instanceof Error ? error.message : String(error)}`, {
          cause: error,
        });
      }
    }
  } finally {
    await scene.close();
  }
}

/** Who begins with an address of each family has the most that can go wrong. */
const beginning = fc.tuple(client, fc.constant<User>('alice'), plain).map(([at, who, wanted]) => {
  return allocating([at, who, { ...wanted, family: undefined, additional: 6, port: 'any' }]);
});
export const sequence = fc
  .tuple(fc.array(beginning, { maxLength: 2 }), fc.array(steps, { minLength: 1, maxLength: 60, size: 'max' }))
  .map(([first, then]) => [...first, ...then]);

export function sequenceConformance(name: string, create: CreatePlane, numRuns: number): void {
  describe(`the core on the ${name} plane`, () => {
    it('does what a second account of RFC 8656 says, in every sequence', { timeout: 120_000 }, async () => {
      await expect(
        fc.assert(
          fc.asyncProperty(sequence, (list) => play(create, list)),
          { numRuns },
        ),
      ).resolves.toBeUndefined();
    });
  });
}
