/**
 * Evaluates the rules on the store, again and again. Each change of state is in the `alerts` table before anybody hears
 * of it, and what the table holds is where a restart begins: an alert that fires is neither forgotten nor announced anew.
 */
import type { StoreReader, StoreWriter } from '../../../collector/store/store.ts';
import type { Clock } from '../../../kernel/clock.ts';
import type { Logger } from '../../../kernel/log.ts';
import type { Metrics } from '../../../kernel/metrics.ts';
import { alertRow, openAlerts } from './alert-history.ts';
import type { OpenAlert } from './alert-history.ts';
import { noticeOf, noticesOf } from './alert-notice.ts';
import type { AlertRule } from './alert-rules.ts';
import { remove, step, unasked } from './alert-state.ts';
import type { AlertState, Measurement, Transition } from './alert-state.ts';
import type { AlertDelivery, AlertNotice } from './delivery.ts';
import { measure } from './measurement.ts';

export interface AlertLoopOptions {
  readonly store: StoreReader & StoreWriter;
  readonly clock: Clock;
  readonly deliver: AlertDelivery;
  readonly rules: readonly AlertRule[];
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Milliseconds between evaluations. */
  readonly interval?: number;
}

export interface AlertLoop {
  /** One evaluation. Never rejects: what fails is logged and tried again with the next. */
  tick(): Promise<void>;
  /** Evaluates now and then on the interval. */
  start(): void;
  /** Resolves once no evaluation is running any more. */
  stop(): Promise<void>;
}

const DEFAULT_INTERVAL = 15_000;
/** Evaluations that may fail to arrive before a receiver takes a firing alert for over. Prometheus uses the same. */
const VALID_INTERVALS = 4;

interface Change {
  readonly rule: AlertRule;
  readonly app: string;
  readonly transition: Transition;
  readonly next: AlertState | undefined;
}

export function createAlertLoop(options: AlertLoopOptions): AlertLoop {
  const evaluation = new Evaluation(options);
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  const tick = (): Promise<void> => {
    running ??= evaluation
      .run()
      .catch((error: unknown) => options.log.error({ err: error }, 'the alert rules could not be evaluated'))
      .finally(() => {
        running = undefined;
      });
    return running;
  };
  return {
    tick,
    start() {
      void tick();
      timer ??= setInterval(() => void tick(), options.interval ?? DEFAULT_INTERVAL).unref();
    },
    async stop() {
      clearInterval(timer);
      timer = undefined;
      await running;
    },
  };
}

class Evaluation {
  readonly #options: AlertLoopOptions;
  /** By rule, then app: every alert that is pending or firing. */
  readonly #states: Map<string, Map<string, AlertState>>;
  #restored = false;
  /** Alerts of rules that no longer exist, until their end is written. */
  #orphans: OpenAlert[] = [];

  constructor(options: AlertLoopOptions) {
    this.#options = options;
    this.#states = new Map(options.rules.map(({ name }) => [name, new Map()]));
  }

  async run(): Promise<void> {
    const { clock, deliver, log, interval = DEFAULT_INTERVAL } = this.#options;
    if (!this.#restored) await this.#restore();
    const now = clock.now();
    const changes = [...this.#removed(now), ...(await this.#evaluate(now))];
    const written = await this.#write(changes);
    this.#count();
    const changed = written.flatMap(({ rule, app, transition }) => noticesOf(rule, app, transition));
    const validUntil = now + VALID_INTERVALS * interval;
    await deliver
      .deliver({ changed, firing: this.#firing(), validUntil })
      .catch((error: unknown) => log.error({ err: error }, 'alerts were not delivered'));
  }

  async #restore(): Promise<void> {
    const open = await openAlerts(this.#options.store, this.#options.clock.now());
    for (const alert of open) this.#states.get(alert.rule)?.set(alert.app, alert.state);
    this.#orphans = open.filter(({ rule }) => !this.#states.has(rule));
    this.#restored = true;
  }

  #removed(now: number): Change[] {
    return this.#orphans.flatMap((orphan) => {
      const { state: next, transition } = remove(orphan.state, now);
      return transition === undefined ? [] : [{ rule: withoutRule(orphan), app: orphan.app, transition, next }];
    });
  }

  /** Moves every alert on. Changes are returned, and take effect only once they are written. */
  async #evaluate(now: number): Promise<Change[]> {
    const changes: Change[] = [];
    for (const rule of this.#options.rules) {
      const states = this.#states.get(rule.name) ?? new Map<string, AlertState>();
      const measured = await this.#measure(rule, now);
      if (measured === undefined) {
        for (const [app, state] of states) states.set(app, unasked(state, now));
        continue;
      }
      for (const app of new Set([...states.keys(), ...measured.keys()])) {
        const { state: next, transition } = step(rule, states.get(app), measured.get(app), now);
        if (transition !== undefined) changes.push({ rule, app, transition, next });
        else if (next !== undefined) states.set(app, next);
      }
    }
    return changes;
  }

  async #measure(rule: AlertRule, now: number): Promise<Map<string, Measurement> | undefined> {
    try {
      return await measure(this.#options.store, rule, now);
    } catch (error) {
      this.#options.log.error({ err: error, rule: rule.name }, 'an alert rule could not be measured');
      return undefined;
    }
  }

  /** The changes that are in the table. When they cannot be written, the next evaluation finds them again. */
  async #write(changes: readonly Change[]): Promise<readonly Change[]> {
    if (changes.length === 0) return [];
    try {
      await this.#options.store.insert(
        'alerts',
        changes.map(({ rule, app, transition }) => alertRow(rule, app, transition)),
      );
    } catch (error) {
      this.#options.log.error({ err: error, changes: changes.length }, 'changes of alerts could not be written');
      return [];
    }
    this.#orphans = [];
    for (const { rule, app, next } of changes) {
      if (next === undefined) this.#states.get(rule.name)?.delete(app);
      else this.#states.get(rule.name)?.set(app, next);
    }
    return changes;
  }

  #firing(): AlertNotice[] {
    return this.#options.rules.flatMap((rule) =>
      [...(this.#states.get(rule.name) ?? [])].flatMap(([app, state]) =>
        state.phase === 'firing'
          ? [noticeOf(rule, app, { startsAt: state.since, endsAt: null, measured: state.last })]
          : [],
      ),
    );
  }

  #count(): void {
    const gauge = this.#options.metrics.gauge('turnpike_quality_alerts');
    for (const { name: rule, severity } of this.#options.rules) {
      const states = [...(this.#states.get(rule)?.values() ?? [])];
      gauge.set({ rule, severity }, states.filter(({ phase }) => phase === 'firing').length);
    }
  }
}

/** Enough of a rule that is gone to write and announce the end of its alert. */
function withoutRule({ rule, severity, threshold }: OpenAlert): AlertRule {
  return {
    name: rule,
    severity,
    measure: rule,
    unit: '',
    breach: 'above',
    threshold,
    resolveAt: threshold,
    windowSeconds: 0,
    forSeconds: 0,
    staleSeconds: 0,
    minSamples: 0,
    sampleName: '',
    sql: '',
  };
}
