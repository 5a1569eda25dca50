/**
 * Every table and view, as data: DDL, migrations' first step, the reference (docs/tables.md) and its test come from here.
 *
 * Raw tables are ReplacingMergeTree on row identity, so that any retry in any batch is harmless; readers use FINAL.
 * Everything in a row's sorting key and partition comes from the batch alone, never from the time of receipt: a retry
 * lands on its twin. Gauges are Decimal32 (scaled integers): exact, and T64 packs them far better than floats do.
 *
 * Why reports are partitioned by day and ordered by app, hour, call, connection and stream: age drops a day's parts as a whole, and no
 * merge rewrites another day's. A page of a call reads a few granules, a panel the hours of its range. Rows next to each other are
 * of one stream, which packs them 1.7 times as well as an order by app and time does; that the hour comes before the call costs
 * nothing. Names repeat from row to row in that order, so that the server's own codec makes nearly nothing of them.
 */

import { column, counter, COUNTER, gauge, GAUGE, storedAt, storedAtIndex, word } from './table.ts';
import type { Column, Table } from './table.ts';
import { egressHour, qualityMinute } from './rollup-tables.ts';

/** Leading columns of everything that a client reported. */
const leading: readonly Column[] = [
  column('app_id', 'LowCardinality(String)', 'App that owns the call.'),
  column('call_id', 'String', 'Call, as the report token or else the report names it.'),
  column('participant_id', 'String', 'Participant, likewise.'),
  column('connection_id', 'String', 'One RTCPeerConnection; empty for an event of the page and of none of them.'),
  column(
    'ts',
    "DateTime64(3, 'UTC')",
    "End of the interval on the collector's clock: client clock + the offset in the batch.",
    COUNTER,
  ),
  column(
    'batch_seq',
    'UInt32',
    'Sequence number of the batch within the connection. In formats without one 0, for events a number made of what they say.',
    COUNTER,
  ),
  column('sample_index', 'UInt16', 'Index of the sample (or event) within the batch.', COUNTER),
];

const streamIntervals: Table = {
  name: 'stream_intervals',
  comment:
    'One RTP stream, one interval: differences between two getStats samples. NULL = the browser did not deliver the member.',
  partitionBy: 'toYYYYMMDD(ts)',
  orderBy: 'app_id, toStartOfHour(ts), call_id, connection_id, stream, ts, batch_seq, sample_index',
  ageColumn: 'ts',
  retentionDays: 30,
  indexes: [storedAtIndex],
  shardBy: 'connection_id',
  columns: [
    ...leading,
    column('stream', 'String', 'Stream within the connection: direction/kind/ssrc.'),
    column('interval_ms', 'UInt32', 'Length of the interval in milliseconds.', GAUGE),
    column('direction', "Enum8('inbound' = 1, 'outbound' = 2)", 'Seen from the client.'),
    column('kind', "Enum8('audio' = 1, 'video' = 2)", 'Kind of media.'),
    column('ssrc', 'UInt32', 'RTP synchronisation source.'),
    word('codec', 'Codec, the mimeType after the slash.'),
    counter('packets', 'Packets received (inbound) or sent (outbound).'),
    counter(
      'packets_lost',
      'Packets lost as RTCP counts them; may be negative when late packets arrive.',
      'Nullable(Int64)',
    ),
    counter('packets_discarded', 'Packets discarded by the jitter buffer.'),
    counter('bytes', 'Payload bytes received or sent.'),
    counter('header_bytes', 'RTP header and padding bytes.'),
    counter('retransmitted_packets', 'Packets received or sent again (RTX).'),
    counter('nack_count', 'NACKs sent (inbound) or received (outbound).'),
    counter('pli_count', 'Picture loss indications.'),
    gauge('jitter_ms', 2, 'Interarrival jitter, milliseconds (RFC 3550).'),
    gauge('rtt_ms', 2, 'Round trip of the RTP stream by RTCP, milliseconds.'),
    gauge('jitter_buffer_ms', 2, 'Mean time that samples spent in the jitter buffer, milliseconds.'),
    counter('concealed_samples', 'Audio samples synthesised in place of lost ones.'),
    counter('silent_concealed_samples', 'Those of them that were silence.'),
    counter('total_samples_received', 'Audio samples played out.'),
    gauge('audio_level', 4, 'RMS level over the interval, 0 to 1.'),
    gauge('mos', 3, 'Mean opinion score, 1 to 4.5; inbound audio only.'),
    word('mos_model', 'Model behind mos; scores of different models are never averaged.'),
    gauge('r_factor', 2, 'Rating on 0 to 100 behind mos.'),
    counter('frames', 'Video frames decoded or encoded.'),
    counter('frames_dropped', 'Video frames received but not rendered.'),
    gauge('frames_per_second', 2, 'Frames per second over the interval.'),
    counter('frame_width', 'Pixels.', 'Nullable(UInt16)'),
    counter('frame_height', 'Pixels.', 'Nullable(UInt16)'),
    counter('freeze_count', 'Freezes that began in the interval.'),
    gauge('freeze_ms', 1, 'Time frozen, milliseconds.'),
    gauge('fraction_lost', 4, 'Outbound: share lost as the receiver reports, 0 to 1.'),
    counter('target_bitrate', 'Outbound: encoder target, bits per second.'),
    word('quality_limitation_reason', 'Outbound video: none, cpu, bandwidth, other.'),
    storedAt,
  ],
};

