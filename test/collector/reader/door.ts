/** The door to an embedded server of its own, open on a port, and ways to ask through it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { readerRoutes } from '../../../collector/reader/reader-routes.ts';
import { openStore } from '../../../collector/store/clickhouse.ts';
import type { ClickHouseStore } from '../../../collector/store/clickhouse.ts';
import { startEmbedded } from '../../../collector/store/embedded/server.ts';
import type { EmbeddedServer } from '../../../collector/store/embedded/server.ts';
import { migrate } from '../../../collector/store/migrations.ts';
import { ManualClock } from '../../../kernel/clock.ts';
import { createHttp } from '../../../kernel/http.ts';
import { silentLog } from '../../../kernel/log.ts';
import { createAuthority, hashToken } from '../../../kernel/principals.ts';

export const PASSWORD = 'password-of-the-reader';
export const basic = (user: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
});

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
  readonly text: string;
}

export interface Door {
  readonly origin: string;
  readonly server: EmbeddedServer;
  readonly store: ClickHouseStore;
  /** A file that the server's process can read, and what is in it. */
  readonly secret: { readonly file: string; readonly text: string };
  ask(sql: string | Buffer, search?: string, init?: RequestInit): Promise<Answer>;
  close(): Promise<void>;
}

export async function openDoor(): Promise<Door> {
  const directory = await mkdtemp(path.join(tmpdir(), 'turnpike-door-'));
  const secret = { file: path.join(directory, 'secrets.txt'), text: 'what-nobody-may-read' };
  await writeFile(secret.file, `${secret.text}\n`);
  const server = await startEmbedded({ directory: path.join(directory, 'clickhouse'), log: silentLog });
  const store = openStore({ endpoint: () => server.endpoint(), log: silentLog });
  await migrate(store, { log: silentLog });
  const authority = createAuthority(
    {
      apps: [{ id: 'shop', tokenHashes: [hashToken('app-token')], keys: [], origins: ['*'] }],
      relayTokenHash: hashToken('relay-token'),
      sourceTokenHash: hashToken('source-token'),
      operatorTokenHash: hashToken('operator-token'),
      readerPasswordHash: hashToken(PASSWORD),
    },
    new ManualClock(0),
  );
  const http = createHttp({ log: silentLog, authority, host: '127.0.0.1' });
  await http.register(readerRoutes, { endpoint: () => Promise.resolve(server.reader()) });
  await http.listen({ host: '127.0.0.1', port: 0 });
  const origin = `http://127.0.0.1:${(http.server.address() as AddressInfo).port}`;
  return {
    origin,
    server,
    store,
    secret,
    async ask(sql, search = '', init = {}) {
      const response = await fetch(`${origin}/clickhouse/${search === '' ? '' : `?${search}`}`, {
        method: 'POST',
        ...(init.method === 'GET' ? {} : { body: sql }),
        ...init,
        headers: { ...basic('reader', PASSWORD), ...(init.headers as Record<string, string> | undefined) },
      });
      const body = Buffer.from(await response.arrayBuffer());
      return { status: response.status, headers: response.headers, body, text: body.toString() };
    },
    async close() {
      await http.close();
      await store.close();
      await server.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
