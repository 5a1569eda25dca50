/**
 * A rate card as SQL: the month's bytes to clients against the free allowance, and what is beyond it in money. The same
 * steps as a statement's, in decimals throughout and rounded once; a test holds it against the statement of the same
 * readings.
 *
 * The allowance is the account's, so there is no filter by app. The month is the one that the end of the range lies in.
 */
import { minorDigits } from '../../kernel/money.ts';
import { tables } from '../../collector/store/tables.ts';
import type { RateCard } from '../../billing/contract.ts';

const readings = tables.egress_samples.name;

/** A reading at the month's exact start belongs to the month before: it closes it. */
const monthStart = "toDateTime(toStartOfMonth(toTimeZone($__toTime, 'UTC')), 'UTC')";

/** Columns `billable_bytes` (Int64), `used_ratio` (Float64, NULL when nothing is free) and `cost` (Decimal). One row. */
export function allowanceSql(card: RateCard): string {
  const allowanceBytes = BigInt(card.allowanceGb) * card.gbBytes;
  return `SELECT sum(bytes - overlap) AS billable_bytes,
  billable_bytes / nullIf(toFloat64(${allowanceBytes}), 0) AS used_ratio,
  greatest(billable_bytes - toInt64(${allowanceBytes}), 0) AS over,
  round(${tiersSql(card)}, ${minorDigits(card.currency)}) AS cost
FROM (${participantsSql(card)})`;
}

/**
 * For each participant of each call: bytes of the card's meters, and of them those that the SFU sent and the relay sent on.
 * Without the ids nothing proves that the two are the same bytes. Objects are read as a statement reads them: highest
 * total minus the highest up to the month's start, under the ids of the newest reading; max makes FINAL unneeded.
 */
function participantsSql(card: RateCard): string {
  const pool = card.pool.map((meter) => `'${meter}'`).join(', ');
  const once = card.overlap === 'charge_once' && card.pool.includes('sfu');
  const overlap = once
    ? "if(call = '' OR participant = '', 0, least(sumIf(carried, latest_meter = 'turn' AND peer_class = 'sfu'), sumIf(carried, latest_meter = 'sfu')))"
    : '0';
  return `SELECT sumIf(carried, latest_meter IN (${pool})) AS bytes, ${overlap} AS overlap
FROM (
  SELECT app_id, peer_class, ${latest('toString(meter)')} AS latest_meter,
    ${latest('call_id')} AS call, ${latest('participant_id')} AS participant,
    toInt64(max(client_tx_bytes) - maxIf(client_tx_bytes, window_end <= ${monthStart})) AS carried
  FROM ${readings}
  WHERE window_end <= $__toTime AND (app_id, server_id, boot_id, object_id) IN (
    SELECT app_id, server_id, boot_id, object_id FROM ${readings}
    WHERE window_end > ${monthStart} AND window_end <= $__toTime
  )
  GROUP BY app_id, server_id, boot_id, object_id, peer_class
  HAVING max(window_end) > ${monthStart}
)
GROUP BY app_id, call, participant`;
}

const latest = (column: string): string => `argMaxIf(${column}, seq, window_end > ${monthStart})`;

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
