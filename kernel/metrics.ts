/**
 * Every Prometheus metric, in one table: name, kind, help, labels. Names are `turnpike_<room>_<noun>_<unit>[_total]`.
 * No label is unbounded (no user, call or address). The reference (docs/metrics.md) is tested against this table.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

interface MetricRow {
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  readonly buckets?: readonly number[];
}

export const metricTable = {
  turnpike_relay_allocations: { kind: 'gauge', help: 'Allocations alive now.', labels: [] },
  turnpike_relay_allocations_total: {
    kind: 'counter',
    help: 'Allocate requests by outcome (ok, or the STUN error code).',
    labels: ['transport', 'result'],
  },
  turnpike_relay_resumed_allocations_total: {
    kind: 'counter',
    help: 'Allocations that the last run left, by what became of them (resumed, or why not).',
    labels: ['result'],
  },
  turnpike_relay_bytes_total: {
    kind: 'counter',
    help: 'Bytes relayed, counted in the plane (client side framed, peer side raw).',
    labels: ['direction', 'peer_class'],
  },
  turnpike_relay_packets_total: {
    kind: 'counter',
    help: 'Packets relayed, counted in the plane.',
    labels: ['direction', 'peer_class'],
  },
  turnpike_relay_dropped_packets_total: {
    kind: 'counter',
    help: 'Packets not relayed, by reason.',
    labels: ['reason'],
  },
  turnpike_relay_connections: { kind: 'gauge', help: 'TCP and TLS connections of clients now.', labels: ['transport'] },
  turnpike_relay_connections_ended_total: {
    kind: 'counter',
    help: 'TCP and TLS connections of clients that ended, by how; refused ones never began.',
    labels: ['transport', 'how'],
  },
  turnpike_relay_auth_failures_total: {
    kind: 'counter',
    help: 'Requests refused for their credentials, by reason.',
    labels: ['reason'],
  },
  turnpike_relay_stun_requests_total: {
    kind: 'counter',
    help: 'STUN and TURN requests by method and result.',
    labels: ['method', 'result'],
  },
  turnpike_relay_limited_requests_total: {
    kind: 'counter',
    help: 'Requests refused or left unanswered because there was too much of something, by what.',
    labels: ['limit'],
  },
  turnpike_relay_usage_records_total: {
    kind: 'counter',
    help: 'Usage records by fate (written, delivered, refused).',
    labels: ['result'],
  },
  turnpike_relay_usage_pending: {
    kind: 'gauge',
    help: 'Usage records in the spool, not yet acknowledged by the collector.',
    labels: [],
  },
  turnpike_relay_revocations: { kind: 'gauge', help: 'Revoked credentials that this relay keeps out.', labels: [] },
  turnpike_relay_capped_apps: {
    kind: 'gauge',
    help: 'Apps that may carry nothing more for now: over their cap, or closed because the collector is lost.',
    labels: [],
  },
  turnpike_relay_control_age_seconds: {
    kind: 'gauge',
    help: 'Seconds since the collector last answered for revocations; since the start when it never has.',
    labels: [],
  },
  turnpike_credentials_revoked_total: { kind: 'counter', help: 'Credentials revoked.', labels: [] },
  turnpike_credentials_refused_total: {
    kind: 'counter',
    help: 'Calls for credentials that were refused, by error code.',
    labels: ['code'],
  },
  turnpike_credentials_issued_total: { kind: 'counter', help: 'Credentials issued, by route.', labels: ['route'] },
  turnpike_collector_reports_total: {
    kind: 'counter',
    help: 'Client reports by format and result.',
    labels: ['format', 'result'],
  },
  turnpike_collector_streams: {
    kind: 'gauge',
    help: 'Streams of reports (WebSocket) that are open, by format.',
    labels: ['format'],
  },
  turnpike_source_info: {
    kind: 'gauge',
    help: 'Sources of egress counters besides our relays: 1 each, with what their counters are worth for a bill.',
    labels: ['source', 'kind', 'grade'],
  },
  turnpike_source_up: {
    kind: 'gauge',
    help: 'Whether a source told its counters when it last should.',
    labels: ['source'],
  },
  turnpike_source_heard_timestamp_seconds: {
    kind: 'gauge',
    help: 'When a source was last heard, Unix seconds.',
    labels: ['source'],
  },
  turnpike_source_readings_total: { kind: 'counter', help: 'Readings stored of a source.', labels: ['source'] },
  turnpike_source_events_total: {
    kind: 'counter',
    help: 'Webhooks of a source: stored, or ignored as of no interest.',
    labels: ['source', 'result'],
  },
  turnpike_source_lost_seconds_total: {
    kind: 'counter',
    help: 'Time of a source that was not asked for while its provider still knew.',
    labels: ['source'],
  },
  turnpike_collector_spool_rows: {
    kind: 'gauge',
    help: 'Rows taken while the store was slow or away, waiting on the disk.',
    labels: [],
  },
  turnpike_collector_spool_bytes: { kind: 'gauge', help: 'Their bytes, as JSON.', labels: [] },
  turnpike_collector_spool_age_seconds: {
    kind: 'gauge',
    help: 'How long the oldest of them has waited; 0 when none does.',
    labels: [],
  },
  turnpike_collector_spool_refused: {
    kind: 'gauge',
    help: 'Batches on the disk that the store refused for what is in them, set aside.',
    labels: [],
  },
  turnpike_collector_spooled_rows_total: { kind: 'counter', help: 'Rows taken to the disk.', labels: ['table'] },
  turnpike_collector_rows_total: { kind: 'counter', help: 'Rows acknowledged by the store.', labels: ['table'] },
  turnpike_collector_insert_seconds: {
    kind: 'histogram',
    help: 'Time of one insert into the store.',
    labels: ['table'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  },
  turnpike_collector_rollup_lag_seconds: {
    kind: 'gauge',
    help: 'How long ago the newest rows were stored that the rollup has, and all before them.',
    labels: ['rollup'],
  },
  turnpike_collector_rolled_windows_total: {
    kind: 'counter',
    help: 'Minutes or hours filled in a rollup, those filled again included.',
    labels: ['rollup'],
  },
  turnpike_billing_month_egress_bytes: {
    kind: 'gauge',
    help: "This month's egress to clients, SFU and TURN together.",
    labels: [],
  },
  turnpike_billing_month_cost: {
    kind: 'gauge',
    help: "This month's cost so far on the configured rate card, in its currency.",
    labels: ['currency'],
  },
  turnpike_billing_free_tier_used_ratio: {
    kind: 'gauge',
    help: 'Share of the free allowance used this month (1 = all of it).',
    labels: [],
  },
  turnpike_quality_alerts: { kind: 'gauge', help: 'Alerts firing now.', labels: ['rule', 'severity'] },
  turnpike_quality_alert_deliveries_total: {
    kind: 'counter',
    help: 'Deliveries of alerts by result (ok, failed and kept; lost counts alerts given up).',
    labels: ['delivery', 'result'],
  },
  turnpike_quality_mos: {
    kind: 'histogram',
    help: 'MOS of inbound audio intervals, by the model that scored them.',
    labels: ['model'],
    buckets: [1, 1.5, 2, 2.5, 3, 3.25, 3.5, 3.75, 4, 4.2, 4.4, 4.5],
  },
  turnpike_quality_loss_ratio: {
    kind: 'histogram',
    help: 'Packet loss of inbound intervals (0 to 1).',
    labels: ['media'],
    buckets: [0, 0.001, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.1, 0.2, 0.5, 1],
  },
  turnpike_quality_jitter_seconds: {
    kind: 'histogram',
    help: 'Interarrival jitter of inbound intervals.',
    labels: ['media'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5],
  },
  turnpike_quality_rtt_seconds: {
    kind: 'histogram',
    help: 'Round-trip time of connection intervals.',
    labels: [],
    buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2],
  },
  turnpike_quality_time_to_first_frame_seconds: {
    kind: 'histogram',
    help: 'Time from the start of a connection to its first decoded video frame.',
    labels: [],
    buckets: [0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10],
  },
  turnpike_quality_setups_total: { kind: 'counter', help: 'Connection set-ups by result.', labels: ['result'] },
} as const satisfies Record<string, MetricRow>;

export type MetricName = keyof typeof metricTable;
type NamesOfKind<K extends MetricRow['kind']> = {
  [N in MetricName]: (typeof metricTable)[N]['kind'] extends K ? N : never;
}[MetricName];

/** Brings a metric up to date just before it is read. */
type Collect<M> = (metric: M) => void;

