/** Reports over a WebSocket, over real sockets. */
import { request } from 'node:http';
import fc from 'fast-check';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { storeDump } from '../../../collector/intake/dump.ts';
import { statsRoutes } from '../../../collector/intake/stats-routes.ts';
import type { StatsRouteOptions } from '../../../collector/intake/stats-routes.ts';
import type { StreamedFormat } from '../../../collector/contract.ts';
import type { Row } from '../../../collector/store/store.ts';
import { ManualClock } from '../../../kernel/clock.ts';
import { TurnpikeError } from '../../../kernel/errors.ts';
import { silentLog } from '../../../kernel/log.ts';
import { Metrics } from '../../../kernel/metrics.ts';
import { scoreInboundAudio } from '../normalise/scorer.ts';
import { FakeWriter, reportToken, service } from '../service.ts';
import * as encode from './encoders.ts';
import { openStream, portOf, refusedStream } from './stream-client.ts';
import type { StreamClient } from './stream-client.ts';

const NOW = Date.UTC(2026, 10, 21);
const call = encode.recordedCall('chromium-156-good', 'b');

/** The messages of a call as each recorder sends them. */
const messages: Readonly<Record<StreamedFormat, readonly string[]>> = {
  native: encode.asNativeStream(call).split('\n'),
  observertc: encode.asObserveRtcDelta(call).split('\n'),
  rtcstats: encode.asRtcstatsStream(call).split('\n'),
  'rtcstats-legacy': encode.asJitsi(call).split('\n'),
};
const protocols: Readonly<Record<StreamedFormat, string>> = {
  native: 'turnpike-reports',
  observertc: 'observertc',
  rtcstats: 'rtcstats#5.0',
  'rtcstats-legacy': '3.1_STANDARD',
};
const formats = Object.keys(protocols) as StreamedFormat[];

