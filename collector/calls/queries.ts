/**
 * What is asked of the store about calls. Parameters are bound. A call is what was seen under its name, within SPAN of its
 * last sign of life: names are reused (a daily meeting), and the store need not be searched to its beginning.
 *
 * Raw rows are read with FINAL, within partitions: a row's partition is part of its identity. Cumulative readings need no
 * FINAL, because the highest one counts.
 */
import { z } from 'zod';

/** How far back from its last sign of life a call is looked at, milliseconds. */
export const SPAN_MS = 2 * 86_400_000;

const point = z.iso.datetime();
const figure = z.number().nullable();
const key = { app_id: z.string(), call_id: z.string() };

/** `app` is empty for all apps, `call` for all calls. */
const ofApp = `({app:String} = '' OR app_id = {app:String}) AND call_id != '' AND ({call:String} = '' OR call_id = {call:String})`;
const since = (column: string) => `${column} >= fromUnixTimestamp64Milli({from:Int64}, 'UTC')`;
/**
 * Calls of the page, each within its own span: `starts` are those of `names` (app/call), `from` is the earliest of them.
 * What belongs to an app and a call of two different rows of the page is sorted out by the reader.
 */
const ofPage = (
  column: string,
) => `app_id IN {apps:Array(String)} AND call_id IN {calls:Array(String)} AND ${since(column)}
    AND toUnixTimestamp64Milli(${column}) >= {starts:Array(Int64)}[indexOf({names:Array(String)}, concat(app_id, '/', call_id))]`;
const FINAL = 'SETTINGS do_not_merge_across_partitions_select_final = 1';

/**
 * When each object last carried something: the first reading of its highest total. An allocation whose client went without
 * a word is read until it expires, ten minutes later, and a call does not last as long as that.
 */
const lastCarriedSql = `SELECT app_id, call_id, argMax(window_end, (client_tx_bytes + client_rx_bytes, -toUnixTimestamp64Milli(window_end))) AS seen
  FROM egress_samples WHERE ${since('window_end')} AND ${ofApp}
  GROUP BY app_id, call_id, server_id, boot_id, object_id, peer_class`;

/** Newest calls: `from` bounds the search, `before` pages through it, `after` asks for live ones only. Unix milliseconds. */
export const pageSql = `SELECT app_id, call_id, max(seen) AS last_seen
FROM (
  SELECT app_id, call_id, max(ts) AS seen FROM stream_intervals WHERE ${since('ts')} AND ${ofApp} GROUP BY app_id, call_id
  UNION ALL
  SELECT app_id, call_id, max(ts) AS seen FROM connection_intervals WHERE ${since('ts')} AND ${ofApp} GROUP BY app_id, call_id
  UNION ALL
  SELECT app_id, call_id, max(ts) AS seen FROM call_events WHERE ${since('ts')} AND ${ofApp} GROUP BY app_id, call_id
  UNION ALL
  ${lastCarriedSql}
)
GROUP BY app_id, call_id
HAVING last_seen < fromUnixTimestamp64Milli({before:Int64}, 'UTC') AND last_seen >= fromUnixTimestamp64Milli({after:Int64}, 'UTC')
ORDER BY last_seen DESC, app_id, call_id
LIMIT {limit:UInt32}`;
export const pageRow = z.object({ ...key, last_seen: point });

/** Inbound media: loss over all packets, the middle of the jitter, and what the newest interval of each live stream received. */
export const mediaSql = `SELECT app_id, call_id, min(first) AS started,
  sum(gone) / nullIf(sum(gone) + sum(arrived), 0) AS loss,
  toFloat64(quantileTDigestMerge(0.5)(jitters)) AS jitter,
  sumIf(newest_bps, last >= call_last - INTERVAL 20 SECOND) AS bitrate
FROM (
  SELECT app_id, call_id, connection_id, stream, min(ts) AS first, max(ts) AS last,
    max(max(ts)) OVER (PARTITION BY app_id, call_id) AS call_last,
    sumIf(greatest(packets_lost, 0), direction = 'inbound' AND packets IS NOT NULL) AS gone,
    sumIf(packets, direction = 'inbound' AND packets_lost IS NOT NULL) AS arrived,
    quantileTDigestStateIf(0.5)(toFloat32(assumeNotNull(jitter_ms)), direction = 'inbound' AND jitter_ms IS NOT NULL) AS jitters,
    argMaxIf(bytes * 8000 / interval_ms, ts, direction = 'inbound') AS newest_bps
  FROM stream_intervals FINAL WHERE ${ofPage('ts')}
  GROUP BY app_id, call_id, connection_id, stream
)
GROUP BY app_id, call_id ${FINAL}`;
export const mediaRow = z.object({
  ...key,
  started: point,
  loss: figure,
  jitter: figure,
  bitrate: figure,
});

