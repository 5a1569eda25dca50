/**
 * The SQL behind every panel, as values with a name. Written for the macros of Grafana's ClickHouse plugin; tables carry
 * no database, the data source's default does.
 *
 * - Raw tables are read FINAL: a retried batch may lie in two parts until they merge.
 * - Byte counts stay integers through every sum and difference, and become Float64 (exact to 2^53, 9 PB) only in the last
 *   step, because a browser's numbers are that.
 * - Scores of different MOS models never meet in one aggregate: `mos_model` is always a label or a group.
 */
import { tables } from '../../collector/store/tables.ts';
import { allowanceSql } from './allowance-sql.ts';
import type { RateCard } from '../../billing/contract.ts';
import type { PanelQuery } from './clickhouse-query.ts';

const streams = `${tables.stream_intervals.name} FINAL`;
const connections = `${tables.connection_intervals.name} FINAL`;
const events = `${tables.call_events.name} FINAL`;
const readings = `${tables.egress_samples.name} FINAL`;
const alerts = `${tables.alerts.name} FINAL`;

export const ofApps = 'app_id IN (${app:sqlstring})';
const ofCall = `${ofApps} AND call_id = \${call:sqlstring}`;
/** A stream as a person names it. */
const streamLabel = "concat(participant_id, ' ', stream)";
/** Of inbound packets, late arrivals can make one interval's loss negative; a share below nothing is nothing. */
const lossRatio =
  'greatest(sum(assumeNotNull(packets_lost)), 0) / greatest(sum(assumeNotNull(packets)) + sum(assumeNotNull(packets_lost)), 1)';
const lossKnown = "direction = 'inbound' AND packets IS NOT NULL AND packets_lost IS NOT NULL";

/**
 * What relays sent in the range, from the view of differences. The view looks one reading back, so it cannot be cut by
 * time; naming the objects that were read in the range lets ClickHouse take them, and no others, by the sorting key.
 */
const egressOf = (whose: string): string => `egress
WHERE $__timeFilter(window_end) AND ${whose} AND meter = 'turn' AND (app_id, server_id, boot_id, object_id) IN (
  SELECT app_id, server_id, boot_id, object_id FROM ${tables.egress_samples.name}
  WHERE $__timeFilter(window_end) AND ${whose})`;

export const series = (sql: string): PanelQuery => ({ shape: 'timeseries', sql });
export const table = (sql: string): PanelQuery => ({ shape: 'table', sql });

/** What the variables list. */
export const variableQueries = {
  app: `SELECT DISTINCT app_id FROM (
  SELECT app_id FROM ${tables.connection_intervals.name} WHERE $__timeFilter(ts)
  UNION ALL SELECT app_id FROM ${tables.egress_samples.name} WHERE $__timeFilter(window_end)
) ORDER BY app_id`,
  call: `SELECT call_id FROM (
  SELECT call_id, ts FROM ${tables.connection_intervals.name} WHERE $__timeFilter(ts) AND ${ofApps} AND call_id != ''
  UNION ALL SELECT call_id, window_end AS ts FROM ${tables.egress_samples.name} WHERE $__timeFilter(window_end) AND ${ofApps} AND call_id != ''
) GROUP BY call_id ORDER BY max(ts) DESC LIMIT 500`,
} as const;

