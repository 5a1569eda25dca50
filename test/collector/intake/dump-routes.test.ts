import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import * as zlib from 'node:zlib';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DumpAnswer } from '../../../collector/contract.ts';
import { dumpRoutes } from '../../../collector/intake/dump-routes.ts';
import { ManualClock } from '../../../kernel/clock.ts';
import { TurnpikeError } from '../../../kernel/errors.ts';
import { silentLog } from '../../../kernel/log.ts';
import { Metrics } from '../../../kernel/metrics.ts';
import { scoreInboundAudio } from '../normalise/scorer.ts';
import { FakeWriter, reportToken, service } from '../service.ts';
import * as encode from './encoders.ts';
import { hasZstd, zstdCompress } from './zstd-frames.ts';

const NOW = Date.UTC(2026, 10, 21);
const MIB = 1_048_576;
const call = encode.recordedCall('chromium-156-good', 'b');
const dump = encode.asInternals(call);
const compressors: readonly (readonly [string, (content: string | Buffer) => Buffer])[] = [
  ['gzip', zlib.gzipSync],
  ['br', (content) => zlib.brotliCompressSync(content, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 1 } })],
  ...(hasZstd ? ([['zstd', zstdCompress]] as const) : []),
];

describe('POST /v1/dumps', () => {
  let http: FastifyInstance;
  let writer: FakeWriter;
  let metrics: Metrics;
  beforeEach(async () => {
    writer = new FakeWriter();
    metrics = new Metrics();
    const clock = new ManualClock(NOW);
    ({ http } = service(clock));
    const options = { writer, score: scoreInboundAudio, clock, metrics, log: silentLog, keptDays: 30, maxWaitMs: 0 };
    await http.register(dumpRoutes, options);
  });
  afterEach(() => http.close());

  interface Options {
    readonly token?: string;
    readonly query?: string;
    readonly headers?: Record<string, string>;
  }
  const post = (
    payload: string | Buffer | Readable,
    { token = 'demo-token', query = '', headers = {} }: Options = {},
  ) =>
    http.inject({
      method: 'POST',
      url: `/v1/dumps${query}`,
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}`, ...headers },
      payload,
    });
  const codeOf = (answer: { readonly body: string }) =>
    (JSON.parse(answer.body) as { error: { code: string } }).error.code;

  it('stores every row under the app of its token, and says what it read', async () => {
    const answer = await post(dump);
    expect(answer.statusCode).toBe(200);
    const { stored, calls, ...rest } = answer.json<DumpAnswer>();
    expect(rest).toEqual({ format: 'webrtc-internals', connections: 1 });
    expect(calls).toEqual([expect.stringMatching(/^recording-/)]);
    const rows = writer.rowsOf('stream_intervals');
    expect(rows.length).toBe(stored.streams);
    expect(new Set(rows.map((row) => row['app_id']))).toEqual(new Set(['demo']));
    expect(stored).toMatchObject({ connections: writer.rowsOf('connection_intervals').length, events: 6 });
    expect(answer.headers['connection']).not.toBe('close');
  });

  it('names call and participant as the request says', async () => {
    await post(dump, { query: '?call=standup&participant=ann' });
    const [row] = writer.rowsOf('connection_intervals');
    expect(row).toMatchObject({ call_id: 'standup', participant_id: 'ann' });
  });

  it.each<readonly [string, Buffer]>([
    ['gzip', zlib.gzipSync(dump)],
    ['deflate', zlib.deflateSync(dump)],
    ['br', zlib.brotliCompressSync(dump)],
    ['identity', Buffer.from(dump)],
    ['GZIP', zlib.gzipSync(dump)],
    ['gzip', zlib.gzipSync(zlib.gzipSync(dump))], // a compressed file, compressed again on its way
    ...(hasZstd
      ? [
          ['zstd', zstdCompress(dump)] as const,
          ['zstd', zstdCompress(zstdCompress(dump))] as const,
          ['zstd', zstdCompress(zlib.gzipSync(dump))] as const,
          ['gzip', zlib.gzipSync(zstdCompress(dump))] as const,
        ]
      : []),
  ])('undoes %s', async (encoding, payload) => {
    const answer = await post(payload, { headers: { 'content-encoding': encoding } });
    expect(answer.statusCode).toBe(200);
    expect(writer.rowsOf('connection_intervals').length).toBeGreaterThan(12);
  });

  it('knows a compressed file by itself, whatever its type is said to be', async () => {
    for (const type of ['application/gzip', 'application/octet-stream', 'text/plain; charset=utf-8']) {
      expect((await post(zlib.gzipSync(dump), { headers: { 'content-type': type } })).statusCode).toBe(200);
    }
  });

  it.skipIf(!hasZstd)('knows a file of zstd by itself', async () => {
    expect((await post(zstdCompress(dump), { headers: { 'content-type': 'application/zstd' } })).statusCode).toBe(200);
  });

  it('answers 207 when a part is left out, and names the part', async () => {
    const samples = encode.clientSamples(call);
    const answer = await post(JSON.stringify([...samples.slice(0, 3), { timestamp: 'soon' }, ...samples.slice(3)]));
    expect(answer.statusCode).toBe(207);
    expect(answer.json<DumpAnswer>().rejected).toEqual([{ path: '3.timestamp', message: 'must be Unix milliseconds' }]);
    expect(writer.rowsOf('connection_intervals').length).toBe(samples.length - 1);
  });

  it('stores nothing twice: the same recording gives the same rows', async () => {
    await post(dump);
    const first = writer.inserts.splice(0);
    await post(zlib.gzipSync(dump));
    expect(writer.inserts).toEqual(first);
  });

  it('counts what became of it, by format', async () => {
    await post(dump);
    await post('{}');
    await post(dump, { token: 'wrong' });
    const metric = await metrics.registry.getSingleMetric('turnpike_collector_reports_total')?.get();
    expect(metric?.values.map(({ labels, value }) => [labels['format'], labels['result'], value])).toEqual([
      ['webrtc-internals', 'stored', 1],
      ['unknown', 'invalid', 1],
      ['unknown', 'refused', 1],
    ]);
  });

  describe('refuses', () => {
    it.each([
      ['no token', 401, 'TP_KERNEL_UNAUTHORISED', { token: 'wrong' }],
      ['a report token', 403, 'TP_KERNEL_FORBIDDEN', { token: reportToken('demo', NOW) }],
      ['a relay', 403, 'TP_KERNEL_FORBIDDEN', { token: 'relay-token' }],
      ['an operator', 403, 'TP_KERNEL_FORBIDDEN', { token: 'operator-token' }],
      ['an unknown parameter', 400, 'TP_KERNEL_INVALID', { query: '?room=1' }],
      ['an empty name', 400, 'TP_KERNEL_INVALID', { query: '?call=' }],
      ['a form', 415, 'TP_KERNEL_CONTENT_TYPE', { headers: { 'content-type': 'multipart/form-data; boundary=x' } }],
      ['an encoding that nobody has', 415, 'TP_COLLECTOR_ENCODING', { headers: { 'content-encoding': 'compress' } }],
      ['two encodings', 415, 'TP_COLLECTOR_ENCODING', { headers: { 'content-encoding': 'gzip, br' } }],
      [
        'an encoding named like a method',
        415,
        'TP_COLLECTOR_ENCODING',
        { headers: { 'content-encoding': 'constructor' } },
      ],
      ['bytes that are no gzip', 400, 'TP_COLLECTOR_COMPRESSION', { headers: { 'content-encoding': 'gzip' } }],
      ['bytes that are no brotli', 400, 'TP_COLLECTOR_COMPRESSION', { headers: { 'content-encoding': 'br' } }],
      ['bytes that are no deflate', 400, 'TP_COLLECTOR_COMPRESSION', { headers: { 'content-encoding': 'deflate' } }],
    ] as const)('%s', async (_what, status, code, options) => {
      const answer = await post(dump, options);
      expect([answer.statusCode, codeOf(answer)]).toEqual([status, code]);
      expect(writer.inserts).toEqual([]);
    });

    it.skipIf(!hasZstd)('bytes that are no zstd', async () => {
      const answer = await post(dump, { headers: { 'content-encoding': 'zstd' } });
      expect([answer.statusCode, codeOf(answer)]).toEqual([400, 'TP_COLLECTOR_COMPRESSION']);
    });

    it.each(compressors)('a file of %s that was cut short', async (encoding, compress) => {
      const whole = compress(dump);
      const answer = await post(whole.subarray(0, whole.length - 40), { headers: { 'content-encoding': encoding } });
      expect([answer.statusCode, codeOf(answer)]).toEqual([400, 'TP_COLLECTOR_COMPRESSION']);
      expect(writer.inserts).toEqual([]);
    });

    it('a body larger than it may be, without reading it all', async () => {
      let made = 0;
      const endless = function* () {
        for (;;) {
          made += MIB;
          yield Buffer.alloc(MIB, '\n');
        }
      };
      const answer = await post(Readable.from(endless()));
      expect([answer.statusCode, codeOf(answer)]).toEqual([413, 'TP_KERNEL_BODY_TOO_LARGE']);
      expect(made).toBeLessThan(80 * MIB);
    });

    it.each(compressors)('a small body of %s that becomes a large one', async (encoding, compress) => {
      const bomb = compress(Buffer.alloc(257 * MIB, '\n'));
      expect(bomb.length).toBeLessThan(MIB);
      const before = process.memoryUsage().arrayBuffers;
      const answer = await post(bomb, { headers: { 'content-encoding': encoding } });
      expect([answer.statusCode, codeOf(answer)]).toEqual([413, 'TP_KERNEL_BODY_TOO_LARGE']);
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(192 * MIB); // some of it waits to be collected
    });

    it('a JSON value that is too long to be held', async () => {
      const long = zlib.gzipSync(Buffer.concat([Buffer.from('{"PeerConnections":"'), Buffer.alloc(65 * MIB, 'x')]));
      const answer = await post(long);
      expect([answer.statusCode, codeOf(answer)]).toEqual([413, 'TP_KERNEL_BODY_TOO_LARGE']);
    });
  });

  it('takes an object of a million members, and reads none of them', async () => {
    const many = Array.from({ length: 1_000_000 }, (_, index) => `"m${index}":${index}`).join(',');
    const sample = (t: number) =>
      `{"t":${t},"stats":[{"id":"a","type":"inbound-rtp","kind":"audio","ssrc":1,${many}}]}`;
    const t = NOW - 60_000;
    const text = `{"v":1,"connection":"connection-1","seq":0,"offset":0,"events":[],"samples":[${sample(t)},${sample(t + 1_000)}]}`;
    const answer = await post(zlib.gzipSync(text));
    expect(answer.statusCode).toBe(200);
    expect(writer.rowsOf('stream_intervals')).toMatchObject([{ ssrc: 1, packets: null }]);
  });

  it('has stored nothing that it does not acknowledge, and says that it may be tried again', async () => {
    writer.fault = () => new TurnpikeError('TP_COLLECTOR_STORE_UNAVAILABLE');
    const answer = await post(dump);
    expect([answer.statusCode, codeOf(answer)]).toEqual([503, 'TP_COLLECTOR_STORE_UNAVAILABLE']);
    expect(answer.headers['retry-after']).toBeDefined();
    writer.fault = () => undefined;
    expect((await post(dump)).statusCode).toBe(200);
  });

  it('reads one recording of an app at a time, and two in all', async () => {
    let open = () => {};
    const gate = new Promise<void>((resolve) => (open = resolve));
    const writing = new Promise<void>((reached) => {
      Object.defineProperty(writer, 'gate', { get: () => (reached(), gate) });
    });
    const first = post(dump);
    await writing;
    const refused = await post(dump);
    expect([refused.statusCode, codeOf(refused)]).toEqual([429, 'TP_KERNEL_RATE_LIMITED']);
    expect(refused.headers['retry-after']).toBe('2');
    const other = post(dump, { token: 'shop-token' });
    open();
    expect([(await first).statusCode, (await other).statusCode]).toEqual([200, 200]);
    expect((await post(dump)).statusCode).toBe(200);
  });

  it('can be answered on a connection whose body nobody read to its end', async () => {
    await http.listen({ host: '127.0.0.1', port: 0 });
    const { port } = http.server.address() as AddressInfo;
    const body = Buffer.concat([Buffer.from('<html>'), Buffer.alloc(MIB, 'x')]);
    const answer = await fetch(`http://127.0.0.1:${port}/v1/dumps`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-encoding': 'gzip', authorization: 'Bearer demo-token' },
      body,
    });
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ error: { code: 'TP_COLLECTOR_COMPRESSION' } });
  });
});
