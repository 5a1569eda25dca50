/** A service that hashes what apps call their people, from reports, recordings, relays and sources. */
import { createHmac, hkdfSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { configSchema } from '../../cli/config.ts';
import { identifiersOf } from '../../cli/privacy-config.ts';
import { ManualClock } from '../../kernel/clock.ts';
import { loadConfig } from '../../kernel/config.ts';
import { createAuthority, hashToken } from '../../kernel/principals.ts';
import { issueReportToken } from '../../kernel/report-token.ts';
import * as encode from '../collector/intake/encoders.ts';
import { recordedSamples } from '../collector/recording.ts';
import { columnsWith } from '../stored-text.ts';
import { hasEmbeddedStore, testDatabase } from '../embedded-store.ts';
import type { TestDatabase } from '../embedded-store.ts';
import { composedService } from './composed-service.ts';
import type { ComposedService } from './composed-service.ts';

vi.mock('node:fs/promises', async (load) => (await import('./without-scripts.ts')).withoutScripts(await load()));

const NOW = Date.UTC(2026, 10, 21);
const KEY_SECRET = 'a secret of some length';
const SECRET = 'what identifiers are hashed with';
const ANN = 'ann@maren.example';
const CUSTOMER = 'acme-77aa';

/** As docs/privacy.md says it. */
function documented(app: string, identifier: string): string {
  const key = Buffer.from(hkdfSync('sha256', SECRET, '', `turnpike identifiers ${app}`, 32));
  return `h-${createHmac('sha256', key).update(identifier).digest('base64url').slice(0, 22)}`;
}

const settings = (privacy: object, apps: object = {}) => configSchema.parse({ collector: { privacy }, ...apps });

describe('identifiers', () => {
  it('are kept unless it is said otherwise, for all apps or for one', () => {
    expect(identifiersOf(settings({})).stored('shop', ANN)).toBe(ANN);
    const own = (id: string, customIdentifiers?: string) => ({
      id,
      tokenHashes: [hashToken(id)],
      keys: [{ id: `${id}-key`, secrets: [KEY_SECRET] }],
      ...(customIdentifiers === undefined ? {} : { privacy: { customIdentifiers } }),
    });
    const apps = { apps: [own('shop', 'hash'), own('clinic'), own('bank', 'keep')] };
    const one = identifiersOf(settings({ identifierSecret: SECRET }, apps));
    expect(['shop', 'clinic', 'bank'].map((app) => one.areHashed(app))).toEqual([true, false, false]);
    const all = identifiersOf(settings({ customIdentifiers: 'hash', identifierSecret: SECRET }, apps));
    expect(['shop', 'clinic', 'bank'].map((app) => all.areHashed(app))).toEqual([true, true, false]);
  });

  it('need a secret to be hashed', () => {
    expect(() => identifiersOf(settings({ customIdentifiers: 'hash' }))).toThrow(
      expect.objectContaining({
        code: 'TP_KERNEL_CONFIG',
        issues: [expect.objectContaining({ path: 'collector.privacy.identifierSecret' })],
      }),
    );
  });

  it('have one hash in each app, which the app can make itself', () => {
    const hashing = identifiersOf(settings({ customIdentifiers: 'hash', identifierSecret: SECRET }));
    for (const app of ['shop', 'clinic']) expect(hashing.stored(app, ANN)).toBe(documented(app, ANN));
    expect(hashing.stored('shop', ANN)).not.toBe(hashing.stored('clinic', ANN));
    expect(hashing.forms('shop', ANN)).toEqual([ANN, documented('shop', ANN)]);
    expect(['', 'A', 'B'].map((name) => hashing.stored('shop', name))).toEqual(['', 'A', 'B']);
  });
});

describe.skipIf(!hasEmbeddedStore)('a service that hashes identifiers', () => {
  let store: TestDatabase;
  let service: ComposedService;
  beforeAll(async () => {
    store = await testDatabase();
    const clock = new ManualClock(NOW);
    const keys = [{ id: 'main', secrets: [KEY_SECRET] }];
    const env = {
      TURNPIKE_CLICKHOUSE_DATABASE: store.endpoint.database,
      TURNPIKE_COLLECTOR_PRIVACY_CUSTOM_IDENTIFIERS: 'hash',
      TURNPIKE_COLLECTOR_PRIVACY_IDENTIFIER_SECRET: SECRET,
    };
    service = await composedService({
      config: loadConfig(configSchema, { env, flags: {} }),
      authority: createAuthority(
        {
          apps: [{ id: 'shop', tokenHashes: [hashToken('app')], keys, origins: ['*'] }],
          relayTokenHash: hashToken('relay'),
          sourceTokenHash: hashToken('source'),
          operatorTokenHash: hashToken('operator'),
        },
        clock,
      ),
      clock,
      store,
    });
  });
  afterAll(async () => {
    await service.close();
    await store.drop();
    await store.close();
  });

  const post = async (url: string, bearer: string, payload: object | string) => {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${bearer}` };
    const answer = await service.http.inject({ method: 'POST', url, headers, payload });
    expect({ status: answer.statusCode, body: answer.body }).toMatchObject({ status: 200 });
  };

  it('has no id of a person or customer in any table, and joins and bills as one that keeps them', async () => {
    const claims = {
      keyId: 'main',
      app: 'shop',
      customId: CUSTOMER,
      call: 'room',
      participant: ANN,
      maxConnections: 8,
    };
    const token = issueReportToken({ ...claims, expiresAt: NOW / 1_000 + 3_600 }, KEY_SECRET);
    const samples = recordedSamples('chromium-156-good', 'a').slice(0, 4);
    await post('/v1/stats', token, { v: 1, connection: 'connection-1', seq: 0, offset: 0, samples, events: [] });
    const recording = encode.asChromeRtcstats(encode.recordedCall('chromium-156-good', 'b'));
    await post(`/v1/dumps?call=room&participant=${encodeURIComponent(ANN)}`, 'app', recording);
    const totals = (sent: string) =>
      Object.fromEntries(
        ['client_rx', 'client_tx', 'peer_rx', 'peer_tx'].flatMap((name) => [
          [`${name}_bytes`, name === 'client_tx' ? sent : '0'],
          [`${name}_packets`, '0'],
        ]),
      );
    const identity = {
      app_id: 'shop',
      call_id: 'room',
      participant_id: ANN,
      custom_id: CUSTOMER,
      seq: 1,
      window_end: NOW - 1_000,
    };
    const record = {
      ...identity,
      server_id: 'relay-1',
      boot_id: '019a9c1e-0000-7000-8000-00000000000b',
      allocation_id: '019a9c1e-0000-7000-8000-000000000001',
      key_id: 'main',
      transport: 'udp',
      client_family: 4,
      relay_family: 4,
      final: true,
      client_control_tx_bytes: '0',
      classes: { internet: totals('0'), own_relay: totals('0'), sfu: totals('1004') },
    };
    await post('/v1/usage', 'relay', { records: [record] });
    const reading = { ...identity, server_id: 'sfu-1', boot_id: 'run', object_id: 'transport-1', egress_bytes: '1000' };
    await post('/v1/egress', 'source', { source: 'sfu', readings: [reading] });

    expect(await columnsWith(store, [ANN, 'maren', CUSTOMER])).toEqual([]);
    const tables = ['stream_intervals', 'connection_intervals', 'call_events', 'egress_samples'];
    const people = await store.select(
      z.object({ participant_id: z.string() }),
      tables.map((table) => `SELECT DISTINCT participant_id FROM ${table}`).join(' UNION DISTINCT '),
    );
    expect(people).toEqual([{ participant_id: documented('shop', ANN) }]);
    const headers = { authorization: 'Bearer operator' };
    const statement = await service.http.inject({ url: '/v1/statements/2026-11', headers });
    expect(statement.json()).toMatchObject({
      lines: [
        { meter: 'sfu', customId: documented('shop', CUSTOMER), bytes: '1000', overlapBytes: '1000' },
        { meter: 'turn', customId: documented('shop', CUSTOMER), bytes: '1004' },
      ],
    });
  });

  it('erases a participant by the id that only the app knows, and by the hash', async () => {
    const erase = async (name: string) => {
      const headers = { authorization: 'Bearer app' };
      const url = `/v1/participants/${encodeURIComponent(name)}`;
      const answer = await service.http.inject({ method: 'DELETE', url, headers });
      return answer.json<{ erased: { table: string; rows: number }[] }>().erased.map(({ rows }) => rows > 0);
    };
    expect(await erase(ANN)).toEqual([true, true, true, true]);
    expect(await erase(documented('shop', ANN))).toEqual([false, false, false, false]);
    expect(await columnsWith(store, [documented('shop', ANN)])).toEqual([]);
  });
});
