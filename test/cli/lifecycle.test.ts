/** The built service as a person meets it at a terminal when something is in its way. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { hasEmbeddedStore } from '../embedded-store.ts';

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const PORTS = ['--port', '0', '--turn-port', '0', '--metrics-port', '0'];
const secrets = Object.fromEntries(
  ['KEY_SECRET', 'API_TOKEN', 'RELAY_TOKEN', 'SOURCE_TOKEN', 'OPERATOR_TOKEN'].map((name) => [
    `TURNPIKE_${name}`,
    `for the lifecycle tests: ${name}`,
  ]),
);

let data: string;
const started: ChildProcess[] = [];
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'turnpike-lifecycle-'));
});
afterEach(async () => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
  await vi.waitUntil(async () => (await processesOn(data)).length === 0, { timeout: 20_000 });
  await rm(data, { recursive: true, force: true, maxRetries: 5 });
});

class Turnpike {
  readonly child: ChildProcess;
  stdout = '';
  stderr = '';
  readonly ended: Promise<number | null>;

  constructor(args: readonly string[], env: Record<string, string> = {}) {
    this.child = spawn(process.execPath, [main, ...args], { cwd: data, env: { PATH: process.env['PATH'], ...env } });
    started.push(this.child);
    this.child.stdout?.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()));
    this.child.stderr?.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.ended = once(this.child, 'close').then(([code]) => code as number | null);
  }

  /** What it said for a person: its log lines are JSON. */
  get said(): string[] {
    return this.stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{'));
  }

  async until(text: string): Promise<void> {
    await vi.waitUntil(() => (this.stdout + this.stderr).includes(text), { timeout: 20_000 });
  }
}

const up = (...args: string[]) => new Turnpike(['up', '--data', data, ...PORTS, ...args]);

/** Command lines of everything that runs on this data directory. */
async function processesOn(directory: string): Promise<string[]> {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(ids.map((id) => readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '')));
  return lines.filter((line) => line.includes(directory)).map((line) => line.replaceAll('\0', ' '));
}

describe.skipIf(!hasEmbeddedStore)('turnpike up', () => {
  it.each(['--port', '--metrics-port'])(
    'says in one line that the port of %s is taken, and leaves nothing',
    async (flag) => {
      const squatter = createServer();
      await once(squatter.listen(0, '127.0.0.1'), 'listening');
      const { port } = squatter.address() as AddressInfo;
      const service = up(flag, `${port}`);
      expect(await service.ended).toBe(1);
      expect(service.said).toEqual([
        expect.stringContaining(
          `TP_CLI_LISTEN: Cannot listen on 127.0.0.1 port ${port} (TCP): another program listens there. Choose another with ${flag} <port>.`,
        ),
      ]);
      expect(service.stdout).toBe('');
      expect(await processesOn(data)).toEqual([]);
      squatter.close();
    },
  );
  it('says in one line that the TURN port is taken, and leaves nothing', async () => {
    const squatter = createSocket('udp4');
    await new Promise<void>((resolve) => squatter.bind(0, '127.0.0.1', resolve));
    const { port } = squatter.address();
    const service = up('--turn-port', `${port}`);
    expect(await service.ended).toBe(1);
    expect(service.said).toEqual([expect.stringContaining(`TP_RELAY_START: Cannot listen on 127.0.0.1 port ${port}`)]);
    expect(await processesOn(data)).toEqual([]);
    squatter.close();
  });
  it('refuses a data directory that another one uses', async () => {
    const first = up();
    await first.until('Turnpike is up.');
    const second = up();
    expect(await second.ended).toBe(1);
    expect(second.said).toEqual([expect.stringContaining('TP_COLLECTOR_STORE_LOCKED')]);
    first.child.kill('SIGINT');
    expect(await first.ended).toBe(0);
    expect(await processesOn(data)).toEqual([]);
  });
  it.each([
    ['the store starts', 'SIGINT', ''],
    ['the collector starts', 'SIGTERM', 'embedded ClickHouse is ready'],
    ['the relay starts', 'SIGINT', '"collecting"'],
  ] as const)('stops everything when it is told to while %s', async (_when, signal, after) => {
    const service = up();
    if (after === '') await expect.poll(async () => (await processesOn(data)).length).toBeGreaterThan(1);
    else await service.until(after);
    service.child.kill(signal);
    expect(await service.ended).toBe(0);
    expect(service.stdout).toBe('');
    expect(service.said).toEqual([]);
    expect(await processesOn(data)).toEqual([]);
  });
  it('drains and exits 0 when it is told twice at once, as by Ctrl-C under npm', async () => {
    const service = up();
    await service.until('Turnpike is up.');
    // Two of one kind could reach the process as one.
    service.child.kill('SIGINT');
    service.child.kill('SIGTERM');
    expect(await service.ended).toBe(0);
    expect(await processesOn(data)).toEqual([]);
  });
  it('leaves nothing behind when it is killed in the middle of a start', async () => {
    const service = up();
    await service.until('embedded ClickHouse is ready');
    service.child.kill('SIGKILL');
    await expect.poll(() => processesOn(data), { timeout: 4_000 }).toEqual([]);
  });
  it('says that it cannot keep its data where a file is', async () => {
    const file = join(data, 'file');
    await writeFile(file, '');
    const service = new Turnpike(['up', '--data', join(file, 'data'), ...PORTS]);
    expect(await service.ended).toBe(1);
    expect(service.said).toEqual([
      expect.stringMatching(/TP_KERNEL_CONFIG: The data directory cannot be read: ENOTDIR/),
    ]);
  });
});

describe.skipIf(!hasEmbeddedStore)('a command on the store', () => {
  it('starts the embedded one when none runs, makes its tables, and stops it', async () => {
    await rm(join(data, 'data'), { recursive: true, force: true });
    const migrated = new Turnpike(['migrate', '--data', 'data']);
    expect(await migrated.ended).toBe(0);
    const statement = new Turnpike(['statement', '2026-11', '--data', 'data', '--json']);
    expect(await statement.ended).toBe(0);
    expect(JSON.parse(statement.stdout)).toMatchObject({ period: { name: '2026-11' } });
    expect(await processesOn(data)).toEqual([]);
  });
  it('says that there is no store rather than making an empty one', async () => {
    const statement = new Turnpike(['statement', '2026-11', '--data', 'elsewhere']);
    expect(await statement.ended).toBe(1);
    expect(statement.said).toEqual([expect.stringContaining('There is no store in elsewhere')]);
    expect(await readdir(data)).toEqual([]);
  });
});

describe('a ClickHouse server that is not there', () => {
  it.each([
    ['statement', ['statement', '2026-11']],
    ['collector', ['collector', '--port', '0']],
  ])('is named by %s in one line', async (_name, args) => {
    const command = new Turnpike([...args, '--data', data, '--clickhouse', 'http://127.0.0.1:9'], secrets);
    expect(await command.ended).toBe(1);
    expect(command.said).toEqual([
      'turnpike: TP_COLLECTOR_STORE_UNAVAILABLE: The ClickHouse server at http://127.0.0.1:9 cannot be reached: connect ECONNREFUSED 127.0.0.1:9.',
    ]);
  });
});
