/**
 * SIGKILL in the middle of a call: each part, then all of them. Every report that was acknowledged is in the store once,
 * and no byte that was counted more than a second before a kill is missing from the bill.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { openStore } from '../../collector/store/clickhouse.ts';
import { adminEndpoint, readConnection } from '../../collector/store/embedded/connection.ts';
import type { Store } from '../../collector/store/store.ts';
import { freeTurnPort } from '../../cli/free-port.ts';
import { silentLog } from '../../kernel/log.ts';
import { requirePart } from '../system-parts.ts';
import { launchChromium } from './chromium.ts';
import { acknowledgedReports, keepPeerConnections, peerFigures } from './relayed-call.ts';
import type { AcknowledgedReport } from './relayed-call.ts';
import { removeDirectory, startService, until } from './service.ts';
import type { Service } from './service.ts';

const chromium = requirePart('chromium');

/** One look at the relay's counter of bytes sent to clients, and when it was answered. */
interface Look {
  readonly at: number;
  readonly bytes: bigint;
}

/** Looks at the relay's counters again and again, while there is one to ask. */
class Watch {
  readonly looks: Look[] = [];
  #watching = true;
  readonly #done: Promise<void>;
  constructor(metricsUrl: string) {
    this.#done = this.#run(metricsUrl);
  }
  async #run(metricsUrl: string): Promise<void> {
    while (this.#watching) {
      try {
        const text = await (await fetch(metricsUrl)).text();
        const at = Date.now();
        const bytes = [
          ...text.matchAll(/^turnpike_relay_bytes_total\{direction="(?:client_tx|client_control_tx)"[^}]*\} (\d+)$/gm),
        ].reduce((total, match) => total + BigInt(match[1] ?? 0), 0n);
        this.looks.push({ at, bytes });
      } catch {
        // killed: there is nobody to ask until it is back
      }
      await sleep(50);
    }
  }
  async stop(): Promise<void> {
    this.#watching = false;
    await this.#done;
  }
  /** The newest count that was a full second old at that moment. */
  secondBefore(moment: number): bigint {
    return this.looks.findLast(({ at }) => at <= moment - 1_000)?.bytes ?? 0n;
  }
}

chromium.describe('a service whose parts are killed in the middle of a call', () => {
  let service: Service;
  let env: Readonly<Record<string, string>>;
  let browser: Browser;
  let page: Page;
  let store: Store;
  let acknowledged: AcknowledgedReport[];

  const openPage = async () => {
    page = await browser.newPage();
    await keepPeerConnections(page);
    const reports = acknowledgedReports(page);
    await page.goto(`${service.url}/try`);
    await page.getByRole('button', { name: 'Start the call' }).click();
    await until(async () => {
      const peers = await peerFigures(page);
      return peers.length === 2 && peers.every((peer) => peer.framesDecoded > 30);
    }, 'the call to flow');
    return reports;
  };

  beforeAll(async () => {
    acknowledged = [];
    // Over UDP alone: what comes over TCP cannot outlive its connection, and a browser under load may begin there.
    const turnPort = await freeTurnPort(['127.0.0.1']);
    env = { TURNPIKE_TURN_URLS: `turn:127.0.0.1:${turnPort}?transport=udp` };
    service = await startService({ turnPort, env });
    store = openStore({
      endpoint: async () => adminEndpoint((await readConnection(`${service.data}/clickhouse`))!),
      log: silentLog,
      selectRetryMs: 20_000,
    });
    browser = await launchChromium();
  });

  afterAll(async () => {
    await browser?.close();
    await store?.close();
    await service?.stop();
    await removeDirectory(service.data);
  });

  const moreReports = async (reports: readonly AcknowledgedReport[]) => {
    const before = reports.length;
    await until(() => reports.length >= before + 2, 'reports to be acknowledged again');
  };

  async function expectEveryReportOnce(reports: readonly AcknowledgedReport[]): Promise<void> {
    const rows = await store.select(
      z.object({ connection_id: z.string(), batch_seq: z.number(), rows: z.string() }),
      `SELECT connection_id, batch_seq, toString(count()) AS rows FROM connection_intervals FINAL GROUP BY connection_id, batch_seq`,
    );
    const stored = new Map(rows.map((row) => [`${row.connection_id} ${row.batch_seq}`, Number(row.rows)]));
    const missing = reports.filter(
      ({ connection, seq, samples }) => samples > 1 && stored.get(`${connection} ${seq}`) !== samples - 1,
    );
    expect(missing).toEqual([]);
    expect(reports.some(({ samples }) => samples > 1)).toBe(true);
  }

  /** What is on the bill, over all boots of the relay. */
  async function billed(): Promise<{ total: bigint; open: number }> {
    const [row] = await store.select(
      z.object({ total: z.string(), open: z.string() }),
      `SELECT toString(sum(highest)) AS total, toString(countIf(last = false)) AS open FROM (
         SELECT max(client_tx_bytes) AS highest, max(final) AS last
         FROM egress_samples FINAL GROUP BY server_id, boot_id, object_id, peer_class)`,
    );
    return { total: BigInt(row?.total ?? 0), open: Number(row?.open) };
  }

  it('answers reports again after its collector was killed, and has lost none', async () => {
    const reports = await openPage();
    await moreReports(reports);
    process.kill((await service.parts()).collector, 'SIGKILL');
    await moreReports(reports);
    await expectEveryReportOnce(reports);
    acknowledged.push(...reports);
    await page.close();
  });

  it('answers reports again after its ClickHouse was killed, and has lost none', async () => {
    const reports = await openPage();
    await moreReports(reports);
    process.kill((await service.parts()).clickhouse, 'SIGKILL');
    await moreReports(reports);
    await expectEveryReportOnce(reports);
    acknowledged.push(...reports);
    await page.close();
  });

  it('bills every byte older than a second after its relay was killed', async () => {
    const watch = new Watch(service.metricsUrl);
    const reports = await openPage();
    await moreReports(reports);
    const before = await billed();
    const killed = Date.now();
    process.kill((await service.parts()).relay, 'SIGKILL');
    const counted = watch.secondBefore(killed);
    expect(counted).toBeGreaterThan(before.total);
    await until(async () => (await billed()).total >= counted, 'every byte older than a second to be billed');
    // The call goes on at the relay that was started in its place, until it is hung up.
    await page.getByRole('button', { name: 'Hang up' }).click();
    await until(async () => (await billed()).open === 0, 'each life of each allocation to have its last reading');
    await watch.stop();
    await expectEveryReportOnce(reports);
    acknowledged.push(...reports);
    await page.close();
  });

  it('finds every acknowledged report and every byte older than a second after all of it was killed and started again', async () => {
    const carriedBefore = (await billed()).total;
    const watch = new Watch(service.metricsUrl);
    const reports = await openPage();
    await moreReports(reports);
    const bytesOfEarlierCalls = watch.looks[0]?.bytes ?? 0n;
    const parts = await service.parts();
    const killed = Date.now();
    for (const pid of [service.process.pid!, parts.relay, parts.collector, parts.clickhouse])
      process.kill(pid, 'SIGKILL');
    await watch.stop();
    const url = new URL(service.url);
    service = await startService({ data: service.data, port: Number(url.port), turnPort: service.turnPort, env });
    const counted = watch.secondBefore(killed) - bytesOfEarlierCalls;
    expect(counted).toBeGreaterThan(0n);
    await until(
      async () => (await billed()).total - carriedBefore >= counted,
      'every byte older than a second to be billed',
    );
    acknowledged.push(...reports);
    await expectEveryReportOnce(acknowledged);
    await page.close();
  });
});
