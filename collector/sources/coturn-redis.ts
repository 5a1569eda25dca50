/**
 * What a coturn publishes in Redis (`--redis-statsdb`): for each allocation the bytes since its last message, every 2,048 packets or so,
 * and their sum when it ends. `sentb` is what went to the client, framed.
 *
 * Messages carry neither time nor number and name no server; an allocation's id begins anew with the process. So a name in the channel
 * stands for one sum that goes on, whatever restarts there are, and the sum at an end puts right what was missed since the
 * allocation's beginning. What a coturn takes with it when it is ended is lost: grade `lossy`.
 */
import { shortName } from '../../relay/contract.ts';
import type { EgressReading } from '../contract.ts';
import { type Counters, hashedObject } from './counters.ts';
import { Recent } from '../intake/recent.ts';

/** The channels that are of interest, as PSUBSCRIBE takes them. An empty realm leaves its part out. */
export const channels = [
  'turn/*/allocation/*/traffic',
  'turn/*/allocation/*/total_traffic',
  'turn/*/allocation/*/status',
];

const CHANNEL = /^turn\/(?:realm\/([^/]*)\/)?user\/(.*)\/allocation\/([^/]+)\/(traffic|total_traffic|status)$/;
const PAYLOAD = /(?:^|[ ,])sentp=(\d{1,19}), sentb=(\d{1,19})(?:,|$)/;

/** Allocations whose beginning was heard; the oldest gives way. */
const MOST = 100_000;

export interface CoturnSettings {
  readonly name: string;
  readonly app: string;
}

interface Sum {
  bytes: bigint;
  packets: bigint;
}

export class CoturnMessages {
  readonly #settings: CoturnSettings;
  readonly #counters: Counters;
  /** Since the beginning of allocations that were heard to begin. */
  readonly #begun = new Recent<Sum>(MOST);

  constructor(settings: CoturnSettings, counters: Counters) {
    this.#settings = settings;
    this.#counters = counters;
  }

  /** The reading that a message comes to, if any. `at` is when it was heard, Unix milliseconds. */
  read(channel: string, payload: string, at: number): EgressReading | undefined {
    const [, realm = '', user = '', allocation = '', kind = ''] = CHANNEL.exec(channel) ?? [];
    if (kind === '') return undefined;
    const object = hashedObject(`${realm}/${user}/${allocation}`);
    if (kind === 'status') {
      if (payload.startsWith('new ')) this.#begun.set(object, { bytes: 0n, packets: 0n });
      return undefined;
    }
    const [, packets, bytes] = PAYLOAD.exec(payload) ?? [];
    if (packets === undefined || bytes === undefined) return undefined;
    const told = { bytes: BigInt(bytes), packets: BigInt(packets) };
    const since = this.#begun.get(object);
    if (kind === 'total_traffic') {
      this.#begun.delete(object);
      return since === undefined ? undefined : this.#reading(object, user, less(told, since), at, true);
    }
    if (since !== undefined) {
      since.bytes += told.bytes;
      since.packets += told.packets;
    }
    return this.#reading(object, user, told, at, false);
  }

  #reading(object: string, user: string, more: Sum, at: number, final: boolean): EgressReading | undefined {
    const { app, name } = this.#settings;
    const before = this.#counters.latest(name, object);
    if (more.bytes === 0n && !final) return undefined;
    return this.#counters.read({
      serverId: name,
      objectId: object,
      bytes: (before?.bytes ?? 0n) + more.bytes,
      packets: more.packets,
      // Two messages of one moment are two readings.
      at: Math.max(at, (before?.at ?? 0) + 1),
      run: 'sum',
      isYoung: true,
      final,
      app,
      customId: customerOf(user),
      call: '',
      participant: '',
    });
  }
}

/** What was told in all, less what was told before: never below 0. */
function less(all: Sum, before: Sum): Sum {
  const minus = (one: bigint, other: bigint) => (one > other ? one - other : 0n);
  return { bytes: minus(all.bytes, before.bytes), packets: minus(all.packets, before.packets) };
}

/** The part of a TURN REST name that stands for somebody; of any other name, all of it. */
function customerOf(user: string): string {
  return shortName.safeParse(user.replace(/^\d+:/, '')).data ?? '';
}
