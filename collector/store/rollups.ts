/**
 * How each rollup is filled: which windows changed, and what a range of windows comes to.
 *
 * A filling statement adds, for every row that the rollup has in the range, one that counts nothing: what raw rows no longer
 * support is marked as gone by the same insert that replaces the rest. Windows of which the raw rows may have reached their
 * retention are left as they are.
 */
import { retentionSql } from './ddl.ts';
import type { Kept } from './ddl.ts';
import { histograms, histogramSql } from './histogram.ts';
import { egressHour, qualityMinute } from './rollup-tables.ts';
import type { Column, Table } from './table.ts';

export type RawTable = 'stream_intervals' | 'connection_intervals' | 'call_events' | 'egress_samples';

export interface Rollup {
  readonly table: Table;
  readonly windowSeconds: number;
  /** Windows that one statement fills at most, so that none takes long. */
  readonly maxWindows: number;
  /** SELECT of `window` (start, Unix seconds) of all that rows stored in ({from}, {until}] change (Unix milliseconds). */
  readonly changedSql: string;
  /** Raw tables behind it: what the shortest-lived of them has lost cannot be filled again. */
  readonly sources: readonly RawTable[];
  /**
   * INSERT that fills the windows in [{start}, {end}) (Unix seconds) from raw rows read at {now} (Unix milliseconds) or later.
   * `kept` is how long the sources keep their rows.
   */
  fillSql(kept: readonly Kept[]): string;
}

const NEW = `stored_at > fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND stored_at <= fromUnixTimestamp64Milli({until:Int64}, 'UTC')`;

const DIMENSIONS: ReadonlySet<string> = new Set([
  ...qualityMinute.orderBy.split(', '),
  ...egressHour.orderBy.split(', '),
  'rolled_at',
  'is_gone',
]);
const isHistogram = ({ type }: Column): boolean => type.startsWith('Array');
const nothing = (column: Column): string => (isHistogram(column) ? '[]' : `to${column.type}(0)`);
const sumsOf = (table: Table): readonly Column[] => table.columns.filter(({ name }) => !DIMENSIONS.has(name));

/** Less than a request may take unless configured otherwise: the server gives up first, and nothing goes on that nobody hears of. */
const FILL_SECONDS = 25;

/**
 * The insert. `raw` are SELECTs of the dimensions, the number of raw rows, and the sums, in the order of the table's columns;
 * they need no names, since a UNION has those of its first member.
 */
function fillFrom(raw: readonly string[], table: Table, kept: readonly Kept[]): string {
  const dimensions = table.orderBy;
  const window = table.ageColumn;
  const sums = sumsOf(table);
  const rows = [
    `SELECT ${dimensions}, toUInt64(0) AS raw_rows, ${sums.map((column) => `${nothing(column)} AS ${column.name}`).join(', ')}
FROM ${table.name} FINAL
WHERE ${window} >= toDateTime({start:Int64}, 'UTC') AND ${window} < toDateTime({end:Int64}, 'UTC')`,
    ...raw,
  ];
  const added = sums.map((column) => `${isHistogram(column) ? 'sumForEach' : 'sum'}(${column.name})`);
  return `INSERT INTO ${table.name} (${dimensions}, ${sums.map(({ name }) => name).join(', ')}, rolled_at, is_gone)
SELECT ${dimensions}, ${added.join(', ')}, fromUnixTimestamp64Milli({now:Int64}, 'UTC'), sum(raw_rows) = 0
FROM (
${rows.join('\nUNION ALL\n')}
)
WHERE ${kept.map((source) => `${retentionSql(table, source)} > now()`).join(' AND ')}
GROUP BY ${dimensions}
SETTINGS do_not_merge_across_partitions_select_final = 1, max_execution_time = ${FILL_SECONDS}`;
}

/** One raw table's share of `quality_minute`: the sums that it has; the others are nothing. */
function qualityFrom(table: string, dimensions: string, sums: Readonly<Record<string, string>>): string {
  const columns = sumsOf(qualityMinute).map((column) => sums[column.name] ?? nothing(column));
  return `SELECT toStartOfMinute(ts), app_id, ${dimensions}, count(), ${columns.join(', ')}
FROM ${table} FINAL
WHERE ts >= fromUnixTimestamp64Milli({start:Int64} * 1000, 'UTC') AND ts < fromUnixTimestamp64Milli({end:Int64} * 1000, 'UTC')
GROUP BY 1, 2, 3, 4, 5`;
}

