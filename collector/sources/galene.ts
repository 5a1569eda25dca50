/**
 * Galène's statistics (`/galene-api/v0/.stats`): for each client of each group the rate at which each track is sent to it now, in
 * bits a second. It counts no bytes, so they are estimated: between two looks a client was sent the mean of both rates (RTP, as
 * Galène measures it). A time in which nobody looked is left out, not made up: grade `estimated`.
 */
import { z } from 'zod';
import { shortName } from '../../relay/contract.ts';
import { hashedObject } from './counters.ts';
import type { Seen } from './scraped.ts';

/** No rate is above a terabit a second: what claims more would be billed. */
const bitrate = z.int().nonnegative().max(1e12);
const stats = z.array(
  z.object({
    name: z.string().min(1),
    clients: z
      .array(
        z.object({
          id: z.string().min(1),
          down: z.array(z.object({ tracks: z.array(z.object({ bitrate: bitrate.nullish() })).nullish() })).nullish(),
        }),
      )
      .nullish(),
  }),
);

/** Looks that may be missed before the time between two is unknown. */
const MISSED = 3;

interface Rate {
  /** Names the run: a client that comes back is another. */
  readonly since: number;
  readonly at: number;
  readonly bitsPerSecond: bigint;
  /** Twice the bits sent since then, times 1000: a sum of whole numbers, so nothing is rounded away between looks. */
  readonly doubled: bigint;
}

export interface GaleneSettings {
  readonly name: string;
  readonly intervalSeconds: number;
}

export class GaleneRates {
  readonly #settings: GaleneSettings;
  /** Of the clients in the last look, and no other. */
  #rates = new Map<string, Rate>();

  constructor(settings: GaleneSettings) {
    this.#settings = settings;
  }

  /** Bytes sent to each client since it was first seen. Throws, saying why, when the answer is none of Galène's. */
  read(text: string, at: number): readonly Seen[] {
    const found = stats.safeParse(JSON.parse(text));
    if (!found.success) throw new Error('the answer is not Galène’s');
    const rates = new Map<string, Rate>();
    const seen: Seen[] = [];
    for (const { clients, name } of found.data) {
      for (const client of clients ?? []) {
        const key = JSON.stringify([name, client.id]);
        if (rates.has(key)) throw new Error('the answer tells one client twice');
        const tracks = (client.down ?? []).flatMap((stream) => stream.tracks ?? []);
        const rate = this.#next(key, BigInt(tracks.reduce((sum, track) => sum + (track.bitrate ?? 0), 0)), at);
        rates.set(key, rate);
        seen.push({
          serverId: this.#settings.name,
          objectId: hashedObject(key),
          bytes: rate.doubled / 16_000n,
          run: String(rate.since),
          call: shortName.safeParse(name).data ?? '',
          participant: shortName.safeParse(client.id).data ?? '',
        });
      }
    }
    this.#rates = rates;
    return seen;
  }

  #next(key: string, bitsPerSecond: bigint, at: number): Rate {
    const last = this.#rates.get(key);
    if (last === undefined) return { since: at, at, bitsPerSecond, doubled: 0n };
    const elapsed = at - last.at;
    const isKnown = elapsed > 0 && elapsed <= MISSED * this.#settings.intervalSeconds * 1_000;
    const sent = isKnown ? (last.bitsPerSecond + bitsPerSecond) * BigInt(elapsed) : 0n;
    return { since: last.since, at, bitsPerSecond, doubled: last.doubled + sent };
  }
}
