import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { renderDashboards, writeDashboards } from '../../dashboards/artifacts.ts';
import { CLICKHOUSE_PLUGIN, CLICKHOUSE_PLUGIN_VERSION } from '../../dashboards/grafana/clickhouse-query.ts';
import { datasourceEnv } from '../../dashboards/grafana/provisioning.ts';
import { qualityColours, qualityScales, risingSteps } from '../../dashboards/quality-steps.ts';
import { rateCard } from './rate-card.ts';

const files = renderDashboards({ rateCard });

const panelSchema = z.looseObject({
  id: z.int(),
  type: z.string(),
  title: z.string().min(1),
  gridPos: z.object({ x: z.int(), y: z.int(), w: z.int(), h: z.int() }),
  description: z.string().optional(),
  datasource: z.object({ type: z.string(), uid: z.string() }).optional(),
  fieldConfig: z
    .object({
      defaults: z.looseObject({ unit: z.string().optional() }),
      overrides: z.array(z.looseObject({ matcher: z.object({ id: z.string(), options: z.string() }) })),
    })
    .optional(),
  targets: z.array(z.looseObject({ rawSql: z.string(), pluginVersion: z.string(), format: z.int() })).optional(),
});
const dashboardSchema = z.looseObject({
  uid: z.string().max(40),
  editable: z.literal(false),
  panels: z.array(panelSchema),
  templating: z.object({ list: z.array(z.looseObject({ name: z.string() })) }),
});

const dashboards = [...files]
  .filter(([name]) => name.endsWith('.json'))
  .map(([name, text]) => [name, dashboardSchema.parse(JSON.parse(text))] as const);

describe('the files of `turnpike dashboards`', () => {
  it.each([...files])('keep to their golden copy: %s', async (name, text) => {
    await expect(text).toMatchFileSnapshot(`../golden/dashboards/${name}`);
  });

  it('are the same bytes each time, also over an older writing', () => {
    const directory = mkdtempSync(join(tmpdir(), 'turnpike-dashboards-'));
    try {
      const paths = writeDashboards(directory, { rateCard });
      const first = paths.map((path) => readFileSync(path, 'utf8'));
      expect(writeDashboards(directory, { rateCard })).toEqual(paths);
      expect(paths.map((path) => readFileSync(path, 'utf8'))).toEqual(first);
      expect(first).toEqual([...files.values()]);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('name in the provisioning the place that they are mounted at', () => {
    const provider: unknown = parse(files.get('grafana/provisioning/dashboards/turnpike.yaml') ?? '');
    expect(provider).toMatchObject({ providers: [{ options: { path: '/etc/turnpike/grafana/dashboards' } }] });
    const elsewhere = renderDashboards({ rateCard, mountedAt: '/srv/t' });
    expect(elsewhere.get('grafana/provisioning/dashboards/turnpike.yaml')).toContain('path: /srv/t/grafana/dashboards');
  });

  it('hold no password: the data source takes everything that differs from Grafana’s environment', () => {
    const text = files.get('grafana/provisioning/datasources/turnpike.yaml') ?? '';
    const names = [...text.matchAll(/\$\{(\w+)\}/g)].map((match) => match[1]);
    expect(new Set(names)).toEqual(new Set(Object.keys(datasourceEnv)));
    expect(parse(text)).toMatchObject({
      datasources: [{ type: CLICKHOUSE_PLUGIN, secureJsonData: { password: '${CLICKHOUSE_READER_PASSWORD}' } }],
    });
  });

  it('show the allowance and currency of the card they are made for', () => {
    const euros = renderDashboards({ rateCard: { ...rateCard, id: 'house', currency: 'EUR', allowanceGb: '250' } });
    const overview = euros.get('grafana/dashboards/turnpike-overview.json');
    expect(overview).toContain('"currencyEUR"');
    expect(overview).toContain('the 250 GB that “house” gives away');
    expect(overview).toContain('toFloat64(250000000000)');
  });
});

describe.each(dashboards)('%s', (_, dashboard) => {
  const shown = dashboard.panels.filter(({ type }) => type !== 'row');

  it('says of every panel what it shows, in which unit, from which store', () => {
    expect(shown.length).toBeGreaterThan(10);
    const silent = shown.filter(({ description = '' }) => !description.endsWith('.'));
    const unitless = shown.filter(
      ({ type, fieldConfig }) => type !== 'table' && (fieldConfig?.defaults.unit ?? '') === '',
    );
    const homeless = shown.filter(
      ({ datasource }) => datasource?.type !== CLICKHOUSE_PLUGIN || datasource.uid !== '${datasource}',
    );
    expect([...silent, ...unitless, ...homeless]).toEqual([]);
  });

  it('asks one query a panel, written for the pinned plugin', () => {
    for (const { targets = [] } of shown) {
      expect(targets.map(({ pluginVersion }) => pluginVersion)).toEqual([CLICKHOUSE_PLUGIN_VERSION]);
    }
  });

  it('dresses only columns that its query has', () => {
    const naked = shown.flatMap(({ targets = [], fieldConfig }) =>
      (fieldConfig?.overrides ?? [])
        .map(({ matcher }) => matcher.options)
        .filter((column) => !new RegExp(`(AS "?|SELECT |, )${column}\\b`).test(targets[0]?.rawSql ?? '')),
    );
    expect(naked).toEqual([]);
  });

  it('has every variable that its queries use', () => {
    const used = shown.flatMap(({ targets = [] }) =>
      targets.flatMap(({ rawSql }) => [...rawSql.matchAll(/\$\{(\w+)/g)].map((match) => match[1] ?? '')),
    );
    const declared = dashboard.templating.list.map(({ name }) => name);
    expect(declared).toEqual(expect.arrayContaining([...new Set(used)]));
    expect(declared).toContain('datasource');
  });

  it('lays its panels out on the 24 columns without a collision, under ids of their own', () => {
    const cells = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (__, cell) => `${x + (cell % w)},${y + Math.floor(cell / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(dashboard.panels.every(({ gridPos: { x, w } }) => x + w <= 24)).toBe(true);
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
  });
});

describe('quality steps', () => {
  it.each(Object.entries(qualityScales))('rise through all four once: %s', (_, scale) => {
    const steps = risingSteps(scale);
    expect(steps[0]?.from).toBeNull();
    expect(new Set(steps.map(({ step }) => step))).toEqual(new Set(Object.keys(qualityColours)));
    const bounds = steps.slice(1).map(({ from }) => Number(from));
    expect(bounds).toEqual(bounds.toSorted((left, right) => left - right));
    expect(steps.at(-1)?.step).toBe(scale.better === 'more' ? 'excellent' : 'poor');
  });
});
