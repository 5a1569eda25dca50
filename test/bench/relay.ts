/**
 * What one relayed packet costs, how fast a relay is, and what an allocation costs: Turnpike's planes beside coturn and node-turn,
 * over loopback, in one run. `--help` lists the options.
 *
 * Servers take turns in every round, so that what disturbs the machine disturbs all of them, and medians are told. CPU is that
 * of the server's process (user and system, from /proc), by packets that came out of it, after a warm-up. A server of one thread
 * has a core; where there are more than two, the generator has the others. Loopback has no network card: what a server sends is also received in its own time, up to
 * the receiver's socket. Compare ratios, not absolutes.
 */
import { writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { textTable } from '../../kernel/text-table.ts';
import { cpuOf, memoryOf, runTimeOf } from './processes.ts';
import { buildLoad, ceilingOf, Scene } from './relay-load.ts';
import type { Case, Outcome } from './relay-load.ts';
import { isPresent, labelOf, leaveCore, serveAsChild, Server } from './relay-process.ts';
import type { Measured } from './relay-process.ts';

const HELP = `npm run bench:relay -- [options]     (about ten minutes; --full: forty)

Every comma makes a case of its own.
  --servers      native, native-2 (two threads), turnpike (the dgram plane), coturn (Debian's), node-turn; default: all
  --coturn PATH  another coturn beside them
  --framing      channel, indication; default: channel
  --direction    up (client to peer), down, both; default: up,down
  --payload      octets; default: 1000
  --allocations  default: 20
  --full         every framing and direction, payloads of 172 and 1000, 20 and 1000 allocations
  --rate         packets a second offered; default: 200000
  --arrival      single, runs; default: single. How packets reach the server: one by one, or the four that a flow sends
                 at a time as one run to a socket that takes runs (UDP_GRO), as a network card hands them over
  --receivers    runs, single; default: runs. Whether those who receive from the server take runs in one piece
  --seconds      of each measurement; default: 3
  --rounds       default: 3
  --only         packets, highest, allocations; default: all
  --json FILE
`;
/** node-turn cannot be offered more: it drops everything that it does not get to. */
const GENTLE_RATE = 20_000;
/** Packets lost of a thousand at which a rate is called too high. */
const LOSS = 1;
/** Steps on the way to the highest rate: first these, then those from the last that held. */
const STRIDE = 1.3;
const STEP = 1.05;
/** Allocations whose cost and memory is told. */
const IDLE = 1000;
/** How many clients ask at once. */
const TOGETHER = 32;
/** Those before their memory is told: pools are filled. */
const BEFORE = 3000;
/** Those more before their cost is told: a relay runs for months, and its code is compiled in the first seconds. */
const WARMING = 3000;
const WARM_UP = 0.5;

const isChild = process.argv[2] === 'serve';
const { values } = parseArgs({
  args: isChild ? [] : process.argv.slice(2),
  options: {
    help: { type: 'boolean', default: false },
    full: { type: 'boolean', default: false },
    framing: { type: 'string' },
    direction: { type: 'string' },
    payload: { type: 'string' },
    allocations: { type: 'string' },
    arrival: { type: 'string', default: 'single' },
    receivers: { type: 'string', default: 'runs' },
    rate: { type: 'string', default: '200000' },
    seconds: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '3' },
    servers: { type: 'string', default: 'native,native-2,turnpike,coturn,node-turn' },
    coturn: { type: 'string' },
    only: { type: 'string', default: 'packets,highest,allocations' },
    json: { type: 'string' },
  },
});
const load = isChild || values.help ? undefined : buildLoad();

