/** One call over time, in no more points than a browser can draw. */
import type { CallDetail, CallEventPoint, CallSummary, ConnectionPoint, TimelinePoint } from '../contract.ts';
import type { StoreReader } from '../store/store.ts';
import { SPAN_MS } from './queries.ts';
import { rounded } from './summaries.ts';
import {
  connectionsRow,
  connectionsSql,
  eventsRow,
  eventsSql,
  extentRow,
  extentSql,
  streamsRow,
  streamsSql,
} from './timeline-queries.ts';

/** Points of each kind at most. */
export const MAX_POINTS = 5_000;

export async function detailOf(reader: StoreReader, summary: CallSummary): Promise<CallDetail> {
  const [started, ended] = [Date.parse(summary.startedAt), Date.parse(summary.lastSeenAt)];
  const call = { app: summary.app, call: summary.call, from: ended - SPAN_MS, limit: MAX_POINTS };
  const [extent] = await reader.select(extentRow, extentSql, call);
  const length = ended - started;
  const [streams, connections, events] = await Promise.all([
    reader.select(streamsRow, streamsSql, {
      ...call,
      model: summary.mosModel ?? '',
      step: stepFor(extent?.stream_rows ?? 0, extent?.streams ?? 0, length),
    }),
    reader.select(connectionsRow, connectionsSql, {
      ...call,
      step: stepFor(extent?.connection_rows ?? 0, extent?.connections ?? 0, length),
    }),
    reader.select(eventsRow, eventsSql, call),
  ]);
  return {
    ...summary,
    streams: streams.map((row): TimelinePoint => ({
      ts: row.at,
      participant: row.participant,
      stream: row.stream,
      direction: row.dir,
      kind: row.media,
      mos: rounded(row.score, 3),
      lossRatio: rounded(row.loss, 5),
      jitterMs: rounded(row.jitter, 2),
      bitrateBps: rounded(row.bitrate, 0),
      framesPerSecond: rounded(row.rate, 2),
      freezes: row.frozen,
    })),
    connections: connections.map((row): ConnectionPoint => ({
      ts: row.at,
      participant: row.participant,
      connection: row.connection_id,
      rttMs: rounded(row.rtt, 2),
      localCandidateType: row.local,
      relayProtocol: row.relay,
      bytesSent: row.sent,
      bytesReceived: row.received,
      clockOffsetMs: row.clock_offset,
    })),
    events: events.map((row): CallEventPoint => ({
      ts: row.ts,
      participant: row.participant_id,
      type: row.type,
      value: row.value,
      ms: row.ms,
    })),
  };
}

/** Milliseconds to a point, so that `series` lines over `length` milliseconds stay within MAX_POINTS. */
export function stepFor(rows: number, series: number, length: number): number {
  if (rows <= MAX_POINTS) return 1;
  // A line over n steps touches n + 1 of them.
  const pointsPerLine = Math.max(1, Math.floor(MAX_POINTS / Math.max(1, series)) - 1);
  return Math.max(1, Math.ceil(length / pointsPerLine));
}
