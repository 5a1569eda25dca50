/** The files of `turnpike dashboards --out DIR`: the same input always gives the same bytes. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard';
import type { RateCard } from '../billing/contract.ts';
import { callDashboard } from './grafana/call.ts';
import { overviewDashboard } from './grafana/overview.ts';
import { renderDashboardProvider, renderDatasources } from './grafana/provisioning.ts';
import { trendsDashboard } from './grafana/trends.ts';
import { renderRules } from './prometheus/rules.ts';

export interface DashboardOptions {
  /** Card that the month's allowance and cost are shown on. */
  readonly rateCard: RateCard;
  /** Where Grafana will find the written directory; goes into the provisioning of the dashboards. */
  readonly mountedAt?: string;
}

/** Where the compose file mounts the directory. */
export const DEFAULT_MOUNT = '/etc/turnpike';

/** Text of each file by its path within the directory. */
export function renderDashboards(options: DashboardOptions): ReadonlyMap<string, string> {
  const mount = options.mountedAt ?? DEFAULT_MOUNT;
  return new Map([
    ['grafana/dashboards/turnpike-overview.json', renderDashboard(overviewDashboard(options.rateCard))],
    ['grafana/dashboards/turnpike-call.json', renderDashboard(callDashboard())],
    ['grafana/dashboards/turnpike-trends.json', renderDashboard(trendsDashboard())],
    ['grafana/provisioning/dashboards/turnpike.yaml', renderDashboardProvider(`${mount}/grafana/dashboards`)],
    ['grafana/provisioning/datasources/turnpike.yaml', renderDatasources()],
    ['prometheus/turnpike.rules.yaml', renderRules()],
  ]);
}

/** Writes all of them below `directory`, over what was there; answers with their paths. */
export function writeDashboards(directory: string, options: DashboardOptions): string[] {
  return [...renderDashboards(options)].map(([name, text]) => {
    const path = join(directory, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return path;
  });
}

/** Panels get their ids here, in order, so that links to a panel stay good from one writing to the next. */
function renderDashboard(dashboard: Dashboard): string {
  const panels = dashboard.panels?.map((panel, index) => ({ ...panel, id: index + 1 }));
  return `${JSON.stringify({ ...dashboard, panels }, null, 2)}\n`;
}
