/**
 * Recording and alerting rules for Prometheus, over our own metrics only. Call quality is judged where the rows are (the
 * collector's alert rules); here is what the machinery says of itself, and the money.
 */
import { stringify } from 'yaml';
import type { MetricName } from '../../kernel/metrics.ts';

/** Scrape jobs that deploy/prometheus.yml has and the rules rely on. */
export const scrapeJobs = { relay: 'turnpike-relay', collector: 'turnpike-collector' } as const;

/** Checks at compile time that a metric exists. */
const metric = (name: MetricName): MetricName => name;

interface RecordingRule {
  readonly record: string;
  readonly expr: string;
}
interface AlertingRule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly keep_firing_for?: string;
  readonly labels: { readonly severity: 'warning' | 'critical' };
  readonly annotations: { readonly summary: string; readonly description: string };
}
interface RuleGroup {
  readonly name: string;
  readonly interval?: string;
  readonly rules: readonly (RecordingRule | AlertingRule)[];
}

const recording: RuleGroup = {
  name: 'turnpike-recording',
  rules: [
    {
      record: 'direction_peer_class:turnpike_relay_bytes:rate5m',
      expr: `sum by (direction, peer_class) (rate(${metric('turnpike_relay_bytes_total')}[5m]))`,
    },
    {
      record: 'instance:turnpike_relay_allocation_failures:ratio_rate5m',
      expr: `sum by (instance) (rate(${metric('turnpike_relay_allocations_total')}{result=~"486|508"}[5m])) / sum by (instance) (rate(${metric('turnpike_relay_allocations_total')}{result!="401"}[5m]))`,
    },
    {
      record: 'instance:turnpike_relay_dropped_packets:ratio_rate5m',
      expr: `sum by (instance) (rate(${metric('turnpike_relay_dropped_packets_total')}[5m])) / (sum by (instance) (rate(${metric('turnpike_relay_packets_total')}[5m])) + sum by (instance) (rate(${metric('turnpike_relay_dropped_packets_total')}[5m])))`,
    },
    {
      record: 'turnpike_quality_setups:success_ratio_rate15m',
      expr: `sum(rate(${metric('turnpike_quality_setups_total')}{result="connected"}[15m])) / sum(rate(${metric('turnpike_quality_setups_total')}[15m]))`,
    },
    {
      record: 'table:turnpike_collector_insert_seconds:p95_rate5m',
      expr: `histogram_quantile(0.95, sum by (table, le) (rate(${metric('turnpike_collector_insert_seconds')}_bucket[5m])))`,
    },
  ],
};

const relay: RuleGroup = {
  name: 'turnpike-relay',
  rules: [
    {
      alert: 'TurnpikeRelayDown',
      expr: `up{job="${scrapeJobs.relay}"} == 0`,
      for: '1m',
      labels: { severity: 'critical' },
      annotations: {
        summary: 'Relay {{ $labels.instance }} does not answer',
        description: 'Prometheus could not scrape the relay for a minute: calls through it are likely cut off.',
      },
    },
    {
      alert: 'TurnpikeAllocationsRefused',
      expr: 'instance:turnpike_relay_allocation_failures:ratio_rate5m > 0.05',
      for: '5m',
      labels: { severity: 'critical' },
      annotations: {
        summary: 'Relay {{ $labels.instance }} refuses {{ $value | humanizePercentage }} of allocations',
        description:
          'Answers 486 (quota) or 508 (no capacity): raise turn.relayPorts or turn.maxAllocations, or add a relay.',
      },
    },
    {
      alert: 'TurnpikePacketsDropped',
      expr: 'instance:turnpike_relay_dropped_packets:ratio_rate5m > 0.02',
      for: '10m',
      labels: { severity: 'warning' },
      annotations: {
        summary: 'Relay {{ $labels.instance }} drops {{ $value | humanizePercentage }} of packets',
        description: `See ${metric('turnpike_relay_dropped_packets_total')} by reason: full buffers, limits, or peers that nobody permitted.`,
      },
    },
    {
      alert: 'TurnpikeUsagePending',
      // Uploads empty the spool every few seconds: never being empty and growing over ten minutes means that none gets through.
      expr: `${metric('turnpike_relay_usage_pending')} > 0 and min_over_time(${metric('turnpike_relay_usage_pending')}[10m]) > 0 and delta(${metric('turnpike_relay_usage_pending')}[10m]) > 0`,
      for: '10m',
      labels: { severity: 'warning' },
      annotations: {
        summary: 'Usage piles up on relay {{ $labels.instance }}: {{ $value }} records wait',
        description:
          'The collector has not acknowledged usage for 10 minutes. Nothing is lost yet: records stay in the spool and are sent again.',
      },
    },
    {
      alert: 'TurnpikeUsageRefused',
      expr: `increase(${metric('turnpike_relay_usage_records_total')}{result="refused"}[15m]) > 0`,
      labels: { severity: 'critical' },
      annotations: {
        summary: 'The collector refuses usage of relay {{ $labels.instance }}',
        description:
          'Refused records are not sent again, so their bytes are missing from the statement. The log of the relay has the reason.',
      },
    },
  ],
};

