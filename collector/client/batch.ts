/**
 * Gathers samples and events and cuts them into batches of the native report format. A batch is sealed when its body is
 * first asked for, with the clock offset known then, and does not change again: a retry is byte-identical, so the
 * collector stores it once however often it arrives.
 */
import type { Report, ReportEvent, ReportSample } from '../contract.ts';

export interface Batch {
  readonly seq: number;
  /** UTF-8 bytes of the body, at most. */
  readonly bytes: number;
  /** Says nothing: it only asks the collector for the time. */
  readonly empty: boolean;
  body(): string;
  /** Forgets the seal. Only for a batch that was refused for its times: nothing of it is stored, so it may change. */
  unseal(): void;
}

export interface BatchIdentity {
  readonly connection: string;
  readonly sdk: string;
  readonly call?: string;
  readonly participant?: string;
}

export interface Batcher {
  addSample(sample: ReportSample): void;
  addEvent(event: ReportEvent): void;
  /** Whether a batch should be cut before more is added. */
  readonly full: boolean;
  /** Whether there is anything to cut a batch of. */
  readonly pending: boolean;
  /** An empty batch, ahead of what is gathered. */
  ask(): Batch;
  /** The next batch, or nothing when there is nothing new. */
  cut(): Batch | undefined;
}

/** Well below the collector's limits of 240 samples and 1,000 events. */
const MAX_SAMPLES = 60;
const MAX_EVENTS = 250;
/** An offset is at most a century, to a tenth of a millisecond. */
const MAX_OFFSET_BYTES = 16;

/** `offset` is what this clock lacks to the collector's, milliseconds; null while nobody knows. */
export function createBatcher(identity: BatchIdentity, offset: () => number | null): Batcher {
  let seq = 0;
  let baseline: ReportSample | undefined;
  let samples: ReportSample[] = [];
  let events: ReportEvent[] = [];
  return {
    addSample: (sample) => void samples.push(sample),
    addEvent: (event) => void events.push(event),
    get full() {
      return samples.length >= MAX_SAMPLES || events.length >= MAX_EVENTS;
    },
    get pending() {
      return samples.length > 0 || events.length > 0;
    },
    ask: () => sealable([], []),
    cut() {
      if (samples.length === 0 && events.length === 0) return undefined;
      const batch = sealable(baseline === undefined || samples.length === 0 ? samples : [baseline, ...samples], events);
      baseline = samples.at(-1) ?? baseline;
      samples = [];
      events = [];
      return batch;
    },
  };

  function sealable(samples: ReportSample[], events: ReportEvent[]): Batch {
    const head = JSON.stringify({ v: 1, ...identity, seq } satisfies Partial<Report>).slice(0, -1);
    const tail = JSON.stringify({ samples, events } satisfies Partial<Report>).slice(1);
    const textAt = (at: number | null) => `${head},"offset":${JSON.stringify(at)},${tail}`;
    let sealed: string | undefined;
    const batch: Batch = {
      seq,
      empty: samples.length === 0 && events.length === 0,
      bytes: new TextEncoder().encode(textAt(null)).length + MAX_OFFSET_BYTES,
      body: () => (sealed ??= textAt(offset())),
      unseal: () => void (sealed = undefined),
    };
    seq += 1;
    return batch;
  }
}
