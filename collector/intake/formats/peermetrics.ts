/**
 * peermetrics' stats request: `{ connectionId, data: { connection, audio, video, remote }, delta }`. Its streams are an RTP
 * dictionary with the far end's report and the codec spread over it, so those are taken apart again; the far end's report
 * stands whole under `remote`. Sources: github.com/peermetrics/webrtc-stats (`parseStats`), github.com/peermetrics/sdk-js.
 */
import { connectionId } from '../connection-id.ts';
import { emptyMembers, isFarEnd, isObject, numberOf, stringOf } from './format.ts';
import type { Format, FormatReader, Members, Said } from './format.ts';

const KINDS = ['audio', 'video'] as const;
const DIRECTIONS = ['inbound', 'outbound'] as const;

export const peermetrics: Format = {
  name: 'peermetrics',
  recognises: (first) => isObject(first) && isObject(first['data']) && typeof first['connectionId'] === 'string',
  open: (): FormatReader => ({ read: readRequest }),
};

function* readRequest(record: unknown, at: string): Generator<Said> {
  const data = isObject(record) ? record['data'] : undefined;
  const name = isObject(record) ? stringOf(record['connectionId']) : undefined;
  if (!isObject(data) || name === undefined) {
    yield { path: at, message: 'is no stats request' };
    return;
  }
  const stats = [...streamsOf(data), ...pairOf(data)];
  const t = Math.max(...stats.map((entry) => (isFarEnd(entry['type']) ? 0 : (numberOf(entry['timestamp']) ?? 0))));
  if (t <= 0) yield { path: `${at}.data`, message: 'has no time' };
  else yield { origin: { connection: connectionId(name) }, at: `${at}.data`, sample: { t, stats } };
}

function* streamsOf(data: Members): Generator<Members> {
  const remote = isObject(data['remote']) ? data['remote'] : {};
  for (const kind of KINDS) {
    for (const direction of DIRECTIONS) {
      for (const merged of entriesOf(data, kind, direction)) yield* takeApart(merged, kind, direction);
      for (const report of entriesOf(remote, kind, direction)) {
        yield Object.assign(emptyMembers(), report, { kind, type: `remote-${direction}-rtp` });
      }
    }
  }
}

/** Lists, or objects of entries by id. */
function entriesOf(data: Members, kind: string, direction: string): Members[] {
  const ofKind = data[kind];
  const entries = isObject(ofKind) ? ofKind[direction] : undefined;
  const list = Array.isArray(entries) ? entries : isObject(entries) ? Object.values(entries) : [];
  return list.filter(isObject);
}

/** The stream's own dictionary, and its codec. */
function* takeApart(merged: Members, kind: string, direction: string): Generator<Members> {
  const id = `${direction}/${kind}/${String(merged['ssrc'])}`;
  const codecId = stringOf(merged['codecId']) ?? `codec/${id}`;
  const stream = Object.assign(emptyMembers(), merged, { id, kind, codecId, type: `${direction}-rtp` });
  // a far end's time, and references to what stands elsewhere
  if (isFarEnd(merged['type'])) delete stream['timestamp'];
  for (const reference of ['remoteId', 'localId', 'mediaSourceId', 'playoutId']) delete stream[reference];
  yield stream;
  const mimeType = stringOf(merged['mimeType']);
  if (mimeType !== undefined) yield { id: codecId, type: 'codec', mimeType };
}

/** The selected pair with its candidates. */
function* pairOf(data: Members): Generator<Members> {
  const { connection } = data;
  if (!isObject(connection) || typeof connection['id'] !== 'string') return;
  yield Object.assign(emptyMembers(), connection, { type: 'candidate-pair', selected: true });
  for (const side of ['local', 'remote'] as const) {
    const candidate = connection[side];
    const id = connection[`${side}CandidateId`];
    if (isObject(candidate)) yield Object.assign(emptyMembers(), candidate, { id, type: `${side}-candidate` });
  }
}
