/** What an alert says to a person, in one sentence. */
import type { AlertRule } from './alert-rules.ts';
import type { Transition } from './alert-state.ts';

type Said = Pick<AlertRule, 'measure' | 'unit' | 'breach' | 'threshold' | 'windowSeconds' | 'staleSeconds'>;

export function summaryOf(
  rule: Said,
  app: string,
  { to, reason, measured }: Pick<Transition, 'to' | 'reason' | 'measured'>,
): string {
  const subject = `${rule.measure} of app ${app}`;
  const now = quantity(rule, measured.value);
  const limit = `${rule.breach} ${quantity(rule, rule.threshold)}`;
  if (reason === 'removed') return `${subject} is no longer watched: the rule was removed.`;
  if (reason === 'stale') {
    return `${subject} was last ${now}; nothing has been measured for ${minutes(rule.staleSeconds)}.`;
  }
  const over = `over ${minutes(rule.windowSeconds)}`;
  if (to === 'resolved') return `${subject} is back to ${now} ${over}.`;
  return `${subject} is ${now} ${over}, ${limit}.`;
}

function quantity({ unit }: Said, value: number): string {
  const text = String(Math.round(value * 100) / 100);
  return unit === '' ? text : `${text} ${unit}`;
}

function minutes(seconds: number): string {
  return seconds % 60 === 0 ? `${seconds / 60} min` : `${seconds} s`;
}
