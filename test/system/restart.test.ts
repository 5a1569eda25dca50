/**
 * SIGKILL to the relay under a call in Chromium: the relay that the service starts in its place goes on with the same relayed
 * addresses, the pictures move again, and the bill is exact. How long the pictures stood still is printed, not asserted to the
 * millisecond.
 */
import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import type { Statement } from '../../billing/contract.ts';
import { freeTurnPort } from '../../cli/free-port.ts';
import { openStore } from '../../collector/store/clickhouse.ts';
import { adminEndpoint, readConnection } from '../../collector/store/embedded/connection.ts';
import type { Store } from '../../collector/store/store.ts';
import { silentLog } from '../../kernel/log.ts';
import { monthOf } from '../../kernel/period.ts';
import { requirePart } from '../system-parts.ts';
import { launchChromium } from './chromium.ts';
import { keepPeerConnections, peerFigures } from './relayed-call.ts';
import { mainProgram, removeDirectory, startService, until } from './service.ts';
import type { Service } from './service.ts';

const chromium = requirePart('chromium');

/** Milliseconds that pictures may stand still at most: what is promised is 2 s on a machine that does nothing else. */
const LONGEST_GAP = 10_000;

/** Moments at which each side was seen to have decoded more frames than before. */
class Pictures {
  readonly #moved: number[][] = [[], []];
  #watching = true;
  readonly #done: Promise<void>;
  constructor(page: Page) {
    this.#done = this.#watch(page);
  }
  async #watch(page: Page): Promise<void> {
    const most = [0, 0];
    while (this.#watching) {
      const figures = await peerFigures(page);
      figures.forEach(({ framesDecoded }, side) => {
        if (framesDecoded > (most[side] ?? 0)) this.#moved[side]?.push(Date.now());
        most[side] = framesDecoded;
      });
      await sleep(20);
    }
  }
  /** How often each side's picture was seen to move after that moment. */
  movesAfter(moment: number): number[] {
    return this.#moved.map((moves) => moves.filter((at) => at > moment).length);
  }
  /** Each side's longest time without a new frame after that moment, in milliseconds. */
  longestGapsAfter(moment: number): number[] {
    return this.#moved.map((moves) => {
      const after = moves.filter((at) => at > moment);
      return Math.max(...after.map((at, index) => at - (after[index - 1] ?? moment)));
    });
  }
  async stop(): Promise<void> {
    this.#watching = false;
    await this.#done;
  }
}

chromium.describe('a call whose relay is killed', () => {
  let service: Service;
  let store: Store;
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    // Over UDP alone: what comes over TCP cannot outlive its connection, and a browser under load may begin there.
    const turnPort = await freeTurnPort(['127.0.0.1']);
    const env = { TURNPIKE_TURN_URLS: `turn:127.0.0.1:${turnPort}?transport=udp` };
    service = await startService({ turnPort, env });
    store = openStore({
      endpoint: async () => adminEndpoint((await readConnection(`${service.data}/clickhouse`))!),
      log: silentLog,
    });
    browser = await launchChromium();
    page = await browser.newPage();
    await keepPeerConnections(page);
    await page.goto(`${service.url}/try`);
    await page.getByRole('button', { name: 'Start the call' }).click();
    await until(async () => {
      const peers = await peerFigures(page);
      return peers.length === 2 && peers.every((peer) => peer.framesDecoded > 60);
    }, 'the call to flow');
  });

  afterAll(async () => {
    await browser?.close();
    await store?.close();
    await service?.stop();
    await removeDirectory(service.data);
  });

  const relayed = () => page.evaluate<(string | null)[]>('relayedAddresses()');
  const metrics = async () => (await fetch(service.metricsUrl)).text();
  const sentToClients = (text: string) =>
    [
      ...text.matchAll(/^turnpike_relay_bytes_total\{direction="(?:client_tx|client_control_tx)"[^}]*\} (\d+)$/gm),
    ].reduce((total, match) => total + BigInt(match[1] ?? 0), 0n);

  /** Each life of the relay, oldest first: what its readings say it sent to clients, and how many allocations have no last one. */
  const lives = () =>
    store.select(
      z.object({ boot: z.string(), bytes: z.string(), open: z.string() }),
      `SELECT boot_id AS boot, toString(sum(highest)) AS bytes, toString(countIf(last = false)) AS open FROM (
         SELECT boot_id, max(client_tx_bytes) AS highest, max(final) AS last
         FROM egress_samples FINAL GROUP BY server_id, boot_id, object_id, peer_class) GROUP BY boot_id ORDER BY boot_id`,
    );

  it('goes on with it: the same relayed addresses, moving pictures, nobody told 437 or 438', async () => {
    const addresses = await relayed();
    expect(addresses).toEqual([
      expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      expect.stringMatching(/^127\.0\.0\.1:\d+$/),
    ]);
    const pictures = new Pictures(page);
    const killed = Date.now();
    process.kill((await service.parts()).relay, 'SIGKILL');
    try {
      await until(() => pictures.movesAfter(killed + 1_500).every((moves) => moves > 20), 'the pictures to move again');
    } finally {
      await pictures.stop();
    }
    const gaps = pictures.longestGapsAfter(killed);
    process.stdout.write(`pictures stood still for ${gaps.join(' and ')} ms\n`);
    expect(Math.max(...gaps)).toBeLessThan(LONGEST_GAP);
    expect(await relayed()).toEqual(addresses);

    const text = await metrics();
    expect(text).toMatch(/^turnpike_relay_resumed_allocations_total\{result="resumed"\} [1-9]/m);
    expect(text).not.toMatch(/turnpike_relay_resumed_allocations_total\{result="(?!resumed)/);
    expect(text).not.toMatch(/turnpike_relay_stun_requests_total\{[^}]*result="43[78]"/);
  });

  it('has it on the bill to the byte, both lives of the relay', async () => {
    const before = sentToClients(await metrics());
    expect(before).toBeGreaterThan(0n);
    await page.getByRole('button', { name: 'Hang up' }).click();
    await until(async () => {
      const found = await lives();
      const counted = sentToClients(await metrics());
      return found.length === 2 && found.every(({ open }) => open === '0') && found[1]?.bytes === `${counted}`;
    }, 'both lives to have their last readings');
    const [first, second] = await lives();
    expect(BigInt(first?.bytes ?? 0)).toBeGreaterThan(0n);
    const args = [mainProgram, 'statement', monthOf(Date.now()).name, '--data', service.data, '--format', 'json'];
    const { stdout } = await promisify(execFile)(process.execPath, args, { env: { PATH: process.env['PATH'] } });
    const made = JSON.parse(stdout) as Statement;
    expect(BigInt(made.totals.bytes)).toBe(BigInt(first?.bytes ?? 0) + BigInt(second?.bytes ?? 0));
  });
});
