/**
 * The dump of chrome://webrtc-internals: a JSON object with `PeerConnections`, each with its events (`updateLog`) and its
 * statistics by column: `<id>-<member>` → `{ startTime, endTime, statsType, values }`, values being a JSON list in a string.
 *
 * A column has no times of its own: those of its id are in `<id>-timestamp` (since Chrome 117; before, they are made up
 * evenly between start and end). A column that began later or ended earlier is shorter, so it is laid against the times by
 * where it begins and ends. One with holes in it says nowhere where they are: it is left out, unless it never changed.
 */
import { browserEvent } from '../browser-events.ts';
import { connectionId } from '../connection-id.ts';
import { MediaRequests } from '../media-requests.ts';
import { emptyMembers, isFarEnd, isObject, numberOf, stringOf } from './format.ts';
import type { Format, FormatReader, Members, Said } from './format.ts';

/** Chrome keeps 1,000 values of a member. */
const MAX_VALUES = 10_000;
const MAX_MEMBERS = 500;
const QUARTER_HOUR_MS = 900_000;

export const webrtcInternals: Format = {
  name: 'webrtc-internals',
  recognises: (first) => isObject(first) && isObject(first['PeerConnections']),
  open: (): FormatReader => ({
    *read(record) {
      const connections = isObject(record) ? record['PeerConnections'] : undefined;
      if (!isObject(record) || !isObject(connections)) return;
      yield* readMediaRequests(record['getUserMedia']);
      for (const [name, connection] of Object.entries(connections)) {
        if (isObject(connection)) yield* readConnection(name, connection, `PeerConnections.${name}`);
      }
    },
  }),
};

/** The page's list of requests, and of what became of each: a stream, or an error. */
function* readMediaRequests(list: unknown): Generator<Said> {
  const media = new MediaRequests();
  for (const [index, entry] of (Array.isArray(list) ? list.filter(isObject) : []).entries()) {
    const t = numberOf(entry['timestamp']);
    if (t === undefined) continue;
    const isFailure = entry['error'] !== undefined;
    const outcome = isFailure ? 'OnFailure' : entry['stream_id'] === undefined ? '' : 'OnSuccess';
    const what = entry['request_type'] === 'getDisplayMedia' ? 'getDisplayMedia' : 'getUserMedia';
    const [page, request] = [`${String(entry['rid'])}-0`, String(entry['request_id'])];
    const call = { method: `${what}${outcome}`, value: entry, page, request, t };
    yield* media.read(call, `getUserMedia.${index}`);
  }
}

function* readConnection(name: string, connection: Members, path: string): Generator<Said> {
  const log = Array.isArray(connection['updateLog']) ? connection['updateLog'].filter(isObject) : [];
  const { reports, said } = readReports(isObject(connection['stats']) ? connection['stats'] : {}, `${path}.stats`);
  const samples = samplesOf(reports);
  const [first] = samples.keys();
  const birth = numberOf(log[0]?.['timestamp']) ?? first;
  if (birth === undefined) return;
  yield* said;
  const shift = shiftOf(log, first);
  const timeOfEvent = (entry: Members) => numberOf(entry['timestamp']) ?? localTime(entry) + (shift ?? 0);
  const begun = numberOf(log[0] === undefined ? first : timeOfEvent(log[0]));
  const origin = { connection: connectionId(name, Math.floor(birth)), begun };
  if (shift !== undefined) yield { note: 'The times of events are approximate: the dump has them in local time.' };
  for (const [index, entry] of log.entries()) {
    const event = browserEvent(stringOf(entry['type']) ?? '', entry['value']);
    const t = timeOfEvent(entry);
    if (event !== undefined && Number.isFinite(t)) {
      yield { origin, at: `${path}.updateLog.${index}`, event: { t, ...event } };
    }
  }
  let index = 0;
  for (const [t, stats] of samples) {
    yield { origin, at: `${path}.stats[${index}]`, sample: { t, stats } };
    index += 1;
  }
}

/** Old dumps write `3/4/2020, 10:11:12 AM` in a time zone that they do not name. */
function localTime(entry: Members): number {
  const text = stringOf(entry['time']);
  return text === undefined ? Number.NaN : Date.parse(`${text} UTC`);
}

/** What to add to such times: whole quarter hours, by which the first event comes to lie near the first sample. */
function shiftOf(log: readonly Members[], firstSample: number | undefined): number | undefined {
  const [entry] = log;
  const first = entry === undefined || numberOf(entry['timestamp']) !== undefined ? Number.NaN : localTime(entry);
  if (firstSample === undefined || Number.isNaN(first)) return undefined;
  return Math.round((firstSample - first) / QUARTER_HOUR_MS) * QUARTER_HOUR_MS;
}

interface Column {
  readonly member: string;
  readonly values: readonly unknown[];
  /** Unix milliseconds, whole. */
  readonly start: number;
  readonly end: number;
}

/** All columns of one id. */
interface Report {
  readonly id: string;
  readonly type: string;
  readonly times: readonly number[];
  readonly columns: readonly Column[];
}

