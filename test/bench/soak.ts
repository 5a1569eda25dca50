/**
 * Whether a relay is, after 100,000 allocations, what it was before: each is made with real requests, relays both ways and is given
 * back, through a whole relay node in a process of its own (core, plane, meter, spool on disk, uplink to a collector).
 *
 *     npm run bench:soak -- [--allocations 100000] [--together 50]
 *
 * Told are the relay's open descriptors, its resident memory and its heap after a forced collection, along the way; at the end what
 * is left over. It ends with 1 when descriptors are left open, an allocation is, or a packet was lost.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Endpoint } from '../../kernel/address.ts';
import { textTable } from '../../kernel/text-table.ts';
import { relayBench, RelayedClient, Wire } from '../relay/relay-bench.ts';
import { TurnClient } from '../relay/turn-client.ts';
import { answerMemory, heapOf } from './heap.ts';
import { descriptorsOf, memoryOf } from './processes.ts';

interface Ready {
  readonly server: Endpoint;
  readonly credentials: readonly { username: string; credential: string }[];
}

const CHANNEL = 0x4001;
const PAYLOAD = Buffer.alloc(172, 0x5a);
const FRAME = new TurnClient('', '').channelData(CHANNEL, PAYLOAD);
const ROWS = 10;
const PATIENCE = 10_000;
/** Allocations before the first reading: code is compiled, pools are filled. */
const WARM_UP = 20_000;

async function serve(together: number): Promise<void> {
  answerMemory();
  // All clients come from one prefix, whose budget of refusals this would exhaust at once; ports of a second ago rest.
  const bench = await relayBench(undefined, undefined, undefined, undefined, {
    refusalsPerSecond: Number.POSITIVE_INFINITY,
    relayPorts: { first: 10_000, last: 32_000 },
  });
  process.on('message', (question) => {
    if (question === 'state') process.send?.({ allocations: bench.node.allocations() });
    // What the collector has acknowledged is the benchmark's own to keep or to forget.
    bench.acknowledged.length = 0;
    if (question === 'stop') void bench.close().then(() => process.disconnect());
  });
  const credentials = Array.from({ length: together }, () => bench.issue({ ttl: 36_000 }));
  process.send?.({ server: bench.server, credentials } satisfies Ready);
}

/** One allocation's life. Returns whether what was sent came, both ways. */
async function live(credential: Ready['credentials'][number], server: Endpoint): Promise<boolean> {
  const [wire, peer] = [await Wire.open(), await Wire.open()];
  try {
    const client = new RelayedClient(wire, credential, server);
    const { relayed, code } = await client.allocate();
    if (relayed === undefined) throw new Error(`Allocate was answered ${code}`);
    const bound = await client.authenticated((turn) => turn.channelBind(CHANNEL, peer.endpoint));
    await client.frame(FRAME);
    const up = await peer.receive();
    await peer.send(PAYLOAD, relayed);
    const down = await wire.receive();
    const gone = await client.authenticated((turn) => turn.refresh(0));
    const answers = [bound, gone].every(({ messageClass }) => messageClass === 'success');
    return answers && up.equals(PAYLOAD) && down.subarray(4).equals(PAYLOAD);
  } finally {
    wire.close();
    peer.close();
  }
}

/** Nothing is sent again: what was lost on the way leaves its allocation waiting, and fails it. */
async function inTime(life: Promise<boolean>): Promise<boolean> {
  const patience = new AbortController();
  const late = setTimeout(PATIENCE, false, { signal: patience.signal }).catch(() => false);
  const outcome = await Promise.race([life, late]);
  patience.abort();
  return outcome;
}

async function lives(count: number, { server, credentials }: Ready): Promise<number> {
  let [begun, failed] = [0, 0];
  await Promise.all(
    credentials.map(async (credential) => {
      while (begun < count) {
        begun += 1;
        if (!(await inTime(live(credential, server)))) failed += 1;
      }
    }),
  );
  return failed;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { allocations: { type: 'string', default: '100000' }, together: { type: 'string', default: '50' } },
  });
  const child = spawn(process.execPath, ['--expose-gc', process.argv[1] ?? '', 'serve', values.together], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const [ready] = (await once(child, 'message')) as [Ready];
  const pid = child.pid ?? 0;
  const total = Number(values.allocations);
  let failed = await lives(WARM_UP, ready);
  const readings: { done: number; heap: number; resident: number; open: number }[] = [];
  const read = async (done: number) => {
    const heap = await heapOf(child);
    readings.push({ done, heap, resident: memoryOf(pid), open: descriptorsOf(pid) });
  };
  await read(0);
  const start = performance.now();
  for (let row = 1; row <= ROWS; row += 1) {
    failed += await lives(total / ROWS, ready);
    await read((row * total) / ROWS);
  }
  const rate = total / ((performance.now() - start) / 1000);
  child.send('state');
  const [{ allocations }] = (await once(child, 'message')) as [{ allocations: number }];
  child.send('stop');
  await once(child, 'exit');

  const columns = ['allocations', 'open descriptors', 'heap', 'resident'].map(
    (title) => ({ title, align: 'right' }) as const,
  );
  const rows = readings.map(({ done, open, heap, resident }) => [
    String(done),
    String(open),
    `${(heap / 1e6).toFixed(2)} MB`,
    `${(resident / 1e6).toFixed(1)} MB`,
  ]);
  console.log(textTable(columns, rows).join('\n'));
  const [first, last] = [readings[0], readings.at(-1)];
  const left = (last?.open ?? 0) - (first?.open ?? 0);
  console.log(
    `\n${rate.toFixed(0)} allocations a second; left over: ${left} descriptors, ${allocations} allocations, ` +
      `${(((last?.heap ?? 0) - (first?.heap ?? 0)) / total).toFixed(1)} B of heap each; failed: ${failed}`,
  );
  if (left > 0 || allocations > 0 || failed > 0) process.exitCode = 1;
}

if (process.argv[2] === 'serve') await serve(Number(process.argv[3]));
else await main();
