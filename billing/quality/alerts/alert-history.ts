/** The `alerts` table: every change of state is written, and the newest of each alert is where it stands. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Row, StoreReader } from '../../../collector/store/store.ts';
import type { AlertView } from '../../contract.ts';
import type { AlertRule } from './alert-rules.ts';
import type { AlertState, Transition } from './alert-state.ts';
import { summaryOf } from './alert-summary.ts';

/** Identity of an alert: its rule and its labels. */
export function fingerprintOf(rule: string, app: string): string {
  return createHash('sha256')
    .update(JSON.stringify([rule, app]))
    .digest('hex')
    .slice(0, 32);
}

export function alertRow(rule: AlertRule, app: string, transition: Transition): Row {
  return {
    ts: transition.at,
    rule: rule.name,
    fingerprint: fingerprintOf(rule.name, app),
    state: transition.to,
    severity: rule.severity,
    app_id: app,
    value: transition.measured.value,
    threshold: rule.threshold,
    samples: transition.measured.samples,
    summary: summaryOf(rule, app, transition),
  };
}

/** The newest row of each alert. Parameters: app (empty for all). */
const newestSql = `SELECT
  rule,
  severity,
  app_id,
  toString(state) AS state_name,
  toUnixTimestamp64Milli(ts) AS ts_ms,
  value,
  threshold,
  samples,
  summary
FROM alerts
WHERE {app:String} = '' OR app_id = {app:String}
ORDER BY ts DESC, state DESC
LIMIT 1 BY fingerprint`;

/** Those to restore. */
export const openAlertsSql = `SELECT * FROM (${newestSql}) WHERE state_name != 'resolved'`;

/** Those to show: what is open, then what was resolved since {since}, newest first. */
export const listedAlertsSql = `SELECT * FROM (${newestSql})
WHERE state_name != 'resolved' OR ts_ms > {since:Int64}
ORDER BY indexOf(['firing', 'pending', 'resolved'], state_name), ts_ms DESC, rule, app_id
LIMIT 1000`;

const row = z.object({
  rule: z.string(),
  severity: z.enum(['warning', 'critical']),
  app_id: z.string(),
  state_name: z.enum(['pending', 'firing', 'resolved']),
  ts_ms: z.coerce.number(),
  value: z.number(),
  threshold: z.number(),
  samples: z.coerce.number(),
  summary: z.string(),
});

export interface OpenAlert {
  readonly rule: string;
  readonly severity: AlertView['severity'];
  readonly threshold: number;
  readonly app: string;
  readonly state: AlertState;
}

/** Alerts that were pending or firing when the service last ran. From `now` on they have the time that staleness gives. */
export async function openAlerts(reader: StoreReader, now: number): Promise<OpenAlert[]> {
  const rows = await reader.select(row, openAlertsSql, { app: '' });
  return rows.map(({ rule, severity, threshold, app_id: app, state_name: state, ts_ms: since, value, samples }) => ({
    rule,
    severity,
    threshold,
    app,
    state: { phase: state === 'firing' ? 'firing' : 'pending', since, seenAt: now, last: { value, samples } },
  }));
}

/** As GET /v1/alerts lists them; of one app, or of all. `since` bounds the resolved ones, Unix milliseconds. */
export async function listedAlerts(reader: StoreReader, since: number, app?: string): Promise<AlertView[]> {
  const rows = await reader.select(row, listedAlertsSql, { app: app ?? '', since });
  return rows.map((found) => ({
    rule: found.rule,
    severity: found.severity,
    state: found.state_name,
    app: found.app_id,
    since: new Date(found.ts_ms).toISOString(),
    value: found.value,
    threshold: found.threshold,
    samples: found.samples,
    summary: found.summary,
  }));
}
