/**
 * What our SDK tells of a connection and no recorder does: how long it took to be set up, and until the first picture. Made of the
 * events and samples of a recording, whichever comes first, and told at most once each.
 */
import type { ReportEvent, ReportSample, RtcStats } from '../contract.ts';
import { numberOf } from './formats/format.ts';

/** As long as the SDK waits for a picture, once it was promised and the connection is up. */
const PATIENCE_MS = 30_000;

/** All times in Unix milliseconds. */
export class Milestones {
  readonly #begun: number;
  #decided = false;
  #hasStates = false;
  #events = 0;
  #connectedAt: number | undefined;
  #ice: { readonly t: number; readonly value: 'connected' | 'failed' } | undefined;
  #pictureAt: number | undefined;
  #seen = false;
  #withoutFrames = 0;

  /** `begun` is when the connection was first heard of. A recording that begins in mid-call finds it connected. */
  constructor(begun: number) {
    this.#begun = begun;
  }

  /** What follows from this event. */
  afterEvent({ t, type, value, detail }: ReportEvent): ReportEvent[] {
    this.#events += 1;
    if (type === 'track' && value === 'video' && detail?.['side'] === 'remote') this.#pictureAt ??= t;
    if (type === 'ice_state') {
      if (value === 'connected' || value === 'completed') this.#ice ??= { t, value: 'connected' };
      if (value === 'failed') this.#ice ??= { t, value };
    }
    if (type !== 'connection_state') return [];
    this.#hasStates = true;
    if (value === 'connected' || value === 'failed') return this.#setUp(t, value);
    // it was up before anybody looked, or nobody waited for it
    if (value === 'disconnected' || value === 'closed') this.#decided = true;
    return [];
  }

  /** What follows from this sample. */
  afterSample(sample: ReportSample): ReportEvent[] {
    const told = this.#hasStates || this.#ice === undefined ? [] : this.#setUp(this.#ice.t, this.#ice.value);
    return [...told, ...this.#firstFrame(sample)];
  }

  #setUp(t: number, value: 'connected' | 'failed'): ReportEvent[] {
    if (this.#decided) return [];
    this.#decided = true;
    if (t <= this.#begun && this.#events === 1) return []; // nothing went before it
    if (value === 'connected') this.#connectedAt = t;
    return [{ t, type: 'setup', value, ms: this.#since(t) }];
  }

  #firstFrame({ t, stats }: ReportSample): ReportEvent[] {
    if (this.#seen) return [];
    const shown = stats.filter(hasFrame);
    if (shown.length === 0) {
      this.#withoutFrames = t;
      return [];
    }
    this.#seen = true;
    if (this.#connectedAt === undefined) return [];
    const earliest = Math.max(this.#withoutFrames, this.#connectedAt);
    const first = Math.min(t, ...shown.map((stream) => t - shownFor(stream)));
    const at = Math.max(first, Math.min(earliest, t));
    if (at - Math.max(this.#connectedAt, this.#pictureAt ?? 0) > PATIENCE_MS) return [];
    return [{ t: at, type: 'first_frame', value: 'video', ms: this.#since(at) }];
  }

  #since(t: number): number {
    return Math.max(0, Math.round(t) - Math.round(this.#begun));
  }
}

function hasFrame(stats: RtcStats): boolean {
  const isVideo = stats['kind'] === 'video' || stats['mediaType'] === 'video';
  return stats.type === 'inbound-rtp' && isVideo && (numberOf(stats['framesDecoded']) ?? 0) > 0;
}

/** Milliseconds from a stream's first frame to its last one, which is a frame's time before the sample. 0 where it is not measured. */
function shownFor(stats: RtcStats): number {
  return Math.max(0, numberOf(stats['totalInterFrameDelay']) ?? 0) * 1_000;
}
