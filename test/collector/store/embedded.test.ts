import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { openStore } from '../../../collector/store/clickhouse.ts';
import { migrate } from '../../../collector/store/migrations.ts';
import { adminEndpoint, readConnection } from '../../../collector/store/embedded/connection.ts';
import { startEmbedded } from '../../../collector/store/embedded/server.ts';
import type { EmbeddedServer } from '../../../collector/store/embedded/server.ts';
import type { StoreEndpoint } from '../../../collector/store/store.ts';
import { silentLog } from '../../../kernel/log.ts';
import { streamRow } from '../../conformance/store.ts';
import { hasEmbeddedStore } from '../../embedded-store.ts';

const log = silentLog;
const counted = z.object({ n: z.string() });

describe.skipIf(!hasEmbeddedStore)('the embedded server', () => {
  let directory: string;
  let server: EmbeddedServer;
  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'turnpike-embedded-'));
    server = await startEmbedded({ directory, log });
  });
  afterAll(async () => {
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  });

  const ask = (endpoint: Partial<StoreEndpoint>, sql: string, query = '', headers: Record<string, string> = {}) =>
    fetch(`${server.endpoint().url}/?${query}`, {
      method: 'POST',
      body: sql,
      headers: {
        ...(endpoint.user === undefined
          ? {}
          : { authorization: `Basic ${Buffer.from(`${endpoint.user}:${endpoint.password}`).toString('base64')}` }),
        ...headers,
      },
    }).then(async (answer) => ({ ok: answer.ok, text: await answer.text() }));

  it('publishes where it is, with secrets that only its own user can read', async () => {
    expect(await readConnection(directory)).toMatchObject({ pid: server.pid, database: 'turnpike' });
    expect(adminEndpoint((await readConnection(directory))!)).toEqual(server.endpoint());
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    const files = (await readdir(directory)).filter((name) => /\.(json|xml)$/.test(name)).sort();
    expect(files).toEqual(['config.xml', 'connection.json', 'passwords.json', 'users.xml']);
    for (const file of files) expect((await stat(path.join(directory, file))).mode & 0o777).toBe(0o600);
  });

  it('listens on loopback only', async () => {
    expect(server.endpoint().url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    const tcp = await readFile(`/proc/${server.pid}/net/tcp`, 'utf8');
    const port = Number(new URL(server.endpoint().url).port).toString(16).toUpperCase().padStart(4, '0');
    const listening = tcp.split('\n').filter((line) => line.includes(`:${port} 00000000:0000 0A`));
    expect(listening.map((line) => line.trim().split(/\s+/)[1])).toEqual([`0100007F:${port}`]);
  });

  it.each([
    ['nobody', {}, '', {}],
    ['default', { user: 'default', password: '' }, '', {}],
    ['default by header', {}, '', { 'x-clickhouse-user': 'default', 'x-clickhouse-key': '' }],
    ['default by parameter', {}, 'user=default&password=', {}],
    ['default behind a wrong password', { user: 'turnpike', password: 'wrong' }, 'user=default', {}],
    ['the admin without a password', { user: 'turnpike', password: '' }, '', {}],
    ['the reader without a password', { user: 'reader', password: '' }, '', {}],
  ])('refuses %s', async (_name, login, query, headers) => {
    const answer = await ask(login, 'SELECT currentUser()', query, headers);
    expect(answer.ok).toBe(false);
    expect(answer.text).not.toMatch(/^(default|turnpike|reader)$/m);
  });

  it('lets the reader select from our database and do nothing else', async () => {
    const admin = server.endpoint();
    const reader = server.reader();
    await ask(admin, 'CREATE TABLE turnpike.visible (n UInt8) ENGINE = MergeTree ORDER BY n');
    await ask(admin, 'CREATE DATABASE hidden ENGINE = Atomic');
    await ask(admin, 'CREATE TABLE hidden.secret (n UInt8) ENGINE = MergeTree ORDER BY n');
    expect(await ask(reader, 'SELECT count() FROM turnpike.visible')).toEqual({ ok: true, text: '0\n' });
    const forbidden = [
      'INSERT INTO turnpike.visible VALUES (1)',
      'DROP TABLE turnpike.visible',
      'CREATE TABLE turnpike.mine (n UInt8) ENGINE = Memory',
      'SELECT * FROM hidden.secret',
      'SELECT * FROM system.processes',
      `SELECT * FROM file('/etc/hostname', 'LineAsString')`,
      `SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')`,
      'SELECT 1; SELECT 2',
      'SET readonly = 0',
      'SELECT 1 SETTINGS max_execution_time = 3600',
      'SELECT * FROM numbers(100) SETTINGS max_result_rows = 0',
    ];
    const allowed: string[] = [];
    for (const sql of forbidden) if ((await ask(reader, sql)).ok) allowed.push(sql);
    expect(allowed).toEqual([]);
  });

  it('says that its directory is in use, and leaves the one who uses it alone', async () => {
    await expect(startEmbedded({ directory, log, lockWaitMs: 0 })).rejects.toMatchObject({
      code: 'TP_COLLECTOR_STORE_LOCKED',
    });
    expect(await readConnection(directory)).toMatchObject({ pid: server.pid });
    expect((await ask(server.endpoint(), 'SELECT 1')).text).toBe('1\n');
  });

  it('says why it did not start', async () => {
    const broken = await mkdtemp(path.join(tmpdir(), 'turnpike-embedded-'));
    await writeFile(path.join(broken, 'store'), 'a file where the directory should be');
    await expect(startEmbedded({ directory: broken, log })).rejects.toMatchObject({
      code: 'TP_COLLECTOR_STORE_START',
      message: expect.stringMatching(/store/) as string,
    });
    await rm(broken, { recursive: true });
  });

  it('keeps every acknowledged row when it is killed, and the store finds it again on its new port', async () => {
    const store = openStore({
      endpoint: async () => {
        const connection = await readConnection(directory);
        if (connection === undefined) throw new Error('not there yet');
        return adminEndpoint(connection);
      },
      log,
    });
    await migrate(store, { log });
    const acknowledged: number[] = [];
    let next = 0;
    const stop = new AbortController();
    const writer = (async () => {
      while (!stop.signal.aborted) {
        const index = (next += 1);
        await store.insert('stream_intervals', [streamRow({ call_id: 'kill', sample_index: index })]);
        acknowledged.push(index);
      }
    })();
    const before = server.endpoint().url;
    for (let round = 0; round < 3; round += 1) {
      const target = acknowledged.length + 3;
      await expect.poll(() => acknowledged.length, { interval: 5 }).toBeGreaterThan(target);
      process.kill(server.pid, 'SIGKILL');
      expect(await server.exited).toMatch(/^SIGKILL/);
      expect(await readConnection(directory)).toBeUndefined();
      server = await startEmbedded({ directory, log });
    }
    expect(server.endpoint().url).not.toBe(before);
    const target = acknowledged.length + 3;
    await expect.poll(() => acknowledged.length, { interval: 5 }).toBeGreaterThan(target);
    stop.abort();
    await writer;
    const rows = await store.select(
      counted,
      `SELECT count() AS n FROM stream_intervals FINAL WHERE call_id = 'kill' AND has({seen:Array(UInt16)}, sample_index)`,
      { seen: acknowledged },
    );
    expect(rows).toEqual([{ n: String(acknowledged.length) }]);
    await store.close();
  });

  it('withdraws what it published when it is stopped, and keeps its logins for the next start', async () => {
    const { password } = server.endpoint();
    await server.stop();
    expect(await readConnection(directory)).toBeUndefined();
    expect(await readdir(directory)).not.toContain('connection.json');
    server = await startEmbedded({ directory, log });
    expect(server.endpoint().password).toBe(password);
  });

  it('tells a store that cannot be reached from a query that is wrong', async () => {
    const away = openStore({
      endpoint: () => ({ ...server.endpoint(), url: 'http://127.0.0.1:9' }),
      log,
      selectRetryMs: 0,
      insertRetryMs: 0,
    });
    await expect(away.select(counted, 'SELECT 1')).rejects.toMatchObject({ code: 'TP_COLLECTOR_STORE_UNAVAILABLE' });
    await expect(away.insert('call_events', [streamRow()])).rejects.toMatchObject({
      code: 'TP_COLLECTOR_STORE_UNAVAILABLE',
    });
    expect(await away.ping()).toBe(false);
    await away.close();
    const here = openStore({ endpoint: () => server.endpoint(), log });
    await expect(here.select(counted, 'SELECT nonsense')).rejects.toMatchObject({ code: '47' });
    await here.close();
  });
});
