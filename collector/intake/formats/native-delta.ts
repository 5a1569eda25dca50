/** Puts together samples that are told as differences (docs/wire-format.md). What comes is hostile. */
import { issuesOf } from '../../../kernel/errors.ts';
import { sampleDelta } from '../../contract.ts';
import type { ReportSample, RtcStats } from '../../contract.ts';
import { emptyMembers, isObject } from './format.ts';
import type { Fault } from './format.ts';

/**
 * Dictionaries that one report may stand for: a few bytes of differences repeat a whole sample, and each dictionary costs
 * work and perhaps a row. No report of version 1 that is small enough to be read has more.
 */
export const MAX_DICTIONARIES = 20_000;
/** A dictionary is copied when a member of it changes. The largest of the specification has 65. */
export const MAX_MEMBERS = 256;

/** The sample as a whole, or what is wrong with it. */
export type Expanded = { readonly sample: unknown } | { readonly fault: Fault };

export class DeltaReader {
  #before: readonly RtcStats[] | undefined;
  #dictionaries = 0;

  /** Begins another report: what it may stand for is counted from here. What was read last stays known. */
  beginReport(): void {
    this.#dictionaries = 0;
  }

  /** A difference is put together; anything else is answered as it came, for others to check. */
  read(given: unknown, at: string): Expanded {
    if (!isObject(given) || !Object.hasOwn(given, 'delta')) return { sample: given };
    const expanded = this.#expand(given, at);
    // differences to what could not be read would make up values
    if ('fault' in expanded) this.forget();
    return expanded;
  }

  /** The sample that the next difference is to: one that stood the checks. */
  remember({ stats }: ReportSample): void {
    this.#before = stats;
  }

  forget(): void {
    this.#before = undefined;
  }

  held(): unknown {
    return this.#before;
  }

  #expand(given: unknown, at: string): Expanded {
    const parsed = sampleDelta.safeParse(given);
    if (!parsed.success) {
      const [issue] = issuesOf(parsed.error);
      return { fault: { path: [at, issue?.path].filter(Boolean).join('.'), message: issue?.message ?? 'is invalid' } };
    }
    const { t, delta, gone = [] } = parsed.data;
    if (this.#before === undefined) {
      return { fault: { path: `${at}.delta`, message: 'continues no sample that is known', continuesNothing: true } };
    }
    const stats = new Map(this.#before.map((entry) => [entry.id, entry]));
    for (const id of gone) stats.delete(id);
    for (const [index, { id, type, ...changes }] of delta.entries()) {
      const before = type === undefined ? stats.get(id) : { id, type };
      const path = `${at}.delta.${index}`;
      if (before === undefined) {
        return { fault: { path, message: 'changes a dictionary that is not known', continuesNothing: true } };
      }
      const changed = merge(before, changes);
      if (changed === undefined) return { fault: { path, message: `has more than ${MAX_MEMBERS} members` } };
      stats.set(id, changed);
    }
    this.#dictionaries += stats.size;
    if (this.#dictionaries > MAX_DICTIONARIES) {
      return { fault: { path: at, message: `is beyond ${MAX_DICTIONARIES} dictionaries in one report` } };
    }
    return { sample: { t, stats: [...stats.values()] } };
  }
}

/** Null removes a member. Undefined where the dictionary would be too large. */
function merge(before: RtcStats, changes: Readonly<Record<string, unknown>>): RtcStats | undefined {
  const names = Object.keys(changes);
  if (names.length > MAX_MEMBERS || Object.keys(before).length > MAX_MEMBERS) return undefined;
  const merged = Object.assign(emptyMembers(), before);
  for (const name of names) {
    if (changes[name] === null) delete merged[name];
    else merged[name] = changes[name];
  }
  return Object.keys(merged).length > MAX_MEMBERS ? undefined : merged;
}
