/**
 * What strangers leave behind in a TURN server's memory: one Allocate without credentials from each of 50,000 sources (addresses of
 * 127.0.0.0/8, each with a port of its own), as a flood with forged addresses would bring them.
 *
 *     npm run bench:flood -- [--sources 50000]
 *
 * Told are resident memory before and after, and of a server in Node also the heap, both after a forced collection. coturn is
 * measured where Debian's package is installed; it and node-turn are there to compare with.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { systemRandom } from '../../kernel/random.ts';
import { textTable } from '../../kernel/text-table.ts';
import { TurnClient } from '../relay/turn-client.ts';
import { answerMemory, heapOf } from './heap.ts';
import { cpuOf, memoryOf } from './processes.ts';
import { serve } from './relay-servers.ts';
import type { ServerName } from './relay-servers.ts';

const HOST = '127.0.0.1';
const TOGETHER = 200;
const BETWEEN = 5;
const USER = 'bench';
const PASSWORD = 'bench-password';

/** One datagram from one source; whatever comes back is not waited for. */
function strangerSends(address: string, bytes: Uint8Array, port: number): Promise<void> {
  const socket = createSocket('udp4');
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(0, address, () => socket.send(bytes, port, HOST, () => socket.close(() => resolve())));
  });
}

async function flood(port: number, sources: number): Promise<void> {
  for (let sent = 0; sent < sources; sent += TOGETHER) {
    const addresses = Array.from({ length: Math.min(TOGETHER, sources - sent) }, (_, index) => {
      const number = sent + index;
      return `127.${1 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`;
    });
    // A client that nobody knows: its first Allocate has no credentials.
    const bytes = new TurnClient('', '', systemRandom).allocate();
    await Promise.all(addresses.map((address) => strangerSends(address, bytes, port)));
    await setTimeout(BETWEEN);
  }
}

function start(name: ServerName, port: number): ChildProcess {
  if (name !== 'coturn') {
    const own = ['--expose-gc', process.argv[1] ?? '', 'serve', name, String(port)];
    return spawn(process.execPath, own, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  }
  const flags = [
    '-n --log-file=/dev/null --no-stdout-log --pidfile=/dev/null --no-cli --no-tls --no-dtls -m 1',
    `-L ${HOST} -E ${HOST} -p ${port} --min-port=20000 --max-port=29999`,
    `--lt-cred-mech -r bench -u ${USER}:${PASSWORD}`,
  ];
  return spawn('/usr/bin/turnserver', flags.join(' ').split(' '), { stdio: 'ignore' });
}

async function freePort(): Promise<number> {
  const socket = createSocket('udp4');
  await once(socket.bind(0, HOST), 'listening');
  const { port } = socket.address();
  socket.close();
  return port;
}

async function measure(name: ServerName, sources: number): Promise<string[]> {
  const port = await freePort();
  const child = start(name, port);
  const pid = child.pid ?? 0;
  try {
    await setTimeout(1_500);
    await flood(port, 2_000); // code is compiled, pools are filled
    await setTimeout(500);
    const heapBefore = name === 'coturn' ? undefined : await heapOf(child);
    const [before, cpu] = [memoryOf(pid), cpuOf(pid)];
    await flood(port, sources);
    await setTimeout(500);
    const heap = name === 'coturn' ? undefined : await heapOf(child);
    const [after, used] = [memoryOf(pid), cpuOf(pid)];
    const spent = used.user + used.system - cpu.user - cpu.system;
    return [
      name,
      megabytes(before),
      megabytes(after),
      `${((after - before) / sources).toFixed(0)} B`,
      heap === undefined || heapBefore === undefined ? '' : `${((heap - heapBefore) / sources).toFixed(1)} B`,
      `${(spent / sources).toFixed(1)} µs`,
    ];
  } finally {
    child.kill();
    await once(child, 'exit');
  }
}

const megabytes = (octets: number) => `${(octets / 1e6).toFixed(1)} MB`;

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { sources: { type: 'string', default: '50000' } } });
  const names: ServerName[] = ['turnpike', 'node-turn'];
  if (existsSync('/usr/bin/turnserver')) names.push('coturn');
  const rows: string[][] = [];
  for (const name of names) rows.push(await measure(name, Number(values.sources)));
  const titles = ['server', 'before', 'after', 'memory a source', 'heap a source', 'CPU a source'];
  const columns = titles.map((title, index) => ({ title, align: index === 0 ? 'left' : 'right' }) as const);
  console.log(`${values.sources} sources, one Allocate without credentials each`);
  console.log(textTable(columns, rows).join('\n'));
}

if (process.argv[2] === 'serve') {
  answerMemory();
  await serve(process.argv[3] as ServerName, Number(process.argv[4]), USER, PASSWORD);
} else {
  await main();
}