/** Of the address that a report came from; recordings have none. */
export const clientNetwork: readonly Column[] = [
  word(
    'client_network',
    'Network of the client (collector.privacy.addresses): its /24 or /48, or a hash of its address for a day.',
  ),
  word(
    'client_country',
    'Country of its address, ISO 3166-1, where there is a database (collector.privacy.geoDatabase).',
  ),
  word('client_region', 'First subdivision of that country, ISO 3166-2.'),
  counter(
    'client_asn',
    'Autonomous system of its address, where there is a database (collector.privacy.asnDatabase).',
    'Nullable(UInt32)',
  ),
  word('client_as_name', 'Who runs that system.'),
];

/** Of the client's clock. */
export const clockOffset = counter(
  'clock_offset_ms',
  "Collector's clock less the client's, milliseconds. As the SDK learnt it, and ts is corrected by it; of formats that say none, as their live messages arrived, at most, and ts is the client's.",
  'Nullable(Int64)',
);

const connectionIntervals: Table = {
  name: 'connection_intervals',
  comment: 'One peer connection, one interval: its selected candidate pair and transport.',
  partitionBy: 'toYYYYMMDD(ts)',
  orderBy: 'app_id, toStartOfHour(ts), call_id, connection_id, ts, batch_seq, sample_index',
  ageColumn: 'ts',
  retentionDays: 30,
  indexes: [storedAtIndex],
  shardBy: 'connection_id',
  columns: [
    ...leading,
    column('interval_ms', 'UInt32', 'Length of the interval in milliseconds.', GAUGE),
    gauge('rtt_ms', 2, 'Mean STUN round trip over the interval, milliseconds.'),
    counter('bytes_sent', 'Bytes sent on the selected pair.'),
    counter('bytes_received', 'Bytes received on the selected pair.'),
    counter('packets_sent', 'Packets sent on the selected pair.'),
    counter('packets_received', 'Packets received on the selected pair.'),
    counter('available_outgoing_bitrate', 'Congestion controller’s estimate, bits per second.'),
    word('local_candidate_type', 'host, srflx, prflx, relay.'),
    word('remote_candidate_type', 'host, srflx, prflx, relay.'),
    word('protocol', 'udp or tcp, of the local candidate.'),
    word('relay_protocol', 'Transport to the TURN server: udp, tcp, tls.'),
    word('relay_host', 'Host of the TURN server in use.'),
    word('network_type', 'wifi, cellular, … where the browser says.'),
    word('dtls_state', 'State of the DTLS transport.'),
    word('ice_state', 'State of the ICE transport.'),
    word('pair_state', 'State of the selected candidate pair.'),
    ...clientNetwork,
    clockOffset,
    storedAt,
  ],
};

