/** The alert loop against Debian's own Alertmanager: what the store shows is what the person on call sees. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { createAlertLoop } from '../../billing/quality/alerts/alert-loop.ts';
import { alertmanagerDelivery } from '../../billing/quality/alerts/alertmanager-delivery.ts';
import { standardRules } from '../../billing/quality/alerts/alert-rules.ts';
import { retrying } from '../../billing/quality/alerts/delivery.ts';
import { openStore } from '../../collector/store/clickhouse.ts';
import type { ClickHouseStore } from '../../collector/store/clickhouse.ts';
import { startEmbedded } from '../../collector/store/embedded/server.ts';
import { migrate } from '../../collector/store/migrations.ts';
import { ManualClock } from '../../kernel/clock.ts';
import { silentLog } from '../../kernel/log.ts';
import { Metrics } from '../../kernel/metrics.ts';
import { every5s, streamInterval } from '../billing/quality/interval-rows.ts';
import { requirePart } from '../system-parts.ts';

const part = requirePart('alertmanager');
const MINUTE = 60_000;

const closers: (() => Promise<unknown>)[] = [];
afterAll(async () => {
  for (const close of closers.toReversed()) await close();
});

async function directory(name: string): Promise<string> {
  const made = await mkdtemp(path.join(tmpdir(), `turnpike-${name}-`));
  closers.push(() => rm(made, { recursive: true, force: true }));
  return made;
}

/** Resolves with its URL once it listens, on a port of its own choosing. */
async function startAlertmanager(): Promise<string> {
  const home = await directory('alertmanager');
  const config = path.join(home, 'alertmanager.yml');
  await writeFile(config, 'route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n');
  const child = spawn(
    part.path('prometheus-alertmanager'),
    [
      `--config.file=${config}`,
      `--storage.path=${home}`,
      '--web.listen-address=127.0.0.1:0',
      '--cluster.listen-address=',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  closers.push(async () => {
    if (child.exitCode !== null) return;
    child.kill();
    await once(child, 'exit');
  });
  const said: string[] = [];
  return new Promise((resolve, reject) => {
    createInterface(child.stderr).on('line', (line) => {
      said.push(line);
      const address = /"?Listening on"?.* address=(127\.0\.0\.1:\d+)/.exec(line)?.[1];
      if (address !== undefined) resolve(`http://${address}`);
    });
    child.once('exit', () => reject(new Error(`Alertmanager did not start:\n${said.join('\n')}`)));
  });
}

async function startStore(): Promise<ClickHouseStore> {
  const server = await startEmbedded({ directory: await directory('store'), log: silentLog });
  closers.push(() => server.stop());
  const store = openStore({ endpoint: () => server.endpoint(), log: silentLog });
  closers.push(() => store.close());
  await migrate(store, { log: silentLog });
  return store;
}

const posted = z.array(
  z.object({
    labels: z.record(z.string(), z.string()),
    annotations: z.record(z.string(), z.string()),
    startsAt: z.string(),
    status: z.object({ state: z.string() }),
  }),
);

part.describe('Alertmanager', () => {
  let alertmanager: string;
  let store: ClickHouseStore;
  beforeAll(async () => {
    [alertmanager, store] = await Promise.all([startAlertmanager(), startStore()]);
  });

  it('shows bad scores as an alert while they last, and no longer', async () => {
    const began = Date.now() - 12 * MINUTE;
    const clock = new ManualClock(began);
    const metrics = new Metrics();
    const loop = createAlertLoop({
      store,
      clock,
      deliver: retrying(alertmanagerDelivery({ url: alertmanager }), { log: silentLog, metrics }),
      rules: standardRules,
      log: silentLog,
      metrics,
      interval: 5 * MINUTE, // a firing alert is valid for four of these, so the hand-moved clock may lag behind
    });
    const scores = (mos: number) =>
      store.insert(
        'stream_intervals',
        every5s(clock.now(), 60, (ts) => streamInterval({ ts, mos, mos_model: 'g107.2' })),
      );
    const shown = async () => posted.parse(await (await fetch(`${alertmanager}/api/v2/alerts`)).json());

    await scores(2.9);
    await loop.tick();
    expect(await shown()).toEqual([]);

    clock.advance(MINUTE);
    await scores(2.9);
    await loop.tick();
    expect(await shown()).toMatchObject([
      {
        labels: { alertname: 'TurnpikeMosLow', severity: 'warning', app: 'demo' },
        annotations: { summary: 'MOS (worse quarter) of app demo is 2.9 over 5 min, below 3.5.', value: '2.9' },
        startsAt: new Date(began + MINUTE).toISOString(),
      },
    ]);

    clock.advance(MINUTE);
    await loop.tick();
    expect(await shown()).toMatchObject([{ startsAt: new Date(began + MINUTE).toISOString() }]);

    clock.advance(6 * MINUTE);
    await scores(4.3);
    await loop.tick();
    expect(await shown()).toEqual([]);
    expect(await metrics.registry.metrics()).toContain(
      'turnpike_quality_alert_deliveries_total{delivery="alertmanager",result="ok"} 4',
    );
  });
});
