/**
 * One call over time. Long calls are thinned: `step` milliseconds of one stream become one point, in which counts are
 * summed, gauges averaged and MOS averaged over one model only. A step of 1 thins nothing.
 */
import { z } from 'zod';

const point = z.iso.datetime();
const figure = z.number().nullable();
const text = z.string().nullable();

const ofCall = `app_id = {app:String} AND call_id = {call:String} AND ts >= fromUnixTimestamp64Milli({from:Int64}, 'UTC')`;
const FINAL = 'SETTINGS do_not_merge_across_partitions_select_final = 1';
const step = 'intDiv(toUnixTimestamp64Milli(ts), {step:Int64}) AS bucket';

/** How much there is, so that the step can be chosen. */
export const extentSql = `SELECT
  (SELECT count() FROM stream_intervals WHERE ${ofCall}) AS stream_rows,
  (SELECT uniqExact(connection_id, stream) FROM stream_intervals WHERE ${ofCall}) AS streams,
  (SELECT count() FROM connection_intervals WHERE ${ofCall}) AS connection_rows,
  (SELECT uniqExact(connection_id) FROM connection_intervals WHERE ${ofCall}) AS connections`;
export const extentRow = z.object({
  stream_rows: z.coerce.number(),
  streams: z.coerce.number(),
  connection_rows: z.coerce.number(),
  connections: z.coerce.number(),
});

export const streamsSql = `SELECT max(ts) AS at, any(participant_id) AS participant, stream, any(direction) AS dir, any(kind) AS media, ${step},
  avgIf(mos, mos_model = {model:String}) AS score,
  if(dir = 'outbound', avg(fraction_lost), sum(greatest(packets_lost, 0)) / nullIf(sum(greatest(packets_lost, 0)) + sumIf(packets, packets_lost IS NOT NULL), 0)) AS loss,
  avg(jitter_ms) AS jitter,
  sum(bytes) * 8000 / sum(interval_ms) AS bitrate,
  sum(frames) * 1000 / sum(interval_ms) AS rate,
  sum(freeze_count) AS frozen
FROM stream_intervals FINAL WHERE ${ofCall}
GROUP BY connection_id, stream, bucket
ORDER BY at, participant, stream
LIMIT {limit:UInt32} ${FINAL}`;
export const streamsRow = z.object({
  at: point,
  participant: z.string(),
  stream: z.string(),
  dir: z.enum(['inbound', 'outbound']),
  media: z.enum(['audio', 'video']),
  score: figure,
  loss: figure,
  jitter: figure,
  bitrate: figure,
  rate: figure,
  frozen: z.coerce.number().nullable(),
});

export const connectionsSql = `SELECT max(ts) AS at, any(participant_id) AS participant, connection_id, ${step},
  avg(rtt_ms) AS rtt,
  argMax(local_candidate_type, ts) AS local,
  argMax(relay_protocol, ts) AS relay,
  sum(bytes_sent) AS sent,
  sum(bytes_received) AS received,
  argMax(clock_offset_ms, ts) AS clock_offset
FROM connection_intervals FINAL WHERE ${ofCall}
GROUP BY connection_id, bucket
ORDER BY at, participant, connection_id
LIMIT {limit:UInt32} ${FINAL}`;
export const connectionsRow = z.object({
  at: point,
  participant: z.string(),
  connection_id: z.string(),
  rtt: figure,
  local: text,
  relay: text,
  sent: text,
  received: text,
  clock_offset: z.coerce.number().nullable(),
});

export const eventsSql = `SELECT ts, participant_id, type, value, toFloat64(value_ms) AS ms
FROM call_events FINAL WHERE ${ofCall}
ORDER BY ts, participant_id, connection_id, batch_seq, sample_index
LIMIT {limit:UInt32} ${FINAL}`;
export const eventsRow = z.object({
  ts: point,
  participant_id: z.string(),
  type: z.string(),
  value: text,
  ms: figure,
});
