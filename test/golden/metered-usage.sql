WITH
  fromUnixTimestamp64Milli({start:Int64}, 'UTC') AS period_start,
  fromUnixTimestamp64Milli({end:Int64}, 'UTC') AS period_end
SELECT
  app_id,
  latest_meter AS meter,
  latest_custom_id AS custom_id,
  latest_call_id AS call_id,
  latest_participant_id AS participant_id,
  sum(egress) AS egress_bytes,
  sumIf(egress, latest_meter = 'turn' AND peer_class = 'sfu') AS via_sfu_bytes,
  toUnixTimestamp64Milli(max(newest)) AS newest_ms
FROM
(
  SELECT
    app_id,
    peer_class,
    argMaxIf(toString(meter), seq, window_end > period_start) AS latest_meter,
    argMaxIf(custom_id, seq, window_end > period_start) AS latest_custom_id,
    argMaxIf(call_id, seq, window_end > period_start) AS latest_call_id,
    argMaxIf(participant_id, seq, window_end > period_start) AS latest_participant_id,
    toUInt64(max(client_tx_bytes) - maxIf(client_tx_bytes, window_end <= period_start)) AS egress,
    max(window_end) AS newest
  FROM egress_samples
  WHERE window_end <= period_end
    AND (app_id, server_id, boot_id, object_id) IN
    (
      SELECT app_id, server_id, boot_id, object_id
      FROM egress_samples
      WHERE window_end > period_start AND window_end <= period_end
    )
  GROUP BY app_id, server_id, boot_id, object_id, peer_class
  HAVING newest > period_start
)
GROUP BY app_id, meter, custom_id, call_id, participant_id
ORDER BY app_id, meter, custom_id, call_id, participant_id
