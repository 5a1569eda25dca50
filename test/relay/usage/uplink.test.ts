import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../../kernel/clock.ts';
import { silentLog } from '../../../kernel/log.ts';
import { Metrics } from '../../../kernel/metrics.ts';
import { randomBelow, seededRandom } from '../../../kernel/random.ts';
import { usageBatch } from '../../../relay/contract.ts';
import type { UsageRecord } from '../../../relay/contract.ts';
import { postUsage } from '../../../relay/usage/collector-client.ts';
import { recordOf, totalsOf } from '../../../relay/usage/reading.ts';
import { Spool } from '../../../relay/usage/spool.ts';
import { BATCH_RECORDS, Uplink } from '../../../relay/usage/uplink.ts';
import { counters, gate, identity, identityOf, metered } from './samples.ts';

const NOON = Date.UTC(2026, 10, 20, 12);

function records(count: number, from = 1): UsageRecord[] {
  return Array.from({ length: count }, (_each, index) => {
    const reading = { seq: 0, windowEnd: NOON + index, final: true, totals: totalsOf(counters(BigInt(index + 1))) };
    return recordOf(identity, metered(from + index), reading);
  });
}

type Reply = (batch: readonly UsageRecord[], request: IncomingMessage, response: ServerResponse) => void;

/** A collector that answers as it is told to, and remembers what it has acknowledged. */
async function fakeCollector(reply: Reply): Promise<{ server: Server; url: string; acknowledged: UsageRecord[][] }> {
  const acknowledged: UsageRecord[][] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { records } = usageBatch.parse(JSON.parse(Buffer.concat(chunks).toString('utf8')));
      response.on('finish', () => {
        if (response.statusCode < 300) acknowledged.push(records);
      });
      reply(records, request, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, acknowledged };
}

const opened: { close: () => Promise<void> }[] = [];
afterEach(async () => {
  for (const { close } of opened.splice(0).toReversed()) await close();
});

/** An uplink from a spool on disk to the fake collector; its pauses are noted, not slept. */
async function bench(reply: Reply, written: readonly UsageRecord[] = []) {
  const { server, url, acknowledged } = await fakeCollector(reply);
  const directory = mkdtempSync(join(tmpdir(), 'turnpike-uplink-'));
  const spool = new Spool({ directory });
  const clock = new ManualClock(NOON);
  const metrics = new Metrics();
  const pauses: number[] = [];
  const uplink = new Uplink({
    spool,
    post: postUsage(url, 'relay token'),
    sleep: async (milliseconds) => {
      pauses.push(milliseconds);
      await new Promise(setImmediate);
    },
    clock,
    random: seededRandom('uplink'),
    log: silentLog,
    metrics,
  });
  const write = async (more: readonly UsageRecord[]) => {
    await spool.write({ records: more, checkpoints: [], ended: [] });
    uplink.wake();
  };
  await write(written);
  uplink.start();
  opened.push({
    close: async () => {
      await uplink.stop();
      await spool.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      rmSync(directory, { recursive: true });
    },
  });
  const counted = async (result: string) => {
    const { values } = await metrics.counter('turnpike_relay_usage_records_total').get();
    return values.find((each) => each.labels['result'] === result)?.value ?? 0;
  };
  return { uplink, spool, acknowledged, pauses, clock, write, counted, url };
}

const drained = () => AbortSignal.timeout(20_000);
const ids = (list: readonly UsageRecord[]) => list.map(identityOf).toSorted();

