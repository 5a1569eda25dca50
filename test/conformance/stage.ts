/** A plane on loopback with hand-driven commands, a hand-moved clock, and sockets that play clients and peers. */
import { deepStrictEqual } from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import type { RemoteInfo, Socket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Socket as StreamSocket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import { setImmediate } from 'node:timers/promises';
import { canonicalAddress, familyOf, parseCidr } from '../../kernel/address.ts';
import type { Endpoint, Family, FiveTuple, Transport } from '../../kernel/address.ts';
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
  StreamTransport,
} from '../../relay/planes/plane.ts';
import { TlsIdentity } from '../../relay/planes/stream/tls-identity.ts';
import type { Impairment } from '../../relay/contract.ts';
import { createPeerPolicy } from '../../relay/policy/peer-policy.ts';
import type { PeerPolicyOptions } from '../../relay/policy/peer-policy.ts';
import { firstFrame } from './frames.ts';

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

/** A client's or a peer's socket, which keeps what it receives. */
export interface Leg {
  readonly transport: Transport;
  readonly local: Endpoint;
  readonly received: { readonly bytes: Buffer; readonly from: Endpoint }[];
  send(bytes: Buffer, to: Endpoint): Promise<void>;
  /** The oldest datagram or frame not taken yet. */
  next(): Promise<{ bytes: Buffer; from: Endpoint }>;
  close(): Promise<void>;
}

abstract class Receiver {
  readonly received: { readonly bytes: Buffer; readonly from: Endpoint }[] = [];

  async next(): Promise<{ bytes: Buffer; from: Endpoint }> {
    await until('something arrives', () => this.received.length > 0);
    const first = this.received.shift();
    if (first === undefined) throw new Error('unreachable');
    return first;
  }
}

class UdpLeg extends Receiver implements Leg {
  readonly transport = 'udp';
  readonly local: Endpoint;
  readonly #socket: Socket;
  #closed = false;

  private constructor(socket: Socket) {
    super();
    this.#socket = socket;
    const { address, port } = socket.address();
    this.local = { address: canonicalAddress(address) ?? address, port };
    socket.on('message', (bytes: Buffer, { address, port }: RemoteInfo) => {
      this.received.push({ bytes, from: { address, port } });
    });
  }

  static open(address: string): Promise<UdpLeg> {
    const socket = createSocket({ type: familyOf(address) === 4 ? 'udp4' : 'udp6' });
    return new Promise((resolve, reject) => {
      socket.once('error', reject);
      socket.bind(0, address, () => resolve(new UdpLeg(socket)));
    });
  }

  send(bytes: Buffer, to: Endpoint): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.send(bytes, to.port, to.address, (error) => (error === null ? resolve() : reject(error)));
    });
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#closed = true;
    return new Promise((resolve) => {
      this.#socket.close(() => resolve());
    });
  }
}

/** A client over TCP or TLS, connected to one listener; it cuts what comes into frames. */
export class StreamLeg extends Receiver implements Leg {
  readonly transport: StreamTransport;
  readonly local: Endpoint;
  readonly server: Endpoint;
  readonly socket: StreamSocket;
  /** Whether nothing more will come. */
  closed = false;
  #bytes = Buffer.alloc(0);

  private constructor(transport: StreamTransport, socket: StreamSocket, server: Endpoint) {
    super();
    this.transport = transport;
    this.socket = socket;
    this.server = server;
    this.local = { address: canonicalAddress(socket.localAddress ?? '') ?? '', port: socket.localPort ?? 0 };
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      for (let frame = firstFrame(this.#bytes); frame !== undefined; frame = firstFrame(this.#bytes)) {
        this.received.push({ bytes: frame, from: server });
        this.#bytes = this.#bytes.subarray(frame.length);
      }
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.closed = true;
    });
  }

  static open(transport: StreamTransport, server: Endpoint, tls: ConnectionOptions = {}): Promise<StreamLeg> {
    const to = { host: server.address, port: server.port };
    return new Promise((resolve, reject) => {
      const opened = () => resolve(new StreamLeg(transport, socket, server));
      const socket: StreamSocket =
        transport === 'tcp'
          ? connect(to, opened)
          : connectTls({ ...to, rejectUnauthorized: false, ALPNProtocols: ['stun.turn'], ...tls }, opened);
      socket.once('error', reject);
    });
  }

  send(bytes: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.socket.write(bytes, (error) => (error === undefined || error === null ? resolve() : reject(error)));
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.closed) resolve();
      this.socket.once('close', resolve);
      this.socket.destroy();
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
  /** Absent: one of its own. */
  readonly credential?: string;
  readonly limits?: Limits;
  readonly impairment?: Impairment;
  readonly lifetime?: number;
  readonly family?: Family;
  readonly client?: Leg;
  /** The listener that the client uses; the first of its family when absent. */
  readonly server?: Endpoint;
  readonly port?: number;
  readonly holdNext?: number;
  readonly isHeld?: true;
}

export interface StageOptions {
  /** What clients come over. */
  readonly transport?: Transport;
  readonly policy?: Partial<PeerPolicyOptions>;
  readonly plane?: Partial<PlaneOptions>;
}

