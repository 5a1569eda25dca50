/** The door as its clients use it: @clickhouse/client, Grafana's plugin (clickhouse-go), curl. */
import { request } from 'node:http';
import { createClient } from '@clickhouse/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { callQueries, overviewQueries, variableQueries } from '../../../dashboards/grafana/queries.ts';
import { readerSql } from '../../../collector/store/reader-profile.ts';
import { expandGrafana } from '../../dashboards/grafana-macros.ts';
import { rateCard } from '../../dashboards/rate-card.ts';
import { streamRow } from '../../conformance/store.ts';
import { hasEmbeddedStore } from '../../embedded-store.ts';
import { basic, openDoor, PASSWORD } from './door.ts';
import type { Door } from './door.ts';

describe.skipIf(!hasEmbeddedStore)('the door to the embedded store', () => {
  let door: Door;
  beforeAll(async () => {
    door = await openDoor();
    await door.store.insert('stream_intervals', [
      streamRow({ bytes: 2n ** 63n + 1n, call_id: 'standup' }),
      streamRow({ call_id: 'retro' }),
    ]);
  });
  afterAll(() => door.close());

  it('answers @clickhouse/client: parameters, formats, compression, streams, settings, errors, ping', async () => {
    const client = createClient({
      url: door.origin,
      pathname: '/clickhouse',
      username: 'reader',
      password: PASSWORD,
      compression: { response: true },
      clickhouse_settings: { output_format_json_quote_64bit_integers: 1, date_time_output_format: 'iso' },
      log: { level: 127 },
    });
    const rows = await client.query({
      query: 'SELECT call_id, bytes, ts FROM {table:Identifier} WHERE call_id = {call:String}',
      query_params: { table: 'stream_intervals', call: 'standup' },
      format: 'JSONEachRow',
    });
    expect(await rows.json()).toEqual([
      { call_id: 'standup', bytes: String(2n ** 63n + 1n), ts: '2026-11-20T18:00:00.250Z' },
    ]);
    const stream = await client.query({ query: 'SELECT number FROM numbers(200000)', format: 'CSV' });
    let lines = 0;
    for await (const chunk of stream.stream()) lines += chunk.length;
    expect(lines).toBe(200_000);
    await expect(client.query({ query: 'SELECT nonsense' })).rejects.toMatchObject({ code: '47' });
    await expect(client.query({ query: 'SELECT nonsense', format: 'JSON' })).rejects.toThrow(/nonsense/);
    await expect(client.command({ query: 'DROP TABLE alerts' })).rejects.toThrow(/TP_COLLECTOR_QUERY/);
    await client.close();

    const pong = await fetch(`${door.origin}/clickhouse/ping`, { headers: basic('reader', PASSWORD) });
    expect([pong.status, await pong.text()]).toEqual([200, 'Ok.\n']);
  });

  it('passes on, byte for byte, what the server says to Grafana’s plugin', async () => {
    // As clickhouse-go asks over HTTP; Grafana lets a query have its own timeout and five seconds.
    const search =
      'database=turnpike&default_format=Native&client_protocol_version=54483&max_execution_time=65&limit=10';
    const { url, user, password } = door.server.reader();
    for (const sql of [
      'SELECT displayName(), version(), revision(), timezone()',
      'SELECT 1',
      'SELECT database, name FROM system.tables ORDER BY database, name',
      'SELECT database, table, name, type, comment FROM system.columns ORDER BY database, table, position',
      'DESCRIBE TABLE "turnpike"."alerts"',
      'SELECT * FROM stream_intervals ORDER BY call_id SETTINGS max_execution_time=10',
      'SELECT nonsense',
    ]) {
      const headers = { 'accept-encoding': 'identity' };
      const direct = await fetch(`${url}/?${search}`, {
        method: 'POST',
        body: sql,
        headers: { ...headers, ...basic(user, password) },
      });
      const answer = await door.ask(sql, search, { headers });
      expect([sql, answer.status]).toEqual([sql, direct.status]);
      if (direct.ok) expect(answer.body.equals(Buffer.from(await direct.arrayBuffer()))).toBe(true);
      for (const name of [
        'content-type',
        'x-clickhouse-format',
        'x-clickhouse-timezone',
        'x-clickhouse-exception-code',
      ]) {
        expect([name, answer.headers.get(name)]).toEqual([name, direct.headers.get(name)]);
      }
    }
    const zipped = await new Promise<{ encoding?: string | undefined; bytes: Buffer }>((resolve, reject) => {
      const headers = { ...basic('reader', PASSWORD), 'accept-encoding': 'gzip' };
      const outgoing = request(`${door.origin}/clickhouse/?enable_http_compression=1`, { method: 'POST', headers });
      outgoing.once('error', reject).once('response', (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.once('end', () =>
          resolve({ encoding: answer.headers['content-encoding'], bytes: Buffer.concat(chunks) }),
        );
      });
      outgoing.end('SELECT 1');
    });
    expect(zipped.encoding).toBe('gzip');
    expect(zipped.bytes.subarray(0, 2)).toEqual(Buffer.from([0x1f, 0x8b]));
  });

  it('answers every query of the dashboards', async () => {
    const state = { from: Date.now() - 3_600_000, to: Date.now(), intervalSeconds: 60, apps: ['app'], call: 'standup' };
    const queries = [...Object.values(overviewQueries(rateCard)), ...Object.values(callQueries)].map(({ sql }) => sql);
    expect(queries.length).toBeGreaterThan(10);
    for (const sql of [...queries, ...Object.values(variableQueries)]) {
      const answer = await door.ask(expandGrafana(sql, state));
      expect([sql, answer.status, answer.text.slice(0, 200)]).toEqual([sql, 200, answer.text.slice(0, 200)]);
    }
  });

  it('takes a query from the body, from the URL, or the first half here and the rest there', async () => {
    const url = (sql: string) => `query=${encodeURIComponent(sql)}`;
    expect((await door.ask('SELECT 1')).text).toBe('1\n');
    expect((await door.ask('', url('SELECT 2'))).text).toBe('2\n');
    expect((await door.ask('', url('SELECT 3'), { method: 'GET' })).text).toBe('3\n');
    expect((await door.ask('FORMAT JSONCompact', url('SELECT 4'))).text).toContain('[4]');
    const form = { headers: { 'content-type': 'application/x-www-form-urlencoded' } };
    expect((await door.ask('SELECT 5 -- &query=6', '', form)).text).toBe('5\n');
    expect((await door.ask('SELECT 7', '', { headers: { 'x-clickhouse-format': 'CSVWithNames' } })).text).toBe(
      '"7"\n7\n',
    );
    expect((await door.ask('SHOW TABLES')).text).toContain('stream_intervals\n');
    expect((await door.ask('show databases;')).text).toContain('turnpike\n');
  });

  it('lets in whoever has the password, by Basic, Bearer or ClickHouse’s own header, and nobody else', async () => {
    const ask = async (headers: Record<string, string>, path = '/clickhouse/') => {
      const answer = await fetch(`${door.origin}${path}`, { method: 'POST', body: 'SELECT 1', headers });
      await answer.arrayBuffer();
      return answer.status;
    };
    expect(await ask(basic('reader', PASSWORD))).toBe(200);
    expect(await ask({ authorization: `Bearer ${PASSWORD}` })).toBe(200);
    expect(await ask({ 'x-clickhouse-user': 'reader', 'x-clickhouse-key': PASSWORD })).toBe(200);
    expect(await ask({})).toBe(401);
    expect(await ask(basic('reader', ''))).toBe(401);
    expect(await ask(basic('default', ''))).toBe(401);
    expect(await ask({ 'x-clickhouse-key': 'guess' })).toBe(401);
    expect(await ask({}, `/clickhouse/?user=reader&password=${encodeURIComponent(PASSWORD)}`)).toBe(401);
    const { user, password } = door.server.reader();
    expect(await ask(basic(user, password))).toBe(401);
    for (const token of ['app-token', 'relay-token', 'source-token', 'operator-token']) {
      expect([token, await ask({ authorization: `Bearer ${token}` })]).toEqual([token, 403]);
    }
    expect(await ask({ ...basic('reader', PASSWORD), origin: 'https://elsewhere.example' })).toBe(403);
  });

  it('lets no browser take an answer for a page of the console', async () => {
    const answer = await door.ask(`SELECT '<script>fetch("/console/setup")</script>' FORMAT TSVRaw`);
    expect(answer.text).toContain('<script>');
    expect(answer.headers.get('content-security-policy')).toBe("default-src 'none'; sandbox");
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
    expect(answer.headers.get('access-control-allow-origin')).toBeNull();
  });

  it('runs a dashboard’s queries a few at a time and answers them all', async () => {
    const answers = await Promise.all(Array.from({ length: 60 }, () => door.ask('SELECT sleep(0.02)')));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  });

  it('gives the place of one that went away to the next', async () => {
    const away = new AbortController();
    const leaving = Array.from({ length: 12 }, () => door.ask('SELECT sleep(3)', '', { signal: away.signal }));
    const running = async () =>
      (await door.store.select(z.unknown(), `SELECT 1 FROM system.processes WHERE user = 'reader'`)).length;
    await expect.poll(running, { timeout: 20_000 }).toBeGreaterThanOrEqual(8);
    away.abort();
    await Promise.allSettled(leaving);
    expect((await door.ask('SELECT 1')).status).toBe(200);
  });

  it('has statements for a server of one’s own that the engine understands', async () => {
    const statements = readerSql({ database: 'turnpike', user: 'grafana' }).split(';\n').filter(Boolean);
    expect(statements.length).toBeGreaterThan(4);
    for (const sql of statements) {
      const rows = await door.store.select(z.object({ explain: z.string() }), `EXPLAIN AST ${sql}`);
      expect(rows[0]?.explain).toMatch(/^(CreateSettingsProfileQuery|CreateUserQuery|GrantQuery)/);
    }
  });

  it('answers 503 while the store is away', async () => {
    const other = await openDoor();
    await other.server.stop();
    const answer = await other.ask('SELECT 1');
    expect([answer.status, JSON.parse(answer.text)]).toMatchObject([
      503,
      { error: { code: 'TP_COLLECTOR_STORE_UNAVAILABLE' } },
    ]);
    await other.close();
  });
});
