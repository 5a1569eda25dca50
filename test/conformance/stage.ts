/** A plane on loopback with hand-driven commands, a hand-moved clock, and sockets that play clients and peers. */
import { deepStrictEqual } from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import type { RemoteInfo, Socket } from 'node:dgram';
import { setImmediate } from 'node:timers/promises';
import { canonicalAddress, familyOf, parseCidr } from '../../kernel/address.ts';
import type { Endpoint, Family } from '../../kernel/address.ts';
import { ManualClock } from '../../kernel/clock.ts';
import type { Clock } from '../../kernel/clock.ts';
import { seededRandom } from '../../kernel/random.ts';
import type { Random } from '../../kernel/random.ts';
import { uuidV7 } from '../../kernel/uuid.ts';
import type {
  AllocationId,
  ClassCounters,
  CloseReason,
  Command,
  Counters,
  DropReason,
  Limits,
  PeerClass,
  Plane,
  PlaneEvent,
  PlaneOptions,
} from '../../relay/planes/plane.ts';
import { createPeerPolicy } from '../../relay/policy/peer-policy.ts';
import type { PeerPolicyOptions } from '../../relay/policy/peer-policy.ts';

export type CreatePlane = (options: PlaneOptions, deps: { clock: Clock; random: Random }) => Plane | Promise<Plane>;

/** How long anything on loopback may take before a test gives up on it. */
const PATIENCE = 10_000;

/** Resolves once the condition holds. It looks again after every turn of the event loop, so it waits no longer than needed. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const start = performance.now();
  while (!condition()) {
    if (performance.now() - start > PATIENCE) throw new Error(`waited in vain until ${what}`);
    await setImmediate();
  }
}

/** A UDP socket that keeps what it receives: a client's or a peer's. */
export class Leg {
  readonly received: { readonly bytes: Buffer; readonly from: Endpoint }[] = [];
  readonly local: Endpoint;
  readonly #socket: Socket;
  #closed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const { address, port } = socket.address();
    this.local = { address: canonicalAddress(address) ?? address, port };
    socket.on('message', (bytes: Buffer, { address, port }: RemoteInfo) => {
      this.received.push({ bytes, from: { address, port } });
    });
  }

  static open(address: string): Promise<Leg> {
    const socket = createSocket({ type: familyOf(address) === 4 ? 'udp4' : 'udp6' });
    return new Promise((resolve, reject) => {
      socket.once('error', reject);
      socket.bind(0, address, () => resolve(new Leg(socket)));
    });
  }

  send(bytes: Buffer, to: Endpoint): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.send(bytes, to.port, to.address, (error) => (error === null ? resolve() : reject(error)));
    });
  }

  /** The oldest datagram not taken yet. */
  async next(): Promise<{ bytes: Buffer; from: Endpoint }> {
    await until('a datagram arrives', () => this.received.length > 0);
    const first = this.received.shift();
    if (first === undefined) throw new Error('unreachable');
    return first;
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#closed = true;
    return new Promise((resolve) => {
      this.#socket.close(() => resolve());
    });
  }
}

export interface Allocated {
  readonly id: AllocationId;
  readonly client: Leg;
  readonly relayed: Endpoint;
}

export interface AllocateOptions {
  readonly app?: string;
  readonly limits?: Limits;
  readonly lifetime?: number;
  readonly family?: Family;
  readonly client?: Leg;
  readonly port?: number;
}

export interface StageOptions {
  readonly policy?: Partial<PeerPolicyOptions>;
  readonly plane?: Partial<PlaneOptions>;
}

export const LOOPBACK = '127.0.0.1';
export const QUARANTINE = 60_000;

export function cidr(text: string): NonNullable<ReturnType<typeof parseCidr>> {
  const parsed = parseCidr(text);
  if (parsed === undefined) throw new Error(`bad range in a test: ${text}`);
  return parsed;
}

/** Where loopback peers may be reached, as `--allow-peer` would have it. */
export const allowLoopback = [cidr('127.0.0.0/8'), cidr('::1/128')];

