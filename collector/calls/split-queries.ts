/**
 * What is asked of the store to divide the bytes of an SFU that counts for itself alone, and tells by events who was there: such a
 * source's `connection_id` in call_events is `<source>/<stay>` (sources/livekit.ts). Times are Unix milliseconds.
 *
 * A window ends with the last reading of an hour, so that counts and claims of it are of the same time; the first begins with the
 * last reading before the span. An hour in which the source was not heard belongs to the next one in which it was.
 */
import { z } from 'zod';
import { SPAN_MS } from './queries.ts';

/** Milliseconds by which a stay is longer than its events say, which are in whole seconds. */
const ROUNDED_MS = 1_000;

const at = (milliseconds: string): string => `fromUnixTimestamp64Milli(${milliseconds}, 'UTC')`;
const FROM = at('{from:Int64}');
const TO = at('{to:Int64}');
/** A day back from the span: no window begins before. */
const EARLIEST = at('{from:Int64} - 86400000');
const ofApp = `({app:String} = '' OR app_id = {app:String})`;
const OBJECT = 'app_id, server_id, boot_id, object_id';
const ofSources = `${ofApp} AND source IN {sources:Array(String)} AND meter = 'sfu'`;

/** Events of stays. A name with `/` cannot be made by a client. */
const stayed = `type IN ('participant_joined', 'participant_left') AND ts > ${at(`{from:Int64} - ${SPAN_MS}`)} AND ts <= ${TO} AND ${ofApp} AND position(connection_id, '/') > 0`;
const SOURCE = `splitByChar('/', connection_id)[1] AS source`;

/** Sources of which anything is known to be divided by. */
export const splitSourcesSql = `SELECT DISTINCT ${SOURCE} FROM call_events WHERE ${stayed}`;
export const splitSourcesRow = z.object({ source: z.string() });

/**
 * Who was on which source, and when. A stay whose beginning was lost is known by its end, which says how long it was; one whose end
 * was lost lasts until the participant's next.
 */
const staysSql = `SELECT app_id, call_id, participant_id, ${SOURCE},
    min(ts - toIntervalMillisecond(toUInt64(ifNull(value_ms, 0)))) AS joined,
    if(countIf(type = 'participant_left') = 0, ${TO}, maxIf(ts, type = 'participant_left') + toIntervalMillisecond(${ROUNDED_MS})) AS gone
  FROM call_events WHERE ${stayed}
  GROUP BY app_id, call_id, participant_id, connection_id`;

const inSpan = `window_end > ${FROM} AND window_end <= ${TO} AND ${ofSources}`;
const WINDOW = 'app_id, source, toStartOfHour(window_end - toIntervalMillisecond(1))';
const windowsSql = `SELECT app_id, source, max(window_end) AS until, sum(egress_bytes) AS counted
  FROM egress
  WHERE ${inSpan} AND (${OBJECT}) IN (SELECT ${OBJECT} FROM egress_samples WHERE ${inSpan})
  GROUP BY ${WINDOW}`;
/** Their ends alone, without what the view costs. */
const endsSql = `SELECT app_id, source, max(window_end) AS until FROM egress_samples WHERE ${inSpan} GROUP BY ${WINDOW}`;

/** The last reading before the span; the first one in it, where there is none: what came before that is in no count. */
const beginningsSql = `SELECT app_id, source,
    if(countIf(window_end <= ${FROM}) = 0, min(window_end), maxIf(window_end, window_end <= ${FROM})) AS since
  FROM egress_samples
  WHERE window_end > ${EARLIEST} AND window_end <= ${TO} AND ${ofSources}
  GROUP BY app_id, source`;

/** What clients received while they were there, as RTP counts it: payload, headers and padding, which is what LiveKit counts. */
const receivedSql = `SELECT app_id, call_id, participant_id, ts, ifNull(bytes, 0) + ifNull(header_bytes, 0) AS received
  FROM stream_intervals FINAL
  WHERE ts > greatest((SELECT min(since) FROM (${beginningsSql})), ${EARLIEST}) AND ts <= ${TO} AND direction = 'inbound'
    AND (app_id, call_id, participant_id) IN (SELECT app_id, call_id, participant_id FROM call_events WHERE ${stayed})`;

/** Each interval is one stay's, the latest that had begun, and in one window, the first that had not ended. */
const claimsSql = `SELECT claim.app_id AS app_id, claim.source AS source, ended.until AS until, claim.call_id AS call_id, sum(claim.received) AS claimed
FROM (
  SELECT part.app_id AS app_id, stay.source AS source, part.call_id AS call_id, part.ts AS ts, part.received AS received
  FROM (${receivedSql}) AS part
  ASOF INNER JOIN (${staysSql}) AS stay
    ON part.app_id = stay.app_id AND part.call_id = stay.call_id AND part.participant_id = stay.participant_id AND part.ts > stay.joined
  WHERE part.ts <= stay.gone
) AS claim
INNER JOIN (${beginningsSql}) AS beginning ON claim.app_id = beginning.app_id AND claim.source = beginning.source
ASOF INNER JOIN (${endsSql}) AS ended ON claim.app_id = ended.app_id AND claim.source = ended.source AND claim.ts <= ended.until
WHERE claim.ts > beginning.since
GROUP BY app_id, source, until, call_id`;

/** Every window, with each of its claims; one that has none has a claim without a call. */
export const splitSql = `SELECT counted.app_id AS app_id, counted.source AS source, toUnixTimestamp64Milli(counted.until) AS window,
  counted.counted AS counted_bytes, claim.call_id AS call_id, claim.claimed AS claimed_bytes
FROM (${windowsSql}) AS counted
LEFT JOIN (${claimsSql}) AS claim ON claim.app_id = counted.app_id AND claim.source = counted.source AND claim.until = counted.until
ORDER BY app_id, source, window, call_id
LIMIT {limit:UInt32}
SETTINGS do_not_merge_across_partitions_select_final = 1`;
export const splitRow = z.object({
  app_id: z.string(),
  source: z.string(),
  window: z.string(),
  counted_bytes: z.coerce.bigint(),
  call_id: z.string(),
  claimed_bytes: z.coerce.bigint(),
});
