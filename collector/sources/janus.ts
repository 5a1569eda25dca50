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
import { ExpectedObjects } from './expected-objects.ts';
import type { JanusSettings } from './source-settings.ts';

/** Types of events and their subtypes (Janus' `events.h`). */
const HANDLE = 2;
const WEBRTC = 16;
const MEDIA = 32;
const MEDIA_STATS = 3;
const PLUGIN = 64;
const CORE = 256;

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
const endEvent = z.object({
  session_id: id,
  handle_id: id,
  event: z.union([z.object({ name: z.literal('detached') }), z.object({ connection: z.literal('hangup') })]),
});

/** Handles whose room is remembered; the oldest gives way. */
const MOST_HANDLES = 100_000;

export type OwnedJanusSettings = Omit<JanusSettings, 'app'> & { readonly app: string };

export class JanusEvents {
  readonly #settings: OwnedJanusSettings;
  readonly #counters: Counters;
  readonly #rooms = new Recent<string>(MOST_HANDLES);
  /** Janus tells of each handle in a call with every `stats_period`. */
  readonly #inCall: ExpectedObjects;

  constructor(settings: OwnedJanusSettings, counters: Counters) {
    this.#settings = settings;
    this.#counters = counters;
    this.#inCall = new ExpectedObjects(settings.silentSeconds * 1_000);
  }

  /** Whether nothing is told any more of calls that have not ended, as far as we were told. */
  isSilent(now: number): boolean {
    return this.#inCall.areMissing(now);
  }

  /** The readings in one POST, of which nothing else is of interest; `ignored` are events that are not what Janus sends. */
  read(body: unknown, now: number): { readings: EgressReading[]; ignored: number } {
    const events: readonly unknown[] = Array.isArray(body) ? body : [body];
    let ignored = 0;
    const readings = events.flatMap((event) => {
      const found = head.safeParse(event);
      if (!found.success) ignored += 1;
      if (!found.success) return [];
      const { subtype, timestamp, type } = found.data;
      if (type === PLUGIN) this.#learn(event);
      if (type === HANDLE || type === WEBRTC) this.#end(event);
      // It has begun or is about to end: either way without the calls that it had.
      if (type === CORE) this.#inCall.clear();
      if (type !== MEDIA || subtype !== MEDIA_STATS) return [];
      const stats = statsEvent.safeParse(event);
      if (!stats.success) ignored += 1;
      if (!stats.success) return [];
      this.#inCall.told(handleOf(stats.data), now);
      return this.#readings(stats.data, Math.floor(timestamp / 1000));
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

  /** A handle that hangs up may be used again, in its room. */
  #end(event: unknown): void {
    const found = endEvent.safeParse(event);
    if (!found.success) return;
    this.#inCall.ended(handleOf(found.data));
    if ('name' in found.data.event) this.#rooms.delete(handleOf(found.data));
  }
}

function handleOf({ handle_id: handle, session_id: session }: { handle_id: unknown; session_id: unknown }): string {
  return `${String(session)}/${String(handle)}`;
}
