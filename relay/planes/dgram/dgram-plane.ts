/**
 * The plane in pure Node: one UDP socket for each UDP listener and one for each allocation, a socket for each client that
 * comes over TCP or TLS. It works wherever Node does; each packet costs one `recvmsg`, one `sendmsg` and a walk through
 * JavaScript. Whatever a client comes over, its allocation stands in the same table and counts in the same counters.
 */
import { createSocket } from 'node:dgram';
import { canonicalAddress } from '../../../kernel/address.ts';
import type { Endpoint, Family, FiveTuple } from '../../../kernel/address.ts';
import type { Clock } from '../../../kernel/clock.ts';
import { TurnpikeError } from '../../../kernel/errors.ts';
import { seededRandom } from '../../../kernel/random.ts';
import type { Random } from '../../../kernel/random.ts';
import type { Impairment } from '../../contract.ts';
import { DelayQueue } from '../delay-queue.ts';
import { ImpairedPath } from '../impairment.ts';
import type { ClientLeg } from '../client-leg.ts';
import type {
  AllocationId,
  CloseReason,
  Command,
  ConnectionCounts,
  Counters,
  Listener,
  Plane,
  PlaneEvent,
  PlaneOptions,
  PlaneTotals,
} from '../plane.ts';
import { StreamLegs } from '../stream/stream-legs.ts';
import { streamDefaults } from '../stream/stream-limits.ts';
import { Allocation } from './allocation.ts';
import type { ImpairedLeg } from './allocation.ts';
import { Allowance } from './allowance.ts';
import { Allowances } from './allowances.ts';
import { CounterSlab } from './counters.ts';
import type { CounterRows } from './counters.ts';
import { bindSocket, ignoreAll, isPassing } from './datagram-socket.ts';
import type { CreateSocket, UdpSocket } from './datagram-socket.ts';
import { Drops } from './drops.ts';
import { ExpiryWheel } from './expiry-wheel.ts';
import { Forwarder } from './forwarder.ts';
import { ForwardingTable } from './forwarding-table.ts';
import { HeldPorts } from './held-ports.ts';
import type { Offload } from './offload.ts';
import { Outbox } from './outbox.ts';
import { ownAddresses } from './own-addresses.ts';
import { PortQuarantine } from './port-quarantine.ts';
import { TransactionIds } from './transaction-ids.ts';

export interface DgramPlaneDeps {
  readonly clock: Clock;
  readonly random: Random;
  /** Default: `dgram.createSocket`. */
  readonly createSocket?: CreateSocket;
  /** Who takes UDP clients off this plane's hands. */
  readonly offload?: Offload;
}

/** Datagrams that may wait for the kernel at once, on a listener and on one allocation's relay socket. */
const MAX_PENDING = { listener: 4096, relay: 256 } as const;

export interface DgramPlane extends Plane {
  /** The UDP listeners' socket buffers as the kernel granted them, in bytes; less than asked for where it has a lower limit. */
  socketBuffers(): readonly { readonly listener: Endpoint; readonly receive: number; readonly send: number }[];
}

/**
 * Events never arrive from inside `apply` or `tick`: those that answer a command follow on the next tick of the process. Bytes
 * given to `send` are copied, the caller may reuse its buffer at once.
 */
export function createDgramPlane(options: PlaneOptions, deps: DgramPlaneDeps): DgramPlane {
  return new NodeDgramPlane(options, deps);
}

class NodeDgramPlane implements DgramPlane {
  readonly name: string;
  readonly #options: PlaneOptions;
  readonly #clock: Clock;
  readonly #createSocket: CreateSocket;
  readonly #offload: Offload | undefined;
  readonly #counters: CounterRows;
  readonly #drops = new Drops();
  readonly #allowances: Allowances;
  readonly #wheel: ExpiryWheel;
  readonly #quarantine: PortQuarantine;
  readonly #held: HeldPorts;
  readonly #table: ForwardingTable;
  readonly #outbox: Outbox;
  readonly #forwarder: Forwarder;
  readonly #delayed: DelayQueue;
  readonly #streams: StreamLegs;
  #sockets: readonly UdpSocket[] = [];
  #socketPorts: ReadonlySet<number> = new Set();
  #listening: readonly Listener[] = [];
  #onEvent: (event: PlaneEvent) => void = () => undefined;
  #onEmpty: () => void = () => undefined;
  #closing: Promise<void> | undefined;

