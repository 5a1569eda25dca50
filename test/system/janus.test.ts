/**
 * A real Janus that carries calls of a real browser and pushes what it counts to the built service, over a way on which answers are
 * lost; it is killed and comes back. What Janus says of itself (its admin API), what Chromium received and what the ledger has
 * are held against each other.
 */
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { openStore } from '../../collector/store/clickhouse.ts';
import { adminEndpoint, readConnection } from '../../collector/store/embedded/connection.ts';
import type { Store } from '../../collector/store/store.ts';
import { silentLog } from '../../kernel/log.ts';
import { requirePart } from '../system-parts.ts';
import { launchChromium } from './chromium.ts';
import { janusRefusal, JanusServer, ROOM } from './janus-server.ts';
import type { JanusHandle, SentByMid } from './janus-server.ts';
import { removeDirectory, startService, until } from './service.ts';
import type { Service } from './service.ts';

const janusPart = requirePart('janus', () => janusRefusal);
const chromium = requirePart('chromium');
const both = chromium.present ? janusPart : chromium;

/** Largest packet that Janus or Chromium sends here. */
const MTU = 1_500;
const SILENT_SECONDS = 4;

/** Members of a browser's `inbound-rtp`. */
interface Received {
  readonly bytesReceived: number;
  readonly headerBytesReceived: number;
  readonly packetsReceived: number;
}

interface Participant {
  readonly name: string;
  readonly page: Page;
  readonly publisher: JanusHandle;
  readonly feed: number;
}

