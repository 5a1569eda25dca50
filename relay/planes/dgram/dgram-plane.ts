/**
 * The plane in pure Node: one UDP socket for each listener and one for each allocation. It works wherever Node does; each packet
 * costs one `recvmsg`, one `sendmsg` and a walk through JavaScript.
 */
import { createSocket } from 'node:dgram';
import type { Endpoint, FiveTuple } from '../../../kernel/address.ts';
import type { Clock } from '../../../kernel/clock.ts';
import { TurnpikeError } from '../../../kernel/errors.ts';
import type { Random } from '../../../kernel/random.ts';
import type {
  AllocationId,
  CloseReason,
  Command,
  Counters,
  Plane,
  PlaneEvent,
  PlaneOptions,
  PlaneTotals,
} from '../plane.ts';
import { Allocation } from './allocation.ts';
import { Allowance } from './allowance.ts';
import { CounterSlab } from './counters.ts';
import { bindSocket, ignoreAll, isPassing } from './datagram-socket.ts';
import type { CreateSocket, DatagramSocket } from './datagram-socket.ts';
import { Drops } from './drops.ts';
import { ExpiryWheel } from './expiry-wheel.ts';
import { Forwarder } from './forwarder.ts';
import { ForwardingTable } from './forwarding-table.ts';
import { Outbox } from './outbox.ts';
import { ownAddresses } from './own-addresses.ts';
import { PortQuarantine } from './port-quarantine.ts';
import { TransactionIds } from './transaction-ids.ts';

export interface DgramPlaneDeps {
  readonly clock: Clock;
  readonly random: Random;
  /** Default: `dgram.createSocket`. */
  readonly createSocket?: CreateSocket;
}

/** Datagrams that may wait for the kernel at once, on a listener and on one allocation's relay socket. */
const MAX_PENDING = { listener: 4096, relay: 256 } as const;

export interface DgramPlane extends Plane {
  /** The listeners' socket buffers as the kernel granted them, in bytes; less than asked for where it has a lower limit. */
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
  readonly name = 'dgram';
  readonly #options: PlaneOptions;
  readonly #clock: Clock;
  readonly #createSocket: CreateSocket;
  readonly #counters = new CounterSlab();
  readonly #drops = new Drops();
  readonly #wheel: ExpiryWheel;
  readonly #quarantine: PortQuarantine;
  readonly #table: ForwardingTable;
  readonly #outbox: Outbox;
  readonly #forwarder: Forwarder;
  #listeners: readonly DatagramSocket[] = [];
  #listenerPorts: ReadonlySet<number> = new Set();
  #onEvent: (event: PlaneEvent) => void = () => undefined;
  #onEmpty: () => void = () => undefined;
  #closing: Promise<void> | undefined;

