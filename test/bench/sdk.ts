/**
 * What the SDK costs a page: CPU of the page's main thread and of its whole process, in Chromium, while a connection
 * receives 20 streams (10 audio, 10 video): without an observation, with one, and without again, since a call's own cost drifts.
 *
 *     npm run bench:sdk -- [--seconds 10] [--rounds 3]
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { buildSync } from 'esbuild';
import type { Browser, CDPSession, Page } from 'playwright-core';
import { launchChromium } from '../system/chromium.ts';

const { values: given } = parseArgs({
  options: { seconds: { type: 'string', default: '10' }, rounds: { type: 'string', default: '3' } },
});
const ROUNDS = Number(given.rounds);
const PHASE_MS = Number(given.seconds) * 1_000;
/** The first frames, and the SDK's look for them, are no steady state. */
const WARM_UP_MS = 4_000;

const PAGE = `<!doctype html><script src="/turnpike.js"></script><canvas width="160" height="90"></canvas><script>
  let observed, observation;
  async function call() {
    const context = document.querySelector('canvas').getContext('2d');
    setInterval(() => { context.fillStyle = 'hsl(' + Math.random() * 360 + ' 80% 50%)'; context.fillRect(0, 0, 160, 90); }, 200);
    const audio = new AudioContext(), tone = audio.createOscillator(), out = audio.createMediaStreamDestination();
    tone.connect(out); tone.start();
    const [voice] = out.stream.getTracks(), [picture] = document.querySelector('canvas').captureStream(5).getTracks();
    const a = new RTCPeerConnection(), b = observed = new RTCPeerConnection();
    a.onicecandidate = ({ candidate }) => b.addIceCandidate(candidate);
    b.onicecandidate = ({ candidate }) => a.addIceCandidate(candidate);
    for (let index = 0; index < 10; index += 1) for (const track of [voice, picture]) a.addTrack(track.clone(), new MediaStream());
    const connected = new Promise((resolve) => { b.onconnectionstatechange = () => b.connectionState === 'connected' && resolve(); });
    await a.setLocalDescription(); await b.setRemoteDescription(a.localDescription);
    await b.setLocalDescription(); await a.setRemoteDescription(b.localDescription);
    await connected;
  }
  async function inbound() {
    return [...(await observed.getStats()).values()].filter(({ type, packetsReceived }) => type === 'inbound-rtp' && packetsReceived > 0).length;
  }
  function observe() { observation = turnpike.observe(observed, { url: '/v1/stats', token: 'bench' }); }
</script>`;

interface Spent {
  /** Seconds of CPU. */
  readonly thread: number;
  readonly process: number;
}

let reports = 0;
let bytes = 0;

function bundle(): string {
  const { outputFiles } = buildSync({
    entryPoints: ['collector/client/index.ts'],
    bundle: true,
    minify: true,
    platform: 'browser',
    format: 'iife',
    globalName: 'turnpike',
    write: false,
  });
  return outputFiles[0]?.text ?? '';
}

async function serve(): Promise<{ url: string; close(): void }> {
  const script = bundle();
  const server = createServer((request, response) => {
    if (request.url === '/') response.writeHead(200, { 'content-type': 'text/html' }).end(PAGE);
    else if (request.url === '/turnpike.js') response.writeHead(200, { 'content-type': 'text/javascript' }).end(script);
    else {
      reports += 1;
      request.on('data', (chunk: Buffer) => (bytes += chunk.length));
      request.on('end', () => {
        response.writeHead(200, { 'content-type': 'application/json' }).end(`{"serverTime":${Date.now()}}`);
      });
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, close: () => void server.close() };
}

async function spent(whole: CDPSession, page: CDPSession): Promise<Spent> {
  const { processInfo } = await whole.send('SystemInfo.getProcessInfo');
  const { metrics } = await page.send('Performance.getMetrics');
  const renderers = processInfo.filter(({ type }) => type === 'renderer');
  return {
    thread: metrics.find(({ name }) => name === 'TaskDuration')?.value ?? 0,
    process: renderers.reduce((sum, { cpuTime }) => sum + cpuTime, 0),
  };
}

/** Percent of a core during one phase. */
async function phase(page: Page, whole: CDPSession, own: CDPSession): Promise<Spent> {
  await page.waitForTimeout(WARM_UP_MS);
  const before = await spent(whole, own);
  const begun = performance.now();
  await page.waitForTimeout(PHASE_MS);
  const after = await spent(whole, own);
  const seconds = (performance.now() - begun) / 1_000;
  const percent = (name: keyof Spent) => (100 * (after[name] - before[name])) / seconds;
  return { thread: percent('thread'), process: percent('process') };
}

async function round(browser: Browser, url: string): Promise<{ without: Spent; observed: Spent }> {
  const page = await browser.newPage();
  const own = await page.context().newCDPSession(page);
  const whole = await browser.newBrowserCDPSession();
  await own.send('Performance.enable', { timeDomain: 'threadTicks' });
  await page.goto(url);
  await page.evaluate('call()');
  const without = await phase(page, whole, own);
  const streams = await page.evaluate('inbound()');
  if (streams !== 20) throw new Error(`20 streams should flow, ${String(streams)} do`);
  await page.evaluate('observe()');
  const observed = await phase(page, whole, own);
  await page.evaluate('observation.stop()');
  const again = await phase(page, whole, own);
  await page.close();
  const between = (name: keyof Spent) => (without[name] + again[name]) / 2;
  return { without: { thread: between('thread'), process: between('process') }, observed };
}

const median = (values: number[]) => values.toSorted((one, other) => one - other)[values.length >> 1] ?? 0;

const server = await serve();
const browser = await launchChromium();
const rounds: { without: Spent; observed: Spent }[] = [];
for (let index = 0; index < ROUNDS; index += 1) rounds.push(await round(browser, server.url));
await browser.close();
server.close();

const line = (what: string, name: keyof Spent) => {
  const [without, observed] = (['without', 'observed'] as const).map((when) =>
    median(rounds.map((one) => one[when][name])),
  );
  const more = median(rounds.map((one) => one.observed[name] - one.without[name]));
  const shown = [without, observed, more].map((percent) => `${(percent ?? 0).toFixed(2)} %`.padStart(10));
  return `${what.padEnd(28)}${shown.join('')}`;
};
process.stdout.write(
  [
    `${ROUNDS} rounds of ${PHASE_MS / 1_000} s, 20 streams received; medians, percent of one core`,
    `${''.padEnd(28)}${['without', 'with SDK', 'more'].map((word) => word.padStart(10)).join('')}`,
    line("the page's main thread", 'thread'),
    line('its process, codecs included', 'process'),
    `${reports} reports, ${Math.round(bytes / Math.max(1, reports))} bytes each over the wire`,
    '',
  ].join('\n'),
);
