/** A collector whose ClickHouse is out of reach, and which is then killed: what it has acknowledged is in the store, once. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, connect } from 'node:net';
import type { Server, Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { freeTcpPort } from '../../cli/free-port.ts';
import { openStore } from '../../collector/store/clickhouse.ts';
import { adminEndpoint, readConnection } from '../../collector/store/embedded/connection.ts';
import { startEmbedded } from '../../collector/store/embedded/server.ts';
import type { EmbeddedServer } from '../../collector/store/embedded/server.ts';
import type { Store, StoreEndpoint } from '../../collector/store/store.ts';
import { silentLog } from '../../kernel/log.ts';
import { issueReportToken } from '../../kernel/report-token.ts';
import { recordedSamples } from '../collector/recording.ts';
import { mainProgram, removeDirectory, temporaryDirectory, until } from './service.ts';

/** Between the collector and its ClickHouse: a network that can be cut. */
class Cable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isCut = false;

  private constructor(server: Server, to: { host: string; port: number }) {
    this.#server = server;
    server.on('connection', (near) => {
      if (this.#isCut) {
        near.destroy();
        return;
      }
      const far = connect(to);
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(one);
        one.on('error', () => undefined);
        one.on('close', () => {
          this.#sockets.delete(one);
          other.destroy();
        });
        one.pipe(other);
      }
    });
  }

  static async to({ url }: StoreEndpoint): Promise<Cable> {
    const { hostname, port } = new URL(url);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new Cable(server, { host: hostname, port: Number(port) });
  }

  get url(): string {
    const address = this.#server.address();
    return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  }

  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend(): void {
    this.#isCut = false;
  }

  close(): void {
    this.cut();
    this.#server.close();
  }
}

const KEY_SECRET = 'a secret of the only key';

describe('a collector whose store is out of reach', () => {
  let directory: string;
  let server: EmbeddedServer;
  let endpoint: StoreEndpoint;
  let store: Store;
  let cable: Cable;
  let collector: { readonly process: ChildProcess; readonly url: string } | undefined;

  beforeAll(async () => {
    directory = await temporaryDirectory();
    server = await startEmbedded({ directory: join(directory, 'clickhouse'), log: silentLog });
    const connection = await readConnection(join(directory, 'clickhouse'));
    if (connection === undefined) throw new Error('the store has not said where it is');
    endpoint = adminEndpoint(connection);
    store = openStore({ endpoint: () => endpoint, log: silentLog });
    cable = await Cable.to(endpoint);
  });
  afterEach(async () => {
    await kill();
    cable.mend();
  });
  afterAll(async () => {
    cable.close();
    await store.close();
    await server.stop();
    await removeDirectory(directory);
  });

  async function start(data: string, spoolBytes = 100_000_000): Promise<void> {
    const port = await freeTcpPort('127.0.0.1');
    const child = spawn(process.execPath, [mainProgram, 'collector', '--port', `${port}`], {
      stdio: 'ignore',
      env: {
        PATH: process.env['PATH'],
        TURNPIKE_DATA: join(directory, data),
        TURNPIKE_COLLECTOR_SPOOL_BYTES: `${spoolBytes}`,
        TURNPIKE_CLICKHOUSE_URL: cable.url,
        TURNPIKE_CLICKHOUSE_USER: endpoint.user,
        TURNPIKE_CLICKHOUSE_PASSWORD: endpoint.password,
        TURNPIKE_CLICKHOUSE_DATABASE: endpoint.database,
        TURNPIKE_KEY_SECRET: KEY_SECRET,
        TURNPIKE_API_TOKEN: 'an API token of a test',
        TURNPIKE_RELAY_TOKEN: 'a relay token of a test',
        TURNPIKE_SOURCE_TOKEN: 'a source token of a test',
        TURNPIKE_OPERATOR_TOKEN: 'an operator token of a test',
      },
    });
    collector = { process: child, url: `http://127.0.0.1:${port}` };
    await until(async () => (await ready())?.status === 200, 'the collector to be ready');
  }

  async function kill(): Promise<void> {
    const child = collector?.process;
    collector = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  const ready = () => fetch(`${collector?.url}/readyz`).catch(() => undefined);

  /** One report of a connection of its own in this call. */
  async function report(call: string, connection: string): Promise<Response> {
    const samples = recordedSamples('chromium-156-good', 'b').slice(5, 8);
    const payload = { v: 1, connection, seq: 0, offset: Date.now() - (samples.at(-1)?.t ?? 0), samples, events: [] };
    const claims = { keyId: 'main', app: 'default', call, participant: 'p', customId: '', maxConnections: 1_000 };
    const token = issueReportToken({ ...claims, expiresAt: Math.floor(Date.now() / 1_000) + 3_600 }, KEY_SECRET);
    return fetch(`${collector?.url}/v1/stats`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(payload),
    });
  }

  async function stored(call: string): Promise<{ connections: number; rows: number; doubled: boolean }> {
    const [row] = await store.select(
      z.object({ connections: z.coerce.number(), rows: z.coerce.number(), each: z.coerce.number() }),
      `SELECT uniqExact(connection_id) AS connections, count() AS rows,
         uniqExact(connection_id, batch_seq, stream, ts, sample_index) AS each
       FROM stream_intervals FINAL WHERE call_id = {call:String}`,
      { call },
    );
    return { connections: row?.connections ?? 0, rows: row?.rows ?? 0, doubled: row?.rows !== row?.each };
  }

  it('goes on taking reports, is killed, and brings every one of them when it is back', async () => {
    await start('killed');
    expect((await report('killed', 'connection-before')).status).toBe(200);
    expect((await stored('killed')).connections).toBe(1);
    cable.cut();
    for (let index = 0; index < 5; index += 1) expect((await report('killed', `connection-${index}`)).status).toBe(200);
    expect((await ready())?.status).toBe(200);
    await kill();
    expect((await stored('killed')).connections).toBe(1);
    cable.mend();
    await start('killed');
    await until(async () => (await stored('killed')).connections === 6, 'every report to be in the store');
    const { doubled, rows } = await stored('killed');
    expect([doubled, rows % 6]).toEqual([false, 0]);
    expect((await report('killed', 'connection-after')).status).toBe(200);
  });

  it('says 503 and when to come again once there is no room on its disk, and takes reports again later', async () => {
    await start('full', 1_000_000);
    cable.cut();
    const answers: Response[] = [];
    await until(async () => {
      const names = Array.from({ length: 40 }, (_, index) => `connection-${answers.length + index}`);
      answers.push(...(await Promise.all(names.map((name) => report('full', name)))));
      return answers.some(({ ok }) => !ok);
    }, 'a report to be refused');
    const refused = answers.find(({ ok }) => !ok);
    const taken = answers.filter(({ ok }) => ok).length;
    expect(taken).toBeGreaterThan(0);
    expect(refused?.status).toBe(503);
    expect(Number(refused?.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await refused?.json()).toMatchObject({ error: { code: 'TP_COLLECTOR_SPOOL_FULL' } });
    cable.mend();
    await until(async () => (await stored('full')).connections === taken, 'the rest to be in the store');
    expect((await report('full', 'connection-after')).status).toBe(200);
  });
});
