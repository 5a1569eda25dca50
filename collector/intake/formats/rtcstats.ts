/**
 * rtcstats: a file of version 3 (`RTCStatsDump`, a line of metadata, then one event a line), as the recorder's server and
 * Chrome's internals page write it, or the events of its stream (`rtcstats#5.0`). An event is
 * `[method, connection or null, value, …, time]`, where the first time is Unix milliseconds and the others are what passed
 * since the event before. Source: github.com/rtcstats/rtcstats, packages/rtcstats-server/docs/file-format.md.
 */
import { browserEvent } from '../browser-events.ts';
import { connectionId } from '../connection-id.ts';
import { MediaRequests } from '../media-requests.ts';
import { isObject, numberOf, stringOf } from './format.ts';
import type { Format, FormatReader, Said } from './format.ts';
import { decodeReport, measuredAt, sampleOf } from './rtcstats-trace.ts';
import type { Report } from './rtcstats-trace.ts';
import { methods } from './rtcstats-names.ts';

export const FILE_MARK = 'RTCStatsDump';

interface Connection {
  /** Ours; from its name and the time of its first event, which other recordings of it have too. */
  id: string;
  begun: number;
  report: Report;
}

export const rtcstats: Format = {
  name: 'rtcstats',
  recognises: (first) => first === FILE_MARK || (Array.isArray(first) && isNumbered(first[0])),
  open(): FormatReader {
    const connections = new Map<string, Connection>();
    const media = new MediaRequests();
    let now = 0;
    return {
      *read(record, at) {
        if (record === FILE_MARK || isObject(record)) return; // the head of a file
        const passed: unknown = Array.isArray(record) ? record.at(-1) : undefined;
        if (!Array.isArray(record) || numberOf(passed) === undefined) {
          yield { path: at, message: 'is no event' };
          return;
        }
        now += Number(passed);
        const [given, name, value]: unknown[] = record;
        const method = methods.get(given) ?? given;
        if (typeof method !== 'string') return;
        if (MediaRequests.concerns(method)) {
          yield* media.read({ method, value, page: stringOf(name) ?? '', request: stringOf(record[3]), t: now }, at);
          return;
        }
        if (typeof name !== 'string' || method === 'create') return;
        const connection = connections.get(name) ?? begin(name, now);
        connections.set(name, connection);
        yield* readEvent(connection, method, value, now, at);
      },
      held: () => connections,
    };
  },
};

function begin(name: string, now: number): Connection {
  return { id: connectionId(name, Math.floor(now)), begun: now, report: new Map() };
}

function isNumbered(method: unknown): boolean {
  return typeof method === 'number' || method === 'g';
}

function* readEvent(connection: Connection, method: string, value: unknown, now: number, at: string): Generator<Said> {
  const origin = { connection: connection.id, begun: connection.begun };
  if (method === 'getStats') {
    if (!isObject(value)) return;
    connection.report = decodeReport(connection.report, value, 'unchanged');
    yield* sampleOf(connection.report, measuredAt(connection.report, now), origin, at);
    return;
  }
  const event = browserEvent(method, value);
  if (event !== undefined) yield { origin, at, event: { t: now, ...event } };
}
