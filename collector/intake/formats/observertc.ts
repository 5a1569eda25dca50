/**
 * ObserveRTC's ClientSample (schema 3): whole, or with the differences of its JSON codec, which has the same names and
 * leaves out what did not change. A collection lists all its members, so one that is not there has left; a member that is
 * not there keeps its value. Source: the schemas and the codec's documentation, github.com/ObserveRTC/schemas.
 */
import { browserEvent } from '../browser-events.ts';
import { connectionId } from '../connection-id.ts';
import { Recent } from '../recent.ts';
import { emptyMembers, isObject, numberOf, stringOf } from './format.ts';
import type { Fault, Format, FormatReader, Members, Said } from './format.ts';

/** Collections of a peer connection: the type of their members in webrtc-stats, and what tells one from another. */
const COLLECTIONS = {
  inboundRtps: { type: 'inbound-rtp', key: 'ssrc', whole: ['id', 'kind'] },
  outboundRtps: { type: 'outbound-rtp', key: 'ssrc', whole: ['id', 'kind'] },
  remoteInboundRtps: { type: 'remote-inbound-rtp', key: 'ssrc', whole: ['id', 'kind'] },
  remoteOutboundRtps: { type: 'remote-outbound-rtp', key: 'ssrc', whole: ['id', 'kind'] },
  codecs: { type: 'codec', key: 'id', whole: ['mimeType'] },
  mediaSources: { type: 'media-source', key: 'id', whole: ['kind'] },
  mediaPlayouts: { type: 'media-playout', key: 'id', whole: ['kind'] },
  iceTransports: { type: 'transport', key: 'id', whole: [] },
  iceCandidates: { type: 'local-candidate', key: 'id', whole: [] },
  iceCandidatePairs: { type: 'candidate-pair', key: 'id', whole: [] },
} as const;
type CollectionName = keyof typeof COLLECTIONS;
const collectionNames = Object.keys(COLLECTIONS) as CollectionName[];

type Entries = Map<string, Record<string, unknown>>;
type Connection = Map<CollectionName, Entries>;

interface State {
  callId: string | undefined;
  clientId: string | undefined;
  connections: Map<string, Connection>;
  /** When each connection was first heard of. */
  readonly begun: Recent<number>;
}

/** One client's stream each: a file may hold those of several. */
const MAX_CLIENTS = 1_000;
const MAX_BEGINNINGS = 1_000;

export const observertc: Format = {
  name: 'observertc',
  recognises: (first) =>
    isObject(first) &&
    numberOf(first['timestamp']) !== undefined &&
    ['peerConnections', 'clientEvents', 'clientId', 'callId'].some((member) => member in first),
  open(): FormatReader {
    const clients = new Map<string, State>();
    return {
      *read(record, at) {
        if (!isObject(record)) {
          yield { path: at, message: 'is no ClientSample' };
          return;
        }
        const clientId = stringOf(record['clientId']) ?? '';
        const state = clients.get(clientId) ?? begin();
        if (clients.size >= MAX_CLIENTS && !clients.has(clientId)) {
          yield { path: at, message: `is of one client more than ${MAX_CLIENTS}` };
          return;
        }
        clients.set(clientId, state);
        yield* readClientSample(state, record, at);
      },
      held: () => clients,
    };
  },
};

function begin(): State {
  return { callId: undefined, clientId: undefined, connections: new Map(), begun: new Recent(MAX_BEGINNINGS) };
}

function* readClientSample(state: State, sample: Members, at: string): Generator<Said> {
  const t = numberOf(sample['timestamp']);
  if (t === undefined) {
    yield { path: `${at}.timestamp`, message: 'must be Unix milliseconds' };
    return;
  }
  state.callId = stringOf(sample['callId']) ?? state.callId;
  state.clientId = stringOf(sample['clientId']) ?? state.clientId;
  yield* readEvents(state, sample, t, at); // they came before it
  const known = new Map<string, Connection>();
  const given = listOf(sample['peerConnections']);
  for (const [index, one] of given.entries()) {
    const path = `${at}.peerConnections.${index}`;
    const name = stringOf(one['peerConnectionId']);
    if (name === undefined) {
      yield { path: `${path}.peerConnectionId`, message: 'must be a name' };
      continue;
    }
    const connection = merge(state.connections.get(name), one, path);
    if ('message' in connection) {
      yield connection; // and so do those that follow, until one is whole
      continue;
    }
    known.set(name, connection);
    yield { origin: originOf(state, name, t), at: path, sample: { t, stats: statsOf(connection) } };
  }
  state.connections = known;
}

function originOf({ begun, callId, clientId }: State, name: string, t: number) {
  const connection = connectionId(name, callId ?? '', clientId ?? '');
  return { connection, call: callId, participant: clientId, begun: begun.use(name, () => t) };
}

