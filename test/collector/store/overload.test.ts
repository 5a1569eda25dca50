import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { z } from 'zod';
import { openStore } from '../../../collector/store/clickhouse.ts';
import type { ClickHouseStore } from '../../../collector/store/clickhouse.ts';
import { silentLog } from '../../../kernel/log.ts';
import { egressRow } from '../../conformance/store.ts';

let server: Server;
let store: ClickHouseStore;
let requests: string[];

/** A server that refuses with each of these codes in turn, and then takes everything. */
async function refusing(...codes: number[]): Promise<ClickHouseStore> {
  requests = [];
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      requests.push(body);
      const code = codes.shift();
      if (code === undefined) return response.end();
      response.writeHead(500, { 'x-clickhouse-exception-code': String(code) });
      return response.end(`Code: ${code}. DB::Exception: not now. (SOME_NAME) (version 26.7.3.1)`);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const endpoint = { url: `http://127.0.0.1:${port}`, user: 'default', password: '', database: 'turnpike' };
  store = openStore({ endpoint: () => endpoint, log: silentLog });
  return store;
}

afterEach(async () => {
  await store.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

it('sends rows again, the very same, to a server that has too many parts or too little memory just now', async () => {
  const busy = await refusing(252, 241);
  await busy.insert('egress_samples', [egressRow()]);
  expect(requests).toHaveLength(3);
  expect(new Set(requests).size).toBe(1);
});

it('does not send rows again that the server finds wrong', async () => {
  const strict = await refusing(117);
  await expect(strict.insert('egress_samples', [egressRow()])).rejects.toMatchObject({ code: '117' });
  expect(requests).toHaveLength(1);
});

it('does not ask again what was too heavy to answer', async () => {
  const busy = await refusing(241);
  await expect(busy.select(z.object({}), 'SELECT 1')).rejects.toMatchObject({ code: '241' });
  expect(requests).toHaveLength(1);
});

it('lets rows wait, and asks no more, where the server does not let the writer in: nothing is wrong with them', async () => {
  const closed = await refusing(516);
  await expect(closed.insert('egress_samples', [egressRow()])).rejects.toMatchObject({
    code: 'TP_COLLECTOR_STORE_UNAVAILABLE',
    cause: { code: '516' },
  });
  expect(requests).toHaveLength(1);
});

it('gives up a server that takes a question and never answers', async () => {
  server = createServer(() => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const endpoint = { url: `http://127.0.0.1:${port}`, user: 'default', password: '', database: 'turnpike' };
  store = openStore({ endpoint: () => endpoint, log: silentLog, timeoutMs: 20, selectRetryMs: 0 });
  await expect(store.select(z.unknown(), 'SELECT 1')).rejects.toMatchObject({ code: 'TP_COLLECTOR_STORE_UNAVAILABLE' });
});