  constructor(options: PlaneOptions, deps: DgramPlaneDeps) {
    this.#options = options;
    this.#clock = deps.clock;
    this.#createSocket = deps.createSocket ?? createSocket;
    this.#wheel = new ExpiryWheel(deps.clock.monotonic());
    this.#quarantine = new PortQuarantine(deps.clock, this.#wheel, options.portQuarantine);
    this.#table = new ForwardingTable(options.policy, {
      addresses: ownAddresses(options),
      isService: (port) =>
        this.#listenerPorts.has(port) || this.#quarantine.holds(4, port) || this.#quarantine.holds(6, port),
    });
    const emit = (event: PlaneEvent) => this.#onEvent(event);
    const end = (allocation: Allocation, reason: CloseReason) => this.#end(allocation, reason);
    const counts = { clock: deps.clock, counters: this.#counters, drops: this.#drops, emit, end };
    this.#outbox = new Outbox({ ...counts, settled: (allocation) => this.#finish(allocation) });
    this.#forwarder = new Forwarder({
      ...counts,
      table: this.#table,
      outbox: this.#outbox,
      transactionIds: new TransactionIds(deps.random),
    });
  }

  // eslint-disable-next-line typescript/require-await -- binding a UDP socket is synchronous; a rejection still belongs in the promise
  async start(onEvent: (event: PlaneEvent) => void): Promise<void> {
    this.#onEvent = onEvent;
    const listeners: DatagramSocket[] = [];
    for (const endpoint of this.#options.listen) {
      const limits = { bufferBytes: this.#options.socketBufferBytes, maxPending: MAX_PENDING.listener };
      const listener = bindSocket(this.#createSocket, endpoint, limits);
      if (listener instanceof Error) {
        for (const open of listeners) open.close();
        const place = `${endpoint.address} port ${endpoint.port} (UDP)`;
        throw new TurnpikeError('TP_RELAY_START', `Cannot listen on ${place}: ${listener.message}`, {
          cause: listener,
        });
      }
      listener.handlers = {
        ...ignoreAll,
        message: (bytes, source) => this.#forwarder.fromClient(listener, bytes, source),
      };
      listeners.push(listener);
    }
    this.#listeners = listeners;
    this.#listenerPorts = new Set(listeners.map(({ local }) => local.port));
  }

  apply(command: Command): void {
    if (command.type === 'open') return this.#open(command);
    if (command.type === 'send') return this.#answer(command.to, command.bytes, command.allocation);
    const allocation = this.#table.get(command.allocation);
    if (allocation === undefined || allocation.ending !== undefined) return undefined;
    switch (command.type) {
      case 'extend':
        return this.#wheel.set(allocation.deadline, command.deadline);
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
  }

  counters(id: AllocationId): Counters | undefined {
    const allocation = this.#table.get(id);
    return allocation === undefined ? undefined : this.#counters.read(allocation.row);
  }

  totals(): PlaneTotals {
    return { ...this.#counters.totals(), dropped: this.#drops.read() };
  }

  listening(): readonly Endpoint[] {
    return this.#listeners.map((listener) => listener.local);
  }

  socketBuffers(): readonly { listener: Endpoint; receive: number; send: number }[] {
    return this.#listeners.map((listener) => ({ listener: listener.local, ...listener.buffers }));
  }

  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  async #shutDown(): Promise<void> {
    for (const allocation of this.#table.all()) this.#end(allocation, 'shutdown');
    if (this.#table.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onEmpty = resolve;
      });
    }
    const listeners = this.#listeners;
    this.#listeners = [];
    await Promise.all(listeners.map(closed));
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
  #tryOpen({
    allocation: id,
    app,
    client,
    deadline,
    family,
    limits,
    port,
  }: Command & { type: 'open' }): Endpoint | undefined {
    const now = this.#clock.monotonic();
    const local = this.#options.relayAddress[family];
    const listener = this.#listenerOf(client);
    if (local === undefined || listener === undefined || port === 0) return undefined;
    if (this.#table.get(id) !== undefined || this.#quarantine.holds(family, port)) return undefined;
    if (this.#table.client(listener, client.client.address, client.client.port) !== undefined) return undefined;
    const relay = bindSocket(
      this.#createSocket,
      { address: local, port },
      { bufferBytes: this.#options.socketBufferBytes, maxPending: MAX_PENDING.relay },
    );
    if (relay instanceof Error) return undefined;
    const relayed = { address: this.#options.externalAddress?.[family] ?? relay.local.address, port };
    const row = this.#counters.acquire();
    const allowance = Allowance.of(limits, now);
    const allocation = new Allocation(
      { id, app, client, listener, relay, relayed, row, allowance },
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
    return relayed;
  }

  #answer(to: FiveTuple, bytes: Uint8Array, id: AllocationId | undefined): void {
    const listener = this.#listenerOf(to);
    if (listener === undefined) return this.#drops.count('send_failed');
    const slot = this.#outbox.take(listener);
    if (slot === undefined) return undefined;
    const copy = slot.room(bytes.length);
    copy.set(bytes);
    const allocation = id === undefined ? undefined : this.#table.get(id);
    return this.#outbox.sendAnswer(slot, allocation, copy, to.client.address, to.client.port);
  }

  /** Stops relaying at once; `closed` follows when the socket is closed and every send has settled. */
  #end(allocation: Allocation, reason: CloseReason): void {
    if (allocation.ending !== undefined) return;
    allocation.ending = reason;
    this.#table.unlist(allocation);
    allocation.clear();
    this.#quarantine.add(allocation.family, allocation.relay.local.port);
    allocation.relay.close();
  }

  #finish(allocation: Allocation): void {
    if (!allocation.relayClosed || allocation.inFlight > 0 || allocation.ending === undefined) return;
    this.#table.forget(allocation);
    const counters = this.#counters.read(allocation.row);
    this.#counters.release(allocation.row);
    this.#onEvent({ type: 'closed', allocation: allocation.id, reason: allocation.ending, counters });
    if (this.#table.size === 0) this.#onEmpty();
  }

  #listenerOf({ transport, server }: FiveTuple): DatagramSocket | undefined {
    if (transport !== 'udp') return undefined;
    return this.#listeners.find(({ local }) => local.port === server.port && local.address === server.address);
  }
}

function closed(socket: DatagramSocket): Promise<void> {
  return new Promise((resolve) => {
    socket.handlers = { ...ignoreAll, closed: resolve };
    socket.close();
  });
}
