/**
 * Janus' event handler (sampleevh): statistics of each medium of each handle, pushed every few seconds, and who is in which room.
 *
 * `bytes-sent` is cumulative for a handle since its beginning and counts RTP with retransmissions, before SRTP. Events carry no
 * number, and one that is lost is lost: the next has it all. `…-lastsec` is of no use. Ids of sessions and handles are random,
 * so that a restart of Janus, of which nothing tells, never meets an old name.
 */
import { z } from 'zod';
import { shortName } from '../../relay/contract.ts';
import type { EgressReading } from '../contract.ts';
import { Recent } from '../intake/recent.ts';
import type { Counters } from './counters.ts';
import type { JanusSettings } from './source-settings.ts';

/** Type 32, subtype 3 (janus.jcfg.sample, "media stats"); type 64: what a plugin says. */
const MEDIA = 32;
const MEDIA_STATS = 3;
const PLUGIN = 64;
const DETACHED = 2;

const id = z.union([z.int().nonnegative(), z.string().regex(/^\d{1,20}$/)]);
const head = z.object({ type: z.int(), subtype: z.int().optional(), timestamp: z.number().positive() });
const mediaStats = z.object({
  mid: z.string().max(32).default(''),
  media: z.string().max(32),
  'bytes-sent': z.int().nonnegative(),
  'packets-sent': z.int().nonnegative().default(0),
});
const statsEvent = z.object({
  emitter: shortName.min(1).optional(),
  session_id: id,
  handle_id: id,
  opaque_id: z.string().optional(),
  event: z.union([mediaStats, z.array(mediaStats).max(64)]),
});
const roomEvent = z.object({
  session_id: id,
  handle_id: id,
  event: z.object({ data: z.object({ room: z.union([z.int(), z.string()]) }) }),
});
const handleEvent = z.object({ session_id: id, handle_id: id, event: z.object({ name: z.string() }) });

/** Handles whose room is remembered; the oldest gives way. */
const MOST_HANDLES = 100_000;

export class JanusEvents {
  readonly #settings: Omit<JanusSettings, 'app'> & { readonly app: string };
  readonly #counters: Counters;
  readonly #rooms = new Recent<string>(MOST_HANDLES);

  constructor(settings: Omit<JanusSettings, 'app'> & { readonly app: string }, counters: Counters) {
    this.#settings = settings;
    this.#counters = counters;
  }

  /** The readings in one POST, of which nothing else is of interest; `ignored` are events that are not what Janus sends. */
  read(body: unknown): { readings: EgressReading[]; ignored: number } {
    const events: readonly unknown[] = Array.isArray(body) ? body : [body];
    let ignored = 0;
    const readings = events.flatMap((event) => {
      const found = head.safeParse(event);
      if (!found.success) ignored += 1;
      if (!found.success) return [];
      const { subtype, timestamp, type } = found.data;
      if (type === PLUGIN) this.#learn(event);
      if (type === DETACHED) this.#forget(event);
      if (type !== MEDIA || subtype !== MEDIA_STATS) return [];
      const stats = statsEvent.safeParse(event);
      if (!stats.success) ignored += 1;
      return stats.success ? this.#readings(stats.data, Math.floor(timestamp / 1000)) : [];
    });
    return { readings, ignored };
  }

  #readings(event: z.output<typeof statsEvent>, at: number): EgressReading[] {
    const { app, name, opaqueId } = this.#settings;
    const handle = handleOf(event);
    const opaque = shortName.safeParse(event.opaque_id ?? '').data ?? '';
    const read = [event.event].flat().map(({ media, mid, ...counted }) =>
      this.#counters.read({
        serverId: event.emitter ?? name,
        objectId: `${handle}/${mid}/${media}`,
        bytes: BigInt(counted['bytes-sent']),
        packets: BigInt(counted['packets-sent']),
        at,
        // One handle is one run, whoever hears of it first, and begins at 0.
        run: 'handle',
        isYoung: true,
        final: false,
        app,
        customId: opaqueId === 'customer' ? opaque : '',
        call: this.#rooms.get(handle) ?? '',
        participant: opaqueId === 'participant' ? opaque : '',
      }),
    );
    return read.filter((reading) => reading !== undefined);
  }

  #learn(event: unknown): void {
    const found = roomEvent.safeParse(event);
    if (!found.success) return;
    const room = shortName.safeParse(String(found.data.event.data.room));
    if (room.success) this.#rooms.set(handleOf(found.data), room.data);
  }

  #forget(event: unknown): void {
    const found = handleEvent.safeParse(event);
    if (found.success && found.data.event.name === 'detached') this.#rooms.delete(handleOf(found.data));
  }
}

function handleOf({ handle_id: handle, session_id: session }: { handle_id: unknown; session_id: unknown }): string {
  return `${String(session)}/${String(handle)}`;
}
