/**
 * What one connection reported becomes rows, whatever format it came in. Pure: the batch, who sent it, and a scorer.
 * Intervals are differences between successive samples, so how a series of samples was cut into batches does not show in
 * the rows.
 */
import type { AudioScorer, Report } from '../contract.ts';
import type { Row } from '../store/store.ts';
import type { Leading } from './blank-row.ts';
import type { ClientNetwork } from '../privacy/client-network.ts';
import { connectionInterval, roundTrip } from './connections.ts';
import { eventRows } from './events.ts';
import { readSample } from './sample.ts';
import type { Sample } from './sample.ts';
import { streamInterval } from './streams.ts';
import type { StreamContext } from './streams.ts';

/** Who reported, as the token says it, or the report where the token is silent. */
export interface Reporter {
  readonly app: string;
  readonly call: string;
  readonly participant: string;
  /** Where the report came from; absent for recordings. */
  readonly network?: ClientNetwork | undefined;
}

/** The samples and events of one connection, in the native words. A report of our own SDK is one. */
export interface ConnectionBatch extends Pick<Report, 'connection' | 'offset' | 'samples' | 'events'> {
  /**
   * Null: the format numbers nothing, so a row is known by its time alone (times of samples rise), and one of several
   * events of the same millisecond by what it says.
   */
  readonly seq: number | null;
  /** Where the format has no offset: what the client's clock seemed to lack when this arrived, milliseconds. Recorded, not applied. */
  readonly skew?: number | undefined;
}

export interface ReportRows {
  readonly stream_intervals: readonly Row[];
  readonly connection_intervals: readonly Row[];
  readonly call_events: readonly Row[];
}

export function normaliseReport(batch: ConnectionBatch, reporter: Reporter, score: AudioScorer): ReportRows {
  const offset = batch.offset ?? 0;
  const beside = { ...reporter.network, clock_offset_ms: wholeMs(batch.offset ?? batch.skew) };
  const leading = (t: number, index: number): Leading => ({
    app_id: reporter.app,
    call_id: reporter.call,
    participant_id: reporter.participant,
    connection_id: batch.connection,
    ts: Math.round(t + offset),
    batch_seq: batch.seq ?? 0,
    sample_index: index,
  });
  const streams: Row[] = [];
  const connections: Row[] = [];
  let before: Sample | undefined;
  for (const [index, sample] of batch.samples.entries()) {
    const after = readSample(sample);
    const intervalMs = before === undefined ? 0 : Math.round(after.t - before.t);
    if (before !== undefined && intervalMs > 0) {
      const columns = leading(after.t, batch.seq === null ? 0 : index);
      const connection = connectionInterval(before, after, columns, intervalMs);
      if (connection !== undefined) connections.push(Object.assign(connection, beside));
      const context = { leading: columns, intervalMs, roundTripMs: roundTrip(before, after), score };
      streams.push(...streamRows(before, after, context));
    }
    before = after;
  }
  return { stream_intervals: streams, connection_intervals: connections, call_events: eventRows(batch, leading) };
}

function wholeMs(offset: number | undefined): number | null {
  return offset === undefined ? null : Math.round(offset);
}

function* streamRows(before: Sample, after: Sample, context: StreamContext): Generator<Row> {
  for (const [key, stream] of after.streams) {
    const earlier = before.streams.get(key);
    const row = earlier && streamInterval(earlier, stream, context);
    if (row !== undefined) yield row;
  }
}