describe('the uplink', () => {
  it('posts what is pending, oldest first and at most a batch at a time, under the relay token', async () => {
    const seen: (string | undefined)[] = [];
    const all = records(BATCH_RECORDS + 20);
    const { uplink, spool, acknowledged, counted } = await bench((_batch, request, response) => {
      seen.push(`${request.method} ${request.url} ${request.headers.authorization} ${request.headers['content-type']}`);
      response.writeHead(202).end('{}');
    }, all);
    expect(await uplink.flush(drained())).toBe(true);
    expect(new Set(seen)).toEqual(new Set(['POST /v1/usage Bearer relay token application/json']));
    expect(acknowledged.map((batch) => batch.length)).toEqual([BATCH_RECORDS, 20]);
    expect(acknowledged.flat()).toEqual(all);
    expect(spool.pending()).toBe(0);
    expect(await counted('delivered')).toBe(all.length);
    expect(uplink.lastSuccess).toBe(NOON);
  });

  it('sends what comes later when it is told so', async () => {
    const { uplink, write, acknowledged } = await bench((_batch, _request, response) => response.writeHead(204).end());
    await write(records(1));
    expect(await uplink.flush(drained())).toBe(true);
    await write(records(1, 2));
    expect(await uplink.flush(drained())).toBe(true);
    expect(ids(acknowledged.flat())).toEqual(ids(records(2)));
  });

  it('delivers each identity through a collector that drops, delays, fails and forgets that it was told', async () => {
    const random = seededRandom('chaos');
    const heard: UsageRecord[] = [];
    const all = records(300);
    const { uplink, write, acknowledged } = await bench((batch, request, response) => {
      heard.push(...batch);
      const fate = randomBelow(random, 6);
      if (fate === 0) request.socket.destroy();
      else if (fate === 1) response.writeHead(500).end('{"error":{"code":"TP_KERNEL_INTERNAL"}}');
      else if (fate === 2) response.writeHead(503, { 'retry-after': '1' }).end();
      else if (fate === 3) setImmediate(() => setImmediate(() => response.writeHead(200).end()));
      else if (fate === 4) response.writeHead(429).end();
      else response.writeHead(200).end();
    });
    for (let index = 0; index < all.length; index += 30) {
      await write(all.slice(index, index + 30));
      await uplink.flush(drained());
    }
    expect(ids(acknowledged.flat())).toEqual(ids(all));
    const texts = new Map<string, Set<string>>();
    for (const record of heard) {
      const identity = identityOf(record);
      texts.set(identity, (texts.get(identity) ?? new Set()).add(String(record.client_control_tx_bytes)));
    }
    expect(heard.length).toBeGreaterThan(all.length);
    expect([...texts.values()].every((said) => said.size === 1)).toBe(true);
  });

  it('keeps a record whose acknowledgement never came, and sends the very same again', async () => {
    let answers = 0;
    const bodies: string[] = [];
    const { uplink, spool } = await bench((batch, request, response) => {
      bodies.push(batch.map(identityOf).join());
      answers += 1;
      if (answers === 1) request.socket.destroy();
      else response.writeHead(200).end();
    }, records(3));
    expect(await uplink.flush(drained())).toBe(true);
    expect(bodies).toHaveLength(2);
    expect(bodies[0]).toBe(bodies[1]);
    expect(spool.pending()).toBe(0);
  });

  it('finds the one record that is refused, sets it aside, and delivers all the others', async () => {
    const all = records(100);
    const poison = identityOf(all[37]!);
    const { uplink, spool, acknowledged, counted } = await bench((batch, _request, response) => {
      const refused = batch.some((record) => identityOf(record) === poison);
      response.writeHead(refused ? 400 : 200).end(refused ? '{"error":{"code":"TP_KERNEL_INVALID"}}' : '{}');
    }, all);
    expect(await uplink.flush(drained())).toBe(true);
    expect(ids(acknowledged.flat())).toEqual(ids(all).filter((identity) => identity !== poison));
    expect([spool.pending(), spool.refused()]).toEqual([0, 1]);
    expect([await counted('delivered'), await counted('refused')]).toEqual([99, 1]);
  });

  it.each([401, 403, 404, 408, 429, 302, 500, 503])('keeps everything when the answer is %i', async (status) => {
    let refusals = 3;
    const { uplink, spool, acknowledged } = await bench((_batch, _request, response) => {
      refusals -= 1;
      response.writeHead(refusals >= 0 ? status : 200, { location: 'http://elsewhere.test/' }).end();
    }, records(5));
    expect(await uplink.flush(drained())).toBe(true);
    expect(acknowledged.map((batch) => batch.length)).toEqual([5]);
    expect(spool.refused()).toBe(0);
  });

  it('backs off exponentially with jitter, never above five seconds, and starts anew after a success', async () => {
    let failures = 40;
    const { uplink, pauses, write } = await bench((_batch, _request, response) => {
      failures -= 1;
      response.writeHead(failures >= 0 ? 503 : 200).end();
    });
    await write(records(1));
    expect(await uplink.flush(drained())).toBe(true);
    const ceilings = pauses.map((_pause, index) => Math.min(5_000, 200 * 2 ** index));
    expect(pauses).toHaveLength(40);
    expect(pauses.every((pause, index) => pause >= 1 && pause <= (ceilings[index] ?? 0))).toBe(true);
    expect(Math.max(...pauses)).toBeGreaterThan(2_500);
    expect(new Set(pauses).size).toBeGreaterThan(30);

    pauses.length = 0;
    failures = 1;
    await write(records(1, 2));
    expect(await uplink.flush(drained())).toBe(true);
    expect(pauses[0]).toBeLessThanOrEqual(200);
  });

  it('says why nothing is delivered, and that it is again', async () => {
    let broken = true;
    const { uplink } = await bench((_batch, _request, response) => {
      response.writeHead(broken ? 503 : 200).end('the store is away');
    }, records(1));
    await expect.poll(() => uplink.failure).toBe('the collector answered 503 the store is away');
    broken = false;
    await uplink.flush(drained());
    expect(uplink.failure).toBeUndefined();
  });

  it('gives up flushing when told to, leaves the rest in the spool, and stops while a request hangs', async () => {
    const asked = gate();
    const { uplink, spool } = await bench(() => asked.open(), records(2));
    const giveUp = new AbortController();
    const flushed = uplink.flush(giveUp.signal);
    await asked.promise;
    giveUp.abort();
    expect(await flushed).toBe(false);
    await uplink.stop();
    expect(spool.pending()).toBe(2);
  });
});
