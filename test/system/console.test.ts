/** The console's pages in a real browser, before an API of this test's own and a TURN server that is not ours. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { sampleCall } from '../dashboards/console/sample-call.ts';
import { sampleStatement } from '../dashboards/console/sample-statement.ts';
import { chromiumMissing, hasChromium, launchChromium } from './chromium.ts';
import { serveConsole } from './console-server.ts';
import type { ConsoleServer } from './console-server.ts';

const plain = (text: string) => text.replaceAll('\u00a0', ' ');

describe.skipIf(!hasChromium)(`the console in Chromium (${chromiumMissing})`, () => {
  let server: ConsoleServer;
  let browser: Browser;
  let page: Page;
  /** What the browser complained about: an error of the page, anything that it logs in red. */
  let complaints: string[];

  const text = async (selector: string) => plain((await page.textContent(selector)) ?? '');
  const waitForState = (state: string) => page.waitForSelector(`#status[data-state="${state}"]`, { timeout: 40_000 });

  beforeAll(async () => {
    server = await serveConsole();
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser.close();
    await server.close();
  });

  beforeEach(async () => {
    Object.assign(server.world, { calls: [], detail: undefined, statement: sampleStatement(0n, 0n), alerts: [] });
    server.reports.length = 0;
    complaints = [];
    page = await browser.newPage();
    page.on('pageerror', ({ message }) => complaints.push(message));
    page.on('console', (message) => {
      if (message.type() !== 'error') return;
      // Where a test takes the store away, that the browser says so is right.
      if (server.world.calls === null && message.text().includes('503')) return;
      complaints.push(`${message.text()} ${message.location().url}`);
    });
  });
  afterEach(async () => {
    await page.close();
    if (complaints.length > 0) throw new Error(complaints.join('\n'));
  });

  it('tells a newcomer how to get the first call in', async () => {
    await page.goto(server.url);
    await page.waitForSelector('#calls-empty:visible');
    expect(await text('#curl-line')).toContain(`${server.url}/v1/turn/keys/default/credentials/generate-ice-servers`);
    expect(await text('#sdk-lines')).toContain(`${server.url}/turnpike.js`);
    await page.click('#calls-empty a');
    await page.waitForURL(`${server.url}/try`);
  });

  it('says that the store cannot be reached, and recovers', async () => {
    server.world.calls = null;
    server.world.statement = null;
    await page.goto(server.url);
    await page.waitForSelector('#calls-message.error:visible');
    expect(await text('#calls-message')).toContain('The store cannot be reached.');
    server.world.calls = [sampleCall({ end: Date.now(), live: true })];
    await page.waitForSelector('#calls-body tr');
    expect(await page.isVisible('#calls-message')).toBe(false);
  });

  it('leads with four numbers, then what is wrong, then the calls, live ones first', async () => {
    const end = Date.now();
    server.world.calls = [
      sampleCall({ call: 'yesterday', end: end - 90_000_000, loss: 0.12 }),
      sampleCall({ call: 'running', end, live: true, seconds: 320 }),
    ];
    server.world.statement = sampleStatement(31_700_000_000n, 0n, '0');
    server.world.alerts = [
      {
        rule: 'loss',
        severity: 'critical',
        state: 'firing',
        app: 'default',
        since: new Date(end - 60_000).toISOString(),
        value: 0.12,
        threshold: 0.05,
        samples: 412,
        summary: 'Loss is 12 %, above 5 %.',
      },
    ];
    await page.goto(server.url);
    await page.waitForSelector('#calls-body tr:nth-child(2)');
    await page.waitForSelector('#alerts-list li');
    expect(await page.locator('#calls-body tr td:first-child').allTextContents()).toEqual(['running', 'yesterday']);
    expect(await text('#calls-now')).toBe('1');
    expect(await text('#relayed-month')).toBe('31.7 GB');
    expect(await text('#month-cost')).toBe('$0.00');
    expect(await text('#mos-median')).toMatch(/^\d\.\d$/);
    expect(await text('#calls-body tr:first-child')).toContain('Excellent');
    expect(await text('#alerts-list li')).toContain('Loss is 12 %, above 5 %.');
  });

  it('never shows live calls that carried more than the month did', async () => {
    server.world.statement = sampleStatement(1_000_000n, 0n);
    await page.goto(server.url);
    await expect.poll(() => text('#relayed-month')).toBe('1.00 MB');
    await page.waitForSelector('#calls-empty:visible');
    server.world.statement = sampleStatement(9_000_000n, 0n);
    server.world.calls = [{ ...sampleCall({ end: Date.now(), live: true }), relayedBytes: '8000000' }];
    await page.waitForSelector('#calls-body tr');
    expect(await text('#relayed-note')).toBe('8.00 MB in calls that are live');
    expect(await text('#relayed-month')).toBe('9.00 MB');
  });

  it('marks a call that never came about, and says that nothing of it was measured', async () => {
    const call = { ...sampleCall({ call: 'lost', end: Date.now(), seconds: 0 }), streams: [], connections: [] };
    server.world.calls = [{ ...call, connected: 0, failed: 2 }];
    await page.goto(server.url);
    expect(await page.textContent('#calls-body .state.failed')).toBe('Failed');
    await page.click('#calls-body a');
    await page.waitForSelector('#call-charts svg[role=img]');
    expect(await text('#call-charts .legend')).toBe('Nothing was measured.');
  });

  it('opens a call by keyboard: a sentence, plots that say their values, events', async () => {
    server.world.calls = [sampleCall({ call: 'stand up/1', end: Date.now(), loss: 0.05 })];
    await page.goto(server.url);
    await page.focus('#calls-body a');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#call-charts svg[role=img]');
    expect(await text('#call-name')).toBe('stand up/1');
    expect(await text('#call-sentence')).toContain('through the relay over UDP');
    const labels = await page
      .locator('#call-charts svg[role=img]')
      .evaluateAll((charts) => charts.map((chart) => chart.getAttribute('aria-label') ?? ''));
    expect(labels).toHaveLength(6);
    expect(labels[0]).toMatch(/MOS.*A audio, last 4\.\d; B audio, last 3\.\d/);
    expect(await page.locator('#events-body tr').count()).toBe(6);
    await page.goBack();
    await page.waitForSelector('#overview:visible');
  });

  it('says so when nothing is known of a call', async () => {
    await page.goto(`${server.url}/#call=never`);
    await expect.poll(() => text('#call-sentence')).toContain('Nothing is known of this call');
  });

  it('runs a call through the relay and shows what the collector says of it', async () => {
    server.world.statement = sampleStatement(5_000_000_000n, 0n);
    server.world.detail = (call) =>
      server.reports.length < 2 ? undefined : sampleCall({ call, end: Date.now(), live: true, loss: 0.031 });
    await page.goto(`${server.url}/try`);
    expect(await text('#mos')).toBe('–');
    await page.click('#start');
    await waitForState('live');
    await expect.poll(() => text('#mos'), { timeout: 30_000 }).not.toBe('–');
    expect(await text('#mos-word')).toBe('Good');
    expect(await text('#first-frame')).toBe('0.42 s');
    expect(await text('#leg-B')).toContain('B receives: loss 3.');
    expect(await text('#relay-transport')).toBe('udp');
    expect(await text('#month-share')).toBe('0.50 %');
    await expect.poll(() => text('#caption-A')).toMatch(/640×480 · [1-9]\d* fps/);
    await expect.poll(() => text('#pair-bytes')).toMatch(/ [kM]B$/);

    await page.click('#hang-up');
    await waitForState('ended');
    const call = await text('#call-link');
    expect(await page.getAttribute('#status a', 'href')).toBe(`/#call=${call}`);
    await expect
      .poll(() => server.reports.flatMap(({ events }) => events).filter(({ type }) => type === 'first_frame').length)
      .toBe(2);
    expect(new Set(server.reports.map(({ participant }) => participant))).toEqual(new Set(['A', 'B']));
    expect(new Set(server.reports.map((report) => report.call))).toEqual(new Set([call]));
  });

  it('carries every packet through the relay, pictures that are decoded and a tone that is heard', async () => {
    await page.goto(`${server.url}/try`);
    await page.click('#start');
    await waitForState('live');
    const stats = () => server.reports.flatMap(({ samples }) => samples).flatMap((sample) => sample.stats);
    const ofType = (type: string) => stats().filter((one) => one.type === type);
    const highest = (member: string) => Math.max(0, ...ofType('inbound-rtp').map((one) => Number(one[member] ?? 0)));
    await expect.poll(() => highest('framesDecoded'), { timeout: 30_000 }).toBeGreaterThan(30);
    await expect.poll(() => highest('totalAudioEnergy'), { timeout: 30_000 }).toBeGreaterThan(0);
    // peer-reflexive candidates too: what a check through the relay discovered is reached through the relay
    const protocols = ofType('local-candidate').map((candidate) => candidate['relayProtocol']);
    expect(new Set(protocols)).toEqual(new Set(['udp']));
  });

  it('says which relay did not answer, and what to try', async () => {
    const good = server.world.turnUrl;
    server.world.turnUrl = 'turn:127.0.0.1:9?transport=udp';
    await page.goto(`${server.url}/try`);
    await page.click('#start');
    await waitForState('failed');
    server.world.turnUrl = good;
    expect(await text('#status')).toContain('turn:127.0.0.1:9?transport=udp');
    expect(await text('#status')).toContain('Check that the relay runs');
    expect(await page.isVisible('#start')).toBe(true);
    expect(await page.isVisible('#hang-up')).toBe(false);
  });

  it('sends the camera in place of the test picture, and back, without a new call', async () => {
    await page.goto(`${server.url}/try`);
    await page.click('#start');
    await waitForState('live');
    await page.click('#camera');
    await page.waitForSelector('#camera[aria-pressed=true]:enabled');
    expect(await text('#camera')).toBe('Use the test picture');
    await page.click('#camera');
    await page.waitForSelector('#camera[aria-pressed=false]:enabled');
    expect(await page.getAttribute('#status', 'data-state')).toBe('live');
  });
});
