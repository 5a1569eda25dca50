/**
 * Gathers samples and events and seals them into batches of the native report format. A sealed batch is text and never
 * changes again: a retry is byte-identical, so the collector stores it once however often it arrives.
 */
import type { Report, ReportEvent, ReportSample } from '../contract.ts';

export interface SealedBatch {
  readonly seq: number;
  readonly body: string;
  /** UTF-8 bytes of the body. */
  readonly bytes: number;
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
  /** Whether the batch should be sealed before more is added. */
  readonly full: boolean;
  /** The next batch, or nothing when there is nothing new. */
  seal(offset: number | null): SealedBatch | undefined;
}

/** Well below the collector's limits of 240 samples and 1,000 events. */
const MAX_SAMPLES = 60;
const MAX_EVENTS = 250;

export function createBatcher(identity: BatchIdentity): Batcher {
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
    seal(offset) {
      if (samples.length === 0 && events.length === 0) return undefined;
      const report: Report = {
        v: 1,
        ...identity,
        seq,
        offset,
        samples: baseline === undefined || samples.length === 0 ? samples : [baseline, ...samples],
        events,
      };
      const body = JSON.stringify(report);
      seq += 1;
      baseline = samples.at(-1) ?? baseline;
      samples = [];
      events = [];
      return { seq: report.seq, body, bytes: new TextEncoder().encode(body).length };
    },
  };
}