const callEvents: Table = {
  name: 'call_events',
  comment: 'What happened between samples: states, candidates, tracks, devices, set-up results, first frames.',
  partitionBy: 'toYYYYMMDD(ts)',
  orderBy: 'app_id, toStartOfHour(ts), call_id, connection_id, ts, batch_seq, sample_index',
  ageColumn: 'ts',
  retentionDays: 30,
  indexes: [storedAtIndex],
  shardBy: 'connection_id',
  columns: [
    ...leading,
    column(
      'type',
      'LowCardinality(String)',
      'Event name: connection_state, ice_state, setup, first_frame, track, device, …',
    ),
    column('value', 'Nullable(String)', 'New state, track kind, error code.'),
    gauge('value_ms', 1, 'Duration where the event is one, milliseconds.'),
    column('detail', 'String', 'Further members as a JSON object; empty object when none.'),
    storedAt,
  ],
};

const egressSamples: Table = {
  name: 'egress_samples',
  comment:
    'Cumulative readings of relays and SFUs, append-only. Usage of a period = highest total in it minus highest total before it, per object and class.',
  // Few rows beside those of reports, kept for a year: days would be hundreds of partitions with little in each.
  partitionBy: 'toYYYYMM(window_end)',
  // All readings of a counter lie together, as they are subtracted; `seq` and not the time tells them apart.
  orderBy: 'app_id, server_id, boot_id, object_id, peer_class, seq',
  ageColumn: 'window_end',
  retentionDays: 400,
  flushed: true,
  indexes: [storedAtIndex],
  shardBy: 'object_id',
  columns: [
    column('app_id', 'LowCardinality(String)', 'App that is charged.'),
    column('meter', "Enum8('turn' = 1, 'sfu' = 2)", 'What was metered.'),
    column('source', 'LowCardinality(String)', 'turnpike for our relays, else the name of the SFU source.'),
    column('server_id', 'LowCardinality(String)', 'Server that counted.'),
    column('boot_id', 'String', 'Run of that server; a counter restarts only with a new one.'),
    column('object_id', 'String', 'Allocation (UUIDv7), or the SFU’s object.'),
    column(
      'peer_class',
      'LowCardinality(String)',
      'internet, own_relay, sfu; control = STUN answers; none = an SFU source.',
    ),
    column('seq', 'UInt64', 'Rises with every reading of the object.', COUNTER),
    column(
      'window_end',
      "DateTime64(3, 'UTC')",
      'When the counters were read, on the counting server’s clock.',
      COUNTER,
    ),
    column('key_id', 'LowCardinality(String)', 'TURN key; empty for SFUs.'),
    column('custom_id', 'String', 'customIdentifier of the credential.'),
    column('call_id', 'String', 'Call of the credential.'),
    column('participant_id', 'String', 'Participant of the credential.'),
    column('transport', 'LowCardinality(String)', 'udp, tcp, tls; empty for SFUs.'),
    column('client_family', 'UInt8', '4 or 6; 0 for SFUs.'),
    column('relay_family', 'UInt8', '4 or 6; 0 for SFUs.'),
    column('final', 'Bool', 'Last reading of the object in this boot.'),
    ...['client_rx', 'client_tx', 'peer_rx', 'peer_tx'].flatMap((name) => [
      column(`${name}_bytes`, 'UInt64', `Cumulative bytes, ${name.replace('_', ' ')}; egress is client tx.`, COUNTER),
      column(`${name}_packets`, 'UInt64', `Cumulative packets, ${name.replace('_', ' ')}.`, COUNTER),
    ]),
    storedAt,
  ],
};