/** Overview. The card decides what the month's bytes are held against and cost. */
export function overviewQueries(card: RateCard) {
  return {
    /** Calls of which something was reported or relayed in the 20 seconds before the end of the range. */
    callsNow: table(`SELECT toFloat64(uniqExact(app_id, call_id)) AS calls FROM (
  SELECT app_id, call_id FROM ${connections} WHERE ts > $__toTime - INTERVAL 20 SECOND AND ts <= $__toTime
  UNION ALL
  SELECT app_id, call_id FROM ${readings} WHERE window_end > $__toTime - INTERVAL 40 SECOND AND window_end <= $__toTime
  GROUP BY app_id, call_id, server_id, boot_id, object_id, peer_class
  HAVING max(window_end) > $__toTime - INTERVAL 20 SECOND AND max(client_tx_bytes) > if(count() = 1, 0, min(client_tx_bytes))
) WHERE ${ofApps} AND call_id != ''`),

    mos: series(`SELECT $__timeInterval(ts) AS time, toString(mos_model) AS model,
  quantile(0.5)(toFloat64(mos)) AS p50, quantile(0.05)(toFloat64(mos)) AS p5
FROM ${streams}
WHERE $__timeFilter(ts) AND ${ofApps} AND mos IS NOT NULL
GROUP BY time, model ORDER BY time, model`),

    mosNow: table(`SELECT toString(mos_model) AS model,
  quantile(0.5)(toFloat64(mos)) AS p50, quantile(0.05)(toFloat64(mos)) AS p5
FROM ${streams}
WHERE $__timeFilter(ts) AND ${ofApps} AND mos IS NOT NULL
GROUP BY model ORDER BY model`),

    loss: series(`SELECT $__timeInterval(ts) AS time, toString(kind) AS media, ${lossRatio} AS loss
FROM ${streams}
WHERE $__timeFilter(ts) AND ${ofApps} AND ${lossKnown}
GROUP BY time, media ORDER BY time, media`),

    jitter: series(`SELECT $__timeInterval(ts) AS time, toString(kind) AS media,
  quantile(0.5)(toFloat64(jitter_ms)) AS p50, quantile(0.95)(toFloat64(jitter_ms)) AS p95
FROM ${streams}
WHERE $__timeFilter(ts) AND ${ofApps} AND direction = 'inbound' AND jitter_ms IS NOT NULL
GROUP BY time, media ORDER BY time, media`),

    rtt: series(`SELECT $__timeInterval(ts) AS time,
  quantile(0.5)(toFloat64(rtt_ms)) AS p50, quantile(0.95)(toFloat64(rtt_ms)) AS p95
FROM ${connections}
WHERE $__timeFilter(ts) AND ${ofApps} AND rtt_ms IS NOT NULL
GROUP BY time ORDER BY time`),

    setupSuccess:
      table(`SELECT countIf(value = 'connected') / greatest(count(), 1) AS success, toFloat64(count()) AS setups
FROM ${events}
WHERE $__timeFilter(ts) AND ${ofApps} AND type = 'setup'
HAVING count() > 0`),

    timeToFirstFrame: series(`SELECT $__timeInterval(ts) AS time,
  quantile(0.5)(toFloat64(value_ms)) AS p50, quantile(0.95)(toFloat64(value_ms)) AS p95
FROM ${events}
WHERE $__timeFilter(ts) AND ${ofApps} AND type = 'first_frame' AND value_ms IS NOT NULL
GROUP BY time ORDER BY time`),

    relayedBytes:
      series(`SELECT $__timeInterval(window_end) AS time, peer_class AS class, toFloat64(sum(egress_bytes)) AS bytes
FROM ${egressOf(ofApps)}
GROUP BY time, class ORDER BY time, class`),

    monthEgress: table(`SELECT toFloat64(billable_bytes) AS egress, toFloat64(used_ratio) AS used
FROM (${allowanceSql(card)})`),

    monthCost: table(`SELECT toFloat64(cost) AS cost FROM (${allowanceSql(card)})`),

    alerts:
      table(`SELECT ts AS since, toString(state) AS state, severity, rule, app_id AS app, value, threshold, summary
FROM (SELECT * FROM ${alerts}
  WHERE $__timeFilter(ts) AND (${ofApps} OR app_id = '')
  ORDER BY ts DESC, state DESC LIMIT 1 BY rule, fingerprint)
ORDER BY indexOf(['firing', 'pending', 'resolved'], toString(state)), since DESC, rule LIMIT 100`),

    /** Calls in the order of their worst moments; one row a model, as scores of two models are not compared. */
    worstCalls: table(`SELECT call_id AS call, app_id AS app, toString(mos_model) AS model,
  quantile(0.05)(toFloat64(mos)) AS "MOS p5", quantile(0.5)(toFloat64(mos)) AS "MOS p50",
  if(sum(packets) IS NULL, NULL, greatest(sum(packets_lost), 0) / greatest(sum(packets) + sum(packets_lost), 1)) AS loss,
  toFloat64(uniqExact(participant_id)) AS participants, max(ts) AS "last seen"
FROM ${streams}
WHERE $__timeFilter(ts) AND ${ofApps} AND mos IS NOT NULL AND call_id != ''
GROUP BY call, app, model ORDER BY "MOS p5", call LIMIT 20`),
  } as const;
}

