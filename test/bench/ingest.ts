/**
 * How much a collector takes, from the wire to durable, on the embedded engine: the whole service (`turnpike up`) in processes of
 * its own, reports of a recorded Chrome call from a thousand clients, every acknowledged row counted in the store afterwards.
 *
 *     npm run bench:ingest -- [--seconds 15] [--minutes M] [--together 512] [--shapes native,raw] [--intervals 5]
 *
 * `native` is what the SDK sends, `raw` all that getStats() says. A report is of so many intervals of a second, and carries one
 * sample (an RTCStatsReport, as W3C calls it) for each and the one before them. Each shape is sent flat out, then at 80 % of what that gave; how long
 * an acknowledgement takes is told of the second, counted from the moment at which the report was due. Beside it stands what the
 * engine does with the same rows out of a file of its own format. The clients share the machine's cores with the service: what one
 * core of the collector could do is told from its CPU time. It ends with 1 when the store does not have each acknowledged row once.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { openStore } from '../../collector/store/clickhouse.ts';
import type { ClickHouseStore } from '../../collector/store/clickhouse.ts';
import { adminEndpoint, readConnection } from '../../collector/store/embedded/connection.ts';
import { silentLog } from '../../kernel/log.ts';
import { textTable } from '../../kernel/text-table.ts';
import { startService } from '../system/service.ts';
import type { Service } from '../system/service.ts';
import { cpuOf, memoryOf } from './processes.ts';
import { ReportLoad } from './report-load.ts';
import type { Outcome, Shape, Target } from './report-load.ts';

interface Cost {
  /** CPU microseconds. */
  readonly collector: number;
  readonly clickhouse: number;
  readonly clients: number;
  /** Most resident memory, octets: of the first half of the time and of the second. */
  readonly memory: readonly [number, number];
}

type Measured = Outcome & Cost;

const LOOK_MS = 500;
const WARM_UP_SECONDS = 5;
const PATIENCE_SECONDS = 300;
const SHARE = 0.8;
/** Rows of the engine's own insert, and how often it is tried. */
const ENGINE_ROWS = 1_000_000;
const ENGINE_ROUNDS = 3;

/** Does the work and tells what it cost the service's processes. */
async function measure(service: Service, work: () => Promise<Outcome>): Promise<Measured> {
  const pids = await service.parts();
  const cpu = () => {
    const of = (pid: number) => cpuOf(pid).user + cpuOf(pid).system;
    return { collector: of(pids.collector), clickhouse: of(pids.clickhouse), clients: of(process.pid) };
  };
  const readings: number[] = [];
  const timer = setInterval(() => readings.push(memoryOf(pids.collector)), LOOK_MS);
  const before = cpu();
  try {
    const outcome = await work();
    const after = cpu();
    const half = Math.ceil(readings.length / 2);
    return {
      ...outcome,
      collector: after.collector - before.collector,
      clickhouse: after.clickhouse - before.clickhouse,
      clients: after.clients - before.clients,
      memory: [Math.max(0, ...readings.slice(0, half)), Math.max(0, ...readings.slice(half))],
    };
  } finally {
    clearInterval(timer);
  }
}

const count = z.object({ rows: z.coerce.number(), each: z.coerce.number() });

/**
 * Waits until the store has each acknowledged row once: what was acknowledged while it was slow is on the collector's disk and
 * follows. Answers the seconds that it took; undefined when it does not happen.
 */
async function settled(store: ClickHouseStore, shape: Shape, acknowledged: number): Promise<number | undefined> {
  const begun = performance.now();
  const passed = () => (performance.now() - begun) / 1_000;
  let found = { rows: 0, each: 0 };
  while (passed() < PATIENCE_SECONDS) {
    [found = found] = await store.select(
      count,
      `SELECT count() AS rows, uniqExact(connection_id, batch_seq, stream, ts, sample_index) AS each
       FROM stream_intervals FINAL WHERE startsWith(connection_id, {shape:String})`,
      { shape },
    );
    if (found.rows === acknowledged && found.each === acknowledged) return passed();
    await pause(LOOK_MS);
  }
  console.log(
    `of ${acknowledged} rows of ${shape} reports the store has ${found.rows}, ${found.each} of them different`,
  );
  return undefined;
}

interface EngineLimit {
  readonly rowsPerSecond: number;
  /** CPU microseconds of one row. */
  readonly cpu: number;
}

