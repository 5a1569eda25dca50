/** A bad network out of a credential, as a browser's own getStats sees it, from the API and from the sliders of /try. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { requirePart } from '../system-parts.ts';
import { launchChromium } from './chromium.ts';
import { foreignSite } from './foreign-site.ts';
import { complaintsOf, keepPeerConnections, peerFigures } from './relayed-call.ts';
import { removeDirectory, startService, until } from './service.ts';
import type { Service } from './service.ts';

const chromium = requirePart('chromium');

interface NetworkFigures {
  readonly received: number;
  readonly lost: number;
  /** Seconds. */
  readonly roundTrip: number;
}

chromium.describe('a call under network conditions', () => {
  let service: Service;
  let browser: Browser;

  beforeAll(async () => {
    service = await startService();
    browser = await launchChromium();
  });

  afterAll(async () => {
    await browser?.close();
    await service?.stop();
    await removeDirectory(service.data);
  });

  const network = (page: Page) => page.evaluate<NetworkFigures[]>('networkFigures()');
  const lossOf = (figures: NetworkFigures | undefined) =>
    figures === undefined ? Number.NaN : figures.lost / (figures.lost + figures.received);

  it('loses and delays what one side sends and receives, as was asked for', async () => {
    const token = await service.apiToken();
    const credential = async (participant: string, more: object) => {
      const response = await fetch(`${service.url}/v1/turn/keys/main/credentials/generate-ice-servers`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ ttl: 600, call: 'bad-network', participant, ...more }),
      });
      expect(response.status).toBe(201);
      return response.json();
    };
    const impaired = await credential('ann', { impairment: { lossPercent: 10, delayMs: 100 } });
    const site = await foreignSite(service.url, JSON.stringify({ peers: [impaired, await credential('bob', {})] }));
    const page = await browser.newPage();
    await keepPeerConnections(page);
    await page.goto(site.url);
    site.close();
    await page.evaluate('start()');
    // Fifty packets of sound a second: enough of them that a tenth is a tenth.
    await until(
      async () => (await network(page)).every(({ received, lost }) => received + lost > 900),
      'sound both ways',
    );
    const both = await network(page);
    expect(both).toHaveLength(2);
    for (const side of both) {
      // Four standard deviations of the binomial at 900 packets.
      expect(lossOf(side)).toBeGreaterThan(0.06);
      expect(lossOf(side)).toBeLessThan(0.14);
      // There and back, each way over the impaired leg once.
      expect(side.roundTrip).toBeGreaterThanOrEqual(0.2);
      expect(side.roundTrip).toBeLessThan(0.4);
    }
    await page.evaluate('hangUp()');
    await page.close();
  });

  it('comes from the sliders of /try, and shows in its figures', async () => {
    const page = await browser.newPage();
    const complaints = complaintsOf(page);
    await keepPeerConnections(page);
    await page.goto(`${service.url}/try`);
    for (const [id, value, text] of [
      ['condition-loss', 10, '10 %'],
      ['condition-delay', 150, '150 ms'],
      ['condition-jitter', 20, '±20 ms'],
    ] as const) {
      await page.locator(`#${id}`).fill(String(value));
      expect(await page.locator(`#${id}-value`).textContent()).toBe(text);
    }
    expect(await page.locator('#condition-rate-value').textContent()).toBe('no limit');
    await page.getByRole('button', { name: 'Start the call' }).click();
    await until(
      async () => (await peerFigures(page)).filter(({ framesDecoded }) => framesDecoded > 20).length === 2,
      'pictures',
    );
    await until(
      async () => /^[1-9]\d?(\.\d+)?\s%$/.test((await page.locator('#loss').textContent()) ?? ''),
      'loss on the page',
    );
    await until(
      async () => /^[34]\d\d/.test((await page.locator('#rtt').textContent()) ?? ''),
      'the round trip on the page',
    );
    expect(await page.locator('#conditions-note').textContent()).toContain('Peer A’s packets meet these');
    await page.locator('#condition-loss').fill('0');
    expect(await page.locator('#conditions-note').textContent()).toContain('start another call');
    await page.getByRole('button', { name: 'Hang up' }).click();
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('is refused with the fault where it asks for the impossible', async () => {
    const response = await fetch(`${service.url}/try/session`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ impairment: { lossPercent: 200 } }),
    });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { issues: [{ path: 'impairment.lossPercent' }] } });
  });
});
