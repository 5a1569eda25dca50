/** The SDK in a real browser: two peers in one page report to a collector of this test's own, and the reports add up. */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { reportIn, sentBody } from '../collector/client/sent-report.ts';
import type { Report, RtcStats } from '../../collector/contract.ts';
import { chromiumMissing, hasChromium, launchChromium } from './chromium.ts';

interface Received {
  readonly report: Report;
  readonly authorization: string | undefined;
  readonly contentType: string | undefined;
  readonly url: string;
  /** As they went over the wire. */
  readonly bytes: number;
  readonly isCompressed: boolean;
  readonly version: number;
}

const received: Received[] = [];
/** Statuses with which the next reports are answered before any is stored. */
const faults: number[] = [];
const refusedBodies: string[] = [];
const bodies: string[] = [];

async function collect(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { sent, text: body, isCompressed } = await sentBody(request);
  const fault = faults.shift();
  if (fault !== undefined) {
    refusedBodies.push(body);
    response.writeHead(fault).end();
    return;
  }
  bodies.push(body);
  received.push({
    report: reportIn(body),
    version: (JSON.parse(body) as { v: number }).v,
    authorization: request.headers.authorization,
    contentType: request.headers['content-type'],
    url: request.url ?? '',
    bytes: sent.length,
    isCompressed,
  });
  const answer = { stored: { streams: 0, connections: 0, events: 0 }, serverTime: Date.now() + 3_600_000 };
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
}

function serve(script: string): Promise<Server> {
  const page = readFileSync(join(import.meta.dirname, 'pages/two-peers.html'));
  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?')[0];
    if (path === '/') response.writeHead(200, { 'content-type': 'text/html' }).end(page);
    else if (path === '/turnpike.js') response.writeHead(200, { 'content-type': 'text/javascript' }).end(script);
    else if (path === '/v1/stats') void collect(request, response);
    else response.writeHead(404).end();
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(server));
  });
}

function bundle(): string {
  const { outputFiles } = buildSync({
    entryPoints: ['collector/client/index.ts'],
    bundle: true,
    platform: 'browser',
    format: 'iife',
    globalName: 'turnpike',
    write: false,
  });
  return outputFiles[0]!.text;
}

function byConnection(): Map<string, Received[]> {
  const groups = new Map<string, Received[]>();
  for (const one of received) {
    const { connection } = one.report;
    groups.set(connection, [...(groups.get(connection) ?? []), one]);
  }
  return groups;
}
const ofType = (stats: readonly RtcStats[], type: string, kind?: string) =>
  stats.filter((one) => one.type === type && (kind === undefined || one['kind'] === kind));