const LOSS_KNOWN = 'isNotNull(packets) AND isNotNull(packets_lost)';
const total = (column: string): string => `sum(ifNull(${column}, 0))`;

const qualitySources: readonly string[] = [
  qualityFrom('stream_intervals', "toString(direction), toString(kind), ifNull(toString(mos_model), '')", {
    intervals: 'count()',
    interval_ms: 'sum(interval_ms)',
    bytes: total('bytes'),
    packets: `sumIf(ifNull(packets, 0), ${LOSS_KNOWN})`,
    packets_lost: `sumIf(ifNull(packets_lost, 0), ${LOSS_KNOWN})`,
    concealed_samples: total('concealed_samples'),
    total_samples_received: total('total_samples_received'),
    freeze_count: total('freeze_count'),
    mos_histogram: histogramSql('mos', histograms.mos),
    jitter_histogram: histogramSql('jitter_ms', histograms.jitterMs),
  }),
  qualityFrom('connection_intervals', "'', '', ''", {
    intervals: 'count()',
    interval_ms: 'sum(interval_ms)',
    rtt_histogram: histogramSql('rtt_ms', histograms.rttMs),
  }),
  qualityFrom('call_events', "'', '', ''", {
    setups: "countIf(type = 'setup')",
    setups_connected: "countIf(type = 'setup' AND value = 'connected')",
    first_frame_histogram: histogramSql('value_ms', histograms.firstFrameMs, "type = 'first_frame'"),
  }),
];

const quality: Rollup = {
  table: qualityMinute,
  sources: ['stream_intervals', 'connection_intervals', 'call_events'],
  windowSeconds: 60,
  maxWindows: 60,
  changedSql: `SELECT DISTINCT toUnixTimestamp(minute) AS window FROM (
${['stream_intervals', 'connection_intervals', 'call_events'].map((table) => `SELECT toStartOfMinute(ts) AS minute FROM ${table} WHERE ${NEW}`).join('\nUNION ALL\n')}
)`,
  fillSql: (kept) => fillFrom(qualitySources, qualityMinute, kept),
};

/** What a cumulative counter is of. */
export const OBJECT = 'app_id, server_id, boot_id, object_id';
/** A reading at the exact hour closes the hour before it. */
export const HOUR = 'toStartOfHour(window_end - toIntervalMillisecond(1))';
const READ_IN_RANGE = `window_end > fromUnixTimestamp64Milli({start:Int64} * 1000, 'UTC') AND window_end <= fromUnixTimestamp64Milli({end:Int64} * 1000, 'UTC')`;

/**
 * A reading that comes late changes what the ones after it add, in whatever hours those are. Within a range, all that the view
 * looks back on belongs to objects that were read in it: naming them lets ClickHouse take them by the sorting key.
 */
const egress: Rollup = {
  table: egressHour,
  sources: ['egress_samples'],
  windowSeconds: 3_600,
  maxWindows: 24,
  changedSql: `SELECT DISTINCT toUnixTimestamp(${HOUR}) AS window
FROM egress_samples AS reading
INNER JOIN (
  SELECT ${OBJECT}, peer_class, min(window_end) AS since FROM egress_samples WHERE ${NEW} GROUP BY ${OBJECT}, peer_class
) AS late USING (${OBJECT}, peer_class)
WHERE reading.window_end >= late.since
  AND (${OBJECT}) IN (SELECT ${OBJECT} FROM egress_samples WHERE ${NEW})`,
  fillSql: (kept) =>
    fillFrom(
      [
        `SELECT ${HOUR}, app_id, meter, source, peer_class, count(), count(), sum(egress_bytes), sum(egress_packets), sum(ingress_bytes)
FROM egress
WHERE ${READ_IN_RANGE} AND (${OBJECT}) IN (SELECT ${OBJECT} FROM egress_samples WHERE ${READ_IN_RANGE})
GROUP BY 1, 2, 3, 4, 5`,
      ],
      egressHour,
      kept,
    ),
};

export const rollups: readonly Rollup[] = [quality, egress];
