WITH
  fromUnixTimestamp64Milli({start:Int64}, 'UTC') AS period_start,
  fromUnixTimestamp64Milli({end:Int64}, 'UTC') AS period_end
SELECT
  app_id,
  names.1 AS meter,
  names.2 AS custom_id,
  names.3 AS call_id,
  names.4 AS participant_id,
  sum(egress) AS egress_bytes,
  sumIf(egress, meter = 'turn' AND peer_class = 'sfu') AS via_sfu_bytes,
  toUnixTimestamp64Milli(max(newest)) AS newest_ms
FROM
(
  SELECT
    app_id,
    peer_class,
    argMaxIf((toString(meter), custom_id, call_id, participant_id), seq, window_end > period_start) AS names,
    toUInt64(max(client_tx_bytes) - maxIf(client_tx_bytes, window_end <= period_start)) AS egress,
    max(window_end) AS newest
  FROM egress_samples
  WHERE window_end <= period_end
    AND object_id IN
    (
      SELECT object_id
      FROM egress_samples
      WHERE window_end > period_start AND window_end <= period_end
    )
  GROUP BY app_id, server_id, boot_id, object_id, peer_class
  HAVING newest > period_start
)
GROUP BY app_id, meter, custom_id, call_id, participant_id
ORDER BY app_id, meter, custom_id, call_id, participant_id
