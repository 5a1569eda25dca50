/** Bytes of any span of time, by app, hour, call or customer. */
import { TurnpikeError } from '../../kernel/errors.ts';
import type { UsageAnswer } from '../contract.ts';
import type { StoreReader } from '../store/store.ts';
import { egressByHour, usageRow } from './egress-hours.ts';
import type { EgressReader, Span } from './egress-hours.ts';
import { splitEgress } from './egress-split.ts';
import type { Claim } from './egress-split.ts';
import { splitRow, splitSourcesRow, splitSourcesSql, splitSql } from './split-queries.ts';

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

type Line = UsageAnswer['usage'][number];

/** Throws TP_KERNEL_INVALID for a span with more rows than one answer has: sums are whole, or none. */
export async function usageOf(egress: EgressReader, wanted: UsageWanted): Promise<UsageAnswer> {
  const { reader } = egress;
  const { app, from, to, group, source = '' } = wanted;
  // Only calls are told apart by what clients say: they know neither app nor customer.
  const split = group === 'call' ? await reader.select(splitSourcesRow, splitSourcesSql, { app, from, to }) : [];
  const span = { app, from, to };
  const sources = split.map((row) => row.source);
  const whole = { ...span, source, limit: MAX_ROWS + 1 };
  const [metered, divided] = await Promise.all([
    isNamed(group)
      ? reader.select(usageRow, namedSql(group), { ...whole, split: sources })
      : egressByHour(egress, { ...whole, group }),
    sources.length === 0 ? [] : splitLines(reader, { ...span, sources }),
  ]);
  if (metered.length > MAX_ROWS) throw tooLong(`there are more than ${MAX_ROWS} rows by ${group}`);
  const lines = metered.map((row): Line => ({
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

/** Windows times calls of one question. */
const MAX_CLAIMS = 100_000;

interface SplitWanted {
  readonly app: string;
  readonly from: number;
  readonly to: number;
  readonly sources: readonly string[];
}

/** Throws TP_KERNEL_INVALID for a span with more calls than can be divided at once: to leave any out would give theirs to others. */
async function splitLines(reader: StoreReader, wanted: SplitWanted): Promise<Line[]> {
  const rows = await reader.select(splitRow, splitSql, { ...wanted, limit: MAX_CLAIMS + 1 });
  if (rows.length > MAX_CLAIMS) {
    throw tooLong('there are more calls than can be told apart at once');
  }
  const owners = new Map<string, { app: string; source: string; windows: Map<string, Window> }>();
  for (const row of rows) {
    const name = JSON.stringify([row.app_id, row.source]);
    const owner = owners.get(name) ?? { app: row.app_id, source: row.source, windows: new Map<string, Window>() };
    owners.set(name, owner);
    const window = owner.windows.get(row.window) ?? { bytes: row.counted_bytes, claims: [] };
    owner.windows.set(row.window, window);
    if (row.call_id !== '') window.claims.push({ key: row.call_id, bytes: row.claimed_bytes });
  }
  return [...owners.values()].flatMap(({ app, source, windows }) => linesOf(app, source, [...windows.values()]));
}

interface Window {
  readonly bytes: bigint;
  readonly claims: Claim[];
}

function linesOf(app: string, source: string, windows: readonly Window[]): Line[] {
  const { residual, shares } = splitEgress(windows);
  const line = (key: string, bytes: bigint) => ({ app, key, turnBytes: '0', sfuBytes: bytes.toString(), source });
  return [
    ...shares.map(({ bytes, claimed, key }): Line => ({
      ...line(key, bytes),
      grade: 'split_by_clients',
      claimedBytes: claimed.toString(),
      scaled: claimed > bytes,
    })),
    { ...line('', residual), grade: 'residual' },
  ];
}

function tooLong(why: string): TurnpikeError {
  const issues = [{ path: 'to', message: `must be nearer to \`from\`: ${why}` }];
  return new TurnpikeError('TP_KERNEL_INVALID', undefined, { issues });
}

const byText = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0);

function byPlace(one: Line, other: Line): number {
  return (
    byText(one.app, other.app) ||
    byText(one.key, other.key) ||
    byText(one.grade, other.grade) ||
    byText(one.source ?? '', other.source ?? '')
  );
}