  constructor(options: PlaneOptions, deps: DgramPlaneDeps) {
    this.#options = options;
    this.#clock = deps.clock;
    this.#createSocket = deps.createSocket ?? createSocket;
    this.#offload = deps.offload;
    this.name = deps.offload?.name ?? 'dgram';
    this.#counters = deps.offload?.counters ?? new CounterSlab();
    this.#allowances = new Allowances(deps.offload?.makeBudget ?? ((limits, now) => Allowance.of(limits, now)));
    this.#wheel = new ExpiryWheel(deps.clock.monotonic());
    const freed = (_family: Family, port: number) => this.#showService(port);
    this.#quarantine = new PortQuarantine(deps.clock, this.#wheel, options.portQuarantine, freed);
    this.#held = new HeldPorts(this.#wheel, (family, port) => this.#rest(family, port));
    this.#table = new ForwardingTable(options.policy, {
      addresses: ownAddresses(options),
      isService: (port) => this.#isService(port),
    });
    const emit = (event: PlaneEvent) => this.#onEvent(event);
    const end = (allocation: Allocation, reason: CloseReason) => this.#end(allocation, reason);
    const counts = { clock: deps.clock, counters: this.#counters, drops: this.#drops, emit, end };
    this.#outbox = new Outbox({ ...counts, settled: (allocation) => this.#finish(allocation) });
    this.#delayed = new DelayQueue(deps.clock);
    this.#forwarder = new Forwarder({
      ...counts,
      delayed: this.#delayed,
      table: this.#table,
      outbox: this.#outbox,
      transactionIds: new TransactionIds(deps.random),
    });
    this.#streams = new StreamLegs({
      clock: deps.clock,
      wheel: this.#wheel,
      limits: { ...streamDefaults, ...options.streams },
      tls: options.tls,
      onFrame: (connection, frame) => {
        const { address, port } = connection.fiveTuple.client;
        this.#forwarder.fromClient(connection, frame, address, port);
      },
      onGone: (connection) => {
        const { address, port } = connection.fiveTuple.client;
        for (let left = this.#table.client(connection, address, port); left !== undefined;) {
          const { sibling } = left;
          this.#end(left, 'disconnected');
          left = sibling;
        }
      },
    });
  }

  async start(onEvent: (event: PlaneEvent) => void): Promise<void> {
    this.#onEvent = onEvent;
    const listening: Listener[] = [];
    for (const at of this.#options.listen) {
      try {
        listening.push(at.transport === 'udp' ? this.#bind(at) : await this.#streams.listen(at.transport, at));
      } catch (error) {
        await this.#stopListening();
        const place = `${at.address} port ${at.port} (${at.transport.toUpperCase()})`;
        const reason = error instanceof Error ? error.message : String(error);
        throw new TurnpikeError('TP_RELAY_START', `Cannot listen on ${place}: ${reason}`, { cause: error });
      }
    }
    this.#listening = listening;
    this.#offload?.start({
      ended: (allocation, reason) => this.#end(allocation, reason),
      hop: (allocation, family, port, payload) => {
        const address = this.#relayAddress(family);
        if (address !== undefined) this.#forwarder.toNeighbour(allocation, { address, port }, payload);
      },
    });
  }

  apply(command: Command): void {
    if (command.type === 'open') return this.#open(command);
    if (command.type === 'send') return this.#answer(command.to, command.bytes, command.allocation);
    const allocation = this.#table.get(command.allocation);
    if (allocation === undefined || allocation.ending !== undefined) return undefined;
    switch (command.type) {
      case 'extend':
        return allocation.extend(command.deadline);
      case 'close':
        return this.#end(allocation, command.reason);
      case 'permit':
        return allocation.permit(command.peer, command.deadline);
      case 'revoke':
        return allocation.revoke(command.peer);
      case 'bind':
        return allocation.bind(command.channel, command.peer, command.deadline);
      case 'unbind':
        return allocation.unbind(command.channel);
    }
  }

  tick(): void {
    this.#wheel.advance(this.#clock.monotonic());
    this.#delayed.release();
  }

  counters(id: AllocationId): Counters | undefined {
    const allocation = this.#table.get(id);
    return allocation === undefined ? undefined : this.#counters.read(allocation.row);
  }

  totals(): PlaneTotals {
    return { ...this.#counters.totals(), dropped: this.#drops.read((reason) => this.#offload?.dropped(reason) ?? 0n) };
  }

  connections(): ConnectionCounts {
    return this.#streams.counts();
  }

  listening(): readonly Listener[] {
    return this.#listening;
  }

  socketBuffers(): readonly { listener: Endpoint; receive: number; send: number }[] {
    return this.#sockets.map((socket) => ({ listener: socket.local, ...socket.buffers }));
  }

  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  async #shutDown(): Promise<void> {
    this.#delayed.close();
    for (const allocation of this.#table.all()) this.#end(allocation, 'shutdown');
    const ended = new Promise<void>((resolve) => {
      if (this.#table.size === 0) resolve();
      else this.#onEmpty = resolve;
    });
    // A client that does not read would keep its allocation's last bytes waiting for ever.
    await this.#streams.close();
    await ended;
    await this.#held.close();
    await this.#stopListening();
  }

  async #stopListening(): Promise<void> {
    const sockets = this.#sockets;
    this.#sockets = [];
    this.#listening = [];
    await Promise.all([this.#streams.close(), ...sockets.map(closed)]);
    this.#offload?.stop();
  }

  #bind(at: Listener): Listener {
    const limits = { bufferBytes: this.#options.socketBufferBytes, maxPending: MAX_PENDING.listener };
    const socket = this.#offload?.listen(at) ?? bindSocket(this.#createSocket, at, limits);
    if (socket instanceof Error) throw socket;
    socket.handlers = {
      ...ignoreAll,
      message: (bytes, source) => this.#forwarder.fromListener(socket, bytes, source),
    };
    this.#sockets = [...this.#sockets, socket];
    this.#socketPorts = new Set(this.#sockets.map(({ local }) => local.port));
    this.#showService(socket.local.port);
    return { transport: 'udp', ...socket.local };
  }

  #open(command: Command & { type: 'open' }): void {
    const relayed = this.#closing === undefined ? this.#tryOpen(command) : undefined;
    const { allocation } = command;
    process.nextTick(
      this.#onEvent,
      relayed === undefined ? { type: 'exhausted', allocation } : { type: 'opened', allocation, relayed },
    );
  }

  /** Undefined when the port cannot be had, whatever the cause. */
  #tryOpen(command: Command & { type: 'open' }): Endpoint | undefined {
    const { allocation: id, app, client, credential, deadline, family, impairment, limits, port } = command;
    const now = this.#clock.monotonic();
    const leg = this.#legOf(client);
    if (leg === undefined || this.#table.get(id) !== undefined) return undefined;
    const sibling = this.#table.client(leg, client.client.address, client.client.port);
    if (sibling !== undefined && (sibling.family === family || sibling.sibling !== undefined)) return undefined;
    const offload = this.#offload?.takes(command) === true ? this.#offload : undefined;
    // One client's packets are moved by one: here or there.
    if (sibling !== undefined && (sibling.mirror === undefined) !== (offload === undefined)) return undefined;
    const row = this.#counters.acquire(id);
    if (row === undefined) return undefined;
    const relay = this.#relaySocket(command, now, offload);
    if (relay === undefined) {
      this.#counters.release(row);
      return undefined;
    }
    const relayed = { address: this.#options.externalAddress?.[family] ?? relay.local.address, port };
    const allowance = this.#allowances.take(credential, limits, now);
    const allocation = new Allocation(
      {
        id,
        app,
        credential,
        client,
        leg,
        relay,
        relayed,
        row,
        allowance,
        // One client has one leg: what passes through either of its allocations shares it.
        impairment: sibling?.impairment ?? this.#impairedLeg(id, impairment),
      },
      this.#wheel,
      (expired) => this.#end(expired, 'expired'),
    );
    this.#wheel.set(allocation.deadline, deadline);
    relay.handlers = {
      message: (bytes, source) => this.#forwarder.fromPeer(allocation, bytes, source),
      error: (error) => {
        if (!isPassing(error)) this.#end(allocation, 'failed');
      },
      closed: () => {
        allocation.relayClosed = true;
        this.#finish(allocation);
      },
    };
    this.#table.add(allocation);
    leg.begin();
    if (this.#offload !== undefined) {
      allocation.inFlight += 1;
      this.#offload.begin(allocation, deadline);
    }
    return relayed;
  }

  #relaySocket(
    { family, holdNext, isHeld, port }: Command & { type: 'open' },
    now: number,
    offload: Offload | undefined,
  ): UdpSocket | undefined {
    if (isHeld === true) return this.#takeHeld(family, port, now);
    const relay = this.#bindRelay(family, port, offload);
    if (relay === undefined || holdNext === undefined) return relay;
    const next = this.#bindRelay(family, port + 1);
    if (next === undefined) {
      relay.close();
      return undefined;
    }
    next.handlers = { ...ignoreAll, message: () => this.#drops.count('no_allocation') };
    this.#held.hold(next, holdNext);
    this.#showService(port + 1);
    return relay;
  }

  #takeHeld(family: Family, port: number, now: number): UdpSocket | undefined {
    const socket = this.#held.take(family, port, now);
    this.#showService(port);
    return socket;
  }

  #bindRelay(family: Family, port: number, offload?: Offload): UdpSocket | undefined {
    const address = this.#options.relayAddress[family];
    if (address === undefined || port === 0 || port > 65_535 || this.#quarantine.holds(family, port)) return undefined;
    // Our own: there is no need to ask the system.
    if (this.#table.relayed(address, port) !== undefined) return undefined;
    const limits = { bufferBytes: this.#options.socketBufferBytes, maxPending: MAX_PENDING.relay };
    const socket = offload?.bind({ address, port }) ?? bindSocket(this.#createSocket, { address, port }, limits);
    return socket instanceof Error ? undefined : socket;
  }

  /** The same allocation meets the same fate: its id is the seed. */
  #impairedLeg(id: AllocationId, impairment: Impairment | undefined): ImpairedLeg | undefined {
    if (impairment === undefined) return undefined;
    const path = (direction: string) => new ImpairedPath(impairment, seededRandom(`${id} ${direction}`));
    return { fromClient: path('from client'), toClient: path('to client') };
  }

  #answer(to: FiveTuple, bytes: Uint8Array, id: AllocationId | undefined): void {
    const leg = this.#legOf(to);
    if (leg === undefined) return this.#drops.count('send_failed');
    const allocation = id === undefined ? undefined : this.#table.get(id);
    const slot = this.#outbox.take(leg, 'answer');
    if (slot === undefined) return undefined;
    const copy = slot.room(bytes.length);
    copy.set(bytes);
    return this.#outbox.sendAnswer(slot, allocation, copy, to.client.address, to.client.port);
  }

  /** Stops relaying at once; `closed` follows when the socket is closed and every send has settled. */
  #end(allocation: Allocation, reason: CloseReason): void {
    if (allocation.ending !== undefined) return;
    allocation.ending = reason;
    const isLast = allocation.sibling === undefined;
    this.#table.unlist(allocation);
    allocation.clear();
    this.#rest(allocation.family, allocation.relay.local.port);
    allocation.relay.close();
    if (isLast) allocation.leg.end();
    this.#offload?.end(allocation, isLast, () => {
      allocation.inFlight -= 1;
      this.#finish(allocation);
    });
  }

  /** Nobody gets the port for a while. */
  #rest(family: Family, port: number): void {
    this.#quarantine.add(family, port);
    this.#showService(port);
  }

  #isService(port: number): boolean {
    const rests = this.#quarantine.holds(4, port) || this.#quarantine.holds(6, port);
    return rests || this.#socketPorts.has(port) || this.#held.has(port);
  }

  #showService(port: number): void {
    this.#offload?.service(port, this.#isService(port));
  }

  #relayAddress(family: Family): string | undefined {
    const address = this.#options.relayAddress[family];
    return address === undefined ? undefined : (canonicalAddress(address) ?? address);
  }

  #finish(allocation: Allocation): void {
    if (!allocation.relayClosed || allocation.inFlight > 0 || allocation.ending === undefined) return;
    this.#table.forget(allocation);
    if (allocation.allowance !== undefined) this.#allowances.release(allocation.credential);
    const counters = this.#counters.read(allocation.row);
    this.#counters.release(allocation.row);
    this.#onEvent({ type: 'closed', allocation: allocation.id, reason: allocation.ending, counters });
    if (this.#table.size === 0) this.#onEmpty();
  }

  #legOf(fiveTuple: FiveTuple): ClientLeg | undefined {
    const { transport, server } = fiveTuple;
    if (transport !== 'udp') return this.#streams.find(fiveTuple);
    return this.#sockets.find(({ local }) => local.port === server.port && local.address === server.address);
  }
}

function closed(socket: UdpSocket): Promise<void> {
  return new Promise((resolve) => {
    socket.handlers = { ...ignoreAll, closed: resolve };
    socket.close();
  });
}