describe.skipIf(!hasChromium)(`the SDK in Chromium (${chromiumMissing})`, () => {
  let server: Server;
  let browser: Browser;
  let page: Page;
  /** The browser's own last word on each connection, taken after the SDK had stopped. */
  let truth: Record<string, RtcStats[]>;

  beforeAll(async () => {
    server = await serve(bundle());
    browser = await launchChromium();
    page = await browser.newPage();
    faults.push(503);
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await page.evaluate('start()');
    await page.waitForTimeout(9_000);
    truth = await page.evaluate<Record<string, RtcStats[]>>('stop()');
  });

  afterAll(async () => {
    await browser.close();
    server.close();
  });

  it('sends valid reports of both connections, with the token as bearer', () => {
    expect(new Set(byConnection().keys())).toEqual(new Set(Object.keys(truth)));
    expect(received.every(({ authorization }) => authorization === 'Bearer test-token')).toBe(true);
    expect(received.every(({ contentType }) => contentType === 'application/json')).toBe(true);
  });

  it('repeats a batch that was answered 503, byte for byte', () => {
    expect(refusedBodies).toHaveLength(1);
    expect(bodies).toContain(refusedBodies[0]);
  });

  it('numbers batches without a gap, each beginning where the one before ended', () => {
    for (const batches of byConnection().values()) {
      const reports = batches.map(({ report }) => report);
      expect(reports.map(({ seq }) => seq)).toEqual(reports.map((_, index) => index));
      const sampled = reports.filter(({ samples }) => samples.length > 0);
      expect(sampled.slice(1).map(({ samples }) => samples[0])).toEqual(
        sampled.slice(0, -1).map(({ samples }) => samples.at(-1)),
      );
    }
  });

  it('learns the clock offset before it reports anything', () => {
    for (const [asking, ...batches] of byConnection().values()) {
      expect(asking!.report).toMatchObject({ offset: null, samples: [], events: [] });
      expect(batches.length).toBeGreaterThan(1);
      const offsets = batches.map(({ report }) => report.offset);
      expect(Math.min(...offsets.map(Number))).toBeGreaterThan(3_590_000);
      expect(Math.max(...offsets.map(Number))).toBeLessThan(3_610_000);
    }
  });

  it.each([
    ['inbound-rtp', 'audio', ['bytesReceived', 'packetsReceived', 'totalSamplesReceived']],
    ['inbound-rtp', 'video', ['bytesReceived', 'packetsReceived', 'framesDecoded']],
    ['outbound-rtp', 'audio', ['bytesSent', 'packetsSent']],
    ['outbound-rtp', 'video', ['bytesSent', 'packetsSent', 'framesEncoded']],
    ['candidate-pair', undefined, ['bytesSent', 'bytesReceived', 'packetsSent', 'packetsReceived']],
  ] as const)('ends with the %s %s counters that the browser shows', (type, kind, counters) => {
    for (const [connection, batches] of byConnection()) {
      const last = batches.flatMap(({ report }) => report.samples).at(-1)!.stats;
      const [reported] = ofType(last, type, kind);
      const final = truth[connection]!.find(({ id }) => id === reported!.id)!;
      for (const counter of counters) {
        const value = Number(reported![counter]);
        expect(value).toBeGreaterThan(0);
        expect(value).toBeLessThanOrEqual(Number(final[counter]));
        // stop() takes its sample, then the page reads its own: what flows in between is little
        expect(value).toBeGreaterThanOrEqual(Number(final[counter]) * 0.85);
      }
    }
  });

  it('reports one selected pair with its two candidates, and no address', () => {
    const last = received.at(-1)!.report.samples.at(-1)!.stats;
    expect(ofType(last, 'candidate-pair')).toHaveLength(1);
    expect(ofType(last, 'local-candidate')).toHaveLength(1);
    expect(ofType(last, 'remote-candidate')).toHaveLength(1);
    expect(JSON.stringify(last)).not.toMatch(/"(address|ip|port|usernameFragment|relatedAddress)"/);
  });

  it('tells set-up and first frame of both connections', () => {
    for (const batches of byConnection().values()) {
      const events = batches.flatMap(({ report }) => report.events);
      const setup = events.filter(({ type }) => type === 'setup');
      expect(setup).toEqual([expect.objectContaining({ value: 'connected' })]);
      const firstFrame = events.filter(({ type }) => type === 'first_frame');
      expect(firstFrame).toHaveLength(1);
      expect(firstFrame[0]!.ms).toBeGreaterThanOrEqual(Number(setup[0]!.ms));
      expect(events.map(({ type }) => type)).toEqual(
        expect.arrayContaining(['connection_state', 'ice_state', 'gathering_state', 'signaling_state', 'track']),
      );
    }
  });

  it('keeps a report small: differences, compressed', () => {
    for (const batches of byConnection().values()) {
      // once all of the call's dictionaries are there
      expect(batches.at(-1)).toMatchObject({ version: 2, isCompressed: true });
    }
    expect(Math.max(...received.map(({ bytes }) => bytes))).toBeLessThan(6_000);
  });

  it('hands over what was not sent when the page goes', async () => {
    const before = received.length;
    const [connection] = await page.evaluate<[string, string]>('start()');
    await page.waitForTimeout(1_500);
    await page.goto('about:blank');
    await expect.poll(() => received.slice(before).some(({ report }) => report.connection === connection)).toBe(true);
    expect(received.slice(before).every(({ report }) => report.seq === 0)).toBe(true);
  });
});
