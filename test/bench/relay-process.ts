/** The servers of bench:relay as processes: started, held to a core, ended. */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { cpus } from 'node:os';
import { HOST, PASSWORD, USER } from './relay-load.ts';
import { serve } from './relay-servers.ts';
import type { ServerName } from './relay-servers.ts';

/** `other-coturn` is the one of `--coturn PATH`. */
export type Measured = ServerName | 'other-coturn';

const DEBIAN_COTURN = '/usr/bin/turnserver';
const TASKSET = '/usr/bin/taskset';
const CORES = cpus().length;
/** The core of a server of one thread. */
const CORE = 1;

export function labelOf(name: Measured, otherCoturn: string | undefined): string {
  const labels: Record<Measured, string> = {
    native: 'Turnpike native, 1 thread',
    'native-2': 'Turnpike native, 2 threads',
    turnpike: 'Turnpike dgram',
    coturn: `coturn ${versionOf(DEBIAN_COTURN)}`,
    'other-coturn': otherCoturn === undefined ? '' : `coturn ${versionOf(otherCoturn)} (${otherCoturn})`,
    'node-turn': 'node-turn',
  };
  return labels[name];
}

function versionOf(program: string): string {
  const { stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' });
  return /\d+\.\d+\.\d+/.exec(stdout ?? '')?.[0] ?? program;
}

/** From 4.17 on, what these took away is off, and they are refused. */
function isBefore417(program: string): boolean {
  const [major = 0, minor = 0] = versionOf(program).split('.').map(Number);
  return major < 4 || (major === 4 && minor < 17);
}

/** Whether it can be started here. */
export function isPresent(name: Measured, otherCoturn: string | undefined): boolean {
  if (name === 'coturn') return existsSync(DEBIAN_COTURN);
  return name !== 'other-coturn' || (otherCoturn !== undefined && existsSync(otherCoturn));
}

/**
 * Leaves the server's core to the server: this process and its threads use the others. Of two cores the generator may need a little
 * more than one.
 */
export function leaveCore(): void {
  if (CORES < 3 || !existsSync(TASKSET)) return;
  spawnSync(TASKSET, ['-a', '-p', '-c', `0,2-${CORES - 1}`, String(process.pid)], { stdio: 'ignore' });
}

export class Server {
  readonly name: Measured;
  readonly #child: ChildProcess;

  constructor(name: Measured, port: number, otherCoturn: string | undefined) {
    this.name = name;
    const own = [process.execPath, process.argv[1] ?? '', 'serve', name, String(port)];
    const path = name === 'other-coturn' && otherCoturn !== undefined ? otherCoturn : DEBIAN_COTURN;
    const coturn = [
      `${path} -n --log-file=/dev/null --no-stdout-log --pidfile=/dev/null`,
      `--no-tls ${isBefore417(path) ? '--no-cli --no-dtls ' : ''}-m 1 -L ${HOST} -E ${HOST} -p ${port} --min-port=10000 --max-port=32767`,
      `--allow-loopback-peers --lt-cred-mech -r bench -u ${USER}:${PASSWORD}`,
    ].flatMap((line) => line.split(' '));
    const isCoturn = name === 'coturn' || name === 'other-coturn';
    const cores = name === 'native-2' ? `0-${CORES - 1}` : String(CORE);
    const pinned = CORES > 1 && existsSync(TASKSET) ? [TASKSET, '-c', cores] : [];
    const [program = '', ...parameters] = [...pinned, ...(isCoturn ? coturn : own)];
    this.#child = spawn(program, parameters, { stdio: ['ignore', 'ignore', isCoturn ? 'ignore' : 'inherit'] });
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

/** What a process of `Server` runs when the server is none of coturn's. */
export async function serveAsChild([name, port]: readonly string[]): Promise<void> {
  await serve(name as ServerName, Number(port), USER, PASSWORD, Number.POSITIVE_INFINITY);
}