/** The connection after these differences, or where they continue nothing. A sample that says all of its streams begins anew. */
function merge(before: Connection | undefined, given: Members, path: string): Connection | Fault {
  const base = isWhole(given) ? undefined : before;
  const merged: Connection = new Map();
  for (const name of collectionNames) {
    const { key, whole } = COLLECTIONS[name];
    const entries: Entries = new Map();
    for (const [index, entry] of listOf(given[name]).entries()) {
      const id = entry[key];
      if (typeof id !== 'string' && typeof id !== 'number') continue;
      const complete = Object.assign(emptyMembers(), base?.get(name)?.get(String(id)), entry);
      const missing = whole.find((member) => complete[member] === undefined);
      if (missing !== undefined) {
        return { path: `${path}.${name}.${index}.${missing}`, message: 'was never sent', continuesNothing: true };
      }
      entries.set(String(id), complete);
    }
    merged.set(name, entries);
  }
  return merged;
}

function isWhole(given: Members): boolean {
  const streams = [...listOf(given['inboundRtps']), ...listOf(given['outboundRtps'])];
  return (
    streams.length > 0 &&
    collectionNames.every((name) =>
      listOf(given[name]).every((entry) => COLLECTIONS[name].whole.every((member) => entry[member] !== undefined)),
    )
  );
}

function statsOf(connection: Connection): Record<string, unknown>[] {
  const remote = new Set(
    [...(connection.get('iceCandidatePairs')?.values() ?? [])].map((pair) => pair['remoteCandidateId']),
  );
  return collectionNames.flatMap((name) =>
    [...(connection.get(name)?.values() ?? [])].map((entry) => {
      const type = name === 'iceCandidates' && remote.has(entry['id']) ? 'remote-candidate' : COLLECTIONS[name].type;
      const stats = Object.assign(emptyMembers(), entry, { type });
      // the schema's own word for it
      if (stats['state'] === 'inProgress') stats['state'] = 'in-progress';
      return stats;
    }),
  );
}

/** Its event types, and the name of the browser's event behind each with the member that is the event's value. */
const EVENTS: Readonly<Record<string, readonly [event: string, value: string | undefined]>> = {
  PEER_CONNECTION_STATE_CHANGED: ['connectionstatechange', 'connectionState'],
  ICE_CONNECTION_STATE_CHANGED: ['iceconnectionstatechange', 'iceConnectionState'],
  ICE_GATHERING_STATE_CHANGED: ['icegatheringstatechange', 'iceGatheringState'],
  SIGNALING_STATE_CHANGE: ['signalingstatechange', 'signalingState'],
  SIGNALING_STATE_CHANGED: ['signalingstatechange', 'signalingState'],
  NEGOTIATION_NEEDED: ['negotiationneeded', undefined],
  ICE_CANDIDATE_ERROR: ['icecandidateerror', undefined],
  PEER_CONNECTION_CLOSED: ['close', undefined],
};
const TRACK_EVENTS: Readonly<Record<string, string>> = {
  MEDIA_TRACK_ADDED: 'track',
  MEDIA_TRACK_MUTED: 'track_muted',
  MEDIA_TRACK_UNMUTED: 'track_unmuted',
  MEDIA_TRACK_REMOVED: 'track_ended',
};

function* readEvents(state: State, sample: Members, t: number, at: string): Generator<Said> {
  for (const [index, event] of listOf(sample['clientEvents']).entries()) {
    const payload = payloadOf(event['payload']);
    const name = stringOf(payload['peerConnectionId']);
    if (name === undefined) continue;
    const happened = numberOf(event['timestamp']) ?? t;
    const origin = originOf(state, name, happened);
    const told = eventOf(stringOf(event['type']) ?? '', payload);
    if (told === undefined) continue;
    yield { origin, at: `${at}.clientEvents.${index}`, event: { t: happened, ...told } };
  }
}

function eventOf(type: string, payload: Members) {
  const known = Object.hasOwn(EVENTS, type) ? EVENTS[type] : undefined;
  if (known !== undefined) return browserEvent(known[0], known[1] === undefined ? payload : payload[known[1]]);
  const kind = payload['kind'];
  const track = Object.hasOwn(TRACK_EVENTS, type) ? TRACK_EVENTS[type] : undefined;
  return track !== undefined && (kind === 'audio' || kind === 'video') ? { type: track, value: kind } : undefined;
}

/** An object; before schema 3.6 JSON in a string. */
function payloadOf(payload: unknown): Members {
  if (isObject(payload)) return payload;
  if (typeof payload !== 'string') return {};
  try {
    const parsed: unknown = JSON.parse(payload);
    return isObject(parsed) ? parsed : {};
  } catch {
    return {};
  }
}

function listOf(value: unknown): Members[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}
