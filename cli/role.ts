/** How a role runs: opened in order, ready when all is open, closed in reverse on a signal or when its parent is gone. */
import { Lifecycle, onStopSignal } from '../kernel/lifecycle.ts';
import type { Logger } from '../kernel/log.ts';
import { letGoOfParent, onParentGone, tellParent } from './child.ts';

/** Resolves once everything is closed again. What `open` throws is thrown after what was opened has been closed. */
export async function runRole(log: Logger, open: (lifecycle: Lifecycle) => Promise<void>): Promise<void> {
  const lifecycle = new Lifecycle(log);
  const stopped = new Promise<string>((resolve) => {
    onStopSignal(resolve);
    onParentGone(() => resolve('the service that started it is gone'));
  });
  try {
    await open(lifecycle);
    tellParent({ type: 'ready' });
    log.info({ reason: await stopped }, 'stopping');
  } finally {
    await lifecycle.close();
    letGoOfParent();
  }
}
