/**
 * A native report becomes rows. Pure: the batch, who sent it, and a scorer; the collector's clock only decides whether
 * the batch is of this time at all. Intervals are differences between successive samples, so how a series of samples was
 * cut into batches does not show in the rows.
 */
import type { Issue } from '../../kernel/errors.ts';
import type { AudioScorer, Report } from '../contract.ts';
import type { Row } from '../store/store.ts';
import type { Leading } from './blank-row.ts';
import { connectionInterval, roundTrip } from './connections.ts';
import { readSample } from './sample.ts';
import type { Sample } from './sample.ts';
import { streamInterval } from './streams.ts';
import type { StreamContext } from './streams.ts';
import { decimal } from './values.ts';

/** Who reported, as the token says it, or the report where the token is silent. */
export interface Reporter {
  readonly app: string;
  readonly call: string;
  readonly participant: string;
}

export interface ReportRows {
  readonly stream_intervals: readonly Row[];
  readonly connection_intervals: readonly Row[];
  readonly call_events: readonly Row[];
}

const DAY_MS = 86_400_000;
/** Batches buffered by a client that was offline are still taken; partitions stay bounded. */
export const OLDEST_MS = 14 * DAY_MS;
/** How far ahead of ours a client's corrected clock may be. */
export const NEWEST_MS = 3_600_000;

/** Times of the batch that are too far from now to be true. */
export function timeIssues(report: Report, now: number): Issue[] {
  const offset = report.offset ?? 0;
  const check = (path: string, t: number): Issue[] => {
    const ts = t + offset;
    if (ts >= now - OLDEST_MS && ts <= now + NEWEST_MS) return [];
    return [{ path, message: `lies outside the last 14 days; this clock says ${new Date(now).toISOString()}` }];
  };
  return [
    ...report.samples.flatMap((sample, index) => check(`samples.${index}.t`, sample.t)),
    ...report.events.flatMap((event, index) => check(`events.${index}.t`, event.t)),
  ];
}

export function normaliseReport(report: Report, reporter: Reporter, score: AudioScorer): ReportRows {
  const offset = report.offset ?? 0;
  const leading = (t: number, index: number): Leading => ({
    app_id: reporter.app,
    call_id: reporter.call,
    participant_id: reporter.participant,
    connection_id: report.connection,
    ts: Math.round(t + offset),
    batch_seq: report.seq,
    sample_index: index,
  });
  const streams: Row[] = [];
  const connections: Row[] = [];
  let before: Sample | undefined;
  for (const [index, sample] of report.samples.entries()) {
    const after = readSample(sample);
    const intervalMs = before === undefined ? 0 : Math.round(after.t - before.t);
    if (before !== undefined && intervalMs > 0) {
      const columns = leading(after.t, index);
      const connection = connectionInterval(before, after, columns, intervalMs);
      if (connection !== undefined) connections.push(connection);
      const context = { leading: columns, intervalMs, roundTripMs: roundTrip(before, after), score };
      streams.push(...streamRows(before, after, context));
    }
    before = after;
  }
  const events = report.events.map((event, index) => ({
    ...leading(event.t, index),
    type: event.type,
    value: event.value ?? null,
    value_ms: decimal(event.ms ?? null, 1),
    detail: JSON.stringify(event.detail ?? {}),
  }));
  return { stream_intervals: streams, connection_intervals: connections, call_events: events };
}

function* streamRows(before: Sample, after: Sample, context: StreamContext): Generator<Row> {
  for (const [key, stream] of after.streams) {
    const earlier = before.streams.get(key);
    const row = earlier && streamInterval(earlier, stream, context);
    if (row !== undefined) yield row;
  }
}