/** The engine's own INSERT … SELECT from a file of its Native format, for rows that the clients reported. */
async function engineLimit(store: ClickHouseStore, file: string, pid: number): Promise<EngineLimit> {
  await store.command(
    `INSERT INTO FUNCTION file('${file}', 'Native') SELECT * FROM stream_intervals LIMIT ${ENGINE_ROWS}`,
  );
  let best: EngineLimit = { rowsPerSecond: 0, cpu: 0 };
  for (let round = 0; round < ENGINE_ROUNDS; round += 1) {
    await store.command('CREATE TABLE bench_intervals AS stream_intervals');
    const [begun, before] = [performance.now(), cpuOf(pid)];
    await store.command(`INSERT INTO bench_intervals SELECT * FROM file('${file}', 'Native')`);
    const [ended, after] = [performance.now(), cpuOf(pid)];
    const [row] = await store.select(
      z.object({ rows: z.coerce.number() }),
      'SELECT count() AS rows FROM bench_intervals',
    );
    const rows = row?.rows ?? 0;
    const rowsPerSecond = rows / ((ended - begun) / 1_000);
    const cpu = (after.user + after.system - before.user - before.system) / rows;
    if (rowsPerSecond > best.rowsPerSecond) best = { rowsPerSecond, cpu };
    await store.command('DROP TABLE bench_intervals SYNC');
  }
  return best;
}

function line(name: string, { seconds, reports, samples, intervals, ...measured }: Measured): string[] {
  const each = (microseconds: number) => (microseconds / intervals).toFixed(1);
  const waited = (share: number) => measured.acknowledged[Math.floor((measured.acknowledged.length - 1) * share)] ?? 0;
  return [
    name,
    (intervals / seconds).toFixed(0),
    (samples / seconds).toFixed(0),
    (reports / seconds).toFixed(0),
    each(measured.collector),
    each(measured.clickhouse),
    each(measured.clients),
    waited(0.5).toFixed(0),
    waited(0.99).toFixed(0),
    measured.memory.map((octets) => (octets / 1e6).toFixed(0)).join(' → '),
  ];
}

function shapesOf(names: string): Shape[] {
  return z.array(z.enum(['native', 'raw'])).parse(names.split(','));
}

const COLUMNS = [
  'load',
  'intervals/s',
  'samples/s',
  'reports/s',
  'collector CPU µs each',
  'ClickHouse',
  'clients',
  'ack p50 ms',
  'p99',
  'memory MB',
].map((title, index) => ({ title, align: index === 0 ? 'left' : 'right' }) as const);

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '15' },
      minutes: { type: 'string' },
      together: { type: 'string', default: '512' },
      shapes: { type: 'string', default: 'native,raw' },
      // The SDK reports every 5 s and samples every second while something is wrong.
      intervals: { type: 'string', default: '5' },
    },
  });
  const seconds = values.minutes === undefined ? Number(values.seconds) : Number(values.minutes) * 60;
  const service = await startService({ env: { NODE_OPTIONS: process.env['NODE_OPTIONS'] ?? '' } });
  try {
    const connection = await readConnection(join(service.data, 'clickhouse'));
    if (connection === undefined) throw new Error('the store has not said where it is');
    const store = openStore({ endpoint: () => adminEndpoint(connection), log: silentLog });
    const secret = await service.secret('TURNPIKE_KEY_SECRET');
    const target: Target = { url: service.url, keyId: 'main', app: 'default', secret };
    const rows: string[][] = [];
    const settling: string[] = [];
    const sustained: [Shape, number][] = [];
    for (const shape of shapesOf(values.shapes)) {
      const load = new ReportLoad(target, shape, Number(values.intervals));
      const warmUp = await load.flatOut(WARM_UP_SECONDS, Number(values.together));
      const most = await measure(service, () => load.flatOut(seconds, Number(values.together)));
      const most80 = (most.reports / most.seconds) * SHARE;
      const steady = await measure(service, () => load.steadily(seconds, most80));
      load.close();
      sustained.push([shape, most.intervals / most.seconds]);
      rows.push(line(`${shape}, ${(load.bytes / 1_000).toFixed(0)} kB, flat out`, most), line('  at 80 %', steady));
      const acknowledged = warmUp.intervals + most.intervals + steady.intervals;
      const waited = await settled(store, shape, acknowledged);
      if (waited === undefined) process.exitCode = 1;
      else settling.push(`${shape} ${waited.toFixed(1)} s`);
    }
    console.log(textTable(COLUMNS, rows).join('\n'));
    console.log(`\nevery acknowledged row was in the store, once, after: ${settling.join(', ')}`);
    const { clickhouse } = await service.parts();
    const engine = await engineLimit(store, join(service.data, 'rows.native'), clickhouse);
    const shares = sustained.map(([shape, rate]) => `${shape} ${((100 * rate) / engine.rowsPerSecond).toFixed(1)} %`);
    console.log(
      `the engine alone, INSERT … SELECT from a Native file: ${engine.rowsPerSecond.toFixed(0)} rows/s, ` +
        `${engine.cpu.toFixed(1)} CPU µs each; reached of it: ${shares.join(', ')}`,
    );
    await store.close();
  } finally {
    await service.stop();
    await rm(service.data, { recursive: true, force: true });
  }
}

await main();
