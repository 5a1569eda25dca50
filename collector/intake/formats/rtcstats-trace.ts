/** What the rtcstats formats share: getStats() as differences to the one before, and whose clock counts. */
import { members, types } from './rtcstats-names.ts';
import { emptyMembers, isFarEnd, isObject, numberOf } from './format.ts';
import type { Members, Origin, Said } from './format.ts';

export type Report = ReadonlyMap<string, Members>;

/** A report whose entries still name their `id` is whole: Chrome's own files have no differences. */
function isWhole(entries: readonly (readonly [string, unknown])[]): boolean {
  const whole = entries.filter(([, entry]) => isObject(entry));
  return whole.length > 0 && whole.every(([, entry]) => isObject(entry) && typeof entry['id'] === 'string');
}

/**
 * The report that `given` makes of the one before. `absent` says what an id that is not named means: nothing changed in it
 * (a null removes), or it is gone. The newest time stands once, beside the entries; an entry of a far end's report has its
 * own, and keeps it until it gets another.
 */
export function decodeReport(before: Report, given: Members, absent: 'unchanged' | 'gone'): Report {
  const newest = numberOf(given['t']) ?? numberOf(given['timestamp']);
  const entries = Object.entries(given).filter(([, entry]) => entry === null || isObject(entry));
  const whole = isWhole(entries);
  const report = new Map<string, Members>(whole || absent === 'gone' ? [] : before);
  for (const [id, entry] of entries) {
    if (!isObject(entry)) report.delete(id);
    else report.set(id, merge(whole ? undefined : before.get(id), decodeMembers(entry)));
  }
  if (newest === undefined) return report;
  for (const [id, entry] of report) {
    const own = given[id];
    const said = isObject(own) ? (numberOf(own['t']) ?? numberOf(own['timestamp']) ?? 0) : 0;
    const keeps = isFarEnd(entry['type']) && numberOf(before.get(id)?.['timestamp']) !== undefined;
    // legacy recorders write 0 for the newest time instead of leaving it out
    const isNewest = isObject(own) && own['timestamp'] === 0;
    if (said > 0 || (keeps && !isNewest)) continue;
    report.set(id, Object.assign(emptyMembers(), entry, { timestamp: newest }));
  }
  return report;
}

function decodeMembers(entry: Members): Record<string, unknown> {
  const decoded = emptyMembers();
  for (const [key, value] of Object.entries(entry)) {
    const name = members.get(key) ?? key;
    decoded[name] = name === 'type' ? (types.get(value) ?? value) : value;
  }
  return decoded;
}

/** Members that are not named stay; objects are compared member by member, so they are merged so too. */
function merge(before: Members | undefined, changes: Members): Members {
  const merged = Object.assign(emptyMembers(), before, changes);
  for (const [name, value] of Object.entries(changes)) {
    const earlier = before?.[name];
    if (isObject(value) && isObject(earlier)) merged[name] = Object.assign(emptyMembers(), earlier, value);
  }
  return merged;
}

/** The sample that the report is: its entries with their ids. One whose type was never said means nothing, and is named. */
export function* sampleOf(report: Report, t: number | undefined, origin: Origin, at: string): Generator<Said> {
  const stats: Members[] = [];
  for (const [id, entry] of report) {
    if (typeof entry['type'] === 'string') stats.push(Object.assign(emptyMembers(), entry, { id }));
    else yield { path: `${at}.${id}.type`, message: 'was never sent; the entry is left out', continuesNothing: true };
  }
  yield { origin, at, sample: { t, stats } };
}

/** How far the moment of measurement may lie from the moment at which it was written down, milliseconds. */
const MAX_APART_MS = 60_000;

/**
 * The newest time in the report, which is when the browser measured; when its clock is far from the one that the lines
 * were written by (some stop while the machine sleeps), the line's.
 */
export function measuredAt(report: Report, writtenAt: number | undefined): number | undefined {
  let newest: number | undefined;
  for (const entry of report.values()) {
    const at = isFarEnd(entry['type']) ? undefined : numberOf(entry['timestamp']);
    if (at !== undefined && at > (newest ?? 0)) newest = at;
  }
  if (newest === undefined || writtenAt === undefined) return newest ?? writtenAt;
  return Math.abs(newest - writtenAt) <= MAX_APART_MS ? newest : writtenAt;
}
