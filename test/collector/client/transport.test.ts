import { beforeEach, describe, expect, it } from 'vitest';
import type { ReportingError } from '../../../collector/client/api.ts';
import type { Batch } from '../../../collector/client/batch.ts';
import { createTransport, MAX_BATCHES, MAX_BYTES } from '../../../collector/client/transport.ts';
import type { Transport } from '../../../collector/client/transport.ts';
import { FakeBrowser, reporting, settled } from './fake-browser.ts';

let browser: FakeBrowser;
let transport: Transport;
let errors: ReportingError[];
let dropped: number[];
let settings: unknown[];
let timed: number[][];
let unauthorised: number;
let leaving: () => void;

/** Each sealing of a batch that is sealed anew says so in its text. */
function batch(seq: number, bytes = 1_000): Batch {
  let again = '';
  const unseal = () => void (again += ',"again":true');
  return { seq, bytes, empty: false, body: () => `{"seq":${seq}${again}}`, unseal, spellOut: () => false };
}
const bodies = () => browser.requests.map(({ body }) => body);
const request = (index: number) => browser.requests[index]!;

beforeEach(() => {
  browser = new FakeBrowser();
  errors = [];
  dropped = [];
  settings = [];
  timed = [];
  unauthorised = 0;
  leaving = () => undefined;
  transport = createTransport(browser, reporting, {
    settings: (given) => settings.push(given),
    timed: (...times) => timed.push(times),
    dropped: (batches) => dropped.push(batches),
    error: (error) => errors.push(error),
    unauthorised: () => (unauthorised += 1),
    leaving: () => leaving(),
  });
});

