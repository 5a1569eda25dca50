/**
 * What one relayed packet costs, how fast a relay is, and what an allocation costs: Turnpike's planes beside coturn and node-turn,
 * over loopback, in one run.
 *
 *     npm run bench:relay -- [--framing channel,indication] [--direction up,down,both] [--payload 172,1000]
 *         [--allocations 20,1000] [--rate 200000] [--seconds 3] [--rounds 3] [--servers native,turnpike,coturn,…]
 *         [--coturn PATH] [--json FILE] [--only packets,highest,allocations]
 *
 * Every comma makes a case of its own; what is printed without any is ChannelData of 1,000 octets, up and down, for 20 allocations.
 * Servers take turns in every round, so that what disturbs the machine disturbs all of them, and medians are told. CPU is that
 * of the server's process (user and system, from /proc), by packets that came out of it, after a warm-up. A server of one thread
 * is held to one core. Loopback has no network card and the generator shares the machine: compare ratios, not absolutes.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { textTable } from '../../kernel/text-table.ts';
import { cpuOf, memoryOf } from './processes.ts';
import { buildLoad, ceilingOf, HOST, PASSWORD, Scene, USER } from './relay-load.ts';
import type { Case, Outcome } from './relay-load.ts';
import { serve } from './relay-servers.ts';
import type { ServerName } from './relay-servers.ts';

const LABELS: Record<ServerName, string> = {
  native: 'Turnpike native, 1 thread',
  'native-2': 'Turnpike native, 2 threads',
  turnpike: 'Turnpike dgram',
  coturn: 'coturn',
  'node-turn': 'node-turn',
};
/** node-turn cannot be offered more: it drops everything that it does not get to. */
const GENTLE_RATE = 20_000;
/** Packets lost of a thousand at which a rate is called too high. */
const LOSS = 1;
/** Allocations whose cost and memory is told. */
const IDLE = 1000;
/** Those before them: code is compiled, pools are filled. */
const BEFORE = 3000;
const WARM_UP = 0.5;

const { values } = parseArgs({
  args: process.argv[2] === 'serve' ? [] : process.argv.slice(2),
  options: {
    framing: { type: 'string', default: 'channel' },
    direction: { type: 'string', default: 'up,down' },
    payload: { type: 'string', default: '1000' },
    allocations: { type: 'string', default: '20' },
    rate: { type: 'string', default: '200000' },
    seconds: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '3' },
    servers: { type: 'string', default: 'native,native-2,turnpike,coturn,node-turn' },
    coturn: { type: 'string', default: '/usr/bin/turnserver' },
    only: { type: 'string', default: 'packets,highest,allocations' },
    json: { type: 'string' },
  },
});

class Server {
  readonly name: ServerName;
  readonly port: number;
  readonly #child: ChildProcess;

  constructor(name: ServerName, port: number) {
    this.name = name;
    this.port = port;
    const own = [process.execPath, process.argv[1] ?? '', 'serve', name, String(port)];
    const coturn = [
      `${values.coturn} -n --log-file=/dev/null --no-stdout-log --pidfile=/dev/null --no-cli --no-tls --no-dtls -m 1`,
      `-L ${HOST} -E ${HOST} -p ${port} --min-port=20000 --max-port=29999 --allow-loopback-peers`,
      `--lt-cred-mech -r bench -u ${USER}:${PASSWORD}`,
    ].flatMap((line) => line.split(' '));
    const command = name === 'coturn' ? coturn : own;
    const pinned = name !== 'native-2' && existsSync('/usr/bin/taskset') ? ['/usr/bin/taskset', '-c', '1'] : [];
    const [program = '', ...parameters] = [...pinned, ...command];
    this.#child = spawn(program, parameters, {
      stdio: ['ignore', 'ignore', name === 'coturn' ? 'ignore' : 'inherit'],
    });
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`cannot start ${this.name}`);
    return this.#child.pid;
  }

  async stop(): Promise<void> {
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }
}

const load = process.argv[2] === 'serve' ? undefined : buildLoad();