describe('GET /v1/stats/stream', () => {
  let http: FastifyInstance;
  let clock: ManualClock;
  let writer: FakeWriter;
  let metrics: Metrics;
  let slept: number[];
  beforeEach(() => start());
  afterEach(() => http.close());

  async function start(change: Partial<StatsRouteOptions> = {}) {
    clock = new ManualClock(NOW);
    writer = new FakeWriter();
    metrics = new Metrics();
    slept = [];
    const made = service(clock);
    http = made.http;
    await http.register(statsRoutes, {
      writer,
      authority: made.authority,
      score: scoreInboundAudio,
      clock,
      metrics,
      log: silentLog,
      maxWaitMs: 0,
      allowance: { requestsPerSecond: 1_000, burst: 1_000 },
      async sleep(milliseconds) {
        slept.push(milliseconds);
        clock.advance(milliseconds);
        await new Promise((resolve) => setImmediate(resolve));
      },
      ...change,
    });
    await http.listen({ host: '127.0.0.1', port: 0 });
  }
  async function restart(change: Partial<StatsRouteOptions>) {
    await http.close();
    await start(change);
  }

  const token = (change = {}) => reportToken('demo', NOW, { call: 'standup', participant: 'ann', ...change });
  const open = (format: StreamedFormat, change = {}) =>
    openStream(http, { token: token(), protocol: protocols[format], ...change });
  /** The number by which the last of these messages is acknowledged. */
  const lastOf = (format: StreamedFormat, list = messages[format]): number => {
    const message = JSON.parse(list.at(-1) ?? '') as { seq: number; data?: string | unknown[] };
    if (format === 'native') return message.seq;
    if (format !== 'rtcstats-legacy') return list.length;
    if (message.data === undefined) return lastOf(format, list.slice(0, -1)); // a keepalive has none
    const event = typeof message.data === 'string' ? (JSON.parse(message.data) as unknown[]) : message.data;
    return Number(event[4]);
  };
  const rows = () => ({
    streams: known(writer.rowsOf('stream_intervals')),
    connections: known(writer.rowsOf('connection_intervals')),
    events: known(writer.rowsOf('call_events')),
  });
  /** The rows of the call when its messages are a recording. */
  async function expectedRows(format: StreamedFormat) {
    const all: Record<'streams' | 'connections' | 'events', Row[]> = { streams: [], connections: [], events: [] };
    const source = async function* () {
      yield Buffer.from(messages[format].join('\n'));
    };
    await storeDump(source(), {
      app: 'demo',
      call: 'standup',
      participant: 'ann',
      score: scoreInboundAudio,
      now: NOW,
      keptMs: 30 * 86_400_000,
      async write(part) {
        all.streams.push(...part.stream_intervals);
        all.connections.push(...part.connection_intervals);
        all.events.push(...part.call_events);
      },
    });
    return { streams: known(all.streams), connections: known(all.connections), events: known(all.events) };
  }
  const settledBy = async (client: StreamClient, format: StreamedFormat, list = messages[format]) => {
    client.send(...list);
    return client.acknowledged(lastOf(format, list));
  };

  describe.each(formats)('%s', (format) => {
    it('gives the same rows as the same messages in a recording, identities and all', async () => {
      const client = await open(format);
      const told = await settledBy(client, format);
      expect(told.filter((one) => 'error' in one)).toEqual([]);
      expect(rows()).toEqual(await expectedRows(format));
      expect(rows().streams.size).toBeGreaterThan(60);
      const offsets = new Set(writer.rowsOf('connection_intervals').map((row) => row['clock_offset_ms']));
      // the report says it; elsewhere the least that any message was late by
      expect(Math.min(...[...offsets].map(Number))).toBe(
        format === 'native' ? 0 : NOW - Math.round(call.samples.at(-1)?.t ?? 0),
      );
      expect([...rows().events.values()].map((row) => row['type'])).toEqual(
        expect.arrayContaining(['setup', 'first_frame']),
      );
    });

    it('may be named in the query by those who cannot name a subprotocol', async () => {
      const client = await openStream(http, { token: token(), query: `&format=${format}&isReconnect=false` });
      await settledBy(client, format);
      expect(client.socket.protocol).toBe('');
      expect(rows().streams.size).toBeGreaterThan(60);
    });

    it('has stored what it acknowledged when the client is killed, and nothing twice when all of it is sent again', async () => {
      const expected = await expectedRows(format);
      const middle = Math.floor(messages[format].length / 2);
      const first = await open(format);
      await settledBy(first, format, messages[format].slice(0, middle));
      const acknowledged = rows();
      expect(acknowledged.streams.size).toBeGreaterThan(0);
      first.send(...messages[format].slice(middle));
      first.socket.terminate();
      const again = await open(format);
      await settledBy(again, format);
      expect(rows()).toEqual(expected);
      for (const [key, row] of acknowledged.streams) expect(expected.streams.get(key)).toEqual(row);
    });

    it('is told that differences continue nothing when it comes again without a whole sample, and stores nothing made up', async () => {
      const expected = await expectedRows(format);
      const middle = Math.floor(messages[format].length / 2);
      const client = await open(format);
      const told = await settledBy(client, format, messages[format].slice(middle));
      expect(told.find((one) => 'error' in one)).toMatchObject({ error: { code: 'TP_COLLECTOR_DESYNC' } });
      expect(client.socket.readyState).toBe(client.socket.OPEN);
      for (const [key, row] of rows().streams) expect(expected.streams.get(key)).toEqual(row);
    });
  });

  describe('what it answers', () => {
    it('is, to each report of our own, what POST answers, and which report it was', async () => {
      const client = await open('native');
      const told = await settledBy(client, 'native');
      expect(told.map((one) => one['seq'])).toEqual(messages.native.map((_, index) => index));
      expect(told[0]).toMatchObject({ connection: 'connection-1', seq: 0, serverTime: NOW });
      const streams = told.map((one) => (one['stored'] as { streams: number }).streams);
      expect(streams.reduce((sum, count) => sum + count, 0)).toBe(writer.rowsOf('stream_intervals').length);
    });

    it('is to Jitsi’s recorder its sequence number, from the beginning, which it waits for', async () => {
      const client = await open('rtcstats-legacy');
      expect(await client.next()).toEqual({ type: 'sn', body: { value: 0, state: 'initial' } });
      client.send(...messages['rtcstats-legacy'].slice(0, 3));
      expect((await client.acknowledged(3)).at(-1)).toEqual({ type: 'sn', body: { value: 3 } });
    });

    it('names what is left out, and why, and goes on', async () => {
      const client = await open('native');
      const whole = JSON.parse(messages.native[0] ?? '') as { samples: object[] };
      client.send(
        { ...whole, samples: [...whole.samples, { t: 'soon', stats: [] }] },
        { v: 1, connection: 'x', seq: 4 },
      );
      const [partial, invalid] = [await client.next(), await client.next()];
      expect(partial).toMatchObject({ seq: 0, rejected: [{ path: 'samples.5.t' }] });
      expect(invalid).toMatchObject({ connection: 'x', seq: 4, error: { code: 'TP_KERNEL_INVALID' } });
      client.send({ ...whole, offset: -30 * 86_400_000 });
      expect(await client.next()).toMatchObject({ error: { code: 'TP_COLLECTOR_CLOCK' }, serverTime: NOW });
      client.send(...messages.native.slice(0, 1));
      expect(await client.next()).toMatchObject({ seq: 0, stored: {} });
    });

    it('goes on at the next whole sample', async () => {
      const client = await open('native');
      client.send(...messages.native.slice(2, 3));
      expect(await client.next()).toMatchObject({ seq: 2, error: { code: 'TP_COLLECTOR_DESYNC' } });
      const whole = encode.asNative(call).split('\n');
      client.send(whole[2], messages.native[3]);
      expect(await client.acknowledged(3)).toEqual([
        expect.objectContaining({ seq: 2, stored: expect.anything() as object }),
        expect.objectContaining({ seq: 3, stored: expect.anything() as object }),
      ]);
    });

    it('is counted, by format and result, and so are the streams that are open', async () => {
      const client = await open('observertc');
      await settledBy(client, 'observertc');
      await refusedStream(http, { token: 'wrong', protocol: 'observertc' });
      const values = async (name: string) =>
        ((await metrics.registry.getSingleMetric(name)?.get())?.values ?? []).map(({ labels, value }) => [
          ...Object.values(labels),
          value,
        ]);
      expect(await values('turnpike_collector_reports_total')).toEqual([
        ['observertc', 'stored', messages.observertc.length],
        ['unknown', 'refused', 1],
      ]);
      expect(await values('turnpike_collector_streams')).toContainEqual(['observertc', 1]);
      expect(await values('turnpike_collector_streams')).toContainEqual(['native', 0]);
    });
  });

  describe('who may open one', () => {
    it.each([
      ['nobody without a token', 401, 'TP_KERNEL_UNAUTHORISED', { token: '' }],
      ['no forged token', 401, 'TP_KERNEL_UNAUTHORISED', { token: `${reportToken('demo', NOW)}x` }],
      ['no token of an app', 403, 'TP_KERNEL_FORBIDDEN', { token: 'demo-token' }],
      ['no page of another app', 403, 'TP_KERNEL_ORIGIN', { headers: { origin: 'https://shop.example' } }],
      ['no unknown subprotocol', 400, 'TP_KERNEL_INVALID', { protocol: 'soap' }],
      ['no unknown format', 400, 'TP_KERNEL_INVALID', { protocol: undefined, query: '&format=peermetrics' }],
    ])('%s', async (_who, status, code, change) => {
      const { protocol = 'rtcstats#5.0', ...rest } = change as { protocol?: string };
      const opening = {
        token: token(),
        ...('protocol' in change && change.protocol === undefined ? {} : { protocol }),
        ...rest,
      };
      expect(await refusedStream(http, opening)).toMatchObject({ status, code });
    });

    it('the pages of the token’s app, with a token in the header too', async () => {
      const headers = { origin: 'https://demo.example', authorization: `Bearer ${token()}` };
      const client = await openStream(http, { token: 'ignored', protocol: 'rtcstats#4.0', headers });
      expect(client.socket.protocol).toBe('rtcstats#4.0');
    });

    it('four at a time with one token, so many of an app, and nobody beyond', async () => {
      await restart({ streams: { streams: 8, ofToken: 4 } });
      const ann = [await open('rtcstats'), await open('rtcstats'), await open('rtcstats'), await open('rtcstats')];
      const refused = await refusedStream(http, { token: token(), protocol: 'rtcstats#5.0' });
      expect(refused).toMatchObject({ status: 429, code: 'TP_KERNEL_RATE_LIMITED', headers: { 'retry-after': '10' } });
      const bob = { token: token({ participant: 'bob' }), protocol: 'rtcstats#5.0' };
      expect(await refusedStream(http, bob)).toMatchObject({ status: 429 }); // half of all are the app's
      await openStream(http, { token: reportToken('shop', NOW), protocol: 'rtcstats#5.0' });
      ann[0]?.socket.close();
      await ann[0]?.closed;
      await expect
        .poll(
          () =>
            openStream(http, bob).then(
              () => true,
              () => false,
            ),
          { timeout: 20_000 },
        )
        .toBe(true);
    });

    it('from a network of which no more is kept than of any report', async () => {
      const nowhere = { client_country: null, client_region: null, client_asn: null, client_as_name: null };
      await restart({ networkOf: (address) => ({ ...nowhere, client_network: `near ${address}` }) });
      await settledBy(await open('native'), 'native');
      const networks = writer.rowsOf('connection_intervals').map((row) => row['client_network']);
      expect(new Set(networks)).toEqual(new Set(['near 127.0.0.1']));
    });

    it('nobody with a request for no WebSocket', async () => {
      const answer = await http.inject({ url: `/v1/stats/stream?format=native&token=${encodeURIComponent(token())}` });
      expect([answer.statusCode, answer.json<{ error: { code: string } }>().error.code]).toEqual([
        426,
        'TP_COLLECTOR_UPGRADE',
      ]);
      expect(answer.headers['upgrade']).toBe('websocket');
    });

    it('but who asks another route for a WebSocket, or this server for HTTP/2, is served as if he had not', async () => {
      const ask = async (options: object, body = '') => {
        const sent = request({ host: '127.0.0.1', port: portOf(http), ...options });
        sent.end(body);
        return new Promise<number | undefined>((resolve, reject) => {
          sent.on('response', (response) => (response.resume(), resolve(response.statusCode)));
          sent.on('upgrade', () => reject(new Error('upgraded')));
          sent.on('error', reject);
        });
      };
      const headers = {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'dGVzdA==',
      };
      expect(await ask({ path: '/nowhere', headers })).toBe(404);
      const body = JSON.stringify({ v: 1, connection: 'connection-1', seq: 0, offset: null, samples: [], events: [] });
      const h2c = {
        connection: 'Upgrade, HTTP2-Settings',
        upgrade: 'h2c',
        'http2-settings': 'AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA',
      };
      const post = {
        'content-type': 'application/json',
        'content-length': String(body.length),
        authorization: `Bearer ${token()}`,
      };
      expect(await ask({ method: 'POST', path: '/v1/stats', headers: { ...post, ...h2c } }, body)).toBe(200);
    });
  });

  describe('a hostile or broken client', () => {
    const ending = async (client: StreamClient) => {
      const { code } = await client.closed;
      const told = await client.rest();
      const { error } = (told.findLast((one) => 'error' in one) ?? {}) as { error?: { code: string } };
      return [code, error?.code];
    };

    it('is told what is wrong, then closed: no JSON, an object that changes its prototype, binary', async () => {
      for (const [message, code, error] of [
        ['{"v":1,', 1007, 'TP_KERNEL_BAD_JSON'],
        ['{"v":1,"__proto__":{"admin":true}}', 1007, 'TP_KERNEL_BAD_JSON'],
        [Buffer.from([1, 2, 3]), 1003, 'TP_KERNEL_CONTENT_TYPE'],
      ] as const) {
        const client = await open('native');
        client.socket.send(message);
        expect(await ending(client)).toEqual([code, error]);
      }
      expect(writer.inserts).toEqual([]);
    });

    it('has what it sent before that stored and acknowledged', async () => {
      const client = await open('native');
      client.send(messages.native[0], '{"v":');
      const [first] = await client.acknowledged(0);
      expect(first).toMatchObject({ seq: 0, stored: {} });
      expect(await ending(client)).toEqual([1007, 'TP_KERNEL_BAD_JSON']);
    });

    it('is closed for a message that is too long, for text that is no UTF-8, and for frames that are none', async () => {
      const long = await open('native');
      long.socket.send('x'.repeat(1_048_577));
      expect((await long.closed).code).toBe(1009);
      const raw = async (bytes: string) => {
        const client = await open('native');
        const { _socket: socket } = client.socket as unknown as { _socket: { write(bytes: Buffer): void } };
        socket.write(Buffer.from(bytes, 'hex'));
        return (await client.closed).code;
      };
      expect(await raw('8182000000000080')).toBe(1007);
      expect(await raw('ff80ffffffff')).toBe(1002);
    });

    it('may send anything at all, and neither crashes the service nor reaches another', async () => {
      const text = fc.oneof(
        fc.json(),
        fc.string(),
        fc.constantFrom(...messages.native, ...messages.observertc, ...messages.rtcstats),
        fc
          .tuple(fc.constantFrom(...messages.rtcstats), fc.nat(200), fc.string())
          .map(([m, at, s]) => m.slice(0, at) + s + m.slice(at)),
      );
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(...formats),
          fc.array(text, { minLength: 1, maxLength: 8 }),
          async (format, sent) => {
            const client = await open(format);
            client.send(...sent, '}');
            expect([1007, 1008]).toContain((await client.closed).code);
          },
        ),
        { numRuns: 60 },
      );
      const client = await open('native');
      await settledBy(client, 'native');
    }, 60_000);

    it('with more connections than its token allows is closed', async () => {
      const few = token({ maxConnections: 1 });
      const client = await openStream(http, { token: few, protocol: 'turnpike-reports' });
      client.send(messages.native[0], (messages.native[0] ?? '').replace('connection-1', 'connection-2'));
      expect(await ending(client)).toEqual([1008, 'TP_KERNEL_FORBIDDEN']);
    });

    it('whose token expires is closed', async () => {
      const client = await open('native');
      await settledBy(client, 'native', messages.native.slice(0, 1));
      clock.advance(3_700_000);
      client.send(messages.native[1]);
      expect(await ending(client)).toEqual([1008, 'TP_KERNEL_UNAUTHORISED']);
    });

    it('that sends more than it may is read as fast as it may, and loses nothing', async () => {
      await restart({ allowance: { requestsPerSecond: 2, burst: 5 } });
      const client = await open('rtcstats');
      await settledBy(client, 'rtcstats');
      expect(slept.length).toBeGreaterThan(3);
      expect(rows().streams.size).toBeGreaterThan(60);
    });

    it('that makes the collector remember too much is closed', async () => {
      await restart({ streams: { bytesOfOne: 200_000 } });
      const client = await open('rtcstats');
      const entry = (index: number) =>
        [`${index}`, { type: 1, kind: 'audio', ssrc: index, x: 'y'.repeat(1_000) }] as const;
      client.send([39, null, {}, NOW - 1_000]);
      for (let index = 0; index < 200 && client.socket.readyState === client.socket.OPEN; index += 1) {
        client.send([1, '6-1', Object.fromEntries([entry(index)]), 1]);
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect(await ending(client)).toEqual([1009, 'TP_KERNEL_BODY_TOO_LARGE']);
    });

    it('is ended when all together hold too much, the one that holds most', async () => {
      await restart({ streams: { bytes: 300_000 } });
      const good = await open('native');
      await settledBy(good, 'native', messages.native.slice(0, 1));
      const hog = await open('rtcstats');
      hog.socket.send(`[1,"6-1",{"1":{"x":"${'y'.repeat(400_000)}`, { fin: false });
      expect([1006, 1013]).toContain((await hog.closed).code);
      await settledBy(good, 'native', messages.native.slice(1, 2));
    });

    it('that is gone without a word is found out, and one that says nothing for long is closed', async () => {
      await restart({ streams: { pingMs: 20, idleMs: 60_000 } });
      const gone = await open('rtcstats');
      gone.socket.pause(); // it answers no ping
      const silent = await open('rtcstats');
      clock.advance(61_000);
      expect(await silent.closed).toMatchObject({ code: 1000 });
      await expect
        .poll(
          async () => {
            const metric = await metrics.registry.getSingleMetric('turnpike_collector_streams')?.get();
            return metric?.values.reduce((sum, { value }) => sum + value, 0);
          },
          { timeout: 20_000 },
        )
        .toBe(0);
      gone.socket.terminate();
    });
  });

  describe('while rows cannot be stored', () => {
    it('acknowledges nothing, reads no more than it may hold, and goes on when they can', async () => {
      const client = await open('observertc');
      let refusals = 0;
      writer.fault = () => {
        refusals += 1;
        return refusals < 5 ? new TurnpikeError('TP_COLLECTOR_SPOOL_FULL') : undefined;
      };
      const told = await settledBy(client, 'observertc');
      expect(told.filter((one) => 'error' in one)).toEqual([]);
      expect(slept).toContain(1_000);
      expect(rows()).toEqual(await expectedRows('observertc'));
    });

    it('is not read: what a flooding client sends stays with it', async () => {
      let release = () => {};
      writer.gate = new Promise((resolve) => (release = resolve));
      const client = await open('rtcstats');
      client.send([39, null, {}, NOW - 1_000], [25, '6-1', 'connecting', 1]);
      const filler = JSON.stringify([':custom', '6-1', 'z'.repeat(60_000), 1]);
      for (let index = 0; index < 400; index += 1) client.send(filler);
      await expect.poll(() => client.socket.bufferedAmount, { timeout: 20_000 }).toBeGreaterThan(0);
      expect(client.socket.bufferedAmount).toBeGreaterThan(8_000_000);
      release();
      await client.acknowledged(402);
      expect(client.socket.bufferedAmount).toBe(0);
    }, 60_000);

    it('is closed when the store refuses rows for what they are', async () => {
      writer.fault = () => new Error('no such column');
      const client = await open('native');
      client.send(messages.native[0]);
      expect((await client.closed).code).toBe(1011);
      expect(await client.rest()).toMatchObject([{ error: { code: 'TP_KERNEL_INTERNAL' } }]);
    });
  });

  it('says goodbye when the service ends, and has stored what it acknowledged', async () => {
    const client = await open('native');
    const other = await open('observertc');
    await settledBy(client, 'native');
    await http.close();
    expect(await client.closed).toEqual({ code: 1001, reason: 'the service ends' });
    expect((await other.closed).code).toBe(1001);
    expect(rows().streams.size).toBeGreaterThan(60);
  });

  it('keeps every row, once, whatever is cut, and however often it comes again (property)', async () => {
    const expected = await expectedRows('native');
    const whole = encode.asNative(call).split('\n');
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(messages.native.length), { maxLength: 3 }), async (cuts) => {
        writer.inserts.length = 0;
        let acknowledged = 0;
        for (const cut of [...cuts, messages.native.length]) {
          if (cut <= acknowledged) continue;
          const client = await open('native', { token: token({ customId: `${cuts.join('/')}-${cut}` }) });
          // what comes first on a stream begins with a whole sample
          client.send(whole[acknowledged], ...messages.native.slice(acknowledged + 1));
          await client.acknowledged(cut - 1);
          acknowledged = cut;
          client.socket.terminate();
          await client.closed;
        }
        expect(rows()).toEqual(expected);
      }),
      { numRuns: 15 },
    );
  }, 60_000);
});

/** Rows by identity: a later one replaces an earlier one, as the tables do. When they came is not compared. */
function known(rows: readonly Row[]): Map<string, Row> {
  const key = ({ connection_id: connection, stream, ts, batch_seq: seq, sample_index: index }: Row) =>
    [connection, stream, ts, seq, index].map(String).join('/');
  const timeless = ({ clock_offset_ms: _offset, ...row }: Row): Row => row;
  const entries = rows.map((row): [string, Row] => [key(row), timeless(row)]);
  return new Map(entries.toSorted(([one], [other]) => (one < other ? -1 : 1)));
}
