/**
 * rtcstats before its files had versions, and Jitsi's kind of it: `[method, connection, value, time]`, Jitsi with a
 * sequence number behind the time, times in Unix milliseconds (the very first recorders wrote none). getStats() leaves out
 * members that did not change, and entries that are gone. Jitsi's messages wrap events as
 * `{ statsSessionId, type, data }`; its `identity` names the conference.
 * Sources: github.com/fippo/rtcstats, github.com/jitsi/rtcstats (`rtcstats.js`, `trace-ws.js`).
 */
import { browserEvent } from '../browser-events.ts';
import { connectionId } from '../connection-id.ts';
import { MediaRequests } from '../media-requests.ts';
import { isObject, numberOf, stringOf } from './format.ts';
import type { Format, FormatReader, Said } from './format.ts';
import { decodeReport, measuredAt, sampleOf } from './rtcstats-trace.ts';
import type { Report } from './rtcstats-trace.ts';

/** A time from here on is Unix milliseconds, not one that passed: in 1973. */
const EPOCH_MS = 1e11;

interface Connection {
  id: string;
  begun: number;
  report: Report;
}

interface Trace {
  readonly connections: Map<string, Connection>;
  readonly media: MediaRequests;
  call: string | undefined;
  now: number | undefined;
}

export const rtcstatsLegacy: Format = {
  name: 'rtcstats-legacy',
  recognises: (first) =>
    (Array.isArray(first) && typeof first[0] === 'string' && first.length >= 3) ||
    (isObject(first) && ('statsSessionId' in first || 'fileFormat' in first)),
  open(): FormatReader {
    const trace: Trace = { connections: new Map(), media: new MediaRequests(), call: undefined, now: undefined };
    return {
      *read(given, at) {
        if (isObject(given) && !('statsSessionId' in given)) return; // the metadata at a file's head
        const { session, event } = unwrap(given);
        if (event === undefined) yield { path: at, message: 'is no event' };
        else if (event.length > 0) yield* readEvent(trace, event, session, at);
      },
      held: () => trace.connections,
    };
  },
};

/** The number that Jitsi's recorder gave a message, and forgets the message by. */
export function sequenceNumber(message: unknown): number | undefined {
  return numberOf(unwrap(message).event?.[4]);
}

/** The event in Jitsi's message; an empty one when the message has none. */
function unwrap(given: unknown): { session: string; event: readonly unknown[] | undefined } {
  if (Array.isArray(given)) return { session: '', event: given };
  if (!isObject(given)) return { session: '', event: undefined };
  const session = stringOf(given['statsSessionId']) ?? '';
  let { data } = given;
  if (typeof data === 'string') {
    try {
      data = JSON.parse(data);
    } catch {
      return { session, event: undefined };
    }
  }
  return { session, event: data === undefined ? [] : Array.isArray(data) ? data : undefined };
}

function* readEvent(trace: Trace, event: readonly unknown[], session: string, at: string): Generator<Said> {
  const [method, name, value] = event;
  const time = numberOf(event[3]);
  if (time !== undefined && time >= EPOCH_MS) trace.now = time;
  else if (time !== undefined && trace.now !== undefined) trace.now += time;
  if (method === 'identity' && isObject(value)) trace.call = stringOf(value['confName']) ?? trace.call;
  if (typeof method !== 'string') return;
  if (MediaRequests.concerns(method)) {
    const page = JSON.stringify([session, name ?? null]);
    if (trace.now !== undefined) yield* trace.media.read({ method, value, page, t: trace.now }, at);
    return;
  }
  if (typeof name !== 'string' || method === 'create') return;
  const key = JSON.stringify([session, name]);
  const isStats = method.toLowerCase() === 'getstats' && isObject(value);
  const report = isStats ? decodeReport(trace.connections.get(key)?.report ?? new Map(), value, 'gone') : undefined;
  const t = report === undefined ? trace.now : measuredAt(report, trace.now);
  if (t === undefined) return; // the first recorders timed only their reports
  trace.now ??= t;
  const mark = session === '' ? Math.floor(t) : session;
  const connection = trace.connections.get(key) ?? { id: connectionId(name, mark), begun: t, report: new Map() };
  trace.connections.set(key, connection);
  const origin = { connection: connection.id, call: trace.call, begun: connection.begun };
  if (report !== undefined) {
    connection.report = report;
    yield* sampleOf(report, t, origin, at);
    return;
  }
  const told = browserEvent(method, value);
  if (told !== undefined) yield { origin, at, event: { t, ...told } };
}