export class Stage {
  readonly clock: ManualClock;
  readonly events: PlaneEvent[] = [];
  /** Copies of what went up as control: the plane's bytes are valid only during the event. */
  readonly control: { readonly bytes: Buffer; readonly event: PlaneEvent & { type: 'control' } }[] = [];
  readonly plane: Plane;
  readonly #legs: Leg[] = [];
  readonly #random = seededRandom('stage');

  private constructor(plane: Plane, clock: ManualClock) {
    this.plane = plane;
    this.clock = clock;
  }

  static async open(create: CreatePlane, { policy = {}, plane = {} }: StageOptions = {}): Promise<Stage> {
    const clock = new ManualClock(Date.UTC(2026, 10, 20));
    const options: PlaneOptions = {
      listen: [{ address: LOOPBACK, port: 0 }],
      relayAddress: { 4: LOOPBACK },
      policy: createPeerPolicy({
        ownAddresses: [LOOPBACK, '::1'],
        allow: allowLoopback,
        sfuRanges: [],
        hairpin: 'app',
        ...policy,
      }),
      portQuarantine: QUARANTINE,
      socketBufferBytes: 1 << 20,
      ...plane,
    };
    const stage = new Stage(await create(options, { clock, random: seededRandom('plane') }), clock);
    await stage.plane.start((event) => {
      if (event.type === 'control') stage.control.push({ bytes: Buffer.from(event.bytes), event });
      else stage.events.push(event);
    });
    return stage;
  }

  /** The plane's first listener. */
  get listener(): Endpoint {
    const [first] = this.plane.listening();
    if (first === undefined) throw new Error('the plane does not listen');
    return first;
  }

  get now(): number {
    return this.clock.monotonic();
  }

  async leg(address = LOOPBACK): Promise<Leg> {
    const leg = await Leg.open(address);
    this.#legs.push(leg);
    return leg;
  }

  /** A port that was free a moment ago. */
  async freePort(address = LOOPBACK): Promise<number> {
    const leg = await Leg.open(address);
    await leg.close();
    return leg.local.port;
  }

  apply(...commands: Command[]): void {
    for (const command of commands) this.plane.apply(command);
  }

