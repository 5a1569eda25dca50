/** `turnpike dashboards --out DIR`: Grafana dashboards, their provisioning and Prometheus rules as files. */
import type { Command } from 'commander';
import { loadRateCard } from '../billing/egress/rate-card.ts';
import { writeDashboards } from '../dashboards/artifacts.ts';
import { settingsOf } from './settings.ts';

export function dashboards(command: Command): void {
  const { out } = command.opts<{ out: string }>();
  const { billing } = settingsOf(command);
  const written = writeDashboards(out, { rateCard: loadRateCard(billing.rateCard) });
  process.stdout.write(written.map((path) => `${path}\n`).join(''));
}
