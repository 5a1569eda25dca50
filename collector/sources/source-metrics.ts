/** How the sources are: the numbers that tell a silent one from one that has nothing to say. */
import type { Clock } from '../../kernel/clock.ts';
import type { Metrics } from '../../kernel/metrics.ts';
import type { Grade } from './source-settings.ts';

export class SourceMetrics {
  readonly #metrics: Metrics;
  readonly #clock: Clock;

  constructor(metrics: Metrics, clock: Clock) {
    this.#metrics = metrics;
    this.#clock = clock;
  }

  /** A source that there is, before it has said anything. */
  expect(source: string, kind: string, grade: Grade): void {
    this.#metrics.gauge('turnpike_source_info').set({ source, kind, grade }, 1);
    this.#metrics.gauge('turnpike_source_up').set({ source }, 0);
    this.#metrics.counter('turnpike_source_readings_total').inc({ source }, 0);
    this.#metrics.counter('turnpike_source_lost_seconds_total').inc({ source }, 0);
  }

  heard(source: string, readings: number): void {
    this.#metrics.gauge('turnpike_source_up').set({ source }, 1);
    this.#metrics.gauge('turnpike_source_heard_timestamp_seconds').set({ source }, this.#clock.now() / 1000);
    this.#metrics.counter('turnpike_source_readings_total').inc({ source }, readings);
  }

  /** Something that a source told beside its counters. */
  event(source: string, result: 'stored' | 'ignored'): void {
    this.#metrics.counter('turnpike_source_events_total').inc({ source, result });
  }

  /** Time of which nobody can say any more what the source carried. */
  lost(source: string, seconds: number): void {
    this.#metrics.counter('turnpike_source_lost_seconds_total').inc({ source }, seconds);
  }

  failed(source: string): void {
    this.#metrics.gauge('turnpike_source_up').set({ source }, 0);
  }
}