describe('the transport', () => {
  it('posts JSON with the report token as bearer', async () => {
    transport.enqueue(batch(0));
    expect(request(0).url).toBe(reporting.url);
    expect(request(0).headers).toEqual({ 'content-type': 'application/json', authorization: 'Bearer tpr1.claims.mac' });
  });

  it('compresses a body that is worth it, where the browser can, and not while the page may be going', async () => {
    browser.gzip = async (text) => new TextEncoder().encode(`gzip of ${text}`).buffer;
    browser.storeEverything();
    transport.enqueue(batch(0, 1_000));
    transport.enqueue(batch(1, 5_000));
    await settled();
    browser.isHidden = true;
    transport.enqueue(batch(2, 5_000));
    await settled();
    expect(browser.requests.map(({ headers }) => headers['content-encoding'])).toEqual([undefined, 'gzip', undefined]);
    expect(new TextDecoder().decode(browser.requests[1]!.body as unknown as ArrayBuffer)).toBe('gzip of {"seq":1}');
  });

  it('hands on what the collector asks of its clients', async () => {
    transport.enqueue(batch(0));
    request(0).answer(200, { client: { intervalMs: 9_000 } });
    await settled();
    expect(settings).toEqual([{ intervalMs: 9_000 }]);
  });

  it('spells a batch out when its differences are refused, and gives it up when there is nothing to spell out', async () => {
    let spelt = 0;
    transport.enqueue({ ...batch(0), spellOut: () => (spelt += 1) === 1 });
    const refusal = { error: { code: 'TP_COLLECTOR_DESYNC', message: 'no' } };
    request(0).answer(400, refusal);
    await settled();
    request(1).answer(400, refusal);
    await settled();
    expect(browser.requests).toHaveLength(2);
    expect(spelt).toBe(2);
    expect(errors).toMatchObject([{ kind: 'refused', code: 'TP_COLLECTOR_DESYNC' }]);
  });

  it('sends one batch at a time, in order', async () => {
    for (const seq of [0, 1, 2]) transport.enqueue(batch(seq));
    await settled();
    expect(bodies()).toEqual(['{"seq":0}']);
    request(0).answer(200, { serverTime: 5 });
    await settled();
    expect(bodies()).toEqual(['{"seq":0}', '{"seq":1}']);
  });

  it('hands the three times of a stored batch to the clock', async () => {
    const sentAt = browser.time;
    transport.enqueue(batch(0));
    browser.time += 80;
    request(0).answer(200, { serverTime: 123 });
    await settled();
    expect(timed).toEqual([[sentAt, sentAt + 80, 123]]);
  });

  it.each([[500], [502], [503], [429], [408]])('sends the same bytes again after a %i', async (status) => {
    transport.enqueue(batch(0));
    request(0).answer(status);
    await browser.advance(1_000);
    expect(bodies()).toEqual(['{"seq":0}', '{"seq":0}']);
    expect(errors).toEqual([]);
  });

  it('sends the same bytes again when the network fails, waiting twice as long each time, up to 30 s', async () => {
    const times: number[] = [];
    browser.dice = 0.999_999_9;
    browser.auto = (sent) => {
      times.push(browser.time);
      sent.fail();
    };
    transport.enqueue(batch(0));
    await browser.advance(130_000);
    const waits = times.slice(1).map((time, index) => Math.round((time - times[index]!) / 1_000));
    expect(waits).toEqual([1, 2, 4, 8, 16, 30, 30, 30]);
    expect(new Set(bodies()).size).toBe(1);
  });

  it('jitters each wait between half and all of it', async () => {
    browser.dice = 0;
    transport.enqueue(batch(0));
    request(0).fail();
    await browser.advance(499);
    expect(browser.requests).toHaveLength(1);
    await browser.advance(1);
    expect(browser.requests).toHaveLength(2);
  });

  it('waits as long as Retry-After says, in seconds or as a date', async () => {
    transport.enqueue(batch(0));
    request(0).answer(429, {}, { 'retry-after': '7' });
    await browser.advance(6_999);
    expect(browser.requests).toHaveLength(1);
    await browser.advance(1);
    request(1).answer(503, {}, { 'retry-after': new Date(browser.time + 9_000).toUTCString() });
    await browser.advance(7_900);
    expect(browser.requests).toHaveLength(2);
    await browser.advance(1_100);
    expect(browser.requests).toHaveLength(3);
  });

  it('gives up waiting for an answer after 15 s and tries again', async () => {
    transport.enqueue(batch(0));
    await browser.advance(15_500);
    expect(browser.requests).toHaveLength(2);
  });

  it('drops a batch that the collector refuses, says why, and goes on with the next', async () => {
    transport.enqueue(batch(0));
    transport.enqueue(batch(1));
    request(0).answer(400, { error: { code: 'TP_KERNEL_INVALID', message: 'The request does not have the shape.' } });
    await settled();
    expect(errors).toEqual([
      { kind: 'refused', status: 400, code: 'TP_KERNEL_INVALID', message: 'The request does not have the shape.' },
    ]);
    expect(bodies()).toEqual(['{"seq":0}', '{"seq":1}']);
    expect(unauthorised).toBe(0);
  });

  it('seals a batch anew, twice at most, when it is refused for its times, and learns the time from the refusal', async () => {
    transport.enqueue(batch(0));
    transport.enqueue(batch(1));
    const mistimed = { error: { code: 'TP_COLLECTOR_CLOCK', message: 'Too far.' }, serverTime: 7 };
    for (const index of [0, 1, 2]) {
      request(index).answer(400, mistimed);
      await settled();
    }
    expect(bodies()).toEqual([
      '{"seq":0}',
      '{"seq":0,"again":true}',
      '{"seq":0,"again":true,"again":true}',
      '{"seq":1}',
    ]);
    expect(timed).toEqual(Array.from({ length: 3 }, () => [browser.time, browser.time, 7]));
    expect(errors).toEqual([{ kind: 'refused', status: 400, code: 'TP_COLLECTOR_CLOCK', message: 'Too far.' }]);
  });

  it.each([[401], [403]])('sends nothing more once the token is refused with %i', async (status) => {
    transport.enqueue(batch(0));
    transport.enqueue(batch(1));
    request(0).answer(status);
    await browser.advance(60_000);
    expect(browser.requests).toHaveLength(1);
    expect(unauthorised).toBe(1);
  });

  it('keeps at most 60 batches, forgets the oldest, and counts them', async () => {
    transport.enqueue(batch(0));
    request(0).fail();
    await settled();
    for (let seq = 1; seq <= MAX_BATCHES + 4; seq += 1) transport.enqueue(batch(seq));
    expect(dropped.reduce((sum, one) => sum + one, 0)).toBe(5);
    browser.storeEverything();
    await browser.advance(1_000);
    expect(bodies().slice(1)).toEqual(Array.from({ length: MAX_BATCHES }, (_, index) => `{"seq":${index + 5}}`));
  });

  it('keeps at most 2 MB, and never forgets the batch that is on its way', async () => {
    transport.enqueue(batch(0, MAX_BYTES / 2));
    transport.enqueue(batch(1, MAX_BYTES / 2));
    transport.enqueue(batch(2, MAX_BYTES / 2));
    expect(dropped).toEqual([1]);
    browser.storeEverything();
    request(0).answer(200, {});
    await settled();
    expect(bodies()).toEqual(['{"seq":0}', '{"seq":2}']);
  });

  it('tells whether everything is stored', async () => {
    await expect(transport.drained()).resolves.toBe(true);
    transport.enqueue(batch(0));
    const first = transport.drained();
    request(0).fail();
    await expect(first).resolves.toBe(false);
    await expect(transport.drained()).resolves.toBe(false);
    browser.storeEverything();
    await browser.advance(1_000);
    await expect(transport.drained()).resolves.toBe(true);
  });

  it('stops retrying some minutes after it was closed', async () => {
    browser.auto = (sent) => sent.fail();
    transport.enqueue(batch(0));
    transport.close();
    await browser.advance(3_600_000);
    expect(browser.requests).toHaveLength(11);
    expect(browser.timers).toBe(0);
    expect(dropped).toEqual([1]);
  });
});

