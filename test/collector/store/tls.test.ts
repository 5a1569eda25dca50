/** ClickHouse as production has it: behind TLS, with certificates and compression, as the configuration names them. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { configSchema } from '../../../cli/config.ts';
import type { Config } from '../../../cli/config.ts';
import { explainingStore, openConfiguredStore } from '../../../cli/store.ts';
import type { ClickHouseStore, StoreOptions } from '../../../collector/store/clickhouse.ts';
import { migrate } from '../../../collector/store/migrations.ts';
import type { StoreEndpoint } from '../../../collector/store/store.ts';
import { loadConfig } from '../../../kernel/config.ts';
import { silentLog } from '../../../kernel/log.ts';
import { egressRow, storeConformance, streamRow } from '../../conformance/store.ts';
import { freshEndpoint, hasEmbeddedStore, testDatabase } from '../../embedded-store.ts';
import type { TestDatabase } from '../../embedded-store.ts';
import { pem, pemFile, TlsProxy } from './tls-proxy.ts';

const log = silentLog;
const CA = { TURNPIKE_CLICKHOUSE_TLS_CA_FILE: pemFile('first', 'certificate') };
const CLIENT = {
  TURNPIKE_CLICKHOUSE_TLS_CERT_FILE: pemFile('second', 'certificate'),
  TURNPIKE_CLICKHOUSE_TLS_KEY_FILE: pemFile('second', 'key'),
};
const COMPRESSED = {
  TURNPIKE_CLICKHOUSE_COMPRESSION_REQUEST: 'gzip',
  TURNPIKE_CLICKHOUSE_COMPRESSION_RESPONSE: 'gzip',
};

type Environment = Readonly<Record<string, string>>;

/** The configuration of a collector whose ClickHouse is behind this URL. */
function configOf(url: string, { user, password, database }: Omit<StoreEndpoint, 'url'>, more: Environment): Config {
  const login = { TURNPIKE_CLICKHOUSE_USER: user, TURNPIKE_CLICKHOUSE_PASSWORD: password };
  const env = { TURNPIKE_CLICKHOUSE_URL: url, TURNPIKE_CLICKHOUSE_DATABASE: database, ...login, ...more };
  return loadConfig(configSchema, { env, flags: {} });
}

describe.skipIf(!hasEmbeddedStore)('over TLS and compressed', () => {
  let proxy: TlsProxy;
  let store: ClickHouseStore;
  afterAll(async () => {
    await store.close();
    await proxy.close();
  });
  storeConformance('ClickHouse behind TLS', async () => {
    const endpoint = freshEndpoint();
    proxy = await TlsProxy.to(endpoint.url);
    store = openConfiguredStore(configOf(proxy.url, endpoint, { ...CA, ...COMPRESSED }), log);
    await migrate(store, { log });
    return store;
  });
});

