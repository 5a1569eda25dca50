/** Checks single samples and events of an input, so that a bad one costs only itself, and says where it stood. */
import { issuesOf } from '../../kernel/errors.ts';
import type { Issue } from '../../kernel/errors.ts';
import { reportEvent, reportSample } from '../contract.ts';
import type { Rejected, ReportEvent, ReportSample } from '../contract.ts';
import { memberIssues } from '../normalise/measured.ts';
import { isObject } from './formats/format.ts';

const DAY_MS = 86_400_000;
/** Batches buffered by a client that was offline are still taken; partitions stay bounded. */
export const OLDEST_MS = 14 * DAY_MS;
/** How far ahead of ours a client's corrected clock may be. */
export const NEWEST_MS = 3_600_000;

/** Unix milliseconds between which times are believed. */
export interface Window {
  readonly from: number;
  readonly to: number;
  /** The clock here. */
  readonly now: number;
}

export function windowAround(now: number, oldestMs = OLDEST_MS): Window {
  return { from: now - oldestMs, to: now + NEWEST_MS, now };
}

/** What is wrong with a time (Unix milliseconds on our clock), if anything. */
export function timeIssue(t: number, path: string, { from, to, now }: Window): Issue | undefined {
  if (t >= from && t <= to) return undefined;
  const days = Math.round((now - from) / DAY_MS);
  return { path, message: `lies outside the last ${days} days; this clock says ${new Date(now).toISOString()}` };
}

export interface Checked<T> {
  /** Undefined when it cannot be used. */
  readonly value: T | undefined;
  readonly issues: readonly Issue[];
}

/** A sample of the right shape, and what is wrong in it: members that cannot be are named and taken for missing. */
export function checkSample(sample: unknown, path: string): Checked<ReportSample> {
  if (isSample(sample)) return { value: sample, issues: memberIssues(sample, path) };
  const parsed = reportSample.safeParse(sample);
  if (!parsed.success) return { value: undefined, issues: under(path, issuesOf(parsed.error)) };
  return { value: parsed.data, issues: memberIssues(parsed.data, path) };
}

/**
 * What the schema says of a sample, without copying it: its dictionaries have as many members as somebody likes to send,
 * and only a few are ever looked at. The schema is asked for what is wrong, and has the last word.
 */
function isSample(sample: unknown): sample is ReportSample {
  if (!isObject(sample) || Object.keys(sample).length !== 2) return false;
  const { t, stats } = sample;
  return isTime(t) && Array.isArray(stats) && stats.length <= MAX_DICTIONARIES && stats.every(isDictionary);
}

const MAX_DICTIONARIES = 2_000;

function isTime(t: unknown): boolean {
  return typeof t === 'number' && t >= 0 && t <= 8.64e15;
}

function isDictionary(stats: unknown): boolean {
  if (!isObject(stats)) return false;
  const { id, type } = stats;
  return typeof id === 'string' && id.length <= 256 && typeof type === 'string' && type.length <= 64;
}

export function checkEvent(event: unknown, path: string): Checked<ReportEvent> {
  const parsed = reportEvent.safeParse(event);
  if (!parsed.success) return { value: undefined, issues: under(path, issuesOf(parsed.error)) };
  return { value: parsed.data, issues: [] };
}

function under(path: string, issues: readonly Issue[]): Issue[] {
  return issues.map((issue) => ({ ...issue, path: issue.path === '' ? path : `${path}.${issue.path}` }));
}

const MAX_SHOWN = 20;

/** Faults as far as anybody would read them. Bounded memory, whatever comes. */
export class Rejections {
  readonly #shown: Issue[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(...issues: readonly Issue[]): void {
    this.#count += issues.length;
    const shown = issues.slice(0, MAX_SHOWN - this.#shown.length);
    this.#shown.push(...shown.map(({ path, message }) => ({ path: path.replace(/^\./, ''), message })));
  }

  list(): Rejected[] {
    const more = this.#count - this.#shown.length;
    return more === 0 ? [...this.#shown] : [...this.#shown, { path: '', message: `and ${more} more` }];
  }
}
