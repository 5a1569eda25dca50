/** The quality histograms, fed once for each row that was stored, however often its batch arrives. */
import type { Metrics } from '../../kernel/metrics.ts';
import type { ReportRows } from '../normalise/report.ts';
import type { Row } from '../store/store.ts';
import { Recent } from './recent.ts';

/** Batches remembered as counted. A retry comes within minutes. */
const REMEMBERED_BATCHES = 50_000;
const SETUP_RESULTS = new Set(['connected', 'failed']);

export class QualityMetrics {
  readonly #metrics: Metrics;
  readonly #counted = new Recent<true>(REMEMBERED_BATCHES);

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  /** `batch` names the batch among all batches. */
  observe(batch: string, rows: ReportRows): void {
    if (this.#counted.has(batch)) return;
    this.#counted.use(batch, () => true);
    for (const row of rows.stream_intervals) if (row['direction'] === 'inbound') this.#observeInbound(row);
    const rtt = this.#metrics.histogram('turnpike_quality_rtt_seconds');
    for (const { rtt_ms: ms } of rows.connection_intervals) if (typeof ms === 'number') rtt.observe(ms / 1_000);
    for (const row of rows.call_events) this.#observeEvent(row);
  }

  #observeInbound(row: Row): void {
    const media = String(row['kind']);
    const { packets, packets_lost: lost, jitter_ms: jitter, mos, mos_model: model } = row;
    if (typeof mos === 'number') this.#metrics.histogram('turnpike_quality_mos').observe({ model: String(model) }, mos);
    if (typeof jitter === 'number') {
      this.#metrics.histogram('turnpike_quality_jitter_seconds').observe({ media }, jitter / 1_000);
    }
    if (typeof packets !== 'number' || typeof lost !== 'number') return;
    const expected = packets + Math.max(0, lost);
    if (expected === 0) return;
    this.#metrics.histogram('turnpike_quality_loss_ratio').observe({ media }, Math.max(0, lost) / expected);
  }

  #observeEvent({ type, value, value_ms: ms }: Row): void {
    if (type === 'first_frame' && typeof ms === 'number') {
      this.#metrics.histogram('turnpike_quality_time_to_first_frame_seconds').observe(ms / 1_000);
    }
    if (type !== 'setup') return;
    const result = typeof value === 'string' && SETUP_RESULTS.has(value) ? value : 'other';
    this.#metrics.counter('turnpike_quality_setups_total').inc({ result });
  }
}
