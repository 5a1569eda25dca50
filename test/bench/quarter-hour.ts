/**
 * How long the meter holds the relay's event loop, at a quarter hour and around it, with 5,000 allocations that all count:
 * real counters, meter, writer and spool, a wall clock set so that the quarter hour comes after some seconds. Times are this
 * thread's own on the processor (Linux), so that other work on the machine does not show.
 *
 *     esbuild test/bench/quarter-hour.ts --bundle --platform=node --format=esm --packages=external \
 *       --outfile=dist/bench/quarter-hour.mjs && node dist/bench/quarter-hour.mjs
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../kernel/log.ts';
import { Metrics } from '../../kernel/metrics.ts';
import { CLIENT_TX, CounterSlab, INTERNET } from '../../relay/planes/dgram/counters.ts';
import { BOUNDARY_INTERVAL, Meter } from '../../relay/usage/meter.ts';
import type { Entries } from '../../relay/usage/meter.ts';
import { Spool } from '../../relay/usage/spool.ts';
import { UsageWriter } from '../../relay/usage/writer.ts';
import { allocationId, identity, metered } from '../relay/usage/samples.ts';

const ALLOCATIONS = 5_000;
const TICK = 100;
const PAUSE = 3;
const BOUNDARY_AFTER = 13_000;
const END_AFTER = 18_000;
/** Allocations begin over ten seconds, so that their records are spread, as they are in life. */
const OPENING = 10_000;

const began = performance.now();
const wall = Math.ceil(Date.now() / BOUNDARY_INTERVAL) * BOUNDARY_INTERVAL - BOUNDARY_AFTER;
const at = () => ({ now: Math.floor(wall + performance.now() - began), monotonic: performance.now() });

const directory = mkdtempSync(join(tmpdir(), 'turnpike-quarter-'));
const spool = new Spool({ directory });
let written = 0;
const timed = {
  write(entries: Entries) {
    written += entries.records.length + entries.checkpoints.length;
    return held(() => spool.write(entries));
  },
};
const writer = new UsageWriter({ spool: timed, onRecords: () => undefined, log: silentLog, metrics: new Metrics() });
const slab = new CounterSlab();
const meter = new Meter(identity, at().now);
const rows = new Map<string, number>();

const passes: { at: number; ms: number }[] = [];

/** Milliseconds that this thread has run. */
const ran = () => Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[0]) / 1e6;

/** Notes how long `work` runs without giving way. */
function held<T>(work: () => T): T {
  const [at, from] = [performance.now() - began, ran()];
  const result = work();
  passes.push({ at, ms: ran() - from });
  return result;
}

function tick(): void {
  const start = performance.now();
  for (let index = rows.size; index < Math.min(ALLOCATIONS, ((start - began) / OPENING) * ALLOCATIONS); index += 1) {
    rows.set(allocationId(index), slab.acquire());
    meter.opened(metered(index), at());
  }
  for (const row of rows.values()) slab.count(row, INTERNET, CLIENT_TX, 1_200);
  held(() =>
    writer.write(
      meter.due(at(), (allocation) => {
        const row = rows.get(allocation);
        return row === undefined ? undefined : slab.read(row);
      }),
    ),
  );
  if (performance.now() - began > END_AFTER) void finish();
  else schedule();
}

function schedule(): void {
  const wait = Math.min(TICK, Math.max(0, meter.boundary - at().now));
  setTimeout(tick, meter.behind ? PAUSE : wait);
}

async function finish(): Promise<void> {
  for (const [name, from, to] of [
    ['before', OPENING + 500, BOUNDARY_AFTER - 50],
    ['quarter hour', BOUNDARY_AFTER - 50, BOUNDARY_AFTER + 1_000],
    ['after', BOUNDARY_AFTER + 1_000, END_AFTER],
  ] as const) {
    const all = passes.flatMap((one) => (one.at >= from && one.at < to ? [one.ms] : [])).toSorted((a, b) => b - a);
    const longest = all.slice(0, 5).map((ms) => ms.toFixed(1));
    const sum = all.reduce((total, ms) => total + ms, 0);
    process.stdout.write(
      `${name.padEnd(13)} longest ${longest.join(' ')} ms, ${((sum / (to - from)) * 100).toFixed(0)} %\n`,
    );
  }
  process.stdout.write(`${spool.pending()} records, ${written} entries written\n`);
  await writer.settled();
  await spool.close();
  rmSync(directory, { recursive: true, force: true });
}

schedule();