/** One call. Every series is one stream or one connection; a wide range takes the median of each interval. */
export const callQueries = {
  mosNow: table(`SELECT toString(mos_model) AS model,
  quantile(0.5)(toFloat64(mos)) AS p50, quantile(0.05)(toFloat64(mos)) AS p5
FROM ${streams}
WHERE $__timeFilter(ts) AND ${ofCall} AND mos IS NOT NULL
GROUP BY model ORDER BY model`),

  loss: table(`SELECT ${lossRatio} AS loss
FROM ${streams}
WHERE $__timeFilter(ts) AND ${ofCall} AND ${lossKnown}
HAVING count() > 0`),

  timeToFirstFrame: table(`SELECT max(toFloat64(value_ms)) AS slowest
FROM ${events}
WHERE $__timeFilter(ts) AND ${ofCall} AND type = 'first_frame' AND value_ms IS NOT NULL
HAVING count() > 0`),

  relayedTotal: table(`SELECT toFloat64(sum(egress_bytes)) AS bytes
FROM ${egressOf(ofCall)}`),

  mos: series(`SELECT $__timeInterval(ts) AS time, toString(mos_model) AS model, ${streamLabel} AS source,
  quantile(0.5)(toFloat64(mos)) AS score
FROM ${streams}
WHERE $__timeFilter(ts) AND ${ofCall} AND mos IS NOT NULL
GROUP BY time, model, source ORDER BY time, source, model`),

  lossByStream: series(`SELECT $__timeInterval(ts) AS time, ${streamLabel} AS source, ${lossRatio} AS loss
FROM ${streams}
WHERE $__timeFilter(ts) AND ${ofCall} AND ${lossKnown}
GROUP BY time, source ORDER BY time, source`),

  jitter:
    series(`SELECT $__timeInterval(ts) AS time, ${streamLabel} AS source, quantile(0.5)(toFloat64(jitter_ms)) AS jitter
FROM ${streams}
WHERE $__timeFilter(ts) AND ${ofCall} AND direction = 'inbound' AND jitter_ms IS NOT NULL
GROUP BY time, source ORDER BY time, source`),

  rtt: series(`SELECT $__timeInterval(ts) AS time, participant_id AS participant, connection_id AS connection,
  quantile(0.5)(toFloat64(rtt_ms)) AS rtt
FROM ${connections}
WHERE $__timeFilter(ts) AND ${ofCall} AND rtt_ms IS NOT NULL
GROUP BY time, participant, connection ORDER BY time, participant, connection`),

  bitrate: series(`SELECT $__timeInterval(ts) AS time, ${streamLabel} AS source,
  toFloat64(sum(assumeNotNull(bytes))) * 8000 / greatest(sum(interval_ms), 1) AS bitrate
FROM ${streams}
WHERE $__timeFilter(ts) AND ${ofCall} AND bytes IS NOT NULL
GROUP BY time, source ORDER BY time, source`),

  frameRate:
    series(`SELECT $__timeInterval(ts) AS time, ${streamLabel} AS source, quantile(0.5)(toFloat64(frames_per_second)) AS fps
FROM ${streams}
WHERE $__timeFilter(ts) AND ${ofCall} AND kind = 'video' AND frames_per_second IS NOT NULL
GROUP BY time, source ORDER BY time, source`),

  freezes:
    series(`SELECT $__timeInterval(ts) AS time, ${streamLabel} AS source, toFloat64(sum(assumeNotNull(freeze_count))) AS freezes
FROM ${streams}
WHERE $__timeFilter(ts) AND ${ofCall} AND kind = 'video' AND direction = 'inbound' AND freeze_count IS NOT NULL
GROUP BY time, source ORDER BY time, source`),

  relayedBytes: series(`SELECT $__timeInterval(window_end) AS time, participant_id AS participant, peer_class AS class,
  toFloat64(sum(egress_bytes)) AS bytes
FROM ${egressOf(ofCall)}
GROUP BY time, participant, class ORDER BY time, participant, class`),

  events:
    table(`SELECT ts AS time, participant_id AS participant, type AS event, value, toFloat64(value_ms) AS duration, detail
FROM ${events}
WHERE $__timeFilter(ts) AND ${ofCall}
ORDER BY ts, connection_id, batch_seq, sample_index LIMIT 1000`),
} as const;
