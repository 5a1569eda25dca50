/**
 * One real call, end to end, as a new user makes it: the built service, Chromium, relay-only candidates; then the same
 * from a page of another origin. What the browser saw, what the relay counted, what the store holds and what the
 * statement says are held against each other.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import type { Statement } from '../../billing/contract.ts';
import type { CallDetail, CallsAnswer } from '../../collector/contract.ts';
import { openStore } from '../../collector/store/clickhouse.ts';
import { adminEndpoint, readConnection } from '../../collector/store/embedded/connection.ts';
import type { Store } from '../../collector/store/store.ts';
import { silentLog } from '../../kernel/log.ts';
import { monthOf } from '../../kernel/period.ts';
import { requirePart } from '../system-parts.ts';
import { launchChromium } from './chromium.ts';
import { foreignSite } from './foreign-site.ts';
import { acknowledgedReports, complaintsOf, keepPeerConnections, peerFigures } from './relayed-call.ts';
import type { AcknowledgedReport, PeerFigures } from './relayed-call.ts';
import { mainProgram, removeDirectory, startService, until } from './service.ts';
import type { Service } from './service.ts';

const run = promisify(execFile);
const chromium = requirePart('chromium');

/** ChannelData's header, or at most a Data indication's (IPv4): what TURN adds to each packet. */
const FRAMING = { least: 4, most: 36 };
/** The largest connectivity check that a browser sends or answers, with room. */
const CHECK_BYTES = 200;

const allocationRow = z.object({ object: z.string(), egress: z.string(), final: z.boolean() });

/** What the relay has sent to clients since it started, by its own planes' counters. */
async function planeEgress(metricsUrl: string): Promise<bigint> {
  const text = await (await fetch(metricsUrl)).text();
  return [...text.matchAll(/^turnpike_relay_bytes_total\{direction="(?:client_tx|client_control_tx)"[^}]*\} (\d+)$/gm)]
    .map((match) => BigInt(match[1] ?? 0))
    .reduce((total, bytes) => total + bytes, 0n);
}