/** The metrics of one process. Each is created on first use and registered once; the first user may give a `collect`. */
export class Metrics {
  readonly registry = new Registry();
  readonly #made = new Map<MetricName, Counter | Gauge | Histogram>();

  counter(name: NamesOfKind<'counter'>, collect?: Collect<Counter>): Counter {
    return this.#make(name, collect, (row) => new Counter({ ...row, registers: [this.registry] }));
  }
  gauge(name: NamesOfKind<'gauge'>, collect?: Collect<Gauge>): Gauge {
    return this.#make(name, collect, (row) => new Gauge({ ...row, registers: [this.registry] }));
  }
  histogram(name: NamesOfKind<'histogram'>): Histogram {
    return this.#make(name, undefined, (row) => new Histogram({ ...row, registers: [this.registry] }));
  }

  #make<M extends Counter | Gauge | Histogram>(
    name: MetricName,
    collect: Collect<M> | undefined,
    create: (row: { name: string; help: string; labelNames: string[]; buckets: number[]; collect?: () => void }) => M,
  ): M {
    const existing = this.#made.get(name);
    if (existing !== undefined && collect !== undefined) throw new Error(`${name} has an owner already`);
    if (existing !== undefined) return existing as M;
    const row: MetricRow = metricTable[name];
    const made: M = create({
      name,
      help: row.help,
      labelNames: [...row.labels],
      buckets: [...(row.buckets ?? [])],
      ...(collect === undefined ? {} : { collect: () => collect(made) }),
    });
    this.#made.set(name, made);
    return made;
  }
}
