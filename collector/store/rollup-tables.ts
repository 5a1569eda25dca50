/**
 * Rollups: what raw tables come to in each minute or hour. A row is replaced as a whole by one of a later `rolled_at`, so that
 * filling a window again is harmless, whoever does it. Time stands first in their keys: a panel reads a range of it, and with
 * time last it read whole partitions. Partitions are months: there is little in a day.
 */
import { histograms } from './histogram.ts';
import type { Histogram } from './histogram.ts';
import { column, COUNTER, GAUGE } from './table.ts';
import type { Column, Table } from './table.ts';

const sum = (name: string, comment: string, type = 'UInt64'): Column => column(name, type, comment, GAUGE);
/** Counts of values up to each bound, and of those above the last: mostly zeroes, next to each other. */
const histogram = (name: string, comment: string, { bounds }: Histogram): Column =>
  column(name, 'Array(UInt64)', `${comment}: counts up to ${bounds.join(', ')}, and above.`, 'ZSTD(1)');

const versioning: readonly Column[] = [
  column('rolled_at', "DateTime64(3, 'UTC')", 'When the raw rows behind it were read; the newest is the row.', COUNTER),
  column('is_gone', 'UInt8', '1 when a later look found no raw rows any more.'),
];

export const qualityMinute: Table = {
  name: 'quality_minute',
  comment:
    'What was reported in each minute, by app, direction, kind and MOS model; connections and events, which have none of the three, in rows where they are empty. Read it FINAL.',
  partitionBy: 'toYYYYMM(minute)',
  orderBy: 'minute, app_id, direction, kind, mos_model',
  ageColumn: 'minute',
  retentionDays: 400,
  version: 'rolled_at',
  deletion: 'is_gone',
  shardBy: 'minute',
  columns: [
    column('minute', "DateTime('UTC')", 'Minute in which the intervals ended and the events happened.', COUNTER),
    column('app_id', 'LowCardinality(String)', 'App that owns the calls.'),
    column('direction', 'LowCardinality(String)', 'inbound or outbound, seen from the client; empty: not of a stream.'),
    column('kind', 'LowCardinality(String)', 'audio or video; empty: not of a stream.'),
    column('mos_model', 'LowCardinality(String)', 'Model that scored the intervals; empty where none did.'),
    sum('intervals', 'Intervals of streams, or of connections.'),
    sum('interval_ms', 'Their length together, milliseconds.'),
    sum('bytes', 'Payload bytes received or sent.'),
    sum('packets', 'Packets of intervals that know their loss as well.'),
    sum('packets_lost', 'Packets lost in those.', 'Int64'),
    sum('concealed_samples', 'Audio samples synthesised in place of lost ones.'),
    sum('total_samples_received', 'Audio samples played out.'),
    sum('freeze_count', 'Freezes of video that began.'),
    sum('setups', 'Connection set-ups that ended.'),
    sum('setups_connected', 'Those of them that connected.'),
    histogram('mos_histogram', 'Intervals by MOS', histograms.mos),
    histogram('jitter_histogram', 'Intervals by jitter, milliseconds', histograms.jitterMs),
    histogram('rtt_histogram', 'Intervals of connections by round-trip time, milliseconds', histograms.rttMs),
    histogram('first_frame_histogram', 'First frames by the time they took, milliseconds', histograms.firstFrameMs),
    ...versioning,
  ],
};

export const egressHour: Table = {
  name: 'egress_hour',
  comment:
    'What was carried in each hour, by app, meter, source and class of peer: sums of the view egress. A reading at the exact hour belongs to the hour before. Read it FINAL.',
  partitionBy: 'toYYYYMM(hour)',
  orderBy: 'hour, app_id, meter, source, peer_class',
  ageColumn: 'hour',
  retentionDays: 1_200,
  version: 'rolled_at',
  deletion: 'is_gone',
  flushed: true,
  shardBy: 'hour',
  columns: [
    column('hour', "DateTime('UTC')", 'Beginning of the hour.', COUNTER),
    column('app_id', 'LowCardinality(String)', 'App that is charged.'),
    column('meter', "Enum8('turn' = 1, 'sfu' = 2)", 'What was metered.'),
    column('source', 'LowCardinality(String)', 'turnpike for our relays, else the name of the SFU source.'),
    column('peer_class', 'LowCardinality(String)', 'As in egress_samples.'),
    sum('readings', 'Readings behind the sums.'),
    sum('egress_bytes', 'Bytes sent to clients.'),
    sum('egress_packets', 'Packets sent to clients.'),
    sum('ingress_bytes', 'Bytes received from clients.'),
    ...versioning,
  ],
};
