/**
 * Gathers samples and events and cuts them into batches of the native report format. A batch is sealed when its body is
 * first asked for, with the clock offset known then, and does not change again: a retry is byte-identical, so the
 * collector stores it once however often it arrives.
 */
import type { DeltaReport, Report, ReportEvent, ReportSample } from '../contract.ts';
import { encodeDeltas, expandDeltas } from './delta.ts';

export interface Batch {
  readonly seq: number;
  /** UTF-8 bytes of the body, at most. */
  readonly bytes: number;
  /** Says nothing: it only asks the collector for the time. */
  readonly empty: boolean;
  body(): string;
  /** Forgets the seal. Only for a batch that was refused for its times: nothing of it is stored, so it may change. */
  unseal(): void;
  /**
   * Writes the samples in full from now on. Only for a batch whose differences were refused; false when it has none. The
   * rows are the same, and so is what is known of the batch's size.
   */
  spellOut(): boolean;
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
/** Dictionaries in all samples; the collector takes 20,000. */
const MAX_DICTIONARIES = 8_000;
/** An offset is at most a century, to a tenth of a millisecond. */
const MAX_OFFSET_BYTES = 16;

/** `offset` is what this clock lacks to the collector's, milliseconds; null while nobody knows. */
export function createBatcher(identity: BatchIdentity, offset: () => number | null): Batcher {
  let seq = 0;
  let baseline: ReportSample | undefined;
  let samples: ReportSample[] = [];
  let events: ReportEvent[] = [];
  let dictionaries = 0;
  return {
    addSample(sample) {
      samples.push(sample);
      dictionaries += sample.stats.length;
    },
    addEvent: (event) => void events.push(event),
    get full() {
      return samples.length >= MAX_SAMPLES || events.length >= MAX_EVENTS || dictionaries >= MAX_DICTIONARIES;
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
      dictionaries = 0;
      return batch;
    },
  };

  function sealable(samples: readonly ReportSample[], events: ReportEvent[]): Batch {
    const encoded = encodeDeltas(samples);
    let delta = encoded.some((sample) => 'delta' in sample);
    const rest = { ...identity, seq };
    let write = writer(delta ? { v: 2, ...rest } : { v: 1, ...rest }, { samples: encoded, events });
    let sealed: string | undefined;
    const batch: Batch = {
      seq,
      empty: samples.length === 0 && events.length === 0,
      bytes: new TextEncoder().encode(write(null)).length + MAX_OFFSET_BYTES,
      body: () => (sealed ??= write(offset())),
      unseal: () => void (sealed = undefined),
      spellOut() {
        if (!delta) return false;
        delta = false;
        const { samples } = JSON.parse(write(null)) as DeltaReport;
        write = writer({ v: 1, ...rest }, { samples: expandDeltas(samples), events });
        sealed = undefined;
        return true;
      },
    };
    seq += 1;
    return batch;
  }
}

/** Writes once what an offset does not change. */
function writer(first: Partial<Report | DeltaReport>, last: Partial<Report | DeltaReport>) {
  const head = JSON.stringify(first).slice(0, -1);
  const tail = JSON.stringify(last).slice(1);
  return (offset: number | null) => `${head},"offset":${JSON.stringify(offset)},${tail}`;
}