async function withServer<T>(name: ServerName, use: (server: Server, scene: Scene) => T | Promise<T>): Promise<T> {
  if (load === undefined) throw new Error('unreachable');
  const scene = new Scene(load);
  const server = new Server(name, scene.server);
  try {
    return await use(server, scene);
  } finally {
    scene.close();
    await server.stop();
  }
}

interface Figures {
  readonly offered: number;
  readonly relayed: number;
  /** Of the packets offered. */
  readonly loss: number;
  /** CPU microseconds per relayed packet. */
  readonly user: number;
  readonly system: number;
  /** Microseconds. */
  readonly p50: number;
  readonly p99: number;
}

function figures(
  { sent, received, p50, p99 }: Outcome,
  seconds: number,
  cpu: { user: number; system: number },
): Figures {
  return {
    offered: sent / seconds,
    relayed: received / seconds,
    loss: 1 - received / sent,
    user: cpu.user / received,
    system: cpu.system / received,
    p50,
    p99,
  };
}

async function measure(name: ServerName, of: Case, rate: number, seconds: number): Promise<Figures> {
  return await withServer(name, async ({ pid }, scene) => {
    scene.allocate(of.allocations);
    scene.admit(of.framing);
    await scene.run(of, rate, WARM_UP);
    const before = cpuOf(pid);
    const outcome = await scene.run(of, rate, seconds);
    const after = cpuOf(pid);
    return figures(outcome, seconds, { user: after.user - before.user, system: after.system - before.system });
  });
}

function median(rounds: readonly Figures[]): Figures {
  const of = (key: keyof Figures) =>
    rounds.map((figure) => figure[key]).toSorted((a, b) => a - b)[rounds.length >> 1] ?? 0;
  const keys = ['offered', 'relayed', 'loss', 'user', 'system', 'p50', 'p99'] as const;
  return Object.fromEntries(keys.map((key) => [key, of(key)])) as unknown as Figures;
}

const list = (text: string): string[] => text.split(',').filter((word) => word !== '');
/** Nothing where no packet brought its stamp. */
const latency = (microseconds: number): string => (microseconds === 0 ? '' : fixed(microseconds));
const fixed = (value: number, digits = 0): string => value.toFixed(digits);

async function packets(names: readonly ServerName[], of: Case): Promise<Record<string, Figures>> {
  const rounds = new Map<ServerName, Figures[]>();
  for (let round = 0; round < Number(values.rounds); round += 1) {
    for (const name of names) {
      const rate = name === 'node-turn' ? Math.min(GENTLE_RATE, Number(values.rate)) : Number(values.rate);
      rounds.set(name, [...(rounds.get(name) ?? []), await measure(name, of, rate, Number(values.seconds))]);
    }
  }
  const medians = new Map([...rounds].map(([name, each]) => [name, median(each)]));
  const coturn = medians.get('coturn');
  console.log(`\n${of.framing}, ${of.direction}, ${of.payload} octets of payload, ${of.allocations} allocations`);
  const right = (title: string) => ({ title, align: 'right' }) as const;
  const titles = ['offered/s', 'relayed/s', 'loss', 'CPU µs/packet', 'user', 'system', '× coturn', 'p50 µs', 'p99 µs'];
  const body = [...medians].map(([name, { loss, offered, p50, p99, relayed, system, user }]) => {
    const ratio = coturn === undefined ? '' : fixed((user + system) / (coturn.user + coturn.system), 2);
    const cost =
      relayed === 0
        ? ['relays nothing', '', '', '']
        : [fixed(user + system, 2), fixed(user, 2), fixed(system, 2), ratio];
    return [
      LABELS[name],
      fixed(offered),
      fixed(relayed),
      `${fixed(loss * 100, 2)} %`,
      ...cost,
      latency(p50),
      latency(p99),
    ];
  });
  for (const line of textTable([{ title: '' }, ...titles.map(right)], body)) console.log(line);
  return Object.fromEntries(medians);
}