both.describe('a call through Janus', () => {
  let service: Service;
  let store: Store;
  let browser: Browser;
  let janus: JanusServer;
  let way: Server;
  let repeated = 0;

  const operator = async () => ({ authorization: `Bearer ${await service.secret('TURNPIKE_OPERATOR_TOKEN')}` });
  const gauge = async (name: string) => {
    const text = await (await fetch(`${service.url}/metrics`, { headers: await operator() })).text();
    return Number(new RegExp(`^${name}\\{source="janus"\\} (.+)$`, 'm').exec(text)?.[1]);
  };
  /** What the ledger has of a handle, by mid. */
  const ledger = async ({ name }: JanusHandle): Promise<SentByMid> => {
    const rows = await store.select(
      z.object({ mid: z.string(), bytes: z.coerce.number(), packets: z.coerce.number() }),
      `SELECT splitByChar('/', object_id)[3] AS mid, max(client_tx_bytes) AS bytes, max(client_tx_packets) AS packets
       FROM egress_samples FINAL WHERE source = 'janus' AND startsWith(object_id, {handle:String}) GROUP BY mid ORDER BY mid`,
      { handle: `${name}/` },
    );
    return Object.fromEntries(rows.map(({ bytes, mid, packets }) => [mid, { bytes, packets }]));
  };
  /** Of the room, by participant, as it is billed. */
  const billed = () =>
    store.select(
      z.object({ who: z.string(), bytes: z.coerce.number() }),
      `SELECT participant_id AS who, sum(most) AS bytes FROM (
         SELECT participant_id, max(client_tx_bytes) AS most FROM egress_samples FINAL
         WHERE source = 'janus' AND call_id = {call:String} GROUP BY participant_id, server_id, boot_id, object_id)
       GROUP BY who HAVING bytes > 0 ORDER BY who`,
      { call: `${ROOM}` },
    );
  const bytesIn = (sent: SentByMid) => Object.values(sent).reduce((sum, { bytes }) => sum + bytes, 0);

  /** Hands on what Janus pushes; of every third push the answer is lost, so that Janus pushes it again. */
  function wayTo(target: string): Server {
    let pushes = 0;
    return createServer((request, response) => {
      void (async () => {
        const chunks: Buffer[] = [];
        for await (const chunk of request) chunks.push(chunk as Buffer);
        const { authorization = '', 'content-type': type = '' } = request.headers;
        const headers = { authorization, 'content-type': type };
        const answer = await fetch(target, { method: 'POST', headers, body: Buffer.concat(chunks) });
        pushes += 1;
        if (pushes % 3 > 0) response.writeHead(answer.status).end(await answer.text());
        else {
          repeated += 1;
          request.socket.destroy();
        }
      })();
    });
  }

  beforeAll(async () => {
    const sources = [{ kind: 'janus', name: 'janus', silentSeconds: SILENT_SECONDS }];
    service = await startService({ env: { TURNPIKE_SOURCES: JSON.stringify(sources) } });
    store = openStore({
      endpoint: async () => adminEndpoint((await readConnection(`${service.data}/clickhouse`))!),
      log: silentLog,
    });
    browser = await launchChromium();
    way = wayTo(`${service.url}/v1/sfu/janus`).listen(0, '127.0.0.1');
    await once(way, 'listening');
    janus = await JanusServer.start({
      program: janusPart.path('janus'),
      directory: service.data,
      backend: `http://127.0.0.1:${(way.address() as AddressInfo).port}/`,
      backendPassword: await service.secret('TURNPIKE_SOURCE_TOKEN'),
    });
  });

  afterAll(async () => {
    await janus?.kill();
    way?.close();
    await browser?.close();
    await store?.close();
    await service?.stop();
    await removeDirectory(service.data);
  });

  async function participant(name: string): Promise<Participant> {
    const page = await browser.newPage();
    await page.route('http://localhost/', (route) =>
      route.fulfill({ path: join(import.meta.dirname, 'pages/sfu-call.html') }),
    );
    await page.goto('http://localhost/');
    const publisher = await janus.attach(name);
    const { answer, feed } = await publisher.publish(await page.evaluate<string>('publish()'));
    await page.evaluate(`published(${JSON.stringify(answer)})`);
    await publisher.isUp();
    return { name, page, publisher, feed };
  }

  /** The handle through which one is sent what the other publishes; resolves when pictures arrive. */
  async function receive({ name, page }: Participant, { feed }: Participant): Promise<JanusHandle> {
    const handle = await janus.attach(name);
    const offer = await handle.subscribe(feed);
    await handle.accept(await page.evaluate<string>(`subscribe(${JSON.stringify(offer)})`));
    await until(async () => (await page.evaluate<number>('framesDecoded()')) > 60, `pictures to arrive at ${name}`);
    return handle;
  }

  const receivedBy = ({ page }: Participant) => page.evaluate<Record<string, Received>>('received()');
  /**
   * Janus counts an RTP packet with its header, before SRTP; a browser tells both parts of the same packet. So they agree to the byte,
   * except for packets that did not arrive.
   */
  async function expectArrived(participant: Participant, sent: SentByMid): Promise<void> {
    const received = await receivedBy(participant);
    expect(Object.keys(received)).toEqual(Object.keys(sent));
    for (const [mid, { bytes, packets }] of Object.entries(sent)) {
      const { bytesReceived = 0, headerBytesReceived = 0, packetsReceived = 0 } = received[mid] ?? {};
      const lost = packets - packetsReceived;
      const missing = bytes - bytesReceived - headerBytesReceived;
      expect(lost).toBeGreaterThanOrEqual(0);
      expect(missing).toBeGreaterThanOrEqual(0);
      expect(missing).toBeLessThanOrEqual(lost * MTU);
    }
  }

  it('is in the ledger to the byte that Janus sent and Chromium received, each push counted once', async () => {
    const [ann, ben] = [await participant('ann'), await participant('ben')];
    const [toAnn, toBen] = [await receive(ann, ben), await receive(ben, ann)];
    // With nothing more to send all counters stand still, and can be compared.
    for (const { page } of [ann, ben]) await page.evaluate('fallSilent()');
    for (const handle of [toAnn, toBen]) {
      await until(async () => {
        const [told, sent] = [await ledger(handle), await handle.sent()];
        return Object.keys(sent).length === 2 && isDeepStrictEqual(told, sent);
      }, 'the ledger to have what Janus says that it sent');
    }
    await expectArrived(ann, await toAnn.sent());
    await expectArrived(ben, await toBen.sent());
    expect(await billed()).toEqual([
      { who: 'ann', bytes: bytesIn(await toAnn.sent()) },
      { who: 'ben', bytes: bytesIn(await toBen.sent()) },
    ]);
    expect(repeated).toBeGreaterThan(2);
  });

  it('is missed when Janus is killed, and the last that was heard of it stays', async () => {
    const before = await billed();
    expect(await gauge('turnpike_source_up')).toBe(1);
    await janus.kill();
    await until(async () => (await gauge('turnpike_source_up')) === 0, 'Janus to be missed');
    const silence = async () => Date.now() / 1_000 - (await gauge('turnpike_source_heard_timestamp_seconds'));
    await until(async () => (await silence()) > SILENT_SECONDS, 'the time at which it was last heard to stay behind');
    expect(await billed()).toEqual(before);
  });

  it('is counted on when Janus is started again, up to what was sent just before the end of a handle', async () => {
    const before = await billed();
    await janus.startAgain();
    await until(async () => (await gauge('turnpike_source_up')) === 1, 'Janus to be heard again');
    // Who was in the call has gone, and lets go of the browser's camera.
    for (const context of browser.contexts()) await context.close();
    const [ann, cat] = [await participant('ann'), await participant('cat')];
    const toCat = await receive(cat, ann);
    await toCat.detach();
    await until(async () => {
      const received = Object.values(await receivedBy(cat));
      const arrived = received.reduce((sum, one) => sum + one.bytesReceived + one.headerBytesReceived, 0);
      return bytesIn(await ledger(toCat)) >= arrived;
    }, 'the ledger to have all that arrived');
    await expectArrived(cat, await ledger(toCat));
    expect(await billed()).toEqual([...before, { who: 'cat', bytes: bytesIn(await ledger(toCat)) }]);
  });
});