/** The model with most intervals in the call; scores of different models are never averaged. */
export const mosSql = `SELECT app_id, call_id, mos_model AS model, count() AS intervals,
  toFloat64(quantileExact(0.5)(assumeNotNull(mos))) AS median, toFloat64(quantileExactLow(0.05)(assumeNotNull(mos))) AS p5
FROM stream_intervals FINAL WHERE ${ofPage('ts')} AND mos IS NOT NULL
GROUP BY app_id, call_id, mos_model
ORDER BY app_id, call_id, intervals DESC, model
LIMIT 1 BY app_id, call_id ${FINAL}`;
export const mosRow = z.object({ ...key, model: z.string().nullable(), median: z.number(), p5: z.number() });

export const roundTripSql = `SELECT app_id, call_id, min(ts) AS started,
  if(count(rtt_ms) = 0, NULL, toFloat64(quantileTDigest(0.5)(toFloat32(rtt_ms)))) AS rtt
FROM connection_intervals FINAL WHERE ${ofPage('ts')}
GROUP BY app_id, call_id ${FINAL}`;
export const roundTripRow = z.object({ ...key, started: point, rtt: figure });

/** A connection has failed when it never connected and its set-up failed, or it ended. */
export const setupSql = `SELECT app_id, call_id, min(first) AS started,
  countIf(reached) AS connected, countIf(NOT reached AND gone) AS failed, quantileExactIf(0.5)(assumeNotNull(first_frame), first_frame IS NOT NULL) AS middle_frame, if(count(first_frame) = 0, NULL, middle_frame) AS first_frame_ms
FROM (
  SELECT app_id, call_id, connection_id, min(ts) AS first,
    countIf(type IN ('setup', 'connection_state') AND value = 'connected') > 0 AS reached,
    countIf((type = 'setup' AND value = 'failed') OR (type = 'connection_state' AND value IN ('failed', 'closed'))) > 0 AS gone,
    toFloat64(minIf(value_ms, type = 'first_frame')) AS first_frame
  FROM call_events FINAL WHERE ${ofPage('ts')}
  GROUP BY app_id, call_id, connection_id
)
GROUP BY app_id, call_id ${FINAL}`;
export const setupRow = z.object({
  ...key,
  started: point,
  connected: z.coerce.number(),
  failed: z.coerce.number(),
  first_frame_ms: figure,
});

/** Who was there: named participants, or else connections. */
export const participantsSql = `SELECT app_id, call_id,
  uniqExactIf(participant_id, participant_id != '') AS named, uniqExactIf(connection_id, connection_id != '') AS connections
FROM (
  SELECT app_id, call_id, participant_id, connection_id FROM connection_intervals WHERE ${ofPage('ts')}
  UNION ALL
  SELECT app_id, call_id, participant_id, connection_id FROM call_events WHERE ${ofPage('ts')}
  UNION ALL
  SELECT app_id, call_id, participant_id, '' AS connection_id FROM egress_samples WHERE ${ofPage('window_end')}
)
GROUP BY app_id, call_id`;
export const participantsRow = z.object({ ...key, named: z.coerce.number(), connections: z.coerce.number() });

/** Bytes sent to the call's clients: the highest reading of each object and peer class. */
export const carriedSql = `SELECT app_id, call_id, min(first) AS started,
  sumIf(bytes, meter = 'turn') AS relayed, sumIf(bytes, meter = 'sfu') AS sfu
FROM (
  SELECT app_id, call_id, meter, min(window_end) AS first, max(client_tx_bytes) AS bytes
  FROM egress_samples WHERE ${ofPage('window_end')}
  GROUP BY app_id, call_id, meter, server_id, boot_id, object_id, peer_class
)
GROUP BY app_id, call_id`;
export const carriedRow = z.object({ ...key, started: point, relayed: z.string(), sfu: z.string() });
