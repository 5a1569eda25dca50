/**
 * The five standard alert rules, as data. Each measures one figure for every app over a sliding window on the store.
 *
 * MOS, jitter and time to first frame are judged by their worse quarter: the rule is breached when at least one in four
 * intervals lies beyond the threshold. A median would sleep through a fault that hits a third of the calls, and a 95th
 * percentile wakes people for the one participant who is always on a train. Loss and set-up success are shares already.
 *
 * Too few samples say nothing, neither that it is bad nor that it is good again: 24 intervals are two minutes of one
 * stream at the SDK's 5 s, 20 set-ups make one failure exactly the 5 % that is tolerated.
 */
import type { AlertRuleView } from '../../contract.ts';

export interface AlertRule extends AlertRuleView {
  /** SELECT of app, value, samples. Parameters: from (exclusive) and to (inclusive), Unix milliseconds. */
  readonly sql: string;
}

const timing = { windowSeconds: 300, forSeconds: 60, staleSeconds: 900 } as const;
const inWindow =
  "ts > fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND ts <= fromUnixTimestamp64Milli({to:Int64}, 'UTC')";

export const standardRules: readonly AlertRule[] = [
  {
    ...timing,
    name: 'TurnpikePacketLossHigh',
    severity: 'warning',
    measure: 'Packet loss',
    unit: '%',
    breach: 'above',
    threshold: 5,
    resolveAt: 2.5,
    minSamples: 24,
    sampleName: 'inbound intervals',
    // Late packets make an interval's loss negative and the one before too high: the sum is right, each alone is not.
    sql: `SELECT
  app_id AS app,
  100 * greatest(sum(assumeNotNull(packets_lost)), 0) / greatest(sum(assumeNotNull(packets)) + sum(assumeNotNull(packets_lost)), 1) AS value,
  count() AS samples
FROM stream_intervals FINAL
WHERE ${inWindow} AND direction = 'inbound' AND packets IS NOT NULL AND packets_lost IS NOT NULL
GROUP BY app
HAVING sum(assumeNotNull(packets)) + sum(assumeNotNull(packets_lost)) >= 100
ORDER BY app`,
  },
  {
    ...timing,
    name: 'TurnpikeJitterHigh',
    severity: 'warning',
    measure: 'Jitter (worse quarter)',
    unit: 'ms',
    breach: 'above',
    threshold: 100,
    resolveAt: 50,
    minSamples: 24,
    sampleName: 'inbound intervals',
    sql: `SELECT app_id AS app, quantileExact(0.75)(toFloat64(assumeNotNull(jitter_ms))) AS value, count() AS samples
FROM stream_intervals FINAL
WHERE ${inWindow} AND direction = 'inbound' AND jitter_ms IS NOT NULL
GROUP BY app
ORDER BY app`,
  },
  {
    ...timing,
    name: 'TurnpikeMosLow',
    severity: 'warning',
    measure: 'MOS (worse quarter)',
    unit: '',
    breach: 'below',
    threshold: 3.5,
    resolveAt: 3.7,
    minSamples: 24,
    sampleName: 'scored audio intervals',
    // Scores of two models never meet in one aggregate: the model with the most intervals in the window speaks.
    sql: `SELECT app, argMax(of_model, (intervals, model)) AS value, max(intervals) AS samples
FROM
(
  SELECT
    app_id AS app,
    toString(mos_model) AS model,
    quantileExactLow(0.25)(toFloat64(assumeNotNull(mos))) AS of_model,
    count() AS intervals
  FROM stream_intervals FINAL
  WHERE ${inWindow} AND direction = 'inbound' AND kind = 'audio' AND mos IS NOT NULL AND mos_model IS NOT NULL
  GROUP BY app, model
)
GROUP BY app
ORDER BY app`,
  },
  {
    ...timing,
    name: 'TurnpikeConnectionSuccessLow',
    severity: 'critical',
    measure: 'Connection success',
    unit: '%',
    breach: 'below',
    threshold: 95,
    resolveAt: 97,
    minSamples: 20,
    sampleName: 'set-ups',
    sql: `SELECT app_id AS app, 100 * countIf(value = 'connected') / count() AS value, count() AS samples
FROM call_events FINAL
WHERE ${inWindow} AND type = 'setup'
GROUP BY app
ORDER BY app`,
  },
  {
    ...timing,
    name: 'TurnpikeTimeToFirstFrameHigh',
    severity: 'warning',
    measure: 'Time to first frame (worse quarter)',
    unit: 's',
    breach: 'above',
    threshold: 3,
    resolveAt: 2,
    minSamples: 20,
    sampleName: 'first frames',
    sql: `SELECT app_id AS app, quantileExact(0.75)(toFloat64(assumeNotNull(value_ms))) / 1000 AS value, count() AS samples
FROM call_events FINAL
WHERE ${inWindow} AND type = 'first_frame' AND value_ms IS NOT NULL
GROUP BY app
ORDER BY app`,
  },
];
