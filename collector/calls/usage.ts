/** Metered bytes of any span of time, by app, call or customer. */
import { z } from 'zod';
import type { UsageAnswer } from '../contract.ts';
import type { StoreReader } from '../store/store.ts';

const keys = { app: `''`, call: 'latest_call_id', customer: 'latest_custom_id' } as const satisfies Record<
  UsageAnswer['group'],
  string
>;

/**
 * For each object and peer class: highest total up to `to`, minus highest total up to `from`; so spans that follow each
 * other add up, and what was resent changes nothing. Call and customer are as the object's newest reading in the span
 * says. toUInt64, because ClickHouse's difference of two UInt64 is an Int64.
 */
const usageSql = (group: UsageAnswer['group']) => `WITH
  fromUnixTimestamp64Milli({from:Int64}, 'UTC') AS span_start,
  fromUnixTimestamp64Milli({to:Int64}, 'UTC') AS span_end
SELECT app_id, ${keys[group]} AS key, sumIf(egress, meter = 'turn') AS turn_bytes, sumIf(egress, meter = 'sfu') AS sfu_bytes
FROM (
  SELECT app_id, meter,
    argMaxIf(call_id, seq, window_end > span_start) AS latest_call_id,
    argMaxIf(custom_id, seq, window_end > span_start) AS latest_custom_id,
    toUInt64(max(client_tx_bytes) - maxIf(client_tx_bytes, window_end <= span_start)) AS egress
  FROM egress_samples
  WHERE window_end <= span_end AND ({app:String} = '' OR app_id = {app:String})
    AND ({source:String} = '' OR source = {source:String})
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

const usageRow = z.object({ app_id: z.string(), key: z.string(), turn_bytes: z.string(), sfu_bytes: z.string() });

/** Rows of one answer at most. */
const MAX_ROWS = 10_000;

export interface UsageWanted {
  /** Only this app's; empty for all. */
  readonly app: string;
  /** Unix milliseconds; a reading at `from` belongs to the span before, one at `to` to this one. */
  readonly from: number;
  readonly to: number;
  readonly group: UsageAnswer['group'];
  /** Only what this one metered; absent for all. */
  readonly source?: string;
}

export async function usageOf(reader: StoreReader, wanted: UsageWanted): Promise<UsageAnswer> {
  const { app, from, to, group, source = '' } = wanted;
  const rows = await reader.select(usageRow, usageSql(group), { app, from, to, source, limit: MAX_ROWS });
  return {
    from: new Date(from).toISOString(),
    to: new Date(to).toISOString(),
    group,
    usage: rows.map((row) => ({ app: row.app_id, key: row.key, turnBytes: row.turn_bytes, sfuBytes: row.sfu_bytes })),
  };
}
