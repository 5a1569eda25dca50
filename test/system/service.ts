/** The built service, started as a user would start it, on ports and a data directory of its own. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { freeTcpPort, freeTurnPort } from '../../cli/free-port.ts';

export const mainProgram = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export interface Service {
  readonly url: string;
  readonly turnPort: number;
  /** The relay's own metrics. */
  readonly metricsUrl: string;
  readonly data: string;
  readonly process: ChildProcess;
  /** What it printed so far. */
  output(): string;
  apiToken(): Promise<string>;
  secret(name: string): Promise<string>;
  /** Process ids of its parts, by role. */
  parts(): Promise<Record<'relay' | 'collector' | 'clickhouse', number>>;
  /** SIGTERM, and the exit code. */
  stop(): Promise<number | null>;
}

export interface ServiceOptions {
  readonly data?: string;
  readonly port?: number;
  readonly turnPort?: number;
  readonly args?: readonly string[];
  readonly env?: Record<string, string>;
}

export async function temporaryDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'turnpike-test-'));
}

export async function startService(options: ServiceOptions = {}): Promise<Service> {
  const data = options.data ?? (await temporaryDirectory());
  const port = options.port ?? (await freeTcpPort('127.0.0.1'));
  const turnPort = options.turnPort ?? (await freeTurnPort(['127.0.0.1']));
  const metricsPort = await freeTcpPort('127.0.0.1');
  const ports = ['--port', `${port}`, '--turn-port', `${turnPort}`, '--metrics-port', `${metricsPort}`];
  const args = ['up', '--data', data, ...ports];
  const child = spawn(process.execPath, [mainProgram, ...args, ...(options.args ?? [])], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], ...options.env },
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const url = `http://127.0.0.1:${port}`;
  const service: Service = {
    url,
    turnPort,
    metricsUrl: `http://127.0.0.1:${metricsPort}/metrics`,
    data,
    process: child,
    output: () => output,
    apiToken: () => readFile(join(data, 'api-token'), 'utf8'),
    secret: async (name) =>
      (JSON.parse(await readFile(join(data, 'secrets.json'), 'utf8')) as Record<string, string>)[name] ?? '',
    parts: () => partsOf(child.pid ?? 0),
    async stop() {
      if (child.exitCode !== null) return child.exitCode;
      child.kill('SIGTERM');
      await once(child, 'exit');
      return child.exitCode;
    },
  };
  await until(() => {
    if (child.exitCode !== null) throw new Error(`the service ended: ${output}`);
    return output.includes('Turnpike is up.');
  }, 'the service to be up');
  return service;
}

export async function removeDirectory(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 5 });
}

/** The supervisor's children, told apart by their command lines. */
async function partsOf(parent: number): Promise<Record<'relay' | 'collector' | 'clickhouse', number>> {
  const found: Partial<Record<'relay' | 'collector' | 'clickhouse', number>> = {};
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const [stat, command] = await Promise.all([read(`/proc/${entry}/stat`), read(`/proc/${entry}/cmdline`)]);
    if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) !== parent) continue;
    const words = command.split('\0');
    const role = words.includes('relay') ? 'relay' : words.includes('collector') ? 'collector' : 'clickhouse';
    found[role] = Number(entry);
  }
  const { relay, collector, clickhouse } = found;
  if (relay === undefined || collector === undefined || clickhouse === undefined) {
    throw new Error(`parts are missing: ${JSON.stringify(found)}`);
  }
  return { relay, collector, clickhouse };
}

async function read(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => ''); // the process ended while we looked
}

/** Waits, generously, for something to become true. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  timeout = 90_000,
): Promise<void> {
  const deadline = performance.now() + timeout;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await sleep(100);
  }
}
