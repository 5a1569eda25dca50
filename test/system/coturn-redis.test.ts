/** A real coturn that publishes its statistics in a real Redis, which is ended and comes back, and what the ledger has of it. */
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createClient } from '@redis/client';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { freeTcpPort, freeTurnPort } from '../../cli/free-port.ts';
import { RedisListener } from '../../collector/sources/redis-listener.ts';
import { SourceMetrics } from '../../collector/sources/source-metrics.ts';
import type { StoreReader } from '../../collector/store/store.ts';
import { systemClock } from '../../kernel/clock.ts';
import { silentLog } from '../../kernel/log.ts';
import { Metrics } from '../../kernel/metrics.ts';
import { systemSleep } from '../../kernel/sleep.ts';
import { FakeWriter } from '../collector/service.ts';
import { requirePart } from '../system-parts.ts';
import { removeDirectory, temporaryDirectory, until } from './service.ts';

const HOST = '127.0.0.1';
const SECRET = 'a secret of the test';
const coturn = requirePart('coturn');
const redis = requirePart('redis');
const both = redis.present ? coturn : redis;

both.describe('coturn with its statistics in Redis', () => {
  let directory: string;
  let redisPort: number;
  let turnPort: number;
  const running: ChildProcess[] = [];
  const writer = new FakeWriter();
  const nothing: StoreReader = { select: async () => [] };

  const start = (program: string, args: readonly string[]) => {
    const child = spawn(program, args, { cwd: directory, stdio: 'ignore' });
    running.push(child);
    return child;
  };
  const end = async (child: ChildProcess) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  };
  const connected = async () => {
    const client = createClient({ url: `redis://${HOST}:${redisPort}`, socket: { reconnectStrategy: false } });
    client.on('error', () => undefined);
    await until(async () => {
      try {
        await client.connect();
        return true;
      } catch {
        return false;
      }
    }, 'Redis to answer');
    return client;
  };
  const startRedis = () => start(redis.path('redis-server'), ['--port', `${redisPort}`, '--bind', HOST, '--save', '']);

  beforeAll(async () => {
    directory = await temporaryDirectory();
    redisPort = await freeTcpPort(HOST);
    turnPort = await freeTurnPort([HOST]);
  });
  afterAll(async () => {
    for (const child of running.toReversed()) await end(child);
    await removeDirectory(directory);
  });

  it('is heard to the byte, and again after Redis was away', async () => {
    const first = startRedis();
    const told: { channel: string; message: string }[] = [];
    let listening = await connected();
    const hear = () => listening.pSubscribe('turn/*', (message, channel) => void told.push({ channel, message }));
    await hear();
    const startCoturn = () =>
      start(coturn.path('turnserver'), [
        ...'-n --use-auth-secret --realm example.test --no-tls --no-dtls --no-cli --allow-loopback-peers'.split(' '),
        ...`--log-file stdout --listening-ip ${HOST} --relay-ip ${HOST} --listening-port ${turnPort}`.split(' '),
        ...'--min-port 61000 --max-port 61999'.split(' '),
        '--static-auth-secret',
        SECRET,
        '--pidfile',
        join(directory, 'pid'),
        '--redis-statsdb',
        `ip=${HOST} dbname=0 port=${redisPort} connect_timeout=30`,
      ]);
    let server = startCoturn();
    const metrics = new Metrics();
    const source = new RedisListener({
      settings: { name: 'coturn', app: 'demo', url: `redis://${HOST}:${redisPort}` },
      reader: nothing,
      writer,
      sleep: (milliseconds, signal) => systemSleep(Math.min(milliseconds, 200), signal),
      clock: systemClock,
      log: silentLog,
      metrics: new SourceMetrics(metrics, systemClock),
    });
    source.start();
    const isUp = async () => (await metrics.gauge('turnpike_source_up').get()).values[0]?.value === 1;
    await until(isUp, 'the source to be heard');

    const call = async (customer: string) => {
      const username = `${Math.floor(Date.now() / 1000) + 3600}:${customer}`;
      const password = createHmac('sha1', SECRET).update(username).digest('base64');
      const who = ['-u', username, '-w', password, '-p', `${turnPort}`];
      await until(async () => {
        try {
          await promisify(execFile)(coturn.path('turnutils_uclient'), [
            ...who,
            ...'-s -y -c -m 2 -n 60 -l 300 -z 5'.split(' '),
            HOST,
          ]);
          return true;
        } catch {
          return false;
        }
      }, 'a call through coturn');
    };
    const totals = (customer: string) =>
      told
        .filter(({ channel }) => channel.includes(`:${customer}/`) && channel.endsWith('/total_traffic'))
        .reduce((sum, { message }) => sum + BigInt(/sentb=(\d+)/.exec(message)?.[1] ?? 0), 0n);
    const stored = (customer: string) => {
      const most = new Map<string, bigint>();
      for (const row of writer.rowsOf('egress_samples')) {
        if (row['custom_id'] !== customer) continue;
        const key = JSON.stringify([row['object_id'], row['boot_id']]);
        const bytes = BigInt(String(row['client_tx_bytes']));
        if (bytes > (most.get(key) ?? 0n)) most.set(key, bytes);
      }
      return [...most.values()].reduce((sum, bytes) => sum + bytes, 0n);
    };

    await call('alice');
    await until(() => totals('alice') > 30_000n && stored('alice') === totals('alice'), 'alice’s bytes to be stored');

    await end(server);
    listening.destroy();
    await end(first);
    await until(async () => !(await isUp()), 'the source to be missed');
    startRedis();
    listening = await connected();
    await hear();
    server = startCoturn();
    await until(isUp, 'the source to be heard again');
    await call('bob');
    await until(() => totals('bob') > 30_000n && stored('bob') === totals('bob'), 'bob’s bytes to be stored');
    listening.destroy();
    await source.stop();
    expect(stored('alice')).toBeGreaterThan(0n);
  });
});
