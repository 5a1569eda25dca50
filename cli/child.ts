/**
 * A role in a process of its own. The parent holds an IPC channel: the child says `ready` or `failed` on it, and ends
 * when it closes, so that no role outlives the service that started it.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { z } from 'zod';
import { TurnpikeError } from '../kernel/errors.ts';
import type { Run } from './supervisor.ts';

const message = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ready') }),
  z.object({ type: z.literal('failed'), reason: z.string() }),
]);
type Message = z.output<typeof message>;

/** Milliseconds a child may take to drain after SIGTERM before it is killed. */
const STOP_GRACE_MS = 15_000;

export interface ChildOptions {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

export interface ChildRun extends Run {
  readonly pid: number;
}

/** Starts the role and resolves when it says that it is ready. */
export async function startChild(options: ChildOptions): Promise<ChildRun> {
  const child = spawn(process.execPath, [options.program, ...options.args], {
    env: options.env,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    // A group of its own: Ctrl-C reaches the supervisor alone, which then stops its parts in order.
    detached: true,
  });
  const ended = once(child, 'exit').then(([code, signal]) =>
    signal === null ? `exit code ${String(code)}` : `signal ${String(signal)}`,
  );
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.on('message', (raw: unknown) => {
      const told = message.safeParse(raw).data;
      if (told?.type === 'ready') resolve();
      if (told?.type === 'failed') reject(new TurnpikeError('TP_CLI_ROLE', told.reason));
    });
    void ended.then((how) => reject(new TurnpikeError('TP_CLI_ROLE', `${options.args[0]} ended early: ${how}`)));
  });
  return {
    pid: child.pid ?? 0,
    ended,
    async stop() {
      child.kill('SIGTERM');
      const killer = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS);
      await ended;
      clearTimeout(killer);
    },
  };
}

/** The child's side: tells the parent, if there is one. */
export function tellParent(told: Message): void {
  if (process.send !== undefined && process.connected) process.send(told);
}

/** Calls `stop` when the parent is gone. */
export function onParentGone(stop: () => void): void {
  if (process.send !== undefined) process.once('disconnect', stop);
}

/** Closes the channel, which would keep this process alive. */
export function letGoOfParent(): void {
  if (process.send !== undefined && process.connected) process.disconnect();
}
