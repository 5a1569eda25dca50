/** Does what the collector says between two credentials: keeps revoked usernames out, and ends what they have. */
import type { Clock } from '../../kernel/clock.ts';
import type { Logger } from '../../kernel/log.ts';
import type { Metrics } from '../../kernel/metrics.ts';
import type { Random } from '../../kernel/random.ts';
import type { ControlAnswer } from '../contract.ts';
import { systemSleep } from '../../kernel/sleep.ts';
import { askControl } from './control-client.ts';
import { AppCaps } from './app-caps.ts';
import { ControlLink } from './control-link.ts';
import { ControlState } from './control-state.ts';

export interface ControlFollowerOptions {
  /** What was heard is kept here. */
  readonly directory: string;
  readonly collector: { readonly url: string; readonly token: string };
  /** Ends every allocation of a username, now. */
  readonly end: (username: string) => void;
  /** Ends every allocation of an app, now. */
  readonly endApp: (app: string) => void;
  readonly caps: CapRules;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** What becomes of the apps that have a cap while the collector cannot be heard. */
export interface CapRules {
  /** Apps that must not go on unwatched. */
  readonly closed: ReadonlySet<string>;
  /** Milliseconds without an answer after which the collector counts as lost. */
  readonly timeout: number;
}

/** Milliseconds between two looks for revocations that are past their time. */
const FORGET_EVERY = 60_000;

export class ControlFollower {
  readonly #options: ControlFollowerOptions;
  readonly #state: ControlState;
  readonly #link: ControlLink;
  readonly #caps: AppCaps;
  /** Unix milliseconds. */
  #forgetAt = 0;

  constructor(options: ControlFollowerOptions) {
    const { collector, clock, random, log, metrics } = options;
    this.#options = options;
    this.#state = new ControlState(options.directory);
    const ask = askControl(collector.url, collector.token);
    const onAnswer = (answer: ControlAnswer) => this.#take(answer);
    this.#link = new ControlLink({ ask, onAnswer, sleep: systemSleep, clock, random, log });
    const silence = () => this.#link.age;
    this.#caps = new AppCaps({ named: this.#state, silence, ...options.caps });
    metrics.gauge('turnpike_relay_capped_apps', (gauge) => {
      const apps = new Set([...this.#state.cappedApps, ...options.caps.closed]);
      gauge.set([...apps].filter((app) => this.isCapped(app, clock.now())).length);
    });
    metrics.gauge('turnpike_relay_revocations', (gauge) => gauge.set(this.#state.size));
    metrics.gauge('turnpike_relay_control_age_seconds', (gauge) => gauge.set(this.#link.age / 1_000));
  }

  /** Whether this username was revoked. */
  has(username: string): boolean {
    return this.#state.has(username);
  }

  /** Whether this app may carry nothing more for now (Unix milliseconds). */
  isCapped(app: string, now: number): boolean {
    return this.#caps.has(app, now);
  }

  /** Ends what the apps have that must not go on without the collector, once it is lost. */
  watch(): void {
    const lost = this.#caps.lost();
    if (lost.length > 0) this.#options.log.warn({ apps: lost }, 'the collector is lost; apps with a cap are closed');
    for (const app of lost) this.#options.endApp(app);
  }

  /** How it stands, for people. */
  get detail(): string {
    const { age, failure } = this.#link;
    const trouble = failure === undefined ? '' : `; ${failure}`;
    return `${this.#state.size} revocations, last answer ${Math.round(age / 1_000)} s ago${trouble}`;
  }

  /** Ends what an earlier life left to end, and asks from now on. */
  start(): void {
    for (const username of this.#state.usernames()) this.#options.end(username);
    this.#endCapped(this.#state.cappedApps);
    this.#link.start();
  }

  /** Forgets, now and then, the revocations that are past their time. */
  forget(now: number, isAlive: (username: string) => boolean): void {
    if (now < this.#forgetAt) return;
    this.#forgetAt = now + FORGET_EVERY;
    this.#watch(this.#state.forget(now, isAlive));
  }

  async stop(): Promise<void> {
    await this.#link.stop();
    await this.#state.close();
  }

  #take(answer: ControlAnswer): boolean {
    const { revoked, kept } = this.#state.take(answer);
    for (const username of revoked) this.#options.end(username);
    this.#watch(kept);
    if (revoked.length > 0) this.#options.log.info({ credentials: revoked.length }, 'credentials are revoked');
    const { capped, changed, kept: capsKept } = this.#state.takeCaps(answer);
    this.#watch(capsKept);
    this.#endCapped(capped);
    return revoked.length > 0 || changed;
  }

  #endCapped(apps: readonly string[]): void {
    const now = this.#options.clock.now();
    const capped = apps.filter((app) => this.#state.isCapped(app, now));
    for (const app of capped) this.#options.endApp(app);
    if (capped.length > 0) this.#options.log.warn({ apps: capped }, 'apps have carried what they may; they are ended');
  }

  /** A full disk does not let anybody in again: only a restart would forget, and then the collector says it again. */
  #watch(written: Promise<void>): void {
    written.catch((error: unknown) => this.#options.log.error({ err: error }, 'revocations could not be kept on disk'));
  }
}