const alerts: Table = {
  name: 'alerts',
  comment: 'Every change of state of an alert: pending, firing, resolved.',
  // A few rows a day.
  partitionBy: 'toYYYYMM(ts)',
  // The newest state of each alert is what is asked for.
  orderBy: 'rule, fingerprint, ts, state',
  ageColumn: 'ts',
  retentionDays: 400,
  flushed: true,
  columns: [
    column('ts', "DateTime64(3, 'UTC')", 'When the state changed.', COUNTER),
    column('rule', 'LowCardinality(String)', 'Name of the rule.'),
    column('fingerprint', 'String', 'Identity of the alert: rule and labels.'),
    column('state', "Enum8('pending' = 1, 'firing' = 2, 'resolved' = 3)", 'New state.'),
    column('severity', 'LowCardinality(String)', 'warning or critical.'),
    column('app_id', 'LowCardinality(String)', 'App concerned; empty when the rule looks at all.'),
    column('value', 'Float64', 'Measured value that decided.'),
    column('threshold', 'Float64', 'Threshold it was held against.'),
    column('samples', 'UInt64', 'Rows behind the value.'),
    column('summary', 'String', 'One sentence for a person.'),
  ],
};

const control: Table = {
  name: 'control',
  comment: 'What was decided and must be remembered: revocations, which relays are told, and erasures.',
  // By the moment that ages them: what is not in force any more goes as a whole.
  partitionBy: 'toYYYYMM(in_force_until)',
  // What is decided twice about one is one row.
  orderBy: 'app_id, kind, subject',
  ageColumn: 'in_force_until',
  retentionDays: 30,
  flushed: true,
  columns: [
    column('app_id', 'LowCardinality(String)', 'App that decided it.'),
    column('kind', 'LowCardinality(String)', 'What it is: revocation, erasure, erasure_in_call.'),
    column(
      'subject',
      'String',
      'Whom it concerns: the username of a revoked credential, the name that stands for an erased participant.',
    ),
    column('changed_at', "DateTime64(3, 'UTC')", 'When it was decided.', COUNTER),
    column(
      'in_force_until',
      "DateTime64(3, 'UTC')",
      'When it may be forgotten: a revocation two days after the credential has expired, an erasure when no row of before can come any more.',
      COUNTER,
    ),
  ],
};

export const tables = {
  stream_intervals: streamIntervals,
  connection_intervals: connectionIntervals,
  call_events: callEvents,
  egress_samples: egressSamples,
  alerts,
  control,
  quality_minute: qualityMinute,
  egress_hour: egressHour,
} as const;
export type TableName = keyof typeof tables;
export const tableNames = Object.keys(tables) as TableName[];

/** A difference of UInt64 is an Int64 to ClickHouse; the same 64 bits as a UInt64 are it, up to the last byte. */
const gained = (counter: string, name: string) =>
  `  toUInt64(greatest(${counter}, max(${counter}) OVER earlier) - max(${counter}) OVER earlier) AS ${name}`;

/** Views: queries with a name. `{database}` is filled in by the migration. */
export const views = {
  egress: {
    comment:
      'What each reading adds to the highest one before it: what was carried in each window, never less than 0. A counter that falls adds nothing until it is above its highest again. Sums over any period are exactly what its statement counts.',
    sql: `SELECT app_id, meter, source, server_id, boot_id, object_id, peer_class, seq, window_end, key_id, custom_id, call_id, participant_id, transport,
${gained('client_tx_bytes', 'egress_bytes')},
${gained('client_tx_packets', 'egress_packets')},
${gained('client_rx_bytes', 'ingress_bytes')}
FROM {database}.egress_samples FINAL
WINDOW earlier AS (PARTITION BY app_id, server_id, boot_id, object_id, peer_class ORDER BY window_end, seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)`,
  },
} as const;