async function withServer<T>(name: Measured, use: (server: Server, scene: Scene) => T | Promise<T>): Promise<T> {
  if (load === undefined) throw new Error('unreachable');
  const scene = new Scene(load);
  const server = new Server(name, scene.server, values.coturn);
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

async function measure(name: Measured, of: Case, rate: number, seconds: number): Promise<Figures> {
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
const fixed = (value: number, digits = 0): string => value.toFixed(digits);
/** Nothing where no packet brought its stamp. */
const latency = (microseconds: number): string => (microseconds === 0 ? '' : fixed(microseconds));
const label = (name: Measured): string => labelOf(name, values.coturn);

function print(title: string, columns: readonly string[], body: readonly (readonly string[])[]): void {
  console.log(`\n${title}`);
  const right = columns.map((column) => ({ title: column, align: 'right' }) as const);
  for (const line of textTable([{ title: '' }, ...right], body)) console.log(line);
}

/** Medians of what each server does at its rate, the servers taking turns. */
async function rounds(
  names: readonly Measured[],
  of: Case,
  rateOf: (name: Measured) => number,
): Promise<Map<Measured, Figures>> {
  const all = new Map<Measured, Figures[]>();
  for (let round = 0; round < Number(values.rounds); round += 1) {
    for (const name of names.filter((each) => rateOf(each) > 0)) {
      all.set(name, [...(all.get(name) ?? []), await measure(name, of, rateOf(name), Number(values.seconds))]);
    }
  }
  return new Map([...all].map(([name, each]) => [name, median(each)]));
}

async function packets(names: readonly Measured[], of: Case): Promise<Record<string, Figures>> {
  const offered = Number(values.rate);
  const medians = await rounds(names, of, (name) => (name === 'node-turn' ? Math.min(GENTLE_RATE, offered) : offered));
  const coturn = medians.get('coturn') ?? medians.get('other-coturn');
  const columns = ['offered/s', 'relayed/s', 'loss', 'CPU µs/packet', 'user', 'system', '× coturn', 'p50 µs', 'p99 µs'];
  const body = [...medians].map(([name, { loss, offered, p50, p99, relayed, system, user }]) => {
    const ratio = coturn === undefined ? '' : fixed((user + system) / (coturn.user + coturn.system), 2);
    const cost =
      relayed === 0
        ? ['relays nothing', '', '', '']
        : [fixed(user + system, 2), fixed(user, 2), fixed(system, 2), ratio];
    const rates = [fixed(offered), fixed(relayed), `${fixed(loss * 100, 2)} %`];
    return [label(name), ...rates, ...cost, latency(p50), latency(p99)];
  });
  print(titleOf(of), columns, body);
  return Object.fromEntries(medians);
}

function titleOf({ allocations, arrival, direction, framing, payload }: Case): string {
  const runs = arrival === 'runs' ? ', arriving in runs' : '';
  return `${framing}, ${direction}, ${payload} octets of payload, ${allocations} allocations${runs}`;
}

interface Highest {
  readonly rate: number;
  /** The generator could not send more. */
  readonly isGenerators: boolean;
}

/** The highest rate with fewer than one packet in a thousand lost. */
async function highest(name: Measured, of: Case): Promise<Highest> {
  return await withServer(name, async (_server, scene) => {
    scene.allocate(of.allocations);
    scene.admit(of.framing);
    await scene.run(of, GENTLE_RATE, WARM_UP);
    let isGenerators = false;
    const holds = async (rate: number): Promise<boolean> => {
      const { received, sent } = await scene.run(of, rate, 1);
      isGenerators = sent < rate * 0.97;
      return !isGenerators && sent - received <= (sent * LOSS) / 1000;
    };
    const climb = async (from: number, by: number): Promise<number> => {
      let held = 0;
      // Once more, in case something else had the machine.
      for (let rate = from; (await holds(rate)) || (await holds(rate)); rate *= by) held = rate;
      return held;
    };
    const rough = await climb(name === 'node-turn' ? 2000 : 20_000, STRIDE);
    const rate = rough === 0 ? 0 : Math.max(rough, await climb(rough * STEP, STEP));
    return { rate, isGenerators };
  });
}

async function highestOfAll(names: readonly Measured[], of: Case, ceiling: number): Promise<Record<string, unknown>> {
  const rates = new Map<Measured, Highest>();
  for (const name of names) rates.set(name, await highest(name, of));
  const coturn = rates.get('coturn') ?? rates.get('other-coturn');
  const rateOf = (name: Measured) => rates.get(name)?.rate ?? 0;
  const own = await rounds(names, of, (name) => rateOf(name) / 2);
  const same = await rounds(names, of, (name) => Math.min(rateOf(name), coturn?.rate ?? 0) / 2);
  const body = [...rates].map(([name, { isGenerators, rate }]) => [
    label(name),
    `${isGenerators ? '≥ ' : ''}${fixed(rate)}`,
    coturn === undefined ? '' : fixed(rate / coturn.rate, 2),
    ...[own, same].flatMap((figures) => [latency(figures.get(name)?.p50 ?? 0), latency(figures.get(name)?.p99 ?? 0)]),
  ]);
  const title = `Highest rate with less than 0.1 % loss, latency at half of it and at half of coturn's: ${titleOf(of)}`;
  const generator = [`the generator alone, ${of.arrival === 'runs' ? 'in runs' : 'one by one'}`, fixed(ceiling)];
  const columns = ['packets/s', '× coturn', 'p50 µs', 'p99 µs', 'at the same rate: p50', 'p99'];
  print(title, columns, [...body, generator]);
  const latencies = (figures: ReadonlyMap<Measured, Figures>, name: Measured) => {
    const { p50, p99 } = figures.get(name) ?? {};
    return { p50, p99 };
  };
  return Object.fromEntries(
    [...rates].map(([name, found]) => [
      name,
      { ...found, atHalf: latencies(own, name), atHalfOfCoturns: latencies(same, name) },
    ]),
  );
}

interface AllocationFigures {
  /** CPU microseconds for each, its refused first request included, where many clients come at once. */
  readonly together: number;
  /** The same, where they come one after the other and the server is woken for each request. */
  readonly alone: number;
  readonly kilobytes: number;
}

/** CPU and memory of allocations that nobody uses. */
async function idle(name: Measured): Promise<AllocationFigures> {
  return await withServer(name, async ({ pid }, scene) => {
    const costOf = async (count: number, atOnce: number) => {
      const before = runTimeOf(pid);
      scene.allocate(count, atOnce);
      await setTimeout(500);
      return (runTimeOf(pid) - before) / count;
    };
    await costOf(BEFORE, 1);
    const memory = memoryOf(pid);
    await costOf(IDLE, 1);
    const kilobytes = (memoryOf(pid) - memory) / 1024 / IDLE;
    await costOf(WARMING, TOGETHER);
    return { together: await costOf(IDLE, TOGETHER), alone: await costOf(IDLE, 1), kilobytes };
  });
}

async function idleOfAll(names: readonly Measured[]): Promise<Record<string, AllocationFigures>> {
  const rounds = new Map<Measured, AllocationFigures[]>();
  for (let round = 0; round < Number(values.rounds); round += 1) {
    for (const name of names) rounds.set(name, [...(rounds.get(name) ?? []), await idle(name)]);
  }
  const found = new Map([...rounds].map(([name, each]) => [name, medianOf(each)]));
  const coturn = found.get('coturn') ?? found.get('other-coturn');
  const body = [...found].map(([name, { alone, kilobytes, together }]) => [
    label(name),
    fixed(together),
    coturn === undefined ? '' : fixed(together / coturn.together, 2),
    fixed(1e6 / together),
    fixed(alone),
    coturn === undefined ? '' : fixed(alone / coturn.alone, 2),
    fixed(kilobytes, 1),
  ]);
  const title = `${IDLE} idle allocations, each refused once for its nonce and then granted: ${TOGETHER} at once, and one by one`;
  const columns = ['CPU µs each', '× coturn', 'a second and core', 'one by one, µs', '× coturn', 'kB each'];
  print(title, columns, body);
  return Object.fromEntries(found);
}

function medianOf(rounds: readonly AllocationFigures[]): AllocationFigures {
  const of = (key: keyof AllocationFigures) =>
    rounds.map((round) => round[key]).toSorted((a, b) => a - b)[rounds.length >> 1] ?? 0;
  return { together: of('together'), alone: of('alone'), kilobytes: of('kilobytes') };
}

function casesOf(): Case[] {
  const axis = (given: string | undefined, usual: string, all: string) => list(given ?? (values.full ? all : usual));
  const directions = axis(values.direction, 'up,down', 'up,down,both') as Case['direction'][];
  const payloads = axis(values.payload, '1000', '172,1000').map(Number);
  const counts = axis(values.allocations, '20', '20,1000').map(Number);
  const arrivals = list(values.arrival) as Case['arrival'][];
  const framings = axis(values.framing, 'channel', 'channel,indication') as Case['framing'][];
  return framings
    .flatMap((framing) => directions.map((direction) => ({ framing, direction })))
    .flatMap((of) => payloads.map((payload) => ({ ...of, payload })))
    .flatMap((of) => counts.map((allocations) => ({ ...of, allocations })))
    .flatMap((of) => arrivals.map((arrival) => ({ ...of, arrival, receivers: values.receivers as Case['receivers'] })));
}

async function main(): Promise<void> {
  if (load === undefined) {
    console.log(HELP);
    return;
  }
  const other: Measured[] = values.coturn === undefined ? [] : ['other-coturn'];
  const names = [...(list(values.servers) as Measured[]), ...other].filter((name) => isPresent(name, values.coturn));
  const only = new Set(list(values.only));
  leaveCore();
  const ceilings = {
    single: await ceilingOf(load, { payload: 1000, arrival: 'single' }),
    runs: await ceilingOf(load, { payload: 1000, arrival: 'runs' }),
  };
  const before = loadavg().map((value) => fixed(value, 1));
  const receivers = values.receivers === 'runs' ? 'take runs in one piece' : 'take datagrams one by one';
  console.log(
    `${cpus().length} cores, load ${before.join(' ')}; receivers ${receivers}; with no server between its ends the`,
  );
  console.log(
    `generator moves ${fixed(ceilings.single)} packets/s one by one from end to end, ${fixed(ceilings.runs)} in runs`,
  );
  const results: Record<string, unknown> = { ceilings };
  for (const of of only.has('packets') ? casesOf() : []) results[titleOf(of)] = await packets(names, of);
  for (const arrival of only.has('highest') ? (['single', 'runs'] as const) : []) {
    const receivers = values.receivers as Case['receivers'];
    const of: Case = { framing: 'channel', direction: 'up', payload: 1000, allocations: 20, arrival, receivers };
    results[`highest, ${arrival}`] = await highestOfAll(names, of, ceilings[arrival]);
  }
  if (only.has('allocations')) results['allocations'] = await idleOfAll(names);
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(results, undefined, 2)}\n`);
}

await (isChild ? serveAsChild(process.argv.slice(3)) : main());
