CREATE TABLE IF NOT EXISTS turnpike.schema_migrations (version UInt32, name String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')) ENGINE = ReplacingMergeTree ORDER BY version;

CREATE TABLE IF NOT EXISTS turnpike.stream_intervals (
  app_id LowCardinality(String) COMMENT 'App that owns the call.',
  call_id String COMMENT 'Call, as the report token or else the report names it.',
  participant_id String COMMENT 'Participant, likewise.',
  connection_id String COMMENT 'One RTCPeerConnection; empty for an event of the page and of none of them.',
  ts DateTime64(3, 'UTC') COMMENT 'End of the interval on the collector\'s clock: client clock + the offset in the batch.' CODEC(Delta, ZSTD(1)),
  batch_seq UInt32 COMMENT 'Sequence number of the batch within the connection. In formats without one 0, for events a number made of what they say.' CODEC(Delta, ZSTD(1)),
  sample_index UInt16 COMMENT 'Index of the sample (or event) within the batch.' CODEC(Delta, ZSTD(1)),
  stream String COMMENT 'Stream within the connection: direction/kind/ssrc.',
  interval_ms UInt32 COMMENT 'Length of the interval in milliseconds.' CODEC(T64, ZSTD(1)),
  direction Enum8('inbound' = 1, 'outbound' = 2) COMMENT 'Seen from the client.',
  kind Enum8('audio' = 1, 'video' = 2) COMMENT 'Kind of media.',
  ssrc UInt32 COMMENT 'RTP synchronisation source.',
  codec LowCardinality(Nullable(String)) COMMENT 'Codec, the mimeType after the slash.',
  packets Nullable(UInt64) COMMENT 'Packets received (inbound) or sent (outbound).' CODEC(T64, ZSTD(1)),
  packets_lost Nullable(Int64) COMMENT 'Packets lost as RTCP counts them; may be negative when late packets arrive.' CODEC(T64, ZSTD(1)),
  packets_discarded Nullable(UInt64) COMMENT 'Packets discarded by the jitter buffer.' CODEC(T64, ZSTD(1)),
  bytes Nullable(UInt64) COMMENT 'Payload bytes received or sent.' CODEC(T64, ZSTD(1)),
  header_bytes Nullable(UInt64) COMMENT 'RTP header and padding bytes.' CODEC(T64, ZSTD(1)),
  retransmitted_packets Nullable(UInt64) COMMENT 'Packets received or sent again (RTX).' CODEC(T64, ZSTD(1)),
  nack_count Nullable(UInt64) COMMENT 'NACKs sent (inbound) or received (outbound).' CODEC(T64, ZSTD(1)),
  pli_count Nullable(UInt64) COMMENT 'Picture loss indications.' CODEC(T64, ZSTD(1)),
  jitter_ms Nullable(Decimal32(2)) COMMENT 'Interarrival jitter, milliseconds (RFC 3550).' CODEC(T64, ZSTD(1)),
  rtt_ms Nullable(Decimal32(2)) COMMENT 'Round trip of the RTP stream by RTCP, milliseconds.' CODEC(T64, ZSTD(1)),
  jitter_buffer_ms Nullable(Decimal32(2)) COMMENT 'Mean time that samples spent in the jitter buffer, milliseconds.' CODEC(T64, ZSTD(1)),
  concealed_samples Nullable(UInt64) COMMENT 'Audio samples synthesised in place of lost ones.' CODEC(T64, ZSTD(1)),
  silent_concealed_samples Nullable(UInt64) COMMENT 'Those of them that were silence.' CODEC(T64, ZSTD(1)),
  total_samples_received Nullable(UInt64) COMMENT 'Audio samples played out.' CODEC(T64, ZSTD(1)),
  audio_level Nullable(Decimal32(4)) COMMENT 'RMS level over the interval, 0 to 1.' CODEC(T64, ZSTD(1)),
  mos Nullable(Decimal32(3)) COMMENT 'Mean opinion score, 1 to 4.5; inbound audio only.' CODEC(T64, ZSTD(1)),
  mos_model LowCardinality(Nullable(String)) COMMENT 'Model behind mos; scores of different models are never averaged.',
  r_factor Nullable(Decimal32(2)) COMMENT 'Rating on 0 to 100 behind mos.' CODEC(T64, ZSTD(1)),
  frames Nullable(UInt64) COMMENT 'Video frames decoded or encoded.' CODEC(T64, ZSTD(1)),
  frames_dropped Nullable(UInt64) COMMENT 'Video frames received but not rendered.' CODEC(T64, ZSTD(1)),
  frames_per_second Nullable(Decimal32(2)) COMMENT 'Frames per second over the interval.' CODEC(T64, ZSTD(1)),
  frame_width Nullable(UInt16) COMMENT 'Pixels.' CODEC(T64, ZSTD(1)),
  frame_height Nullable(UInt16) COMMENT 'Pixels.' CODEC(T64, ZSTD(1)),
  freeze_count Nullable(UInt64) COMMENT 'Freezes that began in the interval.' CODEC(T64, ZSTD(1)),
  freeze_ms Nullable(Decimal32(1)) COMMENT 'Time frozen, milliseconds.' CODEC(T64, ZSTD(1)),
  fraction_lost Nullable(Decimal32(4)) COMMENT 'Outbound: share lost as the receiver reports, 0 to 1.' CODEC(T64, ZSTD(1)),
  target_bitrate Nullable(UInt64) COMMENT 'Outbound: encoder target, bits per second.' CODEC(T64, ZSTD(1)),
  quality_limitation_reason LowCardinality(Nullable(String)) COMMENT 'Outbound video: none, cpu, bandwidth, other.',
  stored_at DateTime64(3, 'UTC') MATERIALIZED now64(3, 'UTC') COMMENT 'When the store took the row; of a repeated row the last time. `SELECT *` leaves it out.' CODEC(Delta, ZSTD(1)),
  INDEX stored_at_range stored_at TYPE minmax GRANULARITY 1
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(ts)
ORDER BY (app_id, toStartOfHour(ts), call_id, connection_id, stream, ts, batch_seq, sample_index)
TTL toDateTime(ts) + toIntervalDay(30)
SETTINGS ttl_only_drop_parts = 1
COMMENT 'One RTP stream, one interval: differences between two getStats samples. NULL = the browser did not deliver the member.';

CREATE TABLE IF NOT EXISTS turnpike.connection_intervals (
  app_id LowCardinality(String) COMMENT 'App that owns the call.',
  call_id String COMMENT 'Call, as the report token or else the report names it.',
  participant_id String COMMENT 'Participant, likewise.',
  connection_id String COMMENT 'One RTCPeerConnection; empty for an event of the page and of none of them.',
  ts DateTime64(3, 'UTC') COMMENT 'End of the interval on the collector\'s clock: client clock + the offset in the batch.' CODEC(Delta, ZSTD(1)),
  batch_seq UInt32 COMMENT 'Sequence number of the batch within the connection. In formats without one 0, for events a number made of what they say.' CODEC(Delta, ZSTD(1)),
  sample_index UInt16 COMMENT 'Index of the sample (or event) within the batch.' CODEC(Delta, ZSTD(1)),
  interval_ms UInt32 COMMENT 'Length of the interval in milliseconds.' CODEC(T64, ZSTD(1)),
  rtt_ms Nullable(Decimal32(2)) COMMENT 'Mean STUN round trip over the interval, milliseconds.' CODEC(T64, ZSTD(1)),
  bytes_sent Nullable(UInt64) COMMENT 'Bytes sent on the selected pair.' CODEC(T64, ZSTD(1)),
  bytes_received Nullable(UInt64) COMMENT 'Bytes received on the selected pair.' CODEC(T64, ZSTD(1)),
  packets_sent Nullable(UInt64) COMMENT 'Packets sent on the selected pair.' CODEC(T64, ZSTD(1)),
  packets_received Nullable(UInt64) COMMENT 'Packets received on the selected pair.' CODEC(T64, ZSTD(1)),
  available_outgoing_bitrate Nullable(UInt64) COMMENT 'Congestion controller’s estimate, bits per second.' CODEC(T64, ZSTD(1)),
  local_candidate_type LowCardinality(Nullable(String)) COMMENT 'host, srflx, prflx, relay.',
  remote_candidate_type LowCardinality(Nullable(String)) COMMENT 'host, srflx, prflx, relay.',
  protocol LowCardinality(Nullable(String)) COMMENT 'udp or tcp, of the local candidate.',
  relay_protocol LowCardinality(Nullable(String)) COMMENT 'Transport to the TURN server: udp, tcp, tls.',
  relay_host LowCardinality(Nullable(String)) COMMENT 'Host of the TURN server in use.',
  network_type LowCardinality(Nullable(String)) COMMENT 'wifi, cellular, … where the browser says.',
  dtls_state LowCardinality(Nullable(String)) COMMENT 'State of the DTLS transport.',
  ice_state LowCardinality(Nullable(String)) COMMENT 'State of the ICE transport.',
  pair_state LowCardinality(Nullable(String)) COMMENT 'State of the selected candidate pair.',
  client_network LowCardinality(Nullable(String)) COMMENT 'Network of the client (collector.privacy.addresses): its /24 or /48, or a hash of its address for a day.',
  client_country LowCardinality(Nullable(String)) COMMENT 'Country of its address, ISO 3166-1, where there is a database (collector.privacy.geoDatabase).',
  client_region LowCardinality(Nullable(String)) COMMENT 'First subdivision of that country, ISO 3166-2.',
  client_asn Nullable(UInt32) COMMENT 'Autonomous system of its address, where there is a database (collector.privacy.asnDatabase).' CODEC(T64, ZSTD(1)),
  client_as_name LowCardinality(Nullable(String)) COMMENT 'Who runs that system.',
  clock_offset_ms Nullable(Int64) COMMENT 'Collector\'s clock less the client\'s, milliseconds. As the SDK learnt it, and ts is corrected by it; of formats that say none, as their live messages arrived, at most, and ts is the client\'s.' CODEC(T64, ZSTD(1)),
  stored_at DateTime64(3, 'UTC') MATERIALIZED now64(3, 'UTC') COMMENT 'When the store took the row; of a repeated row the last time. `SELECT *` leaves it out.' CODEC(Delta, ZSTD(1)),
  INDEX stored_at_range stored_at TYPE minmax GRANULARITY 1
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(ts)
ORDER BY (app_id, toStartOfHour(ts), call_id, connection_id, ts, batch_seq, sample_index)
TTL toDateTime(ts) + toIntervalDay(30)
SETTINGS ttl_only_drop_parts = 1
COMMENT 'One peer connection, one interval: its selected candidate pair and transport.';

CREATE TABLE IF NOT EXISTS turnpike.call_events (
  app_id LowCardinality(String) COMMENT 'App that owns the call.',
  call_id String COMMENT 'Call, as the report token or else the report names it.',
  participant_id String COMMENT 'Participant, likewise.',
  connection_id String COMMENT 'One RTCPeerConnection; empty for an event of the page and of none of them.',
  ts DateTime64(3, 'UTC') COMMENT 'End of the interval on the collector\'s clock: client clock + the offset in the batch.' CODEC(Delta, ZSTD(1)),
  batch_seq UInt32 COMMENT 'Sequence number of the batch within the connection. In formats without one 0, for events a number made of what they say.' CODEC(Delta, ZSTD(1)),
  sample_index UInt16 COMMENT 'Index of the sample (or event) within the batch.' CODEC(Delta, ZSTD(1)),
  type LowCardinality(String) COMMENT 'Event name: connection_state, ice_state, setup, first_frame, track, device, …',
  value Nullable(String) COMMENT 'New state, track kind, error code.',
  value_ms Nullable(Decimal32(1)) COMMENT 'Duration where the event is one, milliseconds.' CODEC(T64, ZSTD(1)),
  detail String COMMENT 'Further members as a JSON object; empty object when none.',
  stored_at DateTime64(3, 'UTC') MATERIALIZED now64(3, 'UTC') COMMENT 'When the store took the row; of a repeated row the last time. `SELECT *` leaves it out.' CODEC(Delta, ZSTD(1)),
  INDEX stored_at_range stored_at TYPE minmax GRANULARITY 1
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(ts)
ORDER BY (app_id, toStartOfHour(ts), call_id, connection_id, ts, batch_seq, sample_index)
TTL toDateTime(ts) + toIntervalDay(30)
SETTINGS ttl_only_drop_parts = 1
COMMENT 'What happened between samples: states, candidates, tracks, devices, set-up results, first frames.';

CREATE TABLE IF NOT EXISTS turnpike.egress_samples (
  app_id LowCardinality(String) COMMENT 'App that is charged.',
  meter Enum8('turn' = 1, 'sfu' = 2) COMMENT 'What was metered.',
  source LowCardinality(String) COMMENT 'turnpike for our relays, else the name of the SFU source.',
  server_id LowCardinality(String) COMMENT 'Server that counted.',
  boot_id String COMMENT 'Run of that server; a counter restarts only with a new one.',
  object_id String COMMENT 'Allocation (UUIDv7), or the SFU’s object.',
  peer_class LowCardinality(String) COMMENT 'internet, own_relay, sfu; control = STUN answers; none = an SFU source.',
  seq UInt64 COMMENT 'Rises with every reading of the object.' CODEC(Delta, ZSTD(1)),
  window_end DateTime64(3, 'UTC') COMMENT 'When the counters were read, on the counting server’s clock.' CODEC(Delta, ZSTD(1)),
  key_id LowCardinality(String) COMMENT 'TURN key; empty for SFUs.',
  custom_id String COMMENT 'customIdentifier of the credential.',
  call_id String COMMENT 'Call of the credential.',
  participant_id String COMMENT 'Participant of the credential.',
  transport LowCardinality(String) COMMENT 'udp, tcp, tls; empty for SFUs.',
  client_family UInt8 COMMENT '4 or 6; 0 for SFUs.',
  relay_family UInt8 COMMENT '4 or 6; 0 for SFUs.',
  final Bool COMMENT 'Last reading of the object in this boot.',
  client_rx_bytes UInt64 COMMENT 'Cumulative bytes, client rx; egress is client tx.' CODEC(Delta, ZSTD(1)),
  client_rx_packets UInt64 COMMENT 'Cumulative packets, client rx.' CODEC(Delta, ZSTD(1)),
  client_tx_bytes UInt64 COMMENT 'Cumulative bytes, client tx; egress is client tx.' CODEC(Delta, ZSTD(1)),
  client_tx_packets UInt64 COMMENT 'Cumulative packets, client tx.' CODEC(Delta, ZSTD(1)),
  peer_rx_bytes UInt64 COMMENT 'Cumulative bytes, peer rx; egress is client tx.' CODEC(Delta, ZSTD(1)),
  peer_rx_packets UInt64 COMMENT 'Cumulative packets, peer rx.' CODEC(Delta, ZSTD(1)),
  peer_tx_bytes UInt64 COMMENT 'Cumulative bytes, peer tx; egress is client tx.' CODEC(Delta, ZSTD(1)),
  peer_tx_packets UInt64 COMMENT 'Cumulative packets, peer tx.' CODEC(Delta, ZSTD(1)),
  stored_at DateTime64(3, 'UTC') MATERIALIZED now64(3, 'UTC') COMMENT 'When the store took the row; of a repeated row the last time. `SELECT *` leaves it out.' CODEC(Delta, ZSTD(1)),
  INDEX stored_at_range stored_at TYPE minmax GRANULARITY 1
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(window_end)
ORDER BY (app_id, server_id, boot_id, object_id, peer_class, seq)
TTL toDateTime(window_end) + toIntervalDay(400)
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'Cumulative readings of relays and SFUs, append-only. Usage of a period = highest total in it minus highest total before it, per object and class.';

CREATE TABLE IF NOT EXISTS turnpike.alerts (
  ts DateTime64(3, 'UTC') COMMENT 'When the state changed.' CODEC(Delta, ZSTD(1)),
  rule LowCardinality(String) COMMENT 'Name of the rule.',
  fingerprint String COMMENT 'Identity of the alert: rule and labels.',
  state Enum8('pending' = 1, 'firing' = 2, 'resolved' = 3) COMMENT 'New state.',
  severity LowCardinality(String) COMMENT 'warning or critical.',
  app_id LowCardinality(String) COMMENT 'App concerned; empty when the rule looks at all.',
  value Float64 COMMENT 'Measured value that decided.',
  threshold Float64 COMMENT 'Threshold it was held against.',
  samples UInt64 COMMENT 'Rows behind the value.',
  summary String COMMENT 'One sentence for a person.'
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (rule, fingerprint, ts, state)
TTL toDateTime(ts) + toIntervalDay(400)
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'Every change of state of an alert: pending, firing, resolved.';

CREATE TABLE IF NOT EXISTS turnpike.control (
  app_id LowCardinality(String) COMMENT 'App that decided it.',
  kind LowCardinality(String) COMMENT 'What it is: revocation, erasure, erasure_in_call.',
  subject String COMMENT 'Whom it concerns: the username of a revoked credential, the name that stands for an erased participant.',
  changed_at DateTime64(3, 'UTC') COMMENT 'When it was decided.' CODEC(Delta, ZSTD(1)),
  in_force_until DateTime64(3, 'UTC') COMMENT 'When it may be forgotten: a revocation two days after the credential has expired, an erasure when no row of before can come any more.' CODEC(Delta, ZSTD(1))
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(in_force_until)
ORDER BY (app_id, kind, subject)
TTL toDateTime(in_force_until) + toIntervalDay(30)
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'What was decided and must be remembered: revocations, which relays are told, and erasures.';

CREATE TABLE IF NOT EXISTS turnpike.quality_minute (
  minute DateTime('UTC') COMMENT 'Minute in which the intervals ended and the events happened.' CODEC(Delta, ZSTD(1)),
  app_id LowCardinality(String) COMMENT 'App that owns the calls.',
  direction LowCardinality(String) COMMENT 'inbound or outbound, seen from the client; empty: not of a stream.',
  kind LowCardinality(String) COMMENT 'audio or video; empty: not of a stream.',
  mos_model LowCardinality(String) COMMENT 'Model that scored the intervals; empty where none did.',
  intervals UInt64 COMMENT 'Intervals of streams, or of connections.' CODEC(T64, ZSTD(1)),
  interval_ms UInt64 COMMENT 'Their length together, milliseconds.' CODEC(T64, ZSTD(1)),
  bytes UInt64 COMMENT 'Payload bytes received or sent.' CODEC(T64, ZSTD(1)),
  packets UInt64 COMMENT 'Packets of intervals that know their loss as well.' CODEC(T64, ZSTD(1)),
  packets_lost Int64 COMMENT 'Packets lost in those.' CODEC(T64, ZSTD(1)),
  concealed_samples UInt64 COMMENT 'Audio samples synthesised in place of lost ones.' CODEC(T64, ZSTD(1)),
  total_samples_received UInt64 COMMENT 'Audio samples played out.' CODEC(T64, ZSTD(1)),
  freeze_count UInt64 COMMENT 'Freezes of video that began.' CODEC(T64, ZSTD(1)),
  setups UInt64 COMMENT 'Connection set-ups that ended.' CODEC(T64, ZSTD(1)),
  setups_connected UInt64 COMMENT 'Those of them that connected.' CODEC(T64, ZSTD(1)),
  mos_histogram Array(UInt64) COMMENT 'Intervals by MOS: counts up to 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2, 2.1, 2.2, 2.3, 2.4, 2.5, 2.6, 2.7, 2.8, 2.9, 3, 3.1, 3.2, 3.3, 3.4, 3.5, 3.6, 3.7, 3.8, 3.9, 4, 4.1, 4.2, 4.3, 4.4, 4.5, 4.6, 4.7, 4.8, 4.9, 5, and above.' CODEC(ZSTD(1)),
  jitter_histogram Array(UInt64) COMMENT 'Intervals by jitter, milliseconds: counts up to 0.5, 1, 2, 3, 4, 5, 7.5, 10, 12.5, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200, 300, 500, 1000, and above.' CODEC(ZSTD(1)),
  rtt_histogram Array(UInt64) COMMENT 'Intervals of connections by round-trip time, milliseconds: counts up to 1, 2, 5, 10, 15, 20, 30, 40, 50, 60, 75, 100, 125, 150, 175, 200, 250, 300, 400, 500, 750, 1000, 2000, 5000, and above.' CODEC(ZSTD(1)),
  first_frame_histogram Array(UInt64) COMMENT 'First frames by the time they took, milliseconds: counts up to 100, 200, 300, 400, 500, 600, 700, 800, 1000, 1250, 1500, 1750, 2000, 2500, 3000, 4000, 5000, 7500, 10000, 15000, 30000, and above.' CODEC(ZSTD(1)),
  rolled_at DateTime64(3, 'UTC') COMMENT 'When the raw rows behind it were read; the newest is the row.' CODEC(Delta, ZSTD(1)),
  is_gone UInt8 COMMENT '1 when a later look found no raw rows any more.'
) ENGINE = ReplacingMergeTree(rolled_at, is_gone)
PARTITION BY toYYYYMM(minute)
ORDER BY (minute, app_id, direction, kind, mos_model)
TTL toDateTime(minute) + toIntervalDay(400)
SETTINGS ttl_only_drop_parts = 1
COMMENT 'What was reported in each minute, by app, direction, kind and MOS model; connections and events, which have none of the three, in rows where they are empty. Read it FINAL.';

CREATE TABLE IF NOT EXISTS turnpike.egress_hour (
  hour DateTime('UTC') COMMENT 'Beginning of the hour.' CODEC(Delta, ZSTD(1)),
  app_id LowCardinality(String) COMMENT 'App that is charged.',
  meter Enum8('turn' = 1, 'sfu' = 2) COMMENT 'What was metered.',
  source LowCardinality(String) COMMENT 'turnpike for our relays, else the name of the SFU source.',
  peer_class LowCardinality(String) COMMENT 'As in egress_samples.',
  readings UInt64 COMMENT 'Readings behind the sums.' CODEC(T64, ZSTD(1)),
  egress_bytes UInt64 COMMENT 'Bytes sent to clients.' CODEC(T64, ZSTD(1)),
  egress_packets UInt64 COMMENT 'Packets sent to clients.' CODEC(T64, ZSTD(1)),
  ingress_bytes UInt64 COMMENT 'Bytes received from clients.' CODEC(T64, ZSTD(1)),
  rolled_at DateTime64(3, 'UTC') COMMENT 'When the raw rows behind it were read; the newest is the row.' CODEC(Delta, ZSTD(1)),
  is_gone UInt8 COMMENT '1 when a later look found no raw rows any more.'
) ENGINE = ReplacingMergeTree(rolled_at, is_gone)
PARTITION BY toYYYYMM(hour)
ORDER BY (hour, app_id, meter, source, peer_class)
TTL toDateTime(hour) + toIntervalDay(1200)
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'What was carried in each hour, by app, meter, source and class of peer: sums of the view egress. A reading at the exact hour belongs to the hour before. Read it FINAL.';

CREATE TABLE IF NOT EXISTS turnpike.control (
  app_id LowCardinality(String) COMMENT 'App that decided it.',
  kind LowCardinality(String) COMMENT 'What it is: revocation, erasure, erasure_in_call.',
  subject String COMMENT 'Whom it concerns: the username of a revoked credential, the name that stands for an erased participant.',
  changed_at DateTime64(3, 'UTC') COMMENT 'When it was decided.' CODEC(Delta, ZSTD(1)),
  in_force_until DateTime64(3, 'UTC') COMMENT 'When it may be forgotten: a revocation two days after the credential has expired, an erasure when no row of before can come any more.' CODEC(Delta, ZSTD(1))
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(in_force_until)
ORDER BY (app_id, kind, subject)
TTL toDateTime(in_force_until) + toIntervalDay(30)
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'What was decided and must be remembered: revocations, which relays are told, and erasures.';

ALTER TABLE turnpike.stream_intervals ADD COLUMN IF NOT EXISTS stored_at DateTime64(3, 'UTC') MATERIALIZED now64(3, 'UTC') COMMENT 'When the store took the row; of a repeated row the last time. `SELECT *` leaves it out.' CODEC(Delta, ZSTD(1));

ALTER TABLE turnpike.stream_intervals MATERIALIZE COLUMN stored_at SETTINGS mutations_sync = 2;

ALTER TABLE turnpike.stream_intervals ADD INDEX IF NOT EXISTS stored_at_range stored_at TYPE minmax GRANULARITY 1;

ALTER TABLE turnpike.connection_intervals ADD COLUMN IF NOT EXISTS stored_at DateTime64(3, 'UTC') MATERIALIZED now64(3, 'UTC') COMMENT 'When the store took the row; of a repeated row the last time. `SELECT *` leaves it out.' CODEC(Delta, ZSTD(1));

ALTER TABLE turnpike.connection_intervals MATERIALIZE COLUMN stored_at SETTINGS mutations_sync = 2;

ALTER TABLE turnpike.connection_intervals ADD INDEX IF NOT EXISTS stored_at_range stored_at TYPE minmax GRANULARITY 1;

ALTER TABLE turnpike.call_events ADD COLUMN IF NOT EXISTS stored_at DateTime64(3, 'UTC') MATERIALIZED now64(3, 'UTC') COMMENT 'When the store took the row; of a repeated row the last time. `SELECT *` leaves it out.' CODEC(Delta, ZSTD(1));

ALTER TABLE turnpike.call_events MATERIALIZE COLUMN stored_at SETTINGS mutations_sync = 2;

ALTER TABLE turnpike.call_events ADD INDEX IF NOT EXISTS stored_at_range stored_at TYPE minmax GRANULARITY 1;

ALTER TABLE turnpike.egress_samples ADD COLUMN IF NOT EXISTS stored_at DateTime64(3, 'UTC') MATERIALIZED now64(3, 'UTC') COMMENT 'When the store took the row; of a repeated row the last time. `SELECT *` leaves it out.' CODEC(Delta, ZSTD(1));

ALTER TABLE turnpike.egress_samples MATERIALIZE COLUMN stored_at SETTINGS mutations_sync = 2;

ALTER TABLE turnpike.egress_samples ADD INDEX IF NOT EXISTS stored_at_range stored_at TYPE minmax GRANULARITY 1;

CREATE TABLE IF NOT EXISTS turnpike.quality_minute (
  minute DateTime('UTC') COMMENT 'Minute in which the intervals ended and the events happened.' CODEC(Delta, ZSTD(1)),
  app_id LowCardinality(String) COMMENT 'App that owns the calls.',
  direction LowCardinality(String) COMMENT 'inbound or outbound, seen from the client; empty: not of a stream.',
  kind LowCardinality(String) COMMENT 'audio or video; empty: not of a stream.',
  mos_model LowCardinality(String) COMMENT 'Model that scored the intervals; empty where none did.',
  intervals UInt64 COMMENT 'Intervals of streams, or of connections.' CODEC(T64, ZSTD(1)),
  interval_ms UInt64 COMMENT 'Their length together, milliseconds.' CODEC(T64, ZSTD(1)),
  bytes UInt64 COMMENT 'Payload bytes received or sent.' CODEC(T64, ZSTD(1)),
  packets UInt64 COMMENT 'Packets of intervals that know their loss as well.' CODEC(T64, ZSTD(1)),
  packets_lost Int64 COMMENT 'Packets lost in those.' CODEC(T64, ZSTD(1)),
  concealed_samples UInt64 COMMENT 'Audio samples synthesised in place of lost ones.' CODEC(T64, ZSTD(1)),
  total_samples_received UInt64 COMMENT 'Audio samples played out.' CODEC(T64, ZSTD(1)),
  freeze_count UInt64 COMMENT 'Freezes of video that began.' CODEC(T64, ZSTD(1)),
  setups UInt64 COMMENT 'Connection set-ups that ended.' CODEC(T64, ZSTD(1)),
  setups_connected UInt64 COMMENT 'Those of them that connected.' CODEC(T64, ZSTD(1)),
  mos_histogram Array(UInt64) COMMENT 'Intervals by MOS: counts up to 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2, 2.1, 2.2, 2.3, 2.4, 2.5, 2.6, 2.7, 2.8, 2.9, 3, 3.1, 3.2, 3.3, 3.4, 3.5, 3.6, 3.7, 3.8, 3.9, 4, 4.1, 4.2, 4.3, 4.4, 4.5, 4.6, 4.7, 4.8, 4.9, 5, and above.' CODEC(ZSTD(1)),
  jitter_histogram Array(UInt64) COMMENT 'Intervals by jitter, milliseconds: counts up to 0.5, 1, 2, 3, 4, 5, 7.5, 10, 12.5, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200, 300, 500, 1000, and above.' CODEC(ZSTD(1)),
  rtt_histogram Array(UInt64) COMMENT 'Intervals of connections by round-trip time, milliseconds: counts up to 1, 2, 5, 10, 15, 20, 30, 40, 50, 60, 75, 100, 125, 150, 175, 200, 250, 300, 400, 500, 750, 1000, 2000, 5000, and above.' CODEC(ZSTD(1)),
  first_frame_histogram Array(UInt64) COMMENT 'First frames by the time they took, milliseconds: counts up to 100, 200, 300, 400, 500, 600, 700, 800, 1000, 1250, 1500, 1750, 2000, 2500, 3000, 4000, 5000, 7500, 10000, 15000, 30000, and above.' CODEC(ZSTD(1)),
  rolled_at DateTime64(3, 'UTC') COMMENT 'When the raw rows behind it were read; the newest is the row.' CODEC(Delta, ZSTD(1)),
  is_gone UInt8 COMMENT '1 when a later look found no raw rows any more.'
) ENGINE = ReplacingMergeTree(rolled_at, is_gone)
PARTITION BY toYYYYMM(minute)
ORDER BY (minute, app_id, direction, kind, mos_model)
TTL toDateTime(minute) + toIntervalDay(400)
SETTINGS ttl_only_drop_parts = 1
COMMENT 'What was reported in each minute, by app, direction, kind and MOS model; connections and events, which have none of the three, in rows where they are empty. Read it FINAL.';

CREATE TABLE IF NOT EXISTS turnpike.egress_hour (
  hour DateTime('UTC') COMMENT 'Beginning of the hour.' CODEC(Delta, ZSTD(1)),
  app_id LowCardinality(String) COMMENT 'App that is charged.',
  meter Enum8('turn' = 1, 'sfu' = 2) COMMENT 'What was metered.',
  source LowCardinality(String) COMMENT 'turnpike for our relays, else the name of the SFU source.',
  peer_class LowCardinality(String) COMMENT 'As in egress_samples.',
  readings UInt64 COMMENT 'Readings behind the sums.' CODEC(T64, ZSTD(1)),
  egress_bytes UInt64 COMMENT 'Bytes sent to clients.' CODEC(T64, ZSTD(1)),
  egress_packets UInt64 COMMENT 'Packets sent to clients.' CODEC(T64, ZSTD(1)),
  ingress_bytes UInt64 COMMENT 'Bytes received from clients.' CODEC(T64, ZSTD(1)),
  rolled_at DateTime64(3, 'UTC') COMMENT 'When the raw rows behind it were read; the newest is the row.' CODEC(Delta, ZSTD(1)),
  is_gone UInt8 COMMENT '1 when a later look found no raw rows any more.'
) ENGINE = ReplacingMergeTree(rolled_at, is_gone)
PARTITION BY toYYYYMM(hour)
ORDER BY (hour, app_id, meter, source, peer_class)
TTL toDateTime(hour) + toIntervalDay(1200)
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'What was carried in each hour, by app, meter, source and class of peer: sums of the view egress. A reading at the exact hour belongs to the hour before. Read it FINAL.';

CREATE TABLE IF NOT EXISTS turnpike.rollup_progress (rollup String, stored_until DateTime64(3, 'UTC')) ENGINE = ReplacingMergeTree(stored_until) ORDER BY rollup;

ALTER TABLE turnpike.connection_intervals ADD COLUMN IF NOT EXISTS client_network LowCardinality(Nullable(String)) COMMENT 'Network of the client (collector.privacy.addresses): its /24 or /48, or a hash of its address for a day.' AFTER pair_state;

ALTER TABLE turnpike.connection_intervals ADD COLUMN IF NOT EXISTS client_country LowCardinality(Nullable(String)) COMMENT 'Country of its address, ISO 3166-1, where there is a database (collector.privacy.geoDatabase).' AFTER client_network;

ALTER TABLE turnpike.connection_intervals ADD COLUMN IF NOT EXISTS client_region LowCardinality(Nullable(String)) COMMENT 'First subdivision of that country, ISO 3166-2.' AFTER client_country;

ALTER TABLE turnpike.connection_intervals ADD COLUMN IF NOT EXISTS client_asn Nullable(UInt32) COMMENT 'Autonomous system of its address, where there is a database (collector.privacy.asnDatabase).' CODEC(T64, ZSTD(1)) AFTER client_region;

ALTER TABLE turnpike.connection_intervals ADD COLUMN IF NOT EXISTS client_as_name LowCardinality(Nullable(String)) COMMENT 'Who runs that system.' AFTER client_asn;

ALTER TABLE turnpike.connection_intervals ADD COLUMN IF NOT EXISTS clock_offset_ms Nullable(Int64) COMMENT 'Collector\'s clock less the client\'s, milliseconds. As the SDK learnt it, and ts is corrected by it; of formats that say none, as their live messages arrived, at most, and ts is the client\'s.' CODEC(T64, ZSTD(1)) AFTER client_as_name;

CREATE OR REPLACE VIEW turnpike.egress AS SELECT app_id, meter, source, server_id, boot_id, object_id, peer_class, seq, window_end, key_id, custom_id, call_id, participant_id, transport,
  toUInt64(greatest(client_tx_bytes, max(client_tx_bytes) OVER earlier) - max(client_tx_bytes) OVER earlier) AS egress_bytes,
  toUInt64(greatest(client_tx_packets, max(client_tx_packets) OVER earlier) - max(client_tx_packets) OVER earlier) AS egress_packets,
  toUInt64(greatest(client_rx_bytes, max(client_rx_bytes) OVER earlier) - max(client_rx_bytes) OVER earlier) AS ingress_bytes
FROM turnpike.egress_samples FINAL
WINDOW earlier AS (PARTITION BY app_id, server_id, boot_id, object_id, peer_class ORDER BY window_end, seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) COMMENT 'What each reading adds to the highest one before it: what was carried in each window, never less than 0. A counter that falls adds nothing until it is above its highest again. Sums over any period are exactly what its statement counts.';