export const LOOPBACK = '127.0.0.1';
export const hasIpv6 = Object.values(networkInterfaces()).some((list) =>
  list?.some(({ address }) => address === '::1'),
);
export const QUARANTINE = 60_000;

export function cidr(text: string): NonNullable<ReturnType<typeof parseCidr>> {
  const parsed = parseCidr(text);
  if (parsed === undefined) throw new Error(`bad range in a test: ${text}`);
  return parsed;
}

/** Where loopback peers may be reached, as `--allow-peer` would have it. */
export const allowLoopback = [cidr('127.0.0.0/8'), cidr('::1/128')];

/** One of two self-signed certificates for localhost, 127.0.0.1 and ::1. */
export function certificate(name: 'first' | 'second'): { certificate: Buffer; key: Buffer } {
  const read = (kind: string) => readFileSync(new URL(`../vectors/tls/${name}.${kind}.pem`, import.meta.url));
  return { certificate: read('certificate'), key: read('key') };
}

export class Stage {
  readonly transport: Transport;
  readonly clock: ManualClock;
  readonly events: PlaneEvent[] = [];
  /** Copies of what went up as control: the plane's bytes are valid only during the event. */
  readonly control: { readonly bytes: Buffer; readonly event: PlaneEvent & { type: 'control' } }[] = [];
  readonly plane: Plane;
  readonly #legs: Leg[] = [];
  readonly #random = seededRandom('stage');

  private constructor(plane: Plane, clock: ManualClock, transport: Transport) {
    this.plane = plane;
    this.transport = transport;
    this.clock = clock;
  }

  static async open(
    create: CreatePlane,
    { policy = {}, plane = {}, transport = 'udp' }: StageOptions = {},
  ): Promise<Stage> {
    const clock = new ManualClock(Date.UTC(2026, 10, 20));
    const options: PlaneOptions = {
      listen: [{ transport, address: LOOPBACK, port: 0 }],
      ...(transport === 'tls' ? { tls: new TlsIdentity(certificate('first')) } : {}),
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
    const stage = new Stage(await create(options, { clock, random: seededRandom('plane') }), clock, transport);
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
    return { address: first.address, port: first.port };
  }

  get now(): number {
    return this.clock.monotonic();
  }

  /** A UDP socket: a peer, or a client of a stage whose clients come over UDP. */
  async leg(address = LOOPBACK): Promise<Leg> {
    const leg = await UdpLeg.open(address);
    this.#legs.push(leg);
    return leg;
  }

  /** A client in the family of that address; over TCP and TLS it is connected, and the plane knows. */
  async client(address = LOOPBACK): Promise<Leg> {
    return this.transport === 'udp' ? this.leg(address) : this.connect(address);
  }

  async connect(address = LOOPBACK, tls?: ConnectionOptions): Promise<StreamLeg> {
    const { transport } = this;
    if (transport === 'udp') throw new Error('the clients of this stage do not connect');
    const accepted = () => {
      const { open, ended } = this.plane.connections();
      return open[transport] + Object.values(ended[transport]).reduce((sum, count) => sum + count, 0);
    };
    const before = accepted();
    const leg = await StreamLeg.open(transport, this.#serverIn(familyOf(address)), tls);
    this.#legs.push(leg);
    await until('the connection is accepted', () => accepted() > before);
    return leg;
  }

  /** The client's five-tuple. */
  tuple(client: Leg): FiveTuple {
    const server = client instanceof StreamLeg ? client.server : this.#serverIn(familyOf(client.local.address));
    return { transport: client.transport, client: client.local, server };
  }

  #serverIn(family: Family): Endpoint {
    const server = this.plane.listening().find(({ address }) => familyOf(address) === family);
    if (server === undefined) throw new Error('the plane does not listen in that family');
    return { address: server.address, port: server.port };
  }

  /** A port that was free a moment ago. */
  async freePort(address = LOOPBACK): Promise<number> {
    const leg = await UdpLeg.open(address);
    await leg.close();
    return leg.local.port;
  }

  apply(...commands: Command[]): void {
    for (const command of commands) this.plane.apply(command);
  }

  /** Sends `open` and returns the plane's answer. */
  async open(options: AllocateOptions = {}): Promise<{ id: AllocationId; client: Leg; answer: PlaneEvent }> {
    const { app = 'app', limits = {}, lifetime = 600_000, family = 4 } = options;
    const client = options.client ?? (await this.client());
    const port = options.port ?? (await this.freePort(family === 4 ? LOOPBACK : '::1'));
    const id = uuidV7(this.clock, this.#random);
    this.apply({
      type: 'open',
      allocation: id,
      client: { ...this.tuple(client), ...(options.server === undefined ? {} : { server: options.server }) },
      family,
      port,
      deadline: this.now + lifetime,
      app,
      credential: options.credential ?? id,
      limits,
      ...(options.impairment === undefined ? {} : { impairment: options.impairment }),
      ...(options.holdNext === undefined ? {} : { holdNext: options.holdNext }),
      ...(options.isHeld === undefined ? {} : { isHeld: options.isHeld }),
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