function readReports(stats: Members, path: string): { reports: Report[]; said: Said[] } {
  const byId = new Map<string, { type: string; columns: Column[] }>();
  const said: Said[] = [];
  for (const [key, series] of Object.entries(stats)) {
    const cut = key.lastIndexOf('-');
    // `[bytesSent_in_bits/s]` is what the page computed
    if (!isObject(series) || key.includes('[') || cut < 1) continue;
    const values = valuesOf(series['values']);
    if (values === undefined) {
      said.push({ path: `${path}.${key}.values`, message: `must be a list of at most ${MAX_VALUES} values` });
      continue;
    }
    const report = byId.get(key.slice(0, cut)) ?? { type: stringOf(series['statsType']) ?? '', columns: [] };
    byId.set(key.slice(0, cut), report);
    const [start, end] = [timeOf(series['startTime']), timeOf(series['endTime'])];
    if (report.columns.length < MAX_MEMBERS) report.columns.push({ member: key.slice(cut + 1), values, start, end });
  }
  const grid = evenTimes([...byId.values()].flatMap(({ columns }) => columns));
  const reports = [...byId].map(([id, { type, columns }]): Report => {
    const own = columns.find(({ member }) => member === 'timestamp');
    const named = columns.find(({ member }) => member === 'type')?.values[0];
    if (own === undefined)
      said.push({ note: 'The times of samples are approximate: the dump is older than Chrome 117.' });
    const times = own === undefined ? partOf(grid, columns) : own.values.map((at) => numberOf(at) ?? Number.NaN);
    return { id, type: type === '' ? (stringOf(named) ?? '') : type, times, columns };
  });
  return { reports, said };
}

function valuesOf(values: unknown): readonly unknown[] | undefined {
  let list = values;
  if (typeof values === 'string') {
    try {
      list = JSON.parse(values);
    } catch {
      return undefined;
    }
  }
  return Array.isArray(list) && list.length <= MAX_VALUES ? list : undefined;
}

function timeOf(time: unknown): number {
  return typeof time === 'string' ? Date.parse(time) : Number.NaN;
}

function longestOf(columns: readonly Column[]): Column | undefined {
  let longest: Column | undefined;
  for (const column of columns) if (column.values.length > (longest?.values.length ?? 0)) longest = column;
  return longest;
}

/** Times for the longest column of all, evenly between its start and end. */
function evenTimes(columns: readonly Column[]): number[] {
  const longest = longestOf(columns);
  if (longest === undefined || Number.isNaN(longest.start) || Number.isNaN(longest.end)) return [];
  const { values, start, end } = longest;
  const step = values.length > 1 ? (end - start) / (values.length - 1) : 0;
  return values.map((_, index) => Math.round(start + index * step));
}

/** Those of them that an id was there for: as many as its longest column has, from where that begins. */
function partOf(grid: readonly number[], columns: readonly Column[]): number[] {
  const longest = longestOf(columns);
  if (longest === undefined) return [];
  const distance = (time: number) => Math.abs(time - longest.start);
  const first = grid.reduce(
    (best, time, index) => (distance(time) < distance(grid[best] ?? Infinity) ? index : best),
    0,
  );
  return grid.slice(first, first + longest.values.length);
}

/**
 * The samples in their order. The browser's own reports of one moment have the same time; a far end's has the time at
 * which it came, so it is counted back from the last sample.
 */
function samplesOf(reports: readonly Report[]): Map<number, Members[]> {
  const own = reports.filter(({ type }) => !isFarEnd(type));
  const remote = reports.filter(({ type }) => isFarEnd(type));
  const moments = [...new Set(own.flatMap(({ times }) => times))].filter(Number.isFinite).toSorted((a, b) => a - b);
  const samples = new Map<number, Members[]>(moments.map((t) => [t, []]));
  for (const report of own) {
    for (const [index, entry] of entriesOf(report).entries())
      samples.get(report.times[index] ?? Number.NaN)?.push(entry);
  }
  for (const report of remote) {
    const before = moments.length - report.times.length;
    for (const [index, entry] of entriesOf(report).entries()) {
      const moment = moments[before + index];
      // of the future: the report had ended, and where it did is not known
      if (moment !== undefined && (report.times[index] ?? Infinity) <= moment) samples.get(moment)?.push(entry);
    }
  }
  return samples;
}

/** An entry for each of the report's times. */
function entriesOf({ id, type, times, columns }: Report): Members[] {
  const entries = times.map((timestamp) => Object.assign(emptyMembers(), { id, type, timestamp }));
  for (const column of columns) {
    if (column.member === 'timestamp' || column.member === 'type' || column.member === 'id') continue;
    const first = placeOf(column, times);
    if (first === undefined) {
      const [constant] = column.values;
      if (column.values.every((value) => value === constant)) fill(entries, column, times, constant);
      continue;
    }
    for (const [index, value] of column.values.entries()) {
      const entry = entries[first + index];
      if (entry !== undefined) entry[column.member] = value;
    }
  }
  return entries;
}

/** Index of the time at which the column begins; undefined when it has holes. */
function placeOf({ values, start, end }: Column, times: readonly number[]): number | undefined {
  if (values.length === times.length) return 0;
  // the dump's own times differ by parts of a millisecond, those made up for an old one by less than half a step
  const slack = Math.max(1, ((times.at(-1) ?? 0) - (times[0] ?? 0)) / Math.max(1, times.length - 1) / 2);
  const isAt = (index: number, moment: number) => Math.abs((times[index] ?? Number.NaN) - moment) <= slack;
  const fits = (first: number) => first >= 0 && isAt(first, start) && isAt(first + values.length - 1, end);
  const fromEnd = times.length - values.length;
  if (fits(fromEnd)) return fromEnd;
  const fromStart = times.findIndex((time) => Math.abs(time - start) <= slack);
  return fits(fromStart) ? fromStart : undefined;
}

function fill(
  entries: Record<string, unknown>[],
  { member, start, end }: Column,
  times: readonly number[],
  value: unknown,
) {
  for (const [index, entry] of entries.entries()) {
    const moment = times[index] ?? Number.NaN;
    if (moment >= start && moment <= end + 1) entry[member] = value;
  }
}