describe.skipIf(!hasEmbeddedStore)('a store over TLS', () => {
  let direct: TestDatabase;
  let proxy: TlsProxy;
  const opened: { close(): Promise<void> }[] = [];
  beforeAll(async () => {
    direct = await testDatabase();
  });
  beforeEach(async () => {
    proxy = await TlsProxy.to(direct.endpoint.url);
    opened.push(proxy);
  });
  afterEach(async () => {
    for (const one of opened.splice(0).toReversed()) await one.close();
  });
  const open = (more: Environment, options: Partial<StoreOptions> = {}, endpoint: StoreEndpoint = direct.endpoint) => {
    const store = openConfiguredStore(configOf(proxy.url, endpoint, more), log, options);
    opened.push(store);
    return store;
  };
  const rowsOf = (call: string) =>
    direct.select(z.looseObject({}), 'SELECT * FROM stream_intervals FINAL WHERE call_id = {call:String}', { call });

  it('sends rows and takes answers compressed, and they are the same rows', async () => {
    const store = open({ ...CA, ...COMPRESSED });
    const rows = Array.from({ length: 500 }, (_, index) => streamRow({ call_id: 'packed', sample_index: index }));
    await store.insert('stream_intervals', rows);
    await store.insert('egress_samples', [egressRow({ object_id: 'packed' })]);
    await direct.insert(
      'stream_intervals',
      rows.map((row) => ({ ...row, call_id: 'plain' })),
    );
    const all = `SELECT * EXCEPT call_id FROM stream_intervals FINAL WHERE call_id = {call:String} ORDER BY sample_index`;
    const packed = await store.select(z.looseObject({}), all, { call: 'packed' });
    expect(packed).toHaveLength(500);
    expect(packed).toEqual(await direct.select(z.looseObject({}), all, { call: 'plain' }));

    const [native, json, answer] = proxy.seen;
    expect(native?.url.searchParams.get('query')).toContain('FORMAT Native');
    expect(json?.url.searchParams.get('query')).toContain('FORMAT JSONEachRow');
    expect([native, json].map((request) => request?.headers['content-encoding'])).toEqual(['gzip', 'gzip']);
    // What 500 rows take at the very least when nobody packs them: their times, 8 bytes, and call, 7.
    expect(native?.bytes).toBeLessThan(500 * 15);
    expect(answer?.answerEncoding).toBe('gzip');
  });

  it('sends and takes everything as it is where no compression was asked for', async () => {
    const store = open(CA);
    await store.insert('stream_intervals', [streamRow({ call_id: 'unpacked' })]);
    await store.select(z.looseObject({}), 'SELECT 1 AS one');
    expect(proxy.seen.map(({ headers, answerEncoding }) => [headers['content-encoding'], answerEncoding])).toEqual([
      [undefined, undefined],
      [undefined, undefined],
    ]);
  });

  it.each([
    ['from another CA', { TURNPIKE_CLICKHOUSE_TLS_CA_FILE: pemFile('second', 'certificate') }],
    ['from no CA of the system', {}],
  ])('refuses a server whose certificate is %s, says so, and has done nothing', async (_whose, more: Environment) => {
    const endpoint = freshEndpoint();
    const store = open(more, {}, endpoint);
    const config = configOf(proxy.url, endpoint, more);
    await expect(explainingStore(config, () => migrate(store, { log }))).rejects.toMatchObject({
      code: 'TP_COLLECTOR_STORE_UNAVAILABLE',
      message: `The ClickHouse server at ${proxy.url} cannot be reached over TLS (clickhouse.tls): self-signed certificate.`,
    });
    expect(await store.ping()).toBe(false);
    expect(proxy.seen).toEqual([]);
    const made = 'SELECT name FROM system.databases WHERE name = {database:String}';
    expect(await direct.select(z.unknown(), made, { database: endpoint.database })).toEqual([]);
  });

  it('shows its certificate to a proxy that demands one, beside the login', async () => {
    proxy = await TlsProxy.to(direct.endpoint.url, { clientCa: pem('second', 'certificate') });
    opened.push(proxy);
    await expect(open(CA, { insertRetryMs: 0 }).insert('stream_intervals', [streamRow()])).rejects.toMatchObject({
      code: 'TP_COLLECTOR_STORE_UNAVAILABLE',
    });
    expect(proxy.seen).toEqual([]);
    await open({ ...CA, ...CLIENT }).insert('stream_intervals', [streamRow({ call_id: 'shown' })]);
    expect(await rowsOf('shown')).toHaveLength(1);
  });

  it('is known by its certificate where it has no password', async () => {
    proxy.answer = { status: 200, body: '' };
    const endpoint = { ...direct.endpoint, user: 'writer', password: '' };
    await open({ ...CA, ...CLIENT }, {}, endpoint).insert('egress_samples', [egressRow()]);
    expect(proxy.seen.map(({ headers }) => headers)).toEqual([
      expect.objectContaining({ 'x-clickhouse-user': 'writer', 'x-clickhouse-ssl-certificate-auth': 'on' }),
    ]);
    expect(proxy.seen[0]?.headers).not.toHaveProperty('authorization');
    expect(proxy.seen[0]?.headers).not.toHaveProperty('x-clickhouse-key');
  });

  it('reads its certificates again when a connection fails, as they are replaced', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'turnpike-tls-'));
    const caFile = join(directory, 'ca.pem');
    try {
      await writeFile(caFile, pem('second', 'certificate'));
      const store = open({ TURNPIKE_CLICKHOUSE_TLS_CA_FILE: caFile }, { insertRetryMs: 0 });
      const insert = () => store.insert('stream_intervals', [streamRow({ call_id: 'renewed' })]);
      await expect(insert()).rejects.toMatchObject({ code: 'TP_COLLECTOR_STORE_UNAVAILABLE' });
      await rm(caFile);
      await expect(insert()).rejects.toMatchObject({ code: 'TP_COLLECTOR_STORE_UNAVAILABLE' });
      await writeFile(caFile, pem('first', 'certificate'));
      await insert();
      expect(await rowsOf('renewed')).toHaveLength(1);
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it('takes the answer of a balancer that has lost its servers for a server that is away, and waits for it', async () => {
    proxy.answer = { status: 502, body: '<html><h1>502 Bad Gateway</h1></html>' };
    const waiting = { code: 'TP_COLLECTOR_STORE_UNAVAILABLE' };
    const hasty = open(CA, { insertRetryMs: 0, selectRetryMs: 0 });
    await expect(hasty.insert('stream_intervals', [streamRow()])).rejects.toMatchObject(waiting);
    await expect(hasty.select(z.unknown(), 'SELECT 1')).rejects.toMatchObject(waiting);
    const patient = open(CA, { insertRetryMs: 60_000 }).insert('stream_intervals', [streamRow({ call_id: 'late' })]);
    await expect.poll(() => proxy.seen.length).toBeGreaterThan(2);
    proxy.answer = undefined;
    await patient;
    expect(await rowsOf('late')).toHaveLength(1);
  });
});

