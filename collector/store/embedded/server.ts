/**
 * One run of the embedded ClickHouse server: a child process on a directory of ours, listening on a loopback port of its
 * own choosing. Supervision (starting it again) is the caller's.
 */
import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { TurnpikeError } from '../../../kernel/errors.ts';
import type { Logger } from '../../../kernel/log.ts';
import type { Random } from '../../../kernel/random.ts';
import { systemRandom } from '../../../kernel/random.ts';
import { createDatabase } from '../clickhouse.ts';
import type { StoreEndpoint } from '../store.ts';
import { adminEndpoint, publishConnection, readerEndpoint, withdrawConnection } from './connection.ts';
import type { EmbeddedConnection } from './connection.ts';
import { ADMIN, basicAuthorization, READER, writeSettings } from './settings.ts';
import type { ServerSettings } from './settings.ts';

export interface EmbeddedOptions {
  /** Kept for the server alone; created when absent. */
  readonly directory: string;
  readonly log: Logger;
  /** Ceiling of the server's memory. Default 2 GB. */
  readonly maxMemoryBytes?: number;
  /** Default `turnpike`. */
  readonly database?: string;
  readonly random?: Random;
  /** How long another process may still hold the directory: a killed parent's server ends within 2 s. Default 5 s. */
  readonly lockWaitMs?: number;
  /** How long the server may take to answer. Default 60 s. */
  readonly startTimeoutMs?: number;
}

export interface EmbeddedServer {
  /** The service's own way in. */
  endpoint(): StoreEndpoint;
  /** The bounded, SELECT-only way in for people's queries. */
  reader(): StoreEndpoint;
  readonly pid: number;
  /** Resolves when the server has ended, with a word on how. */
  readonly exited: Promise<string>;
  /** Ends the server; resolves when its process is gone. */
  stop(): Promise<void>;
}

type Child = ChildProcessByStdio<Writable, null, Readable>;

/** A child and what is known of its end. */
interface Process {
  readonly child: Child;
  readonly pid: number;
  readonly exited: Promise<string>;
  hasEnded(): boolean;
  stderr(): string;
}

const STDERR_KEPT = 4_000;
const STOP_GRACE_MS = 5_000;
const POLL_MS = 10;

/**
 * Starts the server and resolves once it answers and refuses strangers. Throws TP_COLLECTOR_STORE_MISSING (no engine for
 * this platform), TP_COLLECTOR_STORE_LOCKED (another process has the directory) or TP_COLLECTOR_STORE_START.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedServer> {
  requireEngine();
  const random = options.random ?? systemRandom;
  const directory = path.resolve(options.directory);
  const database = options.database ?? 'turnpike';
  const settings = await writeSettings({
    directory,
    database,
    maxMemoryBytes: options.maxMemoryBytes ?? 2_000_000_000,
    random,
  });
  const portFile = path.join(directory, `port.${random.bytes(6).toString('hex')}`);
  const { server, port } = await launch(options, settings, portFile);
  const { passwords } = settings;
  const connection: EmbeddedConnection = {
    url: `http://127.0.0.1:${port}`,
    database,
    admin: { user: ADMIN, password: passwords.admin },
    reader: { user: READER, password: passwords.reader },
    pid: server.pid,
  };
  try {
    await requireClosedDoor(connection);
    await createDatabase(adminEndpoint(connection));
    await publishConnection(directory, connection, random);
  } catch (error) {
    await end(server);
    throw error instanceof TurnpikeError
      ? error
      : new TurnpikeError('TP_COLLECTOR_STORE_START', startFailure(server), { cause: error });
  }
  options.log.info({ port, pid: server.pid }, 'embedded ClickHouse is ready');
  return {
    endpoint: () => adminEndpoint(connection),
    reader: () => readerEndpoint(connection),
    pid: server.pid,
    exited: server.exited,
    async stop() {
      await withdrawConnection(directory, server.pid);
      await end(server);
    },
  };
}

/** The engine is an optional dependency: not every platform has one. */
function requireEngine(): void {
  const require = createRequire(import.meta.url);
  try {
    require.resolve('@chdb/lib-linux-x64-gnu');
    require.resolve('ffi-rs');
  } catch (error) {
    throw new TurnpikeError('TP_COLLECTOR_STORE_MISSING', undefined, { cause: error });
  }
}