describe('the end of the page', () => {
  const leave = () => browser.window.dispatchEvent(new Event('pagehide'));

  it('asks for what is not sealed yet, then sends every unconfirmed batch by fetch keepalive', async () => {
    leaving = () => transport.enqueue(batch(2));
    transport.enqueue(batch(0));
    transport.enqueue(batch(1));
    leave();
    expect(browser.requests.filter(({ keepalive }) => keepalive).map(({ body }) => body)).toEqual([
      '{"seq":0}',
      '{"seq":1}',
      '{"seq":2}',
    ]);
    expect(browser.beacons).toEqual([]);
  });

  it('does not hand over a batch that only asks for the time', () => {
    transport.enqueue({ ...batch(0), empty: true });
    transport.enqueue(batch(1));
    leave();
    expect(browser.requests.filter(({ keepalive }) => keepalive).map(({ body }) => body)).toEqual(['{"seq":1}']);
  });

  it('sends a beacon with the token in the query where fetch cannot outlive the page', async () => {
    browser.keepalive = false;
    transport.enqueue(batch(0));
    leave();
    expect(browser.beacons).toEqual([{ url: `${reporting.url}?token=tpr1.claims.mac`, body: '{"seq":0}' }]);
  });

  it('prefers the beacon across origins, since it needs no preflight', async () => {
    browser.cross = true;
    transport.enqueue(batch(0));
    leave();
    expect(browser.beacons).toHaveLength(1);
    browser.beaconAccepts = false;
    leave();
    expect(browser.requests.filter(({ keepalive }) => keepalive)).toHaveLength(1);
  });

  it('hands over no more than the browser carries', async () => {
    for (const [seq, bytes] of [40_000, 30_000, 19_000].entries()) transport.enqueue(batch(seq, bytes));
    leave();
    expect(browser.requests.filter(({ keepalive }) => keepalive).map(({ body }) => body)).toEqual([
      '{"seq":0}',
      '{"seq":2}',
    ]);
  });

  it('marks ordinary requests keepalive while the page is hidden', async () => {
    browser.isHidden = true;
    transport.enqueue(batch(0));
    expect(request(0).keepalive).toBe(true);
  });

  it('still hands over after it was closed, until everything is stored', async () => {
    transport.enqueue(batch(0));
    transport.close();
    leave();
    expect(browser.requests).toHaveLength(2);
    request(0).answer(200, {});
    await settled();
    leave();
    expect(browser.requests).toHaveLength(2);
  });
});