  /** Sends `open` and returns the plane's answer. */
  async open(options: AllocateOptions = {}): Promise<{ id: AllocationId; client: Leg; answer: PlaneEvent }> {
    const { app = 'app', limits = {}, lifetime = 600_000, family = 4 } = options;
    const client = options.client ?? (await this.leg());
    const port = options.port ?? (await this.freePort(family === 4 ? LOOPBACK : '::1'));
    const id = uuidV7(this.clock, this.#random);
    const server = this.plane.listening().find(({ address }) => familyOf(address) === familyOf(client.local.address));
    if (server === undefined) throw new Error('the plane does not listen in that family');
    this.apply({
      type: 'open',
      allocation: id,
      client: { transport: 'udp', client: client.local, server },
      family,
      port,
      deadline: this.now + lifetime,
      app,
      limits,
    });
    const answers = (event: PlaneEvent) =>
      (event.type === 'opened' || event.type === 'exhausted') && event.allocation === id;
    await until('open is answered', () => this.events.some(answers));
    const answer = this.events.find(answers);
    if (answer === undefined) throw new Error('unreachable');
    return { id, client, answer };
  }

  async allocate(options: AllocateOptions = {}): Promise<Allocated> {
    const { id, client, answer } = await this.open(options);
    if (answer.type !== 'opened') throw new Error(`the plane answered ${answer.type}`);
    return { id, client, relayed: answer.relayed };
  }

  permit(allocation: Allocated, peer: string, lifetime = 300_000): void {
    this.apply({ type: 'permit', allocation: allocation.id, peer, deadline: this.now + lifetime });
  }

  /** Binds a channel, with its permission. */
  bind(allocation: Allocated, channel: number, peer: Endpoint, lifetime = 600_000): void {
    this.permit(allocation, peer.address);
    this.apply({ type: 'bind', allocation: allocation.id, channel, peer, deadline: this.now + lifetime });
  }

  counters(allocation: Allocated): Counters {
    const counters = this.plane.counters(allocation.id);
    if (counters === undefined) throw new Error('the allocation is gone');
    return counters;
  }

  dropped(reason: DropReason): bigint {
    return this.plane.totals().dropped[reason];
  }

  /** Waits until so many packets were dropped for this reason, and asserts that none was for another. */
  async drops(expected: Partial<Record<DropReason, number>>): Promise<void> {
    const actual = () => Object.entries(this.plane.totals().dropped).filter(([, count]) => count > 0n);
    const sum = Object.values(expected).reduce((total, count) => total + count, 0);
    await until(`${sum} packets are dropped: ${JSON.stringify(expected)}`, () => {
      return actual().reduce((total, [, count]) => total + count, 0n) >= BigInt(sum);
    });
    deepStrictEqual(Object.fromEntries(actual().map(([reason, count]) => [reason, Number(count)])), expected);
  }

  /** Waits for sends to be counted: a datagram may arrive before the plane has heard of it. */
  settled(allocation: Allocated, peerClass: PeerClass, packets: Partial<ClassCounters>): Promise<void> {
    return until(`the counters of ${peerClass} show what was sent`, () => {
      const counters = this.counters(allocation).classes[peerClass];
      return Object.entries(packets).every(([name, value]) => counters[name as keyof ClassCounters] === value);
    });
  }

  closings(id: AllocationId): (PlaneEvent & { type: 'closed' })[] {
    return this.events.filter((event) => event.type === 'closed' && event.allocation === id) as (PlaneEvent & {
      type: 'closed';
    })[];
  }

  async closed(id: AllocationId, reason: CloseReason): Promise<Counters> {
    await until(`the allocation is closed as ${reason}`, () => this.closings(id).length > 0);
    const [closing, ...more] = this.closings(id);
    if (closing === undefined || more.length > 0) throw new Error('closed more than once');
    if (closing.reason !== reason) throw new Error(`closed as ${closing.reason} instead of ${reason}`);
    return closing.counters;
  }

  async close(): Promise<void> {
    await this.plane.close();
    await Promise.all(this.#legs.map((leg) => leg.close()));
  }
}

const nothing: ClassCounters = {
  clientRxBytes: 0n,
  clientTxBytes: 0n,
  peerRxBytes: 0n,
  peerTxBytes: 0n,
  clientRxPackets: 0n,
  clientTxPackets: 0n,
  peerRxPackets: 0n,
  peerTxPackets: 0n,
};

/** A full reading out of the members that are not 0. */
export function reading(classes: Partial<Record<PeerClass, Partial<ClassCounters>>>, control = 0): Counters {
  const full = (partial: Partial<ClassCounters> = {}): ClassCounters => ({ ...nothing, ...partial });
  return {
    classes: { internet: full(classes.internet), own_relay: full(classes.own_relay), sfu: full(classes.sfu) },
    clientControlTxBytes: BigInt(control),
  };
}

/** One direction's counters: `upward(frame, payload)` = a client's packets to a peer. Sizes are summed, packets counted. */
export function upward(frames: readonly number[], payloads: readonly number[]): Partial<ClassCounters> {
  return {
    clientRxBytes: sum(frames),
    clientRxPackets: BigInt(frames.length),
    peerTxBytes: sum(payloads),
    peerTxPackets: BigInt(payloads.length),
  };
}

export function downward(payloads: readonly number[], frames: readonly number[]): Partial<ClassCounters> {
  return {
    peerRxBytes: sum(payloads),
    peerRxPackets: BigInt(payloads.length),
    clientTxBytes: sum(frames),
    clientTxPackets: BigInt(frames.length),
  };
}

function sum(sizes: readonly number[]): bigint {
  return BigInt(sizes.reduce((total, size) => total + size, 0));
}