chromium.describe('a call through the relay', () => {
  let service: Service;
  let store: Store;
  let browser: Browser;
  const period = monthOf(Date.now());

  const api = async <T>(path: string, init?: RequestInit): Promise<T> =>
    (await fetch(service.url + path, init)).json() as Promise<T>;
  const allocations = (call: string) =>
    store.select(
      allocationRow,
      `SELECT object_id AS object, toString(sum(bytes)) AS egress, max(last) AS final FROM (
         SELECT object_id, peer_class, max(client_tx_bytes) AS bytes, max(final) AS last
         FROM egress_samples FINAL WHERE call_id = {call:String} GROUP BY object_id, peer_class) GROUP BY object_id ORDER BY object_id`,
      { call },
    );
  /** A browser allocates on each of its interfaces, so there may be more than one allocation a peer. */
  const ended = async (call: string) => {
    const rows = await allocations(call);
    return rows.length >= 2 && rows.every((row) => row.final);
  };

  beforeAll(async () => {
    service = await startService();
    store = openStore({
      endpoint: async () => adminEndpoint((await readConnection(`${service.data}/clickhouse`))!),
      log: silentLog,
    });
    browser = await launchChromium();
  });

  afterAll(async () => {
    await browser?.close();
    await store?.close();
    await service?.stop();
    await removeDirectory(service.data);
  });

  /** Held against each other: what the relay sent to the call's clients, and what the browser says it received. */
  function expectAgreement(relayed: bigint, peers: readonly PeerFigures[]): void {
    const received = peers.reduce((total, peer) => total + peer.bytesReceived, 0);
    const packets = peers.reduce((total, peer) => total + peer.packetsReceived, 0);
    const checks = peers.reduce((total, peer) => total + peer.checksReceived, 0);
    const control = 8_192 * peers.length; // TURN's own answers: Allocate, CreatePermission, ChannelBind, Refresh
    expect(Number(relayed)).toBeGreaterThanOrEqual(received + packets * FRAMING.least);
    const most = received + packets * FRAMING.most + checks * (CHECK_BYTES + FRAMING.most) + control;
    // What is on its way when the browser is asked arrives a moment later: allow half a second of it.
    expect(Number(relayed)).toBeLessThanOrEqual(most * 1.05 + 65_536);
  }

  async function expectMedia(page: Page): Promise<PeerFigures[]> {
    await until(async () => {
      const flowing = (await peerFigures(page)).filter((peer) => peer.framesDecoded > 60 && peer.audioEnergy > 0);
      return flowing.length === 2;
    }, 'pictures and tone to arrive on both sides');
    const peers = await peerFigures(page);
    expect(peers.map((peer) => peer.localCandidateType)).toEqual(['relay', 'relay']);
    return peers;
  }

  async function statement(): Promise<Statement> {
    const args = [mainProgram, 'statement', period.name, '--data', service.data, '--format', 'json'];
    const { stdout } = await run(process.execPath, args, { env: { PATH: process.env['PATH'] } });
    return JSON.parse(stdout) as Statement;
  }

  it('carries picture and tone from one button on /try, and every figure of it is true', async () => {
    const page = await browser.newPage();
    await keepPeerConnections(page);
    const complaints = complaintsOf(page);
    const acknowledged = acknowledgedReports(page);
    await page.goto(`${service.url}/try`);
    await page.getByRole('button', { name: 'Start the call' }).click();
    // The page is silent on purpose; a browser measures the energy of what it plays.
    await page.evaluate("document.querySelectorAll('video').forEach((video) => { video.muted = false; })");
    await expectMedia(page);
    const { calls } = await api<CallsAnswer>('/v1/calls');
    const call = calls[0]!.call;

    // Live on the page: MOS with its word, first frame, the relay's bytes, the month.
    await until(
      async () => /^4\.\d/.test((await page.locator('#mos').textContent()) ?? ''),
      'a MOS above 4 on the page',
    );
    await until(
      async () => /^\d+(\.\d+)?\s[kM]B$/.test((await page.locator('#relayed').textContent()) ?? ''),
      'relayed bytes',
    );
    expect(await page.locator('#first-frame').textContent()).toMatch(/^\d+(\.\d+)?\sm?s$/);
    expect(await page.locator('#month-cost').textContent()).toBe('$0.00');

    const peers = await peerFigures(page);
    await page.getByRole('button', { name: 'Hang up' }).click();
    await until(() => ended(call), 'the final readings of both allocations');
    const rows = await allocations(call);
    expectAgreement(
      rows.reduce((total, row) => total + BigInt(row.egress), 0n),
      peers,
    );

    const detail = await api<CallDetail>(`/v1/calls/${call}`);
    expect(detail.participants).toBe(2);
    expect(detail.connected).toBe(2);
    expect(detail.streams.filter((point) => (point.mos ?? 0) > 4).length).toBeGreaterThan(2);
    expect(detail.timeToFirstFrameMs).toBeGreaterThan(0);
    await expectStored(acknowledged);
    expect(complaints).toEqual([]);
    await page.close();
  });

  /** Every acknowledged batch is in the store, each of its intervals once. */
  async function expectStored(acknowledged: readonly AcknowledgedReport[]): Promise<void> {
    expect(acknowledged.length).toBeGreaterThan(0);
    const rows = await store.select(
      z.object({ connection_id: z.string(), batch_seq: z.number(), samples: z.string(), rows: z.string() }),
      `SELECT connection_id, batch_seq, toString(uniqExact(sample_index)) AS samples, toString(count()) AS rows
       FROM connection_intervals FINAL GROUP BY connection_id, batch_seq`,
    );
    const stored = new Map(rows.map((row) => [`${row.connection_id} ${row.batch_seq}`, row]));
    for (const batch of acknowledged.filter(({ samples }) => samples > 1)) {
      const row = stored.get(`${batch.connection} ${batch.seq}`);
      expect(row?.rows, `batch ${batch.seq} of ${batch.connection}`).toBe(`${batch.samples - 1}`);
      expect(row?.samples).toBe(row?.rows);
    }
  }

  it('carries it as well from a page of another origin with two lines of the SDK', async () => {
    const token = await service.apiToken();
    const credential = (participant: string) =>
      api('/v1/turn/keys/main/credentials/generate-ice-servers', {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ ttl: 600, call: 'foreign', participant, customIdentifier: 'customer-42' }),
      });
    const session = JSON.stringify({ peers: [await credential('ann'), await credential('bob')] });
    const site = await foreignSite(service.url, session);
    const page = await browser.newPage();
    await keepPeerConnections(page);
    const acknowledged = acknowledgedReports(page);
    await page.goto(site.url);
    await page.evaluate('start()');
    await expectMedia(page);
    await until(() => acknowledged.filter(({ samples }) => samples > 2).length >= 2, 'both connections to report');
    const peers = await peerFigures(page);
    await page.evaluate('hangUp()');
    await until(() => ended('foreign'), 'the final readings of both allocations');
    const rows = await allocations('foreign');
    expectAgreement(
      rows.reduce((total, row) => total + BigInt(row.egress), 0n),
      peers,
    );
    await expectStored(acknowledged);
    await page.close();
    site.close();
  });

  it('is on the statement to the byte: the statement, the readings and the planes agree', async () => {
    // A browser may allocate once more and give it up at once: that allocation's only reading may still be on its way.
    await until(async () => (await readings()) === (await planeEgress(service.metricsUrl)), 'every byte to be read');
    const made = await statement();
    const counted = await planeEgress(service.metricsUrl);
    expect(BigInt(made.totals.bytes)).toBe(counted);
    expect(await readings()).toBe(counted);
    expect(made.lines.map((line) => line.customId)).toContain('customer-42');
    expect(made.totals.cost).toBe('0.00');
    const table = await run(process.execPath, [mainProgram, 'statement', period.name, '--data', service.data]);
    expect(table.stdout).toContain(period.name);
  });

  it('ends with exit code 0 when it is asked to stop', async () => {
    expect(await service.stop()).toBe(0);
  });

  /** Egress of the period by its definition, from the raw readings: the highest total in it minus the highest before it. */
  async function readings(): Promise<bigint> {
    const [sum] = await store.select(
      z.object({ bytes: z.string() }),
      `WITH fromUnixTimestamp64Milli({start:Int64}) AS start, fromUnixTimestamp64Milli({end:Int64}) AS end
       SELECT toString(sum(highest - before)) AS bytes FROM (
         SELECT maxIf(client_tx_bytes, window_end > start AND window_end <= end) AS highest,
                maxIf(client_tx_bytes, window_end <= start) AS before
         FROM egress_samples FINAL GROUP BY server_id, boot_id, object_id, peer_class)`,
      { start: period.start, end: period.end },
    );
    return BigInt(sum?.bytes ?? 0);
  }
});
