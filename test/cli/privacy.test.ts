/** What is stored and logged of people who report: searched for, in the whole of what the composed service leaves behind. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import type { ReportAnswer } from '../../collector/contract.ts';
import { configSchema } from '../../cli/config.ts';
import { ManualClock } from '../../kernel/clock.ts';
import { loadConfig } from '../../kernel/config.ts';
import { createAuthority, hashToken } from '../../kernel/principals.ts';
import { issueReportToken } from '../../kernel/report-token.ts';
import * as encode from '../collector/intake/encoders.ts';
import { markedCall, markedEvents, marks } from '../collector/intake/marked-call.ts';
import { recordedSamples } from '../collector/recording.ts';
import { addressFile } from '../collector/privacy/address-file.ts';
import { columnsWith } from '../stored-text.ts';
import { hasEmbeddedStore, testDatabase } from '../embedded-store.ts';
import type { TestDatabase } from '../embedded-store.ts';
import { composedService } from './composed-service.ts';
import type { ComposedService } from './composed-service.ts';

vi.mock('node:fs/promises', async (load) => (await import('./without-scripts.ts')).withoutScripts(await load()));

const NOW = Date.UTC(2026, 10, 21);
const SECRET = 'a secret of some length';

const claims = { keyId: 'main', app: 'shop', customId: '', call: 'room', participant: 'ann', maxConnections: 8 };
const token = issueReportToken({ ...claims, expiresAt: NOW / 1_000 + 3_600 }, SECRET);

describe.skipIf(!hasEmbeddedStore)('what is kept of people', () => {
  let store: TestDatabase;
  let service: ComposedService;
  let directory: string;
  let logged = '';

  beforeAll(async () => {
    store = await testDatabase();
    const clock = new ManualClock(NOW);
    const keys = [{ id: 'main', secrets: [SECRET] }];
    const authority = createAuthority(
      {
        apps: [{ id: 'shop', tokenHashes: [hashToken('app-token')], keys, origins: ['*'] }],
        relayTokenHash: hashToken('relay-token'),
        sourceTokenHash: hashToken('source-token'),
        operatorTokenHash: hashToken('operator-token'),
      },
      clock,
    );
    const log = pino(
      { level: 'trace' },
      new Writable({
        write(chunk, _encoding, done) {
          logged += String(chunk);
          done();
        },
      }),
    );
    const { database } = store.endpoint;
    directory = mkdtempSync(join(tmpdir(), 'turnpike-privacy-'));
    const asn = { autonomous_system_number: 64_500, autonomous_system_organization: 'Example Net' };
    writeFileSync(join(directory, 'asn.mmdb'), addressFile({ '198.51.100.77/32': asn }));
    const env = {
      TURNPIKE_CLICKHOUSE_DATABASE: database,
      TURNPIKE_COLLECTOR_PRIVACY_ASN_DATABASE: join(directory, 'asn.mmdb'),
      TURNPIKE_HTTP_TRUST_PROXY: '127.0.0.0/8',
    };
    const config = loadConfig(configSchema, { env, flags: {} });
    service = await composedService({ authority, clock, store, log, config });
  });
  afterAll(async () => {
    await service.close();
    await store.drop();
    await store.close();
    rmSync(directory, { recursive: true, force: true });
  });

  const post = async (url: string, bearer: string, payload: string | Buffer) =>
    service.http.inject({
      method: 'POST',
      url,
      headers: { 'content-type': 'application/json', authorization: `Bearer ${bearer}` },
      payload,
    });
  const expectNothingOf = async (texts: readonly string[]) => {
    expect(await columnsWith(store, texts)).toEqual([]);
    for (const text of texts) expect(logged.toLowerCase()).not.toContain(text.toLowerCase());
  };

  const formats = {
    'our own format': encode.asNative,
    'rtcstats as Chrome writes it': encode.asChromeRtcstats,
    'an rtcstats stream': encode.asRtcstatsStream,
    'Jitsi’s rtcstats': encode.asJitsi,
    'ObserveRTC’s ClientSamples': encode.asObserveRtc,
    'ObserveRTC’s ClientSamples with differences': encode.asObserveRtcDelta,
    'a dump of webrtc-internals': encode.asInternals,
    'an old dump of webrtc-internals': (call: encode.Call) => encode.asInternals(call, { old: true }),
    'peermetrics’ requests': encode.asPeermetrics,
  };
  it.each(Object.entries(formats))('is neither address, label, username nor SDP of %s', async (name, encoded) => {
    for (const [recording, isMisused] of [
      ['chromium-156-good', false],
      ['chromium-156-turn-killed', true],
      ['firefox-153esr-good', true],
    ] as const) {
      if (recording.startsWith('firefox') && name.includes('internals')) continue;
      const answer = await post('/v1/dumps', 'app-token', encoded(markedCall(recording, 'b', isMisused)));
      expect(answer.statusCode).toBeLessThan(300);
    }
    await expectNothingOf(marks);
  });

  it('is nothing of the text that a page’s own events carry', async () => {
    const samples = markedCall('chromium-156-good', 'a', true).samples.slice(0, 3);
    const first = samples[0]?.t ?? 0;
    const events = markedEvents(first);
    const report = { v: 1, connection: 'hostile-1', seq: 0, offset: 0, sdk: 'maren/77aa', samples, events };
    const answer = await post('/v1/stats', token, JSON.stringify(report));
    expect(answer.json<ReportAnswer>().stored.events).toBe(events.length);
    await expectNothingOf(marks);
  });

  it('is the network that a report came from, through a proxy that is trusted, and not the address', async () => {
    const samples = recordedSamples('chromium-156-good', 'a').slice(0, 4);
    const send = (connection: string, remoteAddress: string) =>
      service.http.inject({
        method: 'POST',
        url: '/v1/stats',
        remoteAddress,
        headers: {
          'content-type': 'application/json',
          authorization: `Bearer ${token}`,
          'x-forwarded-for': '192.0.2.99, 198.51.100.77',
        },
        payload: { v: 1, connection, seq: 0, offset: 0, samples, events: [] },
      });
    await send('through-a-proxy', '127.0.0.1');
    await send('through-none', '198.18.0.77');
    const rows = await store.select(
      z.object({
        connection_id: z.string(),
        network: z.string(),
        asn: z.number().nullable(),
        name: z.string().nullable(),
      }),
      `SELECT DISTINCT connection_id, client_network AS network, client_asn AS asn, client_as_name AS name
FROM connection_intervals WHERE client_network IS NOT NULL AND connection_id LIKE 'through-%' ORDER BY connection_id`,
    );
    expect(rows).toEqual([
      { connection_id: 'through-a-proxy', network: '198.51.100.0/24', asn: 64_500, name: 'Example Net' },
      { connection_id: 'through-none', network: '198.18.0.0/24', asn: null, name: null },
    ]);
    await expectNothingOf(['198.51.100.77', '192.0.2.99', '198.18.0.77']);
  });

  it('is no address, fragment of a username, track or fingerprint of a real call, whoever recorded it', async () => {
    const secrets = new Set<string>();
    const names = /^(usernameFragment|trackIdentifier|fingerprint|iceLocalUsernameFragment)$/;
    for (const recording of ['chromium-156-good', 'firefox-153esr-good']) {
      for (const { stats } of recordedSamples(recording, 'a')) {
        for (const [name, value] of stats.flatMap((entry) => Object.entries(entry)))
          if (names.test(name) && String(value).length > 3) secrets.add(String(value));
      }
      await post('/v1/dumps', 'app-token', encode.asNative(encode.recordedCall(recording, 'a')));
    }
    for (const file of ['chromium-156-internals.webrtc_internals_dump', 'chromium-156-internals.rtcstats_dump']) {
      const dump = readFileSync(new URL(`../vectors/${file}.gz`, import.meta.url));
      const text = gunzipSync(dump).toString('utf8');
      for (const [, secret = ''] of text.matchAll(
        /a=(?:ice-ufrag|ice-pwd|ssrc:\d+ cname|msid|fingerprint:sha-256)[: ]([^\\\s]{5,})/g,
      ))
        secrets.add(secret);
      for (const device of ['Fake Default Audio Input', 'fake_device_0', 'HeadlessChrome', 'IN IP4', 'typ relay'])
        secrets.add(device);
      expect((await post('/v1/dumps', 'app-token', dump)).statusCode).toBe(200);
    }
    expect(secrets.size).toBeGreaterThan(20);
    await expectNothingOf([...secrets]);
  });

  it('is all that a call was like: rows of every kind', async () => {
    expect(await columnsWith(store, ['inbound/audio/'])).toEqual(['stream_intervals.stream']);
    expect(await columnsWith(store, ['candidate_error'])).toEqual(['call_events.type']);
    expect(await columnsWith(store, ['srflx', 'relay', 'host'])).toContain('connection_intervals.local_candidate_type');
  });

  it('is nothing at all when they are erased', async () => {
    expect((await columnsWith(store, ['ann'])).filter((column) => column.endsWith('participant_id'))).not.toEqual([]);
    const headers = { authorization: 'Bearer app-token' };
    const answer = await service.http.inject({ method: 'DELETE', url: '/v1/participants/ann', headers });
    expect(answer.statusCode).toBe(200);
    expect((await columnsWith(store, ['ann'])).filter((column) => column.endsWith('participant_id'))).toEqual([]);
  });
});
