/**
 * One alert as a state machine without clock or store: inactive → pending → firing → resolved, over what was, what is
 * measured, and the time. Inactive is the absence of a state, so that only what is wrong takes memory.
 */
import type { AlertRule } from './alert-rules.ts';

export interface Measurement {
  readonly value: number;
  /** Rows behind the value. */
  readonly samples: number;
}

export interface AlertState {
  readonly phase: 'pending' | 'firing';
  /** Unix milliseconds at which this phase began. */
  readonly since: number;
  /** Unix milliseconds of the last measurement with enough samples. */
  readonly seenAt: number;
  readonly last: Measurement;
}

export type Reason =
  | 'breached' // beyond the threshold: pending
  | 'held' // still beyond it after `for`: firing
  | 'recovered' // back at resolveAt or better
  | 'passed' // was pending, and went before it fired
  | 'stale' // nothing measured for too long
  | 'removed'; // the rule is gone

/** A change worth a row in `alerts`. */
export interface Transition {
  readonly from: 'inactive' | 'pending' | 'firing';
  readonly to: 'pending' | 'firing' | 'resolved';
  readonly reason: Reason;
  readonly at: number;
  readonly measured: Measurement;
  /** When the alert that this resolves had begun to fire; for other changes, the same as `at`. */
  readonly startedAt: number;
}

export interface Step {
  readonly state: AlertState | undefined;
  readonly transition?: Transition;
}

type Judged = Pick<AlertRule, 'breach' | 'threshold' | 'resolveAt' | 'forSeconds' | 'staleSeconds' | 'minSamples'>;

/**
 * The next state. `measured` is undefined when the store has nothing for the app; too few samples count as nothing.
 * Between threshold and resolveAt a firing alert stays and a quiet one stays quiet.
 */
export function step(
  rule: Judged,
  state: AlertState | undefined,
  measured: Measurement | undefined,
  now: number,
): Step {
  const known = measured !== undefined && measured.samples >= rule.minSamples ? measured : undefined;
  if (known === undefined) return unmeasured(rule, state, now);
  if (state?.phase === 'firing') return whileFiring(rule, state, known, now);
  if (!isBreach(rule, known.value)) return state === undefined ? { state } : resolve(state, 'passed', now, known);
  const pending: AlertState = { phase: 'pending', since: state?.since ?? now, seenAt: now, last: known };
  if (now - pending.since >= rule.forSeconds * 1000) return fire(state, known, now);
  return state === undefined
    ? { state: pending, transition: changed('inactive', 'pending', 'breached', now, known, now) }
    : { state: pending };
}

/** Ends an alert whose rule no longer exists. */
export function remove(state: AlertState, now: number): Step {
  return resolve(state, 'removed', now, state.last);
}

/** The store could not be asked: not knowing is not silence, so the alert does not grow stale by it. */
export function unasked(state: AlertState, now: number): AlertState {
  return { ...state, seenAt: now };
}

/** What is pending must be seen to hold; what fires may go unseen for longer. */
function unmeasured(rule: Judged, state: AlertState | undefined, now: number): Step {
  const patience = state?.phase === 'firing' ? rule.staleSeconds : Math.min(rule.forSeconds, rule.staleSeconds);
  if (state === undefined || now - state.seenAt < patience * 1000) return { state };
  return resolve(state, 'stale', now, state.last);
}

function whileFiring(rule: Judged, state: AlertState, measured: Measurement, now: number): Step {
  if (isRecovered(rule, measured.value)) return resolve(state, 'recovered', now, measured);
  return { state: { ...state, seenAt: now, last: measured } };
}

function fire(state: AlertState | undefined, measured: Measurement, now: number): Step {
  return {
    state: { phase: 'firing', since: now, seenAt: now, last: measured },
    transition: changed(state?.phase ?? 'inactive', 'firing', 'held', now, measured, now),
  };
}

function resolve(state: AlertState, reason: Reason, now: number, measured: Measurement): Step {
  return { state: undefined, transition: changed(state.phase, 'resolved', reason, now, measured, state.since) };
}

function changed(
  from: Transition['from'],
  to: Transition['to'],
  reason: Reason,
  at: number,
  measured: Measurement,
  startedAt: number,
): Transition {
  return { from, to, reason, at, measured, startedAt };
}

const isBreach = ({ breach, threshold }: Judged, value: number): boolean =>
  breach === 'above' ? value > threshold : value < threshold;

const isRecovered = ({ breach, resolveAt }: Judged, value: number): boolean =>
  breach === 'above' ? value <= resolveAt : value >= resolveAt;
