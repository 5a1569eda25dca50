/**
 * Cumulative counters of somebody else's server, told apart by their runs: a counter that is smaller than it was has begun anew.
 *
 * A run's name carries the bytes that it had when it was first seen, so that what a server had sent before anybody looked is
 * nobody's bill, and whoever comes later (another process of this collector) counts from the same place.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { EgressReading } from '../contract.ts';
import { Recent } from '../intake/recent.ts';
import type { StoreReader } from '../store/store.ts';

/** One counter as a source showed it at one moment. */
export interface Observation {
  readonly serverId: string;
  readonly objectId: string;
  readonly bytes: bigint;
  readonly packets: bigint;
  /** Unix milliseconds. */
  readonly at: number;
  /** What the source says of the run that counts; a new one counts from 0. Undefined: it says nothing. */
  readonly run: string | undefined;
  /** Whether the object came to be while it was watched, so that everything it has counted is new. */
  readonly isYoung: boolean;
  readonly final: boolean;
  readonly app: string;
  readonly customId: string;
  readonly call: string;
  readonly participant: string;
}

interface Known {
  readonly boot: string;
  /** Since the run was first seen. */
  readonly bytes: bigint;
  readonly at: number;
  /** The call that it was in: a source may tell that once, and not again to a collector that is started anew. */
  readonly call: string;
}

/** Objects remembered of one source; the one that was heard of least lately gives way. */
const MOST = 100_000;
/** Milliseconds for which an object that is not heard of is remembered through a restart of the collector. */
const REMEMBERED = 7 * 86_400_000;

const knownRow = z.object({
  server_id: z.string(),
  object_id: z.string(),
  boot_id: z.string(),
  bytes: z.coerce.bigint(),
  at: z.coerce.number(),
  call: z.string(),
});

export class Counters {
  readonly #known = new Recent<Known>(MOST);

  /** What the store knows of a source's objects: each one's latest run and how far it had counted. */
  async restore(reader: StoreReader, source: string, now: number): Promise<void> {
    const rows = await reader.select(
      knownRow,
      `SELECT server_id, object_id, argMax(boot_id, window_end) AS boot_id,
         argMax(client_tx_bytes, window_end) AS bytes, toUnixTimestamp64Milli(max(window_end)) AS at,
         argMax(call_id, window_end) AS call
       FROM egress_samples
       WHERE source = {source:String} AND window_end > fromUnixTimestamp64Milli({since:Int64}, 'UTC')
       GROUP BY server_id, object_id
       ORDER BY at DESC
       LIMIT {most:UInt32}`,
      { source, since: now - REMEMBERED, most: MOST },
    );
    for (const { server_id: server, object_id: object, boot_id: boot, bytes, at, call } of rows.toReversed()) {
      this.#known.set(keyOf(server, object), { boot, bytes, at, call });
    }
  }

  /** What is to be stored; undefined for what is older than something that was stored already. */
  read(seen: Observation): EgressReading | undefined {
    const key = keyOf(seen.serverId, seen.objectId);
    const known = this.#known.get(key);
    if (known !== undefined && seen.at <= known.at) return undefined;
    const boot = bootOf(seen, known);
    const bytes = seen.bytes - baseOf(boot);
    const call = seen.call === '' ? (known?.call ?? '') : seen.call;
    this.#known.set(key, { boot, bytes, at: seen.at, call });
    return {
      server_id: seen.serverId,
      boot_id: boot,
      object_id: seen.objectId,
      seq: seen.at,
      window_end: seen.at,
      app_id: seen.app,
      custom_id: seen.customId,
      call_id: call,
      participant_id: seen.participant,
      egress_bytes: bytes,
      // Packets of before cannot be told apart; they are no part of any bill.
      egress_packets: baseOf(boot) === 0n ? seen.packets : 0n,
      final: seen.final,
    };
  }

  /** How far an object had counted in its present run, and when. */
  latest(serverId: string, objectId: string): { readonly bytes: bigint; readonly at: number } | undefined {
    return this.#known.get(keyOf(serverId, objectId));
  }

  get size(): number {
    return this.#known.size;
  }
}

/** `run.base`, or `at.base` where the source does not name its runs. */
function bootOf({ at, bytes, isYoung, run }: Observation, known: Known | undefined): string {
  if (known === undefined) return `${run ?? at}.${isYoung ? 0 : bytes}`;
  const isSame = run === undefined || known.boot.startsWith(`${run}.`);
  if (isSame && bytes >= known.bytes + baseOf(known.boot)) return known.boot;
  // Begun anew since it was last seen: all of it is new.
  return `${isSame ? at : run}.0`;
}

function baseOf(boot: string): bigint {
  return BigInt(boot.slice(boot.lastIndexOf('.') + 1));
}

function keyOf(server: string, object: string): string {
  return JSON.stringify([server, object]);
}

/** The name of an object that another server names as long as it likes: as it is, or its hash. */
export function objectNamed(text: string): string {
  return Buffer.byteLength(text) <= 128 ? text : hashedObject(text);
}

/** The same where somebody's name is in it. A reading must keep its object's name for ever, so it is none that tells of a person. */
export function hashedObject(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
