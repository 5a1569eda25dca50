/** `turnpike collector`: API, intake, billing and console on a ClickHouse server. */
import { join } from 'node:path';
import type { Command } from 'commander';
import { createMonthGauges } from '../billing/egress/month-gauges.ts';
import { loadRateCard } from '../billing/egress/rate-card.ts';
import { createAlertLoop } from '../billing/quality/alerts/alert-loop.ts';
import { standardRules } from '../billing/quality/alerts/alert-rules.ts';
import { alertmanagerDelivery } from '../billing/quality/alerts/alertmanager-delivery.ts';
import { everywhere, retrying } from '../billing/quality/alerts/delivery.ts';
import type { AlertDelivery } from '../billing/quality/alerts/delivery.ts';
import { webhookDelivery } from '../billing/quality/alerts/webhook-delivery.ts';
import { IntakeSpool } from '../collector/intake/intake-spool.ts';
import { keptIn, migrate } from '../collector/store/migrations.ts';
import { Roller } from '../collector/store/roller.ts';
import { systemClock as clock } from '../kernel/clock.ts';
import { createLog } from '../kernel/log.ts';
import type { Logger } from '../kernel/log.ts';
import { Metrics } from '../kernel/metrics.ts';
import { systemRandom as random } from '../kernel/random.ts';
import { systemSleep as sleep } from '../kernel/sleep.ts';
import { authorityOf, loadBootstrap } from './bootstrap.ts';
import type { SecretName } from './bootstrap.ts';
import type { Config } from './config.ts';
import { listen } from './listen.ts';
import { runRole } from './role.ts';
import { createService } from './service.ts';
import { settingsOf } from './settings.ts';
import { explainingStore, migrationOf, openConfiguredStore, readerEndpointOf, retentionOf } from './store.ts';

const SERVICE_SECRETS: SecretName[] = ['TURNPIKE_RELAY_TOKEN', 'TURNPIKE_SOURCE_TOKEN', 'TURNPIKE_OPERATOR_TOKEN'];
const APP_SECRETS: SecretName[] = ['TURNPIKE_KEY_SECRET', 'TURNPIKE_API_TOKEN'];

export async function collector(command: Command): Promise<void> {
  const config = settingsOf(command);
  const needed = config.apps.length > 0 ? SERVICE_SECRETS : [...APP_SECRETS, ...SERVICE_SECRETS];
  const bootstrap = loadBootstrap({ data: config.data, env: process.env, random, generate: false, needed });
  const authority = authorityOf(config, bootstrap, clock);
  const card = loadRateCard(config.billing.rateCard);
  const log = createLog('collector', config.log.level);
  await runRole(log, async (lifecycle) => {
    const metrics = new Metrics();
    const store = openConfiguredStore(config, log, { metrics });
    lifecycle.onClose('store', () => store.close());
    await explainingStore(config, () => migrate(store, migrationOf(config, log)));

    const spool = new IntakeSpool({
      directory: join(config.data, 'collector', 'spool'),
      maxBytes: config.collector.spoolBytes,
      clock,
      random,
    });
    lifecycle.onClose('spool', () => spool.close());
    const reader = readerEndpointOf(config);
    const http = await createService({ config, authority, store, reader, spool, log, metrics, clock, random });
    lifecycle.onClose('http', () => http.close());
    const { host, port } = config.http;
    await listen(http, { host, port, flag: '--port <port>' });

    const gauges = createMonthGauges({ reader: store, metrics, clock, log, card });
    const alerts = createAlertLoop({
      store,
      clock,
      deliver: everywhere(deliveriesOf(config, log, metrics)),
      rules: standardRules,
      log,
      metrics,
      interval: config.alerts.intervalSeconds * 1_000,
    });
    const kept = retentionOf(config);
    const roller = new Roller({
      store,
      clock,
      sleep,
      log,
      metrics,
      keptOf: (table) => keptIn(table, kept),
      interval: config.collector.rollupSeconds * 1_000,
    });
    for (const [name, loop] of Object.entries({ gauges, alerts, roller })) {
      loop.start();
      lifecycle.onClose(name, () => loop.stop());
    }
    log.info({ host, port }, 'collecting');
  });
}

function deliveriesOf(config: Config, log: Logger, metrics: Metrics): AlertDelivery[] {
  const { alertmanager, webhook } = config.alerts;
  return [
    ...(alertmanager === undefined ? [] : [alertmanagerDelivery({ url: alertmanager })]),
    ...(webhook === undefined ? [] : [webhookDelivery({ url: webhook })]),
  ].map((delivery) => retrying(delivery, { log, metrics }));
}
