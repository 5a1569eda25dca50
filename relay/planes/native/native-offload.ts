/**
 * The engine behind the offload's seam: tells its threads what the plane permits, hears what they hand up, and waits for all of
 * them before counters are called final. Served in JavaScript, beside it, stay clients over TCP and TLS, credentials that ask for
 * network conditions, and ports that were reserved.
 */
import { familyOf } from '../../../kernel/address.ts';
import type { Endpoint } from '../../../kernel/address.ts';
import type { Clock } from '../../../kernel/clock.ts';
import { TurnpikeError } from '../../../kernel/errors.ts';
import type { Random } from '../../../kernel/random.ts';
import type { MakeBudget } from '../dgram/allowance.ts';
import type { Allocation, Mirror } from '../dgram/allocation.ts';
import type { UdpSocket } from '../dgram/datagram-socket.ts';
import type { Offload, OffloadEvents } from '../dgram/offload.ts';
import { ownAddresses } from '../dgram/own-addresses.ts';
import type { Command, PlaneOptions } from '../plane.ts';
import type { Addon, Engine, EngineOptions } from './addon.ts';
import { EngineBudgets, indexOf } from './engine-budgets.ts';
import { EngineListener, EngineRelay, systemError } from './engine-sockets.ts';
import { MappedCounters } from './mapped-counters.ts';
import { MirroredAllocation, Neighbourhood } from './mirrored-allocation.ts';
import { CommandWriter, readNotices, WIDE_OCTETS, writeWide } from './records.ts';
import type { Notice } from './records.ts';

export interface NativeOffloadDeps {
  readonly addon: Addon;
  readonly clock: Clock;
  readonly random: Random;
  readonly threads: number;
  /** A clock that a test moves: the engine reads the number where it lies. */
  readonly sharedClock?: Float64Array;
  /** Where the counters outlive the process. */
  readonly counterFile?: string;
  /** Allocations that may be alive at once, or have just ended. */
  readonly maxAllocations?: number;
}

/** Ports of both families: no allocation is without one. */
const MOST_ALLOCATIONS = 2 * 65_535;
/** In place of a thread's number: JavaScript. */
const SCRIPT = 0xff;
/** Octets of notices that are read in one go, before others have their turn. */
const DRAIN_BYTES = 1 << 18;

const hairpins = { none: 0, app: 1, any: 2 } as const;

/** An allocation as the engine's threads know of it. */
interface Resident {
  readonly allocation: Allocation;
  /** The thread that hears its client; undefined when that is none of the engine's. */
  readonly worker: number | undefined;
  /** Called when the last thread has said that nothing of it is under way. */
  done: () => void;
  unfinished: number;
}

export class NativeOffload implements Offload {
  readonly name = 'native';
  readonly counters: MappedCounters;
  readonly makeBudget: MakeBudget;
  readonly #addon: Addon;
  readonly #engine: Engine;
  readonly #threads: number;
  readonly #bufferBytes: number;
  readonly #neighbourhood: Neighbourhood;
  readonly #writer = new CommandWriter();
  readonly #drained = Buffer.alloc(DRAIN_BYTES);
  /** The address of one call: memory that is new to the addon costs more than most calls. */
  readonly #octets = Buffer.allocUnsafeSlow(WIDE_OCTETS);
  readonly #bySlot: (Resident | undefined)[] = [];
  readonly #apps = new Map<string, number>();
  #listeners: readonly EngineListener[] = [];
  #events: OffloadEvents | undefined;
  #generation = 0;
  #isOpen = true;

