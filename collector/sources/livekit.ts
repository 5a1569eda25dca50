/**
 * LiveKit's webhooks (livekit/protocol, `WebhookEvent`): who was in which room of this node, and since when. They have no bytes; those
 * are in the node's metrics, which say nothing of rooms (scraped.ts).
 *
 * Each event is a row of its own that is known by the event's id, so that one that comes again replaces itself; and it carries its
 * own time, so that the order in which events come does not matter. Names for people, metadata and attributes are left out.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { shortName } from '../../relay/contract.ts';
import { decimal } from '../normalise/values.ts';
import type { Row } from '../store/store.ts';

/** protobuf's JSON has int64 as text, and leaves out what is 0 or empty. */
const seconds = z
  .union([z.int().nonnegative(), z.string().regex(/^\d{1,12}$/)])
  .transform(Number)
  .describe('Unix seconds.');
const word = z.string().max(128).default('');

export const livekitEvent = z
  .looseObject({
    event: z.string().describe('Only what happened to rooms, participants and tracks is kept.'),
    id: z.string().min(1).max(128),
    createdAt: seconds,
    room: z.looseObject({ name: z.string().default('') }).optional(),
    participant: z
      .looseObject({
        sid: word,
        identity: z.string().default(''),
        joinedAt: seconds.optional(),
        disconnectReason: word,
      })
      .optional(),
    track: z.looseObject({ type: word }).optional(),
  })
  .meta({ id: 'LiveKitEvent', description: 'LiveKit’s WebhookEvent.' });
export type LiveKitEvent = z.output<typeof livekitEvent>;

/** Those of LiveKit's names under which an event is kept. */
const ROOM_EVENTS: ReadonlySet<string> = new Set(['room_started', 'room_finished']);
const PARTICIPANT_EVENTS: ReadonlySet<string> = new Set([
  'participant_joined',
  'participant_left',
  'participant_connection_aborted',
]);
const TRACK_EVENTS: ReadonlySet<string> = new Set(['track_published', 'track_unpublished']);

/** A value of a protobuf enumeration. */
const WORD = /^[A-Z][A-Z_]{0,47}$/;
/** The first of them is what is left out. */
const KINDS = ['AUDIO', 'VIDEO', 'DATA'];

const named = shortName.min(1);

/** One row of call_events; undefined for an event of no interest, or whose names are longer than ours may be. */
export function eventRow(source: { name: string; app: string }, event: LiveKitEvent): Row | undefined {
  const { participant, room, track } = event;
  const isOfTrack = TRACK_EVENTS.has(event.event);
  const isOfParticipant = isOfTrack || PARTICIPANT_EVENTS.has(event.event);
  if (!isOfParticipant && !ROOM_EVENTS.has(event.event)) return undefined;
  const call = named.safeParse(room?.name).data;
  const who = isOfParticipant ? named.safeParse(participant?.identity).data : '';
  if (call === undefined || who === undefined) return undefined;
  const mark = createHash('sha256').update(event.id).digest();
  return {
    app_id: source.app,
    call_id: call,
    participant_id: who,
    connection_id: !isOfParticipant || participant === undefined ? '' : stayId(source.name, participant.sid),
    ts: event.createdAt * 1000,
    batch_seq: mark.readUInt32BE(0),
    sample_index: mark.readUInt16BE(4),
    type: event.event,
    value: isOfTrack ? kindOf(track?.type) : source.name,
    value_ms: event.event === 'participant_left' ? stayed(event) : null,
    detail: JSON.stringify({
      source: source.name,
      reason: WORD.test(participant?.disconnectReason ?? '') ? participant?.disconnectReason : undefined,
    }),
  };
}

function kindOf(type: string | undefined): string | null {
  return KINDS.find((kind) => kind === (type || 'AUDIO'))?.toLowerCase() ?? null;
}

/** A participant's stay on a node, as `connection_id`. The names of clients' own connections have no `/`. */
function stayId(source: string, participantSid: string): string {
  return `${source}/${participantSid}`;
}

/** Milliseconds, so that the stay is known where `participant_joined` was lost. */
function stayed({ createdAt, participant }: LiveKitEvent): number | null {
  const joined = participant?.joinedAt ?? 0;
  return joined === 0 || joined > createdAt ? null : decimal((createdAt - joined) * 1000, 1);
}
