import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { metricTable } from '../../kernel/metrics.ts';
import { requirePart } from '../system-parts.ts';
import { renderRules, ruleGroups } from '../../dashboards/prometheus/rules.ts';

const directory = mkdtempSync(join(tmpdir(), 'turnpike-rules-'));
const rulesFile = join(directory, 'turnpike.rules.yaml');
writeFileSync(rulesFile, renderRules());
afterAll(() => rmSync(directory, { recursive: true }));

const rules = ruleGroups.flatMap((group) => [...group.rules]);
const recorded = new Set(rules.flatMap((rule) => ('record' in rule ? [rule.record] : [])));

/** Selectors of one expression: the name, and the labels that its matchers and aggregations mention. */
function selectorsOf(expr: string): { name: string; labels: string[] }[] {
  return [...expr.matchAll(/(?<![\w:])([a-z_]+:)?turnpike_[\w:]+(\{[^}]*\})?/g)].map(([text]) => ({
    name: text.replace(/\{.*$/, ''),
    labels: [...text.matchAll(/[{,]\s*(\w+)(?:=|!)/g)].map((match) => match[1] ?? ''),
  }));
}

interface MetricRow {
  readonly kind: string;
  readonly labels: readonly string[];
}
/** The metric behind a series' name; a histogram has its series under three suffixes. */
function rowOf(name: string): MetricRow | undefined {
  const table: Readonly<Record<string, MetricRow>> = metricTable;
  const base = name.replace(/_(bucket|sum|count)$/, '');
  return table[name] ?? (table[base]?.kind === 'histogram' ? table[base] : undefined);
}
/** Prometheus adds `instance` and `job`; a histogram's buckets have `le`. */
const hasLabel = (row: MetricRow, label: string): boolean =>
  row.labels.includes(label) || label === 'instance' || label === 'job' || (label === 'le' && row.kind === 'histogram');

describe('Prometheus rules', () => {
  it('read only metrics and labels that the kernel declares, or that a rule records', () => {
    const selectors = rules.flatMap((rule) => selectorsOf(rule.expr));
    expect(selectors.length).toBeGreaterThan(15);
    const unknown = selectors.filter(({ name, labels }) => {
      if (recorded.has(name)) return false;
      const row = rowOf(name);
      return row === undefined || labels.some((label) => !hasLabel(row, label));
    });
    expect(unknown).toEqual([]);
  });

  it('aggregate only by labels that the metric has', () => {
    const sums = rules.flatMap((rule) => [...rule.expr.matchAll(/sum by \(([^)]*)\) \(rate\((turnpike_\w+)[{[]/g)]);
    expect(sums.length).toBeGreaterThan(5);
    const unknown = sums.flatMap(([text, list = '', name = '']) => {
      const row = rowOf(name);
      return list.split(', ').every((label) => row !== undefined && hasLabel(row, label)) ? [] : [text];
    });
    expect(unknown).toEqual([]);
  });

  it('match only label values that are counted under', () => {
    const words = rules.flatMap((rule) =>
      [...rule.expr.matchAll(/result!?=~?"([a-z_]+)"/g)].map((match) => match[1] ?? ''),
    );
    expect(new Set(words)).toEqual(new Set(['connected', 'refused', 'unavailable']));
    const counting = [
      'relay/usage/uplink.ts',
      'collector/intake/report-results.ts',
      'collector/intake/quality-metrics.ts',
    ]
      .map((file) => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8'))
      .join('\n');
    expect(words.filter((word) => !counting.includes(`'${word}'`))).toEqual([]);
  });

  it('say for each alert what is wrong and what it means', () => {
    const alerts = rules.filter((rule) => 'alert' in rule);
    expect(alerts.length).toBeGreaterThan(8);
    expect(new Set(alerts.map((rule) => rule.alert)).size).toBe(alerts.length);
    for (const { annotations } of alerts) {
      expect(annotations.summary).toMatch(/\w/);
      expect(annotations.description).toMatch(/\.$/);
    }
  });

  const prometheus = requirePart('prometheus');
  prometheus.describe('under promtool', () => {
    it('are accepted', () => {
      const output = execFileSync(prometheus.path('promtool'), ['check', 'rules', rulesFile], {
        encoding: 'utf8',
        stdio: 'pipe',
      });
      expect(output).toContain(`${rules.length} rules found`);
    });

    it('fire when they should, and only then', () => {
      const file = join(directory, 'test.yaml');
      writeFileSync(file, stringify({ rule_files: [rulesFile], evaluation_interval: '1m', tests: scenarios }));
      const output = execFileSync(prometheus.path('promtool'), ['test', 'rules', file], {
        encoding: 'utf8',
        stdio: 'pipe',
      });
      expect(output).toContain('SUCCESS');
    });
  });
});

/** Alert that is expected at a time; annotations are rendered by Prometheus and compared in full. */
const expectAlert = (
  alertname: string,
  evalTime: string,
  labels: Record<string, string>[],
  annotations?: Record<string, string>,
) => ({
  eval_time: evalTime,
  alertname,
  exp_alerts: labels.map((exp_labels) => ({
    exp_labels,
    ...(annotations === undefined ? {} : { exp_annotations: annotations }),
  })),
});

const annotationsOf = (alertname: string, fill: Record<string, string>): Record<string, string> => {
  const rule = rules.find((candidate) => 'alert' in candidate && candidate.alert === alertname);
  if (rule === undefined || !('alert' in rule)) throw new Error(`no alert ${alertname}`);
  const render = (text: string) => text.replace(/\{\{ (.+?) \}\}/g, (_, key: string) => fill[key] ?? `?${key}?`);
  return { summary: render(rule.annotations.summary), description: render(rule.annotations.description) };
};

const scenarios = [
  {
    name: 'a relay that does not answer is down after a minute, not at once',
    interval: '1m',
    input_series: [{ series: 'up{job="turnpike-relay", instance="r1"}', values: '1 1 0 0 0' }],
    alert_rule_test: [
      expectAlert('TurnpikeRelayDown', '2m', []),
      expectAlert(
        'TurnpikeRelayDown',
        '4m',
        [{ severity: 'critical', job: 'turnpike-relay', instance: 'r1' }],
        annotationsOf('TurnpikeRelayDown', { '$labels.instance': 'r1' }),
      ),
    ],
  },
  {
    name: 'usage that only grows is pending; usage that drains is not',
    interval: '1m',
    input_series: [
      { series: 'turnpike_relay_usage_pending{job="turnpike-relay", instance="stuck"}', values: '1+6x20' },
      {
        series: 'turnpike_relay_usage_pending{job="turnpike-relay", instance="busy"}',
        values: '5 0 6 0 7 0 8 0 9 0 10 0 11 0 12 0 13 0 14 0 15',
      },
    ],
    alert_rule_test: [
      expectAlert('TurnpikeUsagePending', '9m', []),
      expectAlert(
        'TurnpikeUsagePending',
        '20m',
        [{ severity: 'warning', job: 'turnpike-relay', instance: 'stuck' }],
        annotationsOf('TurnpikeUsagePending', { '$labels.instance': 'stuck', $value: '121' }),
      ),
    ],
  },
  {
    name: 'the free tier warns from 80 % and is critical from 100 %',
    interval: '1m',
    input_series: [{ series: 'turnpike_billing_free_tier_used_ratio', values: '0.79 0.8 0.99 1 1.2' }],
    alert_rule_test: [
      expectAlert('TurnpikeFreeTierNearlyUsed', '0m', []),
      expectAlert(
        'TurnpikeFreeTierNearlyUsed',
        '1m',
        [{ severity: 'warning' }],
        annotationsOf('TurnpikeFreeTierNearlyUsed', { '$value | humanizePercentage': '80%' }),
      ),
      expectAlert('TurnpikeFreeTierUsed', '2m', []),
      expectAlert('TurnpikeFreeTierNearlyUsed', '3m', []),
      expectAlert(
        'TurnpikeFreeTierUsed',
        '4m',
        [{ severity: 'critical' }],
        annotationsOf('TurnpikeFreeTierUsed', { '$value | humanizePercentage': '120%' }),
      ),
    ],
  },
  {
    name: 'a store that takes nothing is reported, one that answers is not',
    interval: '1m',
    input_series: [
      {
        series:
          'turnpike_collector_reports_total{job="turnpike-collector", instance="c1", format="native", result="unavailable"}',
        values: '0+5x10',
      },
      {
        series:
          'turnpike_collector_reports_total{job="turnpike-collector", instance="c2", format="native", result="stored"}',
        values: '0+5x10',
      },
    ],
    alert_rule_test: [
      expectAlert(
        'TurnpikeStoreInsertsFail',
        '10m',
        [{ severity: 'critical', instance: 'c1' }],
        annotationsOf('TurnpikeStoreInsertsFail', { '$labels.instance': 'c1' }),
      ),
    ],
  },
  {
    name: 'allocations refused for want of room count, the first 401 of every client does not',
    interval: '1m',
    input_series: [
      {
        series: 'turnpike_relay_allocations_total{job="turnpike-relay", instance="full", transport="udp", result="ok"}',
        values: '0+9x20',
      },
      {
        series:
          'turnpike_relay_allocations_total{job="turnpike-relay", instance="full", transport="udp", result="508"}',
        values: '0+1x20',
      },
      {
        series:
          'turnpike_relay_allocations_total{job="turnpike-relay", instance="full", transport="udp", result="401"}',
        values: '0+100x20',
      },
      {
        series: 'turnpike_relay_allocations_total{job="turnpike-relay", instance="fine", transport="udp", result="ok"}',
        values: '0+9x20',
      },
      {
        series:
          'turnpike_relay_allocations_total{job="turnpike-relay", instance="fine", transport="udp", result="401"}',
        values: '0+100x20',
      },
    ],
    alert_rule_test: [
      expectAlert(
        'TurnpikeAllocationsRefused',
        '15m',
        [{ severity: 'critical', instance: 'full' }],
        annotationsOf('TurnpikeAllocationsRefused', {
          '$labels.instance': 'full',
          '$value | humanizePercentage': '10%',
        }),
      ),
    ],
  },
  {
    name: 'connections that fail are reported by share',
    interval: '1m',
    input_series: [
      { series: 'turnpike_quality_setups_total{result="connected"}', values: '0+9x40' },
      { series: 'turnpike_quality_setups_total{result="failed"}', values: '0+1x40' },
    ],
    alert_rule_test: [
      expectAlert('TurnpikeSetupsFail', '5m', []),
      expectAlert(
        'TurnpikeSetupsFail',
        '35m',
        [{ severity: 'warning' }],
        annotationsOf('TurnpikeSetupsFail', { '$value | humanizePercentage': '90%' }),
      ),
    ],
  },
];