  constructor(options: PlaneOptions, deps: NativeOffloadDeps) {
    const { addon, clock, random, threads, sharedClock, counterFile, maxAllocations = MOST_ALLOCATIONS } = deps;
    // Row 0 is nobody's.
    const slots = 1 + Math.min(maxAllocations, MOST_ALLOCATIONS);
    this.#addon = addon;
    this.#threads = threads;
    this.#bufferBytes = options.socketBufferBytes;
    this.#neighbourhood = new Neighbourhood(options, ownAddresses(options));
    const engine = this.#create({
      threads,
      slots,
      hairpin: hairpins[options.policy.hairpin],
      bufferBytes: options.socketBufferBytes,
      counterFile: counterFile ?? '',
      clock: sharedClock,
      now: clock.monotonic(),
      seed: random.bytes(6).readUIntBE(0, 6) + 1,
    });
    this.#engine = engine;
    const budgets = new EngineBudgets(addon, engine);
    this.makeBudget = (limits) => budgets.make(limits);
    this.counters = new MappedCounters({
      words: addon.words(engine),
      rows: slots,
      threads,
      count: (row, peerClass, leg, bytes) => addon.count(engine, row, peerClass, leg, bytes),
    });
  }

  listen(at: Endpoint): UdpSocket | Error {
    const { error, port } = this.#addon.listen(this.#engine, this.#wide(at.address), at.port, familyOf(at.address));
    if (error !== 0) return systemError(error);
    const local = { address: at.address, port };
    const listener = new EngineListener(
      this.#listeners.length,
      local,
      this.#bufferBytes,
      (index, address, port, bytes) => this.#addon.send(this.#engine, index, this.#wide(address), port, bytes),
    );
    this.#listeners = [...this.#listeners, listener];
    return listener;
  }

  start(events: OffloadEvents): void {
    this.#events = events;
    const error = this.#addon.start(this.#engine);
    if (error !== 0)
      throw new TurnpikeError('TP_RELAY_START', `The native plane cannot start: ${systemError(error).message}`);
  }

  takes({ client, holdNext, impairment, isHeld }: Command & { type: 'open' }): boolean {
    return client.transport === 'udp' && impairment === undefined && holdNext === undefined && isHeld === undefined;
  }

  bind(at: Endpoint): UdpSocket | Error {
    const fd = this.#addon.bind(this.#engine, this.#wide(at.address), at.port, familyOf(at.address));
    return fd >= 0 ? new EngineRelay(fd, at, this.#bufferBytes) : systemError(-fd);
  }

  begin(allocation: Allocation, deadline: number): void {
    const { client, family, leg, relay, row } = allocation;
    const isHeard = leg instanceof EngineListener;
    const worker = isHeard ? this.#workerOf(client.client) : undefined;
    this.#generation = (this.#generation + 1) & 0xffff;
    const generation = this.#generation;
    this.#bySlot[row] = { allocation, worker, done: () => undefined, unfinished: 0 };
    if (isHeard && worker !== undefined && relay instanceof EngineRelay) {
      allocation.mirror = this.#mirror(allocation, worker);
      const open = {
        slot: row,
        generation,
        fd: relay.fd,
        listener: leg.index,
        family,
        client: client.client,
        relayed: allocation.relayed,
        deadline,
        allowance: indexOf(allocation.allowance),
      };
      this.#tell(worker, this.#writer.open(open));
      const error = this.#isOpen ? this.#addon.watch(this.#engine, worker, row, relay.fd) : 0;
      if (error !== 0) process.nextTick(() => this.#events?.ended(allocation, 'failed'));
    } else if (isHeard && worker !== undefined) {
      this.#tell(worker, this.#writer.client('decline', leg.index, client.client));
    }
    const mover = allocation.mirror === undefined ? SCRIPT : (worker ?? SCRIPT);
    const app = this.#appNumber(allocation.app);
    this.#addon.settle(this.#engine, family === 4, relay.local.port, row, generation, mover, app);
  }

  end(allocation: Allocation, isLast: boolean, done: () => void): void {
    const { client, family, leg, mirror, relay, row } = allocation;
    const resident = this.#bySlot[row];
    this.#addon.leave(this.#engine, family === 4, relay.local.port);
    if (resident?.worker === undefined) {
      this.#bySlot[row] = undefined;
      process.nextTick(done);
      return;
    }
    const { worker } = resident;
    resident.done = done;
    if (mirror !== undefined) this.#tell(worker, this.#writer.slot('end', row));
    else if (isLast && leg instanceof EngineListener) {
      this.#tell(worker, this.#writer.client('undecline', leg.index, client.client));
    }
    resident.unfinished = 1;
    this.#tell(worker, this.#writer.slot('finish', row));
  }

  service(port: number, isOurs: boolean): void {
    if (this.#isOpen) this.#addon.service(this.#engine, port, isOurs);
  }

  dropped(reason: number): bigint {
    return this.counters.dropped(reason);
  }

  stop(): void {
    if (this.#isOpen) this.#addon.stop(this.#engine);
    this.#isOpen = false;
  }

  #create(options: EngineOptions): Engine {
    try {
      return this.#addon.create(options, () => this.#hear());
    } catch (error) {
      const place = options.counterFile === '' ? '' : ` with its counters in ${options.counterFile}`;
      const reason = error instanceof Error ? error.message : String(error);
      throw new TurnpikeError('TP_RELAY_START', `The native plane cannot start${place}: ${reason}`, { cause: error });
    }
  }

  #mirror({ row, app }: Allocation, worker: number): Mirror {
    return new MirroredAllocation(row, app, this.#neighbourhood, this.#writer, (record) => this.#tell(worker, record));
  }

  #appNumber(app: string): number {
    const known = this.#apps.get(app) ?? this.#apps.size;
    this.#apps.set(app, known);
    return known;
  }

  #hear(): void {
    let isMore = false;
    for (let worker = 0; worker < this.#threads && this.#isOpen; worker += 1) {
      const length = this.#addon.drain(this.#engine, worker, this.#drained);
      // No notice is larger than a datagram: what was left did not fit.
      isMore ||= length > DRAIN_BYTES / 2;
      readNotices(this.#drained, length, (notice) => this.#heed(worker, notice));
    }
    // Timers and connections have their turn in between.
    if (isMore) setImmediate(() => this.#hear());
  }

  #heed(worker: number, notice: Notice): void {
    if (notice.type === 'datagram') {
      const listener = this.#listeners[notice.listener];
      if (listener === undefined) return;
      const { bytes, from } = notice;
      const { address, port } = from;
      const family = listener.family === 4 ? 'IPv4' : 'IPv6';
      listener.handlers.message(bytes, { address, port, family, size: bytes.length });
      return;
    }
    const resident = this.#bySlot[notice.slot];
    if (resident === undefined) return;
    if (notice.type === 'finished') this.#finished(resident, worker);
    else if (notice.type === 'hop') this.#events?.hop(resident.allocation, notice.family, notice.port, notice.payload);
    else this.#events?.ended(resident.allocation, notice.type);
  }

  /** The owner is done first; what it had handed to others before that is ahead of this in their queues. */
  #finished(resident: Resident, worker: number): void {
    const { row } = resident.allocation;
    resident.unfinished -= 1;
    if (worker === resident.worker) {
      for (let other = 0; other < this.#threads; other += 1) {
        if (other === worker) continue;
        resident.unfinished += 1;
        this.#tell(other, this.#writer.slot('finish', row));
      }
    }
    if (resident.unfinished > 0) return;
    this.#bySlot[row] = undefined;
    resident.done();
  }

  #workerOf({ address, port }: Endpoint): number {
    return this.#threads === 1 ? 0 : this.#addon.workerOf(this.#engine, this.#wide(address), port);
  }

  #wide(address: string): Uint8Array {
    return writeWide(this.#octets, 0, address);
  }

  #tell(worker: number, record: Uint8Array): void {
    if (this.#isOpen) this.#addon.tell(this.#engine, worker, record);
  }
}