describe('certificates that cannot be used', () => {
  const endpoint = { user: 'default', password: '', database: 'turnpike' };
  const faultOf = (more: Environment) => {
    try {
      openConfiguredStore(configOf('https://127.0.0.1:1', endpoint, more), log);
      return undefined;
    } catch (error) {
      return error;
    }
  };
  it.each([
    ['caFile', 'a file that is not there', { TURNPIKE_CLICKHOUSE_TLS_CA_FILE: '/nowhere/ca.pem' }],
    ['caFile', 'a file without a certificate', { TURNPIKE_CLICKHOUSE_TLS_CA_FILE: pemFile('first', 'key') }],
    ['certFile', 'a file without one', { ...CLIENT, TURNPIKE_CLICKHOUSE_TLS_CERT_FILE: import.meta.filename }],
    ['keyFile', 'a key of another', { ...CLIENT, TURNPIKE_CLICKHOUSE_TLS_KEY_FILE: pemFile('first', 'key') }],
  ])('are told at the start, by key: clickhouse.tls.%s, %s', (key, _what, more: Environment) => {
    expect(faultOf(more)).toMatchObject({
      code: 'TP_COLLECTOR_STORE_CERTIFICATE',
      issues: [{ path: `clickhouse.tls.${key}` }],
    });
  });

  it('are refused by the configuration where they make no sense', () => {
    const faults = (url: string, more: Environment) => {
      try {
        configOf(url, endpoint, more);
        return [];
      } catch (error) {
        return (error as { issues: { path: string }[] }).issues.map(({ path }) => path);
      }
    };
    expect(faults('http://127.0.0.1:1', CA)).toEqual(['clickhouse.tls']);
    expect(faults('https://127.0.0.1:1', { TURNPIKE_CLICKHOUSE_TLS_CERT_FILE: 'a' })).toEqual([
      'clickhouse.tls.keyFile',
    ]);
    expect(faults('https://127.0.0.1:1', { TURNPIKE_CLICKHOUSE_COMPRESSION_REQUEST: 'lz4' })).toEqual([
      'clickhouse.compression.request',
    ]);
  });
});
