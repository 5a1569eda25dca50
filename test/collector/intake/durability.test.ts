import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { statsRoutes } from '../../../collector/intake/stats-routes.ts';
import { openStore } from '../../../collector/store/clickhouse.ts';
import type { ClickHouseStore } from '../../../collector/store/clickhouse.ts';
import { adminEndpoint, readConnection } from '../../../collector/store/embedded/connection.ts';
import { startEmbedded } from '../../../collector/store/embedded/server.ts';
import type { EmbeddedServer } from '../../../collector/store/embedded/server.ts';
import { migrate } from '../../../collector/store/migrations.ts';
import { systemClock } from '../../../kernel/clock.ts';
import { silentLog } from '../../../kernel/log.ts';
import { Metrics } from '../../../kernel/metrics.ts';
import { hasEmbeddedStore } from '../../embedded-store.ts';
import { recordedSamples } from '../recording.ts';
import { scoreInboundAudio } from '../normalise/scorer.ts';
import { reportToken, service } from '../service.ts';

const log = silentLog;

describe.skipIf(!hasEmbeddedStore)('reports while ClickHouse is killed', () => {
  let directory: string;
  let server: EmbeddedServer;
  let store: ClickHouseStore;
  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'turnpike-durability-'));
    server = await startEmbedded({ directory, log });
    store = openStore({
      endpoint: async () => {
        const connection = await readConnection(directory);
        if (connection === undefined) throw new Error('not there yet');
        return adminEndpoint(connection);
      },
      log,
      insertRetryMs: 60_000,
    });
    await migrate(store, { log });
  });
  afterAll(async () => {
    await store.close();
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  });

  it('are answered 200 a little later, and each acknowledged one is there once', async () => {
    const { http, authority } = service(systemClock);
    await http.register(statsRoutes, {
      writer: store,
      authority,
      score: scoreInboundAudio,
      clock: systemClock,
      metrics: new Metrics(),
      log,
      allowance: { burst: 1_000_000 },
      maxWaitMs: 5,
    });
    const samples = recordedSamples('chromium-156-good', 'b').slice(5, 8);
    const token = reportToken('demo', Date.now(), { call: 'durable' });
    const stop = new AbortController();
    const statuses = new Map<number, number>();
    const acknowledged: string[] = [];
    let streams = 0;
    const client = async (connection: string) => {
      for (let seq = 0; !stop.signal.aborted; seq += 1) {
        const offset = Date.now() - (samples.at(-1)?.t ?? 0) + seq;
        const payload = { v: 1, connection, seq, offset, samples, events: [] };
        const answer = await http.inject({
          method: 'POST',
          url: '/v1/stats',
          headers: { authorization: `Bearer ${token}` },
          payload,
        });
        statuses.set(answer.statusCode, (statuses.get(answer.statusCode) ?? 0) + 1);
        if (answer.statusCode !== 200) continue;
        acknowledged.push(`${connection}/${seq}`);
        streams += answer.json<{ stored: { streams: number } }>().stored.streams;
      }
    };
    const clients = ['connection-1', 'connection-2', 'connection-3'].map(client);
    for (let round = 0; round < 2; round += 1) {
      const target = acknowledged.length + 10;
      await expect.poll(() => acknowledged.length, { interval: 5, timeout: 20_000 }).toBeGreaterThan(target);
      process.kill(server.pid, 'SIGKILL');
      await server.exited;
      server = await startEmbedded({ directory, log });
    }
    const target = acknowledged.length + 10;
    await expect.poll(() => acknowledged.length, { interval: 5, timeout: 20_000 }).toBeGreaterThan(target);
    stop.abort();
    await Promise.all(clients);
    await http.close();
    expect([...statuses.keys()]).toEqual([200]);
    const [row] = await store.select(
      z.object({ batches: z.coerce.number(), streams: z.coerce.number() }),
      `SELECT uniqExact(connection_id, batch_seq) AS batches, count() AS streams FROM stream_intervals FINAL
       WHERE call_id = 'durable' AND concat(connection_id, '/', toString(batch_seq)) IN {acknowledged:Array(String)}`,
      { acknowledged },
    );
    expect(row).toEqual({ batches: acknowledged.length, streams });
  });
});
