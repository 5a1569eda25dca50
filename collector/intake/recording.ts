/**
 * What a format says, cut into batches: checked, in order, within the times that are believed, each batch with its own
 * baseline. Memory is bounded by taking the batches away whenever it is full.
 */
import type { ReportEvent, ReportSample } from '../contract.ts';
import type { ConnectionBatch } from '../normalise/report.ts';
import { checkEvent, checkSample, Rejections, timeIssue } from './checks.ts';
import type { Window } from './checks.ts';
import type { Numbered, Origin, Reading, Said } from './formats/format.ts';
import { Milestones } from './milestones.ts';

const MAX_CONNECTIONS = 1_000;
/** Samples and events waiting, over all connections, at which batches should be taken. */
const FULL_SAMPLES = 120;
const FULL_EVENTS = 2_000;
const MAX_NOTES = 10;

interface Track {
  readonly origin: Origin;
  readonly milestones: Milestones | undefined;
  /** The last sample taken, from which the next batch goes on. */
  baseline: ReportSample | undefined;
  newest: number;
  samples: ReportSample[];
  events: ReportEvent[];
}

export class Recording {
  rejections = new Rejections();
  readonly notes = new Set<string>();
  /** Samples and events that stand. */
  kept = 0;
  /** Those that were refused for their times, and those that were differences to nothing. */
  mistimed = 0;
  desynced = 0;
  #window: Window;
  readonly #tracks = new Map<string, Track>();
  readonly #numbered = new Set<string>();
  #batches: Numbered[] = [];
  #samples = 0;
  #events = 0;

  constructor(window: Window) {
    this.#window = window;
  }

  /** Goes on with another part of it: what stands, and what is wrong, is counted from here. */
  begin(window: Window): void {
    this.#window = window;
    this.rejections = new Rejections();
    this.kept = 0;
    this.mistimed = 0;
    this.desynced = 0;
  }

  get connections(): number {
    return new Set([...this.#tracks.keys(), ...this.#numbered].filter((connection) => connection !== '')).size;
  }

  get full(): boolean {
    return this.#samples >= FULL_SAMPLES || this.#events >= FULL_EVENTS;
  }

  add(said: Said): void {
    if ('note' in said) {
      if (this.notes.size < MAX_NOTES) this.notes.add(said.note);
    } else if ('message' in said) {
      this.rejections.add(said);
      if (said.continuesNothing) this.desynced += 1;
    } else if ('batch' in said) this.#addBatch(said);
    else this.#addReading(said);
  }

  /** The batches so far. */
  take(): Numbered[] {
    const batches = this.#batches;
    this.#batches = [];
    this.#samples = 0;
    this.#events = 0;
    for (const track of this.#tracks.values()) {
      const { origin, baseline, samples, events } = track;
      if (samples.length + events.length === 0) continue;
      const all = baseline === undefined || samples.length === 0 ? samples : [baseline, ...samples];
      batches.push({
        origin,
        batch: { connection: origin.connection, offset: null, seq: null, samples: all, events },
      });
      track.baseline = samples.at(-1) ?? baseline;
      track.samples = [];
      track.events = [];
    }
    return batches;
  }

  /** A batch has its own baseline and its place in the stream; what is of another time is left out of it. */
  #addBatch({ origin, batch }: Numbered): void {
    if (!this.#admits(origin.connection, 'connection')) return;
    this.#numbered.add(origin.connection);
    const offset = batch.offset ?? 0;
    const inTime = <T extends { readonly t: number }>(items: readonly T[], name: string): T[] =>
      items.filter(({ t }, index) => this.#isInTime(t + offset, `${name}.${index}.t`));
    const kept: ConnectionBatch = {
      ...batch,
      samples: inTime(batch.samples, 'samples'),
      events: inTime(batch.events, 'events'),
    };
    this.kept += kept.samples.length + kept.events.length;
    this.#samples += kept.samples.length;
    this.#events += kept.events.length;
    this.#batches.push({ origin, batch: kept });
  }

  #addReading({ origin, at, sample, event }: Reading): void {
    if (!this.#admits(origin.connection, at)) return;
    const track = this.#trackOf(origin);
    if (sample !== undefined) this.#addSample(track, sample, at);
    if (event !== undefined) this.#addEvent(track, event, at);
  }

  #addSample(track: Track, given: unknown, at: string): void {
    const { value, issues } = checkSample(given, at);
    this.rejections.add(...issues);
    if (value === undefined || !this.#isInTime(value.t, `${at}.t`)) return;
    const ts = Math.round(value.t);
    if (ts <= track.newest) {
      this.rejections.add({ path: `${at}.t`, message: 'is not later than the sample before' });
      return;
    }
    track.newest = ts;
    track.samples.push(value);
    this.#samples += 1;
    this.kept += 1;
    this.#keepEvents(track, track.milestones?.afterSample(value) ?? []);
  }

  #addEvent(track: Track, given: unknown, at: string): void {
    const { value, issues } = checkEvent(given, at);
    this.rejections.add(...issues);
    if (value === undefined || !this.#isInTime(value.t, `${at}.t`)) return;
    this.#keepEvents(track, [value, ...(track.milestones?.afterEvent(value) ?? [])]);
  }

  #keepEvents(track: Track, events: readonly ReportEvent[]): void {
    track.events.push(...events);
    this.#events += events.length;
    this.kept += events.length;
  }

  #trackOf(origin: Origin): Track {
    const known = this.#tracks.get(origin.connection);
    if (known !== undefined) return known;
    const milestones = origin.begun === undefined ? undefined : new Milestones(origin.begun);
    const newest = Number.NEGATIVE_INFINITY;
    const track = { origin, milestones, baseline: undefined, newest, samples: [], events: [] };
    this.#tracks.set(origin.connection, track);
    return track;
  }

  #admits(connection: string, at: string): boolean {
    const isKnown = this.#tracks.has(connection) || this.#numbered.has(connection);
    if (isKnown || this.#tracks.size + this.#numbered.size < MAX_CONNECTIONS) return true;
    this.rejections.add({ path: at, message: `is of one connection more than ${MAX_CONNECTIONS}` });
    return false;
  }

  #isInTime(t: number, path: string): boolean {
    const issue = timeIssue(t, path, this.#window);
    if (issue === undefined) return true;
    this.mistimed += 1;
    this.rejections.add(issue);
    return false;
  }
}
