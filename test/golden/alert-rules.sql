-- TurnpikePacketLossHigh
SELECT
  app_id AS app,
  100 * greatest(sum(assumeNotNull(packets_lost)), 0) / greatest(sum(assumeNotNull(packets)) + sum(assumeNotNull(packets_lost)), 1) AS value,
  count() AS samples
FROM stream_intervals FINAL
WHERE ts > fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND ts <= fromUnixTimestamp64Milli({to:Int64}, 'UTC') AND direction = 'inbound' AND packets IS NOT NULL AND packets_lost IS NOT NULL
GROUP BY app
HAVING sum(assumeNotNull(packets)) + sum(assumeNotNull(packets_lost)) >= 100
ORDER BY app;

-- TurnpikeJitterHigh
SELECT app_id AS app, quantileExact(0.75)(toFloat64(assumeNotNull(jitter_ms))) AS value, count() AS samples
FROM stream_intervals FINAL
WHERE ts > fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND ts <= fromUnixTimestamp64Milli({to:Int64}, 'UTC') AND direction = 'inbound' AND jitter_ms IS NOT NULL
GROUP BY app
ORDER BY app;

-- TurnpikeMosLow
SELECT app, argMax(of_model, (intervals, model)) AS value, max(intervals) AS samples
FROM
(
  SELECT
    app_id AS app,
    toString(mos_model) AS model,
    quantileExactLow(0.25)(toFloat64(assumeNotNull(mos))) AS of_model,
    count() AS intervals
  FROM stream_intervals FINAL
  WHERE ts > fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND ts <= fromUnixTimestamp64Milli({to:Int64}, 'UTC') AND direction = 'inbound' AND kind = 'audio' AND mos IS NOT NULL AND mos_model IS NOT NULL
  GROUP BY app, model
)
GROUP BY app
ORDER BY app;

-- TurnpikeConnectionSuccessLow
SELECT app_id AS app, 100 * countIf(value = 'connected') / count() AS value, count() AS samples
FROM call_events FINAL
WHERE ts > fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND ts <= fromUnixTimestamp64Milli({to:Int64}, 'UTC') AND type = 'setup'
GROUP BY app
ORDER BY app;

-- TurnpikeTimeToFirstFrameHigh
SELECT app_id AS app, quantileExact(0.75)(toFloat64(assumeNotNull(value_ms))) / 1000 AS value, count() AS samples
FROM call_events FINAL
WHERE ts > fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND ts <= fromUnixTimestamp64Milli({to:Int64}, 'UTC') AND type = 'first_frame' AND value_ms IS NOT NULL
GROUP BY app
ORDER BY app;
