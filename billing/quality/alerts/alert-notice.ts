/** From what happened to an alert to what others hear of it. */
import { fingerprintOf } from './alert-history.ts';
import type { AlertRule } from './alert-rules.ts';
import type { Measurement, Transition } from './alert-state.ts';
import { summaryOf } from './alert-summary.ts';
import type { AlertNotice } from './delivery.ts';

/** What others hear of a change: that an alert fires, or that one that fired is over. */
export function noticesOf(rule: AlertRule, app: string, transition: Transition): AlertNotice[] {
  const { from, to, at, startedAt, measured, reason } = transition;
  if (to === 'firing') return [noticeOf(rule, app, { startsAt: at, endsAt: null, measured })];
  if (to !== 'resolved' || from !== 'firing') return [];
  return [noticeOf(rule, app, { startsAt: startedAt, endsAt: at, measured }, reason)];
}

export function noticeOf(
  rule: AlertRule,
  app: string,
  { startsAt, endsAt, measured }: { startsAt: number; endsAt: number | null; measured: Measurement },
  reason: Transition['reason'] = 'held',
): AlertNotice {
  const state = endsAt === null ? 'firing' : 'resolved';
  return {
    fingerprint: fingerprintOf(rule.name, app),
    rule: rule.name,
    severity: rule.severity,
    app,
    state,
    startsAt,
    endsAt,
    value: measured.value,
    threshold: rule.threshold,
    samples: measured.samples,
    summary: summaryOf(rule, app, { to: state, reason, measured }),
  };
}