const collector: RuleGroup = {
  name: 'turnpike-collector',
  rules: [
    {
      alert: 'TurnpikeCollectorDown',
      expr: `up{job="${scrapeJobs.collector}"} == 0`,
      for: '2m',
      labels: { severity: 'critical' },
      annotations: {
        summary: 'Collector {{ $labels.instance }} does not answer',
        description: 'No credentials are issued and no reports are taken. Relays keep their usage and go on relaying.',
      },
    },
    {
      alert: 'TurnpikeSourceDown',
      // A source that is up and has not been heard has nothing to tell: a Janus without calls.
      expr: `time() - ${metric('turnpike_source_heard_timestamp_seconds')} > 600 and ${metric('turnpike_source_up')} == 0`,
      labels: { severity: 'warning' },
      annotations: {
        summary: 'Source {{ $labels.source }} was last heard {{ $value | humanizeDuration }} ago',
        description:
          'Its egress is missing from the statement for now. Counters are cumulative: what it sends meanwhile is counted when it is heard again, unless it restarts.',
      },
    },
    {
      alert: 'TurnpikeIntakeWaits',
      expr: `${metric('turnpike_collector_spool_age_seconds')} > 300`,
      for: '2m',
      labels: { severity: 'warning' },
      annotations: {
        summary:
          'Rows wait on the disk of collector {{ $labels.instance }}, the oldest for {{ $value | humanizeDuration }}',
        description:
          'ClickHouse is away or too slow. Nothing is lost, but readers do not see it yet; at collector.spoolBytes reports are turned away.',
      },
    },
    {
      alert: 'TurnpikeIntakeRefused',
      expr: `${metric('turnpike_collector_spool_refused')} > 0`,
      labels: { severity: 'critical' },
      annotations: {
        summary: 'ClickHouse refuses rows that collector {{ $labels.instance }} has acknowledged',
        description: 'They are set aside in its data directory. The log of the collector has the reason.',
      },
    },
    {
      alert: 'TurnpikeStoreInsertsFail',
      expr: `sum by (instance) (rate(${metric('turnpike_collector_reports_total')}{result="unavailable"}[5m])) > 0`,
      for: '2m',
      labels: { severity: 'critical' },
      annotations: {
        summary: 'Collector {{ $labels.instance }} cannot write to the store',
        description: 'Reports are answered 503 and clients send them again, as far as their buffers reach.',
      },
    },
    {
      alert: 'TurnpikeStoreSlow',
      expr: 'table:turnpike_collector_insert_seconds:p95_rate5m > 2.5',
      for: '10m',
      labels: { severity: 'warning' },
      annotations: {
        summary: 'Inserts into {{ $labels.table }} take {{ $value | humanizeDuration }} (p95)',
        description:
          'Clients wait for the store before their report is acknowledged: look at its merges, disk and memory.',
      },
    },
    {
      alert: 'TurnpikeSetupsFail',
      expr: 'turnpike_quality_setups:success_ratio_rate15m < 0.95',
      for: '10m',
      labels: { severity: 'warning' },
      annotations: {
        summary: 'Only {{ $value | humanizePercentage }} of connections succeed',
        description: 'Over 15 minutes and all apps. Compare with the allocations that relays refuse.',
      },
    },
  ],
};

const billing: RuleGroup = {
  name: 'turnpike-billing',
  interval: '1m',
  rules: [
    {
      alert: 'TurnpikeFreeTierNearlyUsed',
      expr: `max(${metric('turnpike_billing_free_tier_used_ratio')}) >= 0.8 and max(${metric('turnpike_billing_free_tier_used_ratio')}) < 1`,
      labels: { severity: 'warning' },
      annotations: {
        summary: '{{ $value | humanizePercentage }} of the free allowance is used this month',
        description: 'Every byte beyond the allowance costs what the rate card says.',
      },
    },
    {
      alert: 'TurnpikeFreeTierUsed',
      expr: `max(${metric('turnpike_billing_free_tier_used_ratio')}) >= 1`,
      labels: { severity: 'critical' },
      annotations: {
        summary: 'The free allowance of this month is used up ({{ $value | humanizePercentage }})',
        description: `Egress now costs money; ${metric('turnpike_billing_month_cost')} has the sum so far.`,
      },
    },
  ],
};

export const ruleGroups: readonly RuleGroup[] = [recording, relay, collector, billing];

/** The rules as the file that Prometheus loads. */
export function renderRules(): string {
  return stringify({ groups: ruleGroups }, { lineWidth: 0 });
}
