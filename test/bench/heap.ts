/** How much of the heap a Node process uses after a collection: asked of it over its IPC channel. Started with --expose-gc. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** To be called in the process. */
export function answerMemory(): void {
  process.on('message', (question) => {
    if (question !== 'heap') return;
    globalThis.gc?.();
    process.send?.({ heap: process.memoryUsage().heapUsed });
  });
}

/** Octets. */
export async function heapOf(child: ChildProcess): Promise<number> {
  child.send('heap');
  const [answer] = (await once(child, 'message')) as [{ heap: number }];
  return answer.heap;
}
