/**
 * The SQL of Trends: weeks and months from the rollups alone, which are kept for longer than the rows behind them. Quantiles come
 * from histograms that add up, so they are right to within a bucket over any range.
 */
import { histograms, quantileSql } from '../../collector/store/histogram.ts';
import type { Histogram } from '../../collector/store/histogram.ts';
import { tables } from '../../collector/store/tables.ts';
import type { PanelQuery } from './clickhouse-query.ts';
import { ofApps, series, table } from './queries.ts';

const minutes = `${tables.quality_minute.name} FINAL
WHERE $__timeFilter(minute) AND ${ofApps}`;
const hours = `${tables.egress_hour.name} FINAL
WHERE $__timeFilter(hour) AND ${ofApps}`;

function quantiles(column: string, histogram: Histogram, percentiles: readonly number[]): string {
  const one = (percent: number) => `${quantileSql(percent / 100, `sumForEach(${column})`, histogram)} AS p${percent}`;
  return percentiles.map(one).join(',\n  ');
}

const mos = quantiles('mos_histogram', histograms.mos, [50, 10]);
const success = 'sum(setups_connected) / sum(setups) AS success';

/** Apps of the range, in whatever was kept of it. */
export const trendAppQuery = `SELECT DISTINCT app_id FROM (
  SELECT app_id FROM ${tables.quality_minute.name} WHERE $__timeFilter(minute)
  UNION ALL SELECT app_id FROM ${tables.egress_hour.name} WHERE $__timeFilter(hour)
) ORDER BY app_id`;

export const trendQueries = {
  mosOfRange: table(`SELECT mos_model AS model, ${mos}
FROM ${minutes} AND mos_model != ''
GROUP BY model ORDER BY model`),

  successOfRange: table(`SELECT ${success}, toFloat64(sum(setups)) AS attempts
FROM ${minutes}
HAVING attempts > 0`),

  hoursOfRange: table(`SELECT sum(interval_ms) / 3600000 AS hours
FROM ${minutes} AND direction = ''`),

  bytesOfRange: table(`SELECT toFloat64(sum(egress_bytes)) AS bytes
FROM ${hours}`),

  mos: series(`SELECT $__timeInterval(minute) AS time, mos_model AS model, ${mos}
FROM ${minutes} AND mos_model != ''
GROUP BY time, model ORDER BY time, model`),

  loss: series(`SELECT $__timeInterval(minute) AS time, kind AS media,
  greatest(sum(packets_lost), 0) / greatest(sum(packets) + sum(packets_lost), 1) AS loss
FROM ${minutes} AND direction = 'inbound'
GROUP BY time, media HAVING sum(packets) > 0 OR sum(packets_lost) > 0 ORDER BY time, media`),

  jitter: series(`SELECT $__timeInterval(minute) AS time, kind AS media,
  ${quantiles('jitter_histogram', histograms.jitterMs, [50, 95])}
FROM ${minutes} AND direction = 'inbound'
GROUP BY time, media HAVING isNotNull(p50) ORDER BY time, media`),

  rtt: series(`SELECT $__timeInterval(minute) AS time,
  ${quantiles('rtt_histogram', histograms.rttMs, [50, 95])}
FROM ${minutes} AND direction = ''
GROUP BY time HAVING isNotNull(p50) ORDER BY time`),

  firstFrame: series(`SELECT $__timeInterval(minute) AS time,
  ${quantiles('first_frame_histogram', histograms.firstFrameMs, [50, 95])}
FROM ${minutes} AND direction = ''
GROUP BY time HAVING isNotNull(p50) ORDER BY time`),

  success: series(`SELECT $__timeInterval(minute) AS time, ${success}
FROM ${minutes}
GROUP BY time HAVING sum(setups) > 0 ORDER BY time`),

  concealed:
    series(`SELECT $__timeInterval(minute) AS time, sum(concealed_samples) / sum(total_samples_received) AS concealed
FROM ${minutes} AND direction = 'inbound' AND kind = 'audio'
GROUP BY time HAVING sum(total_samples_received) > 0 ORDER BY time`),

  freezes: series(`SELECT $__timeInterval(minute) AS time, sum(freeze_count) * 3600000 / sum(interval_ms) AS freezes
FROM ${minutes} AND direction = 'inbound' AND kind = 'video'
GROUP BY time HAVING sum(interval_ms) > 0 ORDER BY time`),

  egressByApp: series(`SELECT $__timeInterval(hour) AS time, app_id AS app, toFloat64(sum(egress_bytes)) AS bytes
FROM ${hours}
GROUP BY time, app ORDER BY time, app`),

  egressBySource: series(`SELECT $__timeInterval(hour) AS time, source, toFloat64(sum(egress_bytes)) AS bytes
FROM ${hours}
GROUP BY time, source ORDER BY time, source`),
} as const satisfies Record<string, PanelQuery>;
