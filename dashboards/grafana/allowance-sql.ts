/**
 * A rate card as SQL: the month's bytes to clients against the free allowance, and what is beyond it in money. The same
 * steps as a statement's, in decimals throughout; a test holds it against the statement of the same readings.
 *
 * The allowance is the account's, so there is no filter by app. The month is the one that the end of the range lies in.
 */
import { tables } from '../../collector/store/tables.ts';
import type { RateCard } from '../../billing/contract.ts';

/** A reading at the month's exact start belongs to the month before: it closes it. */
const monthStart = "toDateTime(toStartOfMonth(toTimeZone($__toTime, 'UTC')), 'UTC')";

/** Columns `billable_bytes` (Int64), `used_ratio` (Float64, NULL when nothing is free) and `cost` (Decimal). One row. */
export function allowanceSql(card: RateCard): string {
  const allowanceBytes = BigInt(card.allowanceGb) * card.gbBytes;
  return `SELECT sum(bytes - overlap) AS billable_bytes,
  billable_bytes / nullIf(toFloat64(${allowanceBytes}), 0) AS used_ratio,
  greatest(billable_bytes - toInt64(${allowanceBytes}), 0) AS over,
  ${tiersSql(card)} AS cost
FROM (${pooledSql(card)})`;
}

/** Bytes of the card's meters, and those that the SFU's meter and the relay's both saw, for each participant of each call. */
function pooledSql(card: RateCard): string {
  const meters = card.pool.map((meter) => `'${meter}'`).join(', ');
  const overlap =
    card.overlap === 'charge_once' ? "least(sumIf(carried, via_sfu), sumIf(carried, meter = 'sfu'))" : '0';
  return `SELECT sum(carried) AS bytes, ${overlap} AS overlap
FROM (
  SELECT app_id, toString(meter) AS meter, custom_id, call_id, participant_id, meter = 'turn' AND peer_class = 'sfu' AS via_sfu,
    toInt64(max(client_tx_bytes)) - toInt64(maxIf(client_tx_bytes, window_end <= ${monthStart})) AS carried
  FROM ${tables.egress_samples.name} FINAL
  WHERE window_end <= $__toTime AND meter IN (${meters})
  GROUP BY app_id, meter, custom_id, call_id, participant_id, server_id, boot_id, object_id, peer_class
)
GROUP BY app_id, custom_id, call_id, participant_id`;
}

/** Graduated: each tier prices the part of `over` that lies in it. */
function tiersSql(card: RateCard): string {
  let lower = 0n;
  const parts = card.tiers.map(({ upToGb, pricePerGb }) => {
    const upper = upToGb === null ? undefined : BigInt(upToGb) * card.gbBytes;
    const reached = upper === undefined ? 'over' : `least(over, toInt64(${upper}))`;
    const part = `greatest(${reached} - toInt64(${lower}), 0)`;
    lower = upper ?? lower;
    return `toDecimal256(${part}, 0) * toDecimal256('${pricePerGb}', 12) / toDecimal256(${card.gbBytes}, 0)`;
  });
  return parts.join(' + ');
}
