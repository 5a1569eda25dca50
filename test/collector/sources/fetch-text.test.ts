import { once } from 'node:events';
import { createServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { textFetcher } from '../../../collector/sources/fetch-text.ts';

const MEBIBYTE = 1_048_576;
const open: Server[] = [];
afterEach(() => {
  for (const server of open.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function serverThat(answers: RequestListener): Promise<string> {
  const server = createServer(answers).listen(0, '127.0.0.1');
  open.push(server);
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}
const get = (url: string, within = 30_000, signal = new AbortController().signal) =>
  textFetcher(within)(url, 'Bearer x', signal);

describe('a page of another server', () => {
  it('is fetched with the authorization that was configured', async () => {
    const url = await serverThat((request, response) => response.end(request.headers.authorization));
    expect(await get(url)).toBe('Bearer x');
  });

  it('is none where the server answers with anything but success, or with another place', async () => {
    for (const status of [204, 304, 404, 500]) {
      const url = await serverThat((_, response) => response.writeHead(status).end());
      await expect(get(url)).rejects.toThrow(/the answer is/);
    }
    const heard: unknown[] = [];
    const elsewhere = await serverThat((request, response) => response.end(heard.push(request.headers)));
    const url = await serverThat((_, response) => response.writeHead(302, { location: elsewhere }).end());
    await expect(get(url)).rejects.toThrow('fetch failed');
    expect(heard).toEqual([]);
  });

  it('is none when it does not end, and is read no further than 16 MiB', async () => {
    let written = 0;
    const url = await serverThat((_, response) => {
      const more = (): void => {
        if (response.destroyed) return;
        written += MEBIBYTE;
        response.write(Buffer.alloc(MEBIBYTE, ' '), more);
      };
      more();
    });
    await expect(get(url)).rejects.toThrow('longer than 16777216 bytes');
    expect(written).toBeLessThan(200 * MEBIBYTE);
  });

  it('is none when it breaks off', async () => {
    const url = await serverThat((_, response) => {
      response.writeHead(200, { 'content-length': '100' }).write('a_total 1');
      setImmediate(() => response.destroy());
    });
    await expect(get(url)).rejects.toThrow('terminated');
  });

  it('is none when it does not come in time, whether before its head or in the middle', async () => {
    const silent = await serverThat(() => undefined);
    await expect(get(silent, 200)).rejects.toThrow(/timeout/);
    const slow = await serverThat((_, response) => response.writeHead(200).write('a_total 1'));
    await expect(get(slow, 1_000)).rejects.toThrow(/timeout/);
  });

  it('is waited for no longer once the source is stopped', async () => {
    const stopping = new AbortController();
    const url = await serverThat(() => stopping.abort());
    await expect(get(url, 60_000, stopping.signal)).rejects.toThrow('aborted');
  });
});