/** Starts children until one holds the directory's lock and has written its port. */
async function launch(
  options: EmbeddedOptions,
  settings: ServerSettings,
  portFile: string,
): Promise<{ server: Process; port: number }> {
  const lockedUntil = performance.now() + (options.lockWaitMs ?? 5_000);
  for (;;) {
    const server = spawnServer(settings, portFile, options.log);
    const port = await waitForPort(server, portFile, options.startTimeoutMs ?? 60_000);
    await rm(portFile, { force: true });
    if (port !== undefined) return { server, port };
    await end(server);
    const locked = /Cannot lock file/.test(server.stderr());
    if (!locked) throw new TurnpikeError('TP_COLLECTOR_STORE_START', startFailure(server));
    if (performance.now() > lockedUntil) throw new TurnpikeError('TP_COLLECTOR_STORE_LOCKED');
    await pause(250);
  }
}

function startFailure(server: Process): string {
  return `The embedded store did not start: ${server.stderr().trim() || 'it said nothing'}`;
}

function spawnServer(settings: ServerSettings, portFile: string, log: Logger): Process {
  // Standard output of queries is buffered, hence the file; the last statement never ends, and with it the server.
  const script = `SYSTEM START LISTEN HTTP;
SELECT getServerPort('http_port') INTO OUTFILE '${portFile.replace(/['\\]/g, '\\$&')}' FORMAT TSV;
SELECT sleep(3) FROM numbers(1000000000000000) FORMAT Null`;
  const child = spawn(
    process.execPath,
    [
      fileURLToPath(new URL('./child.mjs', import.meta.url)),
      '--path',
      settings.storePath,
      `--config-file=${settings.configFile}`,
      '--listen_host=127.0.0.1',
      '--http_port=0',
      '--query',
      script,
    ],
    // A process group of its own: Ctrl-C is for the parent, which stops things in order.
    {
      stdio: ['pipe', 'ignore', 'pipe'],
      detached: true,
      cwd: path.dirname(settings.configFile),
      env: { PATH: process.env['PATH'], TZ: 'UTC' },
    },
  );
  let tail = '';
  let ended = false;
  child.stdin.on('error', () => {}); // the child is gone: `exited` says so
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    tail = (tail + text).slice(-STDERR_KEPT);
    log.debug({ text }, 'embedded ClickHouse says');
  });
  const exited = new Promise<string>((resolve) => {
    const finish = (how: string) => {
      ended = true;
      resolve(how);
    };
    child.once('error', (error) => finish(error.message));
    child.once('close', (code, signal) => finish(`${signal ?? `exit code ${code}`} ${tail.slice(-500)}`.trim()));
  });
  return { child, pid: child.pid ?? 0, exited, hasEnded: () => ended, stderr: () => tail };
}

async function waitForPort(server: Process, portFile: string, timeoutMs: number): Promise<number | undefined> {
  const until = performance.now() + timeoutMs;
  while (!server.hasEnded() && performance.now() < until) {
    const text = await readFile(portFile, 'utf8').catch(() => '');
    if (/^\d+\n$/.test(text)) return Number(text);
    await pause(POLL_MS);
  }
  return undefined;
}

async function end(server: Process): Promise<void> {
  if (server.hasEnded()) return;
  server.child.kill('SIGTERM');
  const force = setTimeout(() => server.child.kill('SIGKILL'), STOP_GRACE_MS);
  await server.exited;
  clearTimeout(force);
}

/** Every way to come in without one of our passwords must be shut before anybody is told where the server is. */
async function requireClosedDoor(connection: EmbeddedConnection): Promise<void> {
  const attempts: { query?: string; headers?: Record<string, string> }[] = [
    {},
    { query: '&user=default&password=' },
    { headers: { authorization: basicAuthorization('default', '') } },
    { headers: { 'x-clickhouse-user': 'default' } },
    { query: '&user=default', headers: { authorization: basicAuthorization(ADMIN, 'not it') } },
  ];
  for (const { query = '', headers = {} } of attempts) {
    const answer = await fetch(`${connection.url}/?query=SELECT%201${query}`, { headers });
    await answer.arrayBuffer();
    if (answer.ok) {
      throw new TurnpikeError('TP_COLLECTOR_STORE_START', 'The embedded store answers callers without a password.');
    }
  }
}
