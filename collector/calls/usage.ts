/** Bytes of any span of time, by app, hour, call or customer. */
import type { UsageAnswer } from '../contract.ts';
import { egressByHour, usageRow } from './egress-hours.ts';
import type { EgressReader, Span } from './egress-hours.ts';
import { splitLines, splitSources, tooLong } from './usage-split.ts';
import type { UsageLine } from './usage-split.ts';

/** Groups that hours know nothing of. */
const names = { call: 'latest_call_id', customer: 'latest_custom_id' } as const;
type Named = keyof typeof names;
const isNamed = (group: UsageAnswer['group']): group is Named => group in names;

/**
 * For each object and peer class: highest total up to `to`, minus highest total up to `from`; so spans that follow each
 * other add up, and what was resent changes nothing. Call and customer are as the object's newest reading in the span
 * says. toUInt64, because ClickHouse's difference of two UInt64 is an Int64.
 */
const namedSql = (group: Named) => `WITH
  fromUnixTimestamp64Milli({from:Int64}, 'UTC') AS span_start,
  fromUnixTimestamp64Milli({to:Int64}, 'UTC') AS span_end
SELECT app_id, ${names[group]} AS key, sumIf(egress, meter = 'turn') AS turn_bytes, sumIf(egress, meter = 'sfu') AS sfu_bytes
FROM (
  SELECT app_id, meter,
    argMaxIf(call_id, seq, window_end > span_start) AS latest_call_id,
    argMaxIf(custom_id, seq, window_end > span_start) AS latest_custom_id,
    toUInt64(max(client_tx_bytes) - maxIf(client_tx_bytes, window_end <= span_start)) AS egress
  FROM egress_samples
  WHERE window_end <= span_end AND ({app:String} = '' OR app_id = {app:String})
    AND ({source:String} = '' OR source = {source:String}) AND NOT (meter = 'sfu' AND source IN {split:Array(String)})
    AND (app_id, server_id, boot_id, object_id) IN (
      SELECT app_id, server_id, boot_id, object_id FROM egress_samples
      WHERE window_end > span_start AND window_end <= span_end AND ({app:String} = '' OR app_id = {app:String})
    )
  GROUP BY app_id, meter, server_id, boot_id, object_id, peer_class
  HAVING max(window_end) > span_start
)
GROUP BY app_id, key
ORDER BY app_id, key
LIMIT {limit:UInt32}`;

/** Rows of one answer at most. */
const MAX_ROWS = 10_000;

export interface UsageWanted extends Span {
  /** Only this app's; empty for all. */
  readonly app: string;
  readonly group: UsageAnswer['group'];
  /** Only what this one metered; absent for all. */
  readonly source?: string;
}

/** Throws TP_KERNEL_INVALID for a span with more rows than one answer has: sums are whole, or none. */
export async function usageOf(egress: EgressReader, wanted: UsageWanted): Promise<UsageAnswer> {
  const { reader } = egress;
  const { app, from, to, group, source = '' } = wanted;
  const span = { app, from, to };
  // Clients tell calls apart, and know neither app nor customer.
  const sources = group === 'call' ? await splitSources(reader, span) : [];
  const whole = { ...span, source, limit: MAX_ROWS + 1 };
  const [metered, divided] = await Promise.all([
    isNamed(group)
      ? reader.select(usageRow, namedSql(group), { ...whole, split: sources })
      : egressByHour(egress, { ...whole, group }),
    sources.length === 0 ? [] : splitLines(reader, { ...span, sources }),
  ]);
  if (metered.length > MAX_ROWS) throw tooLong(`there are more than ${MAX_ROWS} rows by ${group}`);
  const lines = metered.map((row): UsageLine => ({
    app: row.app_id,
    key: row.key,
    turnBytes: row.turn_bytes,
    sfuBytes: row.sfu_bytes,
    grade: 'metered',
  }));
  return {
    from: new Date(from).toISOString(),
    to: new Date(to).toISOString(),
    group,
    usage: [...lines, ...divided].sort(byPlace),
  };
}

const byText = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0);

function byPlace(one: UsageLine, other: UsageLine): number {
  return (
    byText(one.app, other.app) ||
    byText(one.key, other.key) ||
    byText(one.grade, other.grade) ||
    byText(one.source ?? '', other.source ?? '')
  );
}
