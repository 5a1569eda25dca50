/** What was metered in a period, from the cumulative readings that relays and SFUs left in `egress_samples`. */
import { z } from 'zod';
import type { StoreReader } from '../../collector/store/store.ts';
import { u64 } from '../../kernel/bytes.ts';
import type { Period } from '../../kernel/period.ts';
import { meters } from '../contract.ts';
import type { MeteredUsage } from '../contract.ts';

export interface Metered {
  readonly usage: readonly MeteredUsage[];
  /** Unix milliseconds of the newest reading in the period; null when there is none. */
  readonly asOf: number | null;
}

/**
 * For each object and peer class: highest total up to the period's end, minus highest total up to its start. A reading at
 * the start closes the period before; one at the end belongs to this one. Successive periods telescope: nothing is lost
 * or counted twice between them, whatever was resent (max ignores a repetition, so FINAL is not needed) and in whatever
 * order it came. Only objects with a reading in the period are looked up: the rest of the past is not read.
 *
 * What a reading says about customer, call and participant is taken from the object's newest reading in the period.
 * Parameters: start and end, Unix milliseconds. Sums are UInt64 throughout; toUInt64 is there because ClickHouse's
 * difference of two UInt64 is an Int64.
 */
export const meteredUsageSql = `WITH
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
ORDER BY app_id, meter, custom_id, call_id, participant_id`;

const row = z.object({
  app_id: z.string(),
  meter: z.enum(meters),
  custom_id: z.string(),
  call_id: z.string(),
  participant_id: z.string(),
  egress_bytes: u64,
  via_sfu_bytes: u64,
  newest_ms: z.coerce.number(),
});

export async function meteredUsage(reader: StoreReader, { start, end }: Period): Promise<Metered> {
  const rows = await reader.select(row, meteredUsageSql, { start, end });
  return {
    usage: rows.map((item) => ({
      app: item.app_id,
      meter: item.meter,
      customId: item.custom_id,
      call: item.call_id,
      participant: item.participant_id,
      bytes: item.egress_bytes,
      viaSfuBytes: item.via_sfu_bytes,
    })),
    asOf: rows.reduce<number | null>((newest, { newest_ms: at }) => Math.max(newest ?? at, at), null),
  };
}
