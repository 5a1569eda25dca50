/**
 * Bytes of any span by hour: from the rollup up to where it is settled, and from the readings since. The sums are those of the
 * readings to the byte, and outlive them.
 */
import { z } from 'zod';
import { retentionSql } from '../store/ddl.ts';
import type { Kept } from '../store/ddl.ts';
import { egressHour } from '../store/rollup-tables.ts';
import { HOUR, OBJECT } from '../store/rollups.ts';
import type { StoreReader } from '../store/store.ts';

export interface EgressReader {
  readonly reader: StoreReader;
  /** How long rows are kept. */
  readonly keptOf: (table: 'egress_samples' | 'egress_hour') => Kept;
}

/** Unix milliseconds; a reading at `from` belongs to the span before, one at `to` to this one. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** A reading changes its own hour and later ones. So all hours are settled before the first reading that the roller has yet to see. */
const SETTLED = `SELECT count() AS unseen, toUnixTimestamp(min(${HOUR})) AS hour FROM egress_samples
WHERE stored_at > (SELECT max(stored_until) FROM rollup_progress WHERE rollup = '${egressHour.name}')`;
const settledRow = z.object({ unseen: z.coerce.number(), hour: z.number() });

/** What DateTime can hold. */
const FOREVER = 2 ** 32 - 1;

export const usageRow = z.object({
  app_id: z.string(),
  key: z.string(),
  turn_bytes: z.string(),
  sfu_bytes: z.string(),
});

/**
 * Sums by app, or by app and hour. `source`: only what that one metered; empty for all. A reading of a settled hour that arrives
 * while they are asked for would be missing there and yet count in later ones: they are then asked for again.
 */
export async function egressByHour(
  { reader, keptOf }: EgressReader,
  wanted: Span & {
    readonly app: string;
    readonly source: string;
    readonly group: 'app' | 'hour';
    readonly limit: number;
  },
): Promise<z.output<typeof usageRow>[]> {
  const { group, ...parameters } = wanted;
  const sql = sumsSql(group, hoursSql(keptOf));
  for (let settled = await settledHour(reader); ;) {
    const rows = await reader.select(usageRow, sql, { ...parameters, settled });
    const now = await settledHour(reader);
    if (now >= settled) return rows;
    settled = now;
  }
}

/** Unix seconds of the first hour that is not settled. */
async function settledHour(reader: StoreReader): Promise<number> {
  const [found] = await reader.select(settledRow, SETTLED);
  return found === undefined || found.unseen === 0 ? FOREVER : found.hour;
}

const sumsSql = (group: 'app' | 'hour', hours: string) => `SELECT app_id,
  ${group === 'app' ? "''" : "formatDateTime(hour, '%FT%T.000Z', 'UTC')"} AS key,
  sumIf(egress_bytes, meter = 'turn') AS turn_bytes, sumIf(egress_bytes, meter = 'sfu') AS sfu_bytes
FROM (${hours})
WHERE ({app:String} = '' OR app_id = {app:String}) AND ({source:String} = '' OR source = {source:String})
GROUP BY app_id, key
ORDER BY app_id, key
LIMIT {limit:UInt32}`;

const FROM = "fromUnixTimestamp64Milli({from:Int64}, 'UTC')";
const TO = "fromUnixTimestamp64Milli({to:Int64}, 'UTC')";

/** Every hour is on one side: what the one takes, by its time and app, the other leaves. */
function hoursSql(keptOf: EgressReader['keptOf']): string {
  const isKept = (table: 'egress_samples' | 'egress_hour') => `${retentionSql(egressHour, keptOf(table))} > now()`;
  // Of hours whose readings have begun to expire, what the roller wrote last is all there is: it leaves them as they are, too.
  const isSettled = `(hour < toDateTime({settled:UInt32}, 'UTC') OR NOT ${isKept('egress_samples')})`;
  const isWhole = `hour >= ${FROM} AND hour + toIntervalHour(1) <= ${TO}`;
  const isRolled = `${isWhole} AND ${isSettled} AND ${isKept('egress_hour')}`;
  const isRead = `window_end > ${FROM} AND window_end <= ${TO} AND NOT (${isRolled})`;
  return `SELECT hour, app_id, meter, source, egress_bytes FROM ${egressHour.name} FINAL
WHERE ${isRolled}
UNION ALL
SELECT ${HOUR} AS hour, app_id, meter, source, egress_bytes FROM egress
WHERE ${isRead} AND (${OBJECT}) IN (
  WITH ${HOUR} AS hour SELECT ${OBJECT} FROM egress_samples WHERE ${isRead}
)`;
}
