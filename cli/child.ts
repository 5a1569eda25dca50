/**
 * A role in a process of its own. The parent holds an IPC channel: the child says `ready` or `failed` on it, and ends
 * when it closes, so that no role outlives the service that started it.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { z } from 'zod';
import { TurnpikeError } from '../kernel/errors.ts';
import type { Run } from './supervisor.ts';

const message = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ready') }),
  z.object({ type: z.literal('failed'), reason: z.string() }),
]);
type Message = z.output<typeof message>;

/** Milliseconds a child may take to close after SIGTERM, beside what it was given to drain, before it is killed. */
const STOP_GRACE_MS = 15_000;

export interface ChildOptions {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Seconds that it may drain when it is told to stop. */
  readonly drainSeconds?: number;
}

export interface ChildRun extends Run {
  readonly pid: number;
}

/** Starts the role and resolves when it says that it is ready. An abort stops it, ready or not. */
export async function startChild(options: ChildOptions, abort: AbortSignal): Promise<ChildRun> {
  const child = spawn(process.execPath, [options.program, ...options.args], {
    env: options.env,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    // A group of its own: Ctrl-C reaches the supervisor alone, which then stops its parts in order.
    detached: true,
  });
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`));
  });
  const stop = async () => {
    child.kill('SIGTERM');
    const killer = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS + (options.drainSeconds ?? 0) * 1000);
    await ended;
    clearTimeout(killer);
  };
  const stopEarly = () => void stop();
  abort.addEventListener('abort', stopEarly, { once: true });
  try {
    await readiness(child, ended, options.args[0] ?? '');
  } finally {
    abort.removeEventListener('abort', stopEarly);
  }
  return { pid: child.pid ?? 0, ended, stop, reload: () => void child.kill('SIGHUP') };
}

/** Rejects, once the process is gone, with the reason that the role gave, or else with how it ended. */
function readiness(child: ChildProcess, ended: Promise<string>, role: string): Promise<void> {
  let reason: string | undefined;
  return new Promise((resolve, reject) => {
    child.on('message', (raw: unknown) => {
      const told = message.safeParse(raw).data;
      if (told?.type === 'ready') resolve();
      if (told?.type === 'failed') reason = told.reason;
    });
    void ended.then((how) =>
      reject(new TurnpikeError('TP_CLI_ROLE', `The ${role} did not start: ${reason ?? `it ended with ${how}`}`)),
    );
  });
}

/** The child's side: tells the parent, and resolves, once it was told, with whether there is one. */
export function tellParent(told: Message): Promise<boolean> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) resolve(false);
    else process.send(told, undefined, undefined, (error: Error | null) => resolve(error === null));
  });
}

/** Calls `stop` when the parent is gone, or has been since before anybody listened. */
export function onParentGone(stop: () => void): void {
  if (process.send === undefined) return;
  if (process.connected) process.once('disconnect', stop);
  else stop();
}

/** Closes the channel, which would keep this process alive. */
export function letGoOfParent(): void {
  if (process.send !== undefined && process.connected) process.disconnect();
}
