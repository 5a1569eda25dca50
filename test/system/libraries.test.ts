/** The SDK beside libraries that make connections each in their own way, in a real browser. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Report } from '../../collector/contract.ts';
import { reportIn, sentBody } from '../collector/client/sent-report.ts';
import { chromiumMissing, hasChromium, launchChromium } from './chromium.ts';

const reports: Report[] = [];

async function collect(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { text } = await sentBody(request);
  reports.push(reportIn(text));
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ serverTime: Date.now() }));
}

async function serve(): Promise<Server> {
  const page = readFileSync(join(import.meta.dirname, 'pages/libraries.html'));
  const { outputFiles } = buildSync({
    entryPoints: ['collector/client/index.ts'],
    bundle: true,
    platform: 'browser',
    format: 'iife',
    globalName: 'turnpike',
    write: false,
  });
  const script = outputFiles[0]?.text;
  const server = createServer((request, response) => {
    if (request.url === '/') response.writeHead(200, { 'content-type': 'text/html' }).end(page);
    else if (request.url === '/turnpike.js') response.writeHead(200, { 'content-type': 'text/javascript' }).end(script);
    else if (request.url === '/v1/stats') void collect(request, response);
    else response.writeHead(404).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

const eventsOf = (type: string) => reports.flatMap(({ events }) => events).filter((event) => event.type === type);

describe.skipIf(!hasChromium)(`the SDK beside other libraries in Chromium (${chromiumMissing})`, () => {
  let server: Server;
  let browser: Browser;
  let page: Page;
  let made: Record<string, boolean>;
  let stopped: boolean[];
  const faults: string[] = [];

  beforeAll(async () => {
    server = await serve();
    browser = await launchChromium();
    page = await browser.newPage();
    page.on('pageerror', (error) => faults.push(error.message));
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    made = await page.evaluate<Record<string, boolean>>('run()');
    stopped = await page.evaluate<boolean[]>('stop()');
  });

  afterAll(async () => {
    await browser.close();
    server.close();
  });

  it('changes nothing that they could notice', () => {
    expect(made).toEqual({ global: true, pair: true, subclass: true, early: true, prefixed: true });
    expect(faults).toEqual([]);
  });

  it('reports each of their connections, once, and none that was made to look at the browser only', () => {
    const connections = new Set(reports.map(({ connection }) => connection));
    expect(connections.size).toBe(2 * Object.keys(made).length);
    expect(eventsOf('setup').map(({ value }) => value)).toEqual(Array(connections.size).fill('connected'));
    for (const connection of connections) {
      const samples = reports.filter((report) => report.connection === connection).flatMap((report) => report.samples);
      expect(samples.at(-1)?.stats.map(({ type }) => type)).toContain('candidate-pair');
    }
  });

  it('tells how the requests for devices ended, once', () => {
    expect(eventsOf('get_user_media').map(({ value, detail }) => ({ value, ...detail }))).toEqual([
      { value: 'granted', audio: true, video: false },
      { value: 'OverconstrainedError', audio: false, video: true },
    ]);
  });

  it('gives the page its own functions back', () => {
    expect(stopped).toEqual([true, true, false]);
  });
});