/** The highest rate, in steps of a tenth, with fewer than one packet in a thousand lost, and the latency at half of it. */
async function highest(name: ServerName, of: Case): Promise<{ rate: number; p50: number; p99: number }> {
  return await withServer(name, async (_server, scene) => {
    scene.allocate(of.allocations);
    scene.admit(of.framing);
    let rate = 0;
    let misses = 0;
    for (let next = name === 'node-turn' ? 2000 : 20_000; misses < 2; next *= 1.1) {
      const { received, sent } = await scene.run(of, next, 1);
      const kept = sent >= next * 0.97;
      misses = kept && sent - received <= (sent * LOSS) / 1000 ? 0 : misses + 1;
      if (misses === 0) rate = sent;
    }
    const { p50, p99 } = await scene.run(of, rate / 2, 2);
    return { rate, p50, p99 };
  });
}

/** CPU and memory of allocations that nobody uses. */
async function idle(name: ServerName): Promise<{ microseconds: number; kilobytes: number }> {
  return await withServer(name, async ({ pid }, scene) => {
    scene.allocate(BEFORE);
    await setTimeout(500);
    const [cpu, memory] = [cpuOf(pid), memoryOf(pid)];
    scene.allocate(IDLE);
    await setTimeout(500);
    const after = cpuOf(pid);
    return {
      microseconds: (after.user + after.system - cpu.user - cpu.system) / IDLE,
      kilobytes: (memoryOf(pid) - memory) / 1024 / IDLE,
    };
  });
}

async function main(): Promise<void> {
  if (load === undefined) return;
  const names = (list(values.servers) as ServerName[]).filter((name) => name !== 'coturn' || existsSync(values.coturn));
  const only = new Set(list(values.only));
  const cases = list(values.framing).flatMap((framing) =>
    list(values.direction).flatMap((direction) =>
      list(values.payload).flatMap((payload) =>
        list(values.allocations).map((allocations) => {
          return { framing, direction, payload: Number(payload), allocations: Number(allocations) } as Case;
        }),
      ),
    ),
  );
  const ceiling = await ceilingOf(load, 1000);
  console.log(
    `${cpus().length} cores, load ${loadavg()
      .map((value) => fixed(value, 1))
      .join(' ')}; the generator alone: ` +
      `${fixed(ceiling.rate)} packets/s at ${fixed(ceiling.microseconds, 2)} µs each`,
  );
  const results: Record<string, unknown> = { ceiling };
  for (const of of only.has('packets') ? cases : []) {
    results[`${of.framing} ${of.direction} ${of.payload} ${of.allocations}`] = await packets(names, of);
  }
  const right = (title: string) => ({ title, align: 'right' }) as const;
  if (only.has('highest')) {
    const of: Case = { framing: 'channel', direction: 'up', payload: 1000, allocations: 20 };
    const found: [ServerName, Awaited<ReturnType<typeof highest>>][] = [];
    for (const name of names) found.push([name, await highest(name, of)]);
    results['highest'] = Object.fromEntries(found);
    console.log('\nHighest rate with less than 0.1 % loss (ChannelData up, 1000 octets), latency at half of it');
    const columns = [{ title: '' }, right('packets/s'), right('p50 µs'), right('p99 µs')];
    const body = found.map(([name, { p50, p99, rate }]) => [LABELS[name], fixed(rate), fixed(p50), fixed(p99)]);
    for (const line of textTable(columns, body)) console.log(line);
  }
  if (only.has('allocations')) {
    const found: [ServerName, Awaited<ReturnType<typeof idle>>][] = [];
    for (const name of names) found.push([name, await idle(name)]);
    results['allocations'] = Object.fromEntries(found);
    console.log(`\n${IDLE} idle allocations, each refused once for its nonce and then granted`);
    const columns = [{ title: '' }, right('CPU µs each'), right('a second and core'), right('kB each')];
    const body = found.map(([name, { kilobytes, microseconds }]) => {
      return [LABELS[name], fixed(microseconds), fixed(1e6 / microseconds), fixed(kilobytes, 1)];
    });
    for (const line of textTable(columns, body)) console.log(line);
  }
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(results, undefined, 2)}\n`);
}

if (process.argv[2] === 'serve') {
  const [, , , name, port] = process.argv;
  await serve(name as ServerName, Number(port), USER, PASSWORD, Number.POSITIVE_INFINITY);
} else {
  await main();
}
