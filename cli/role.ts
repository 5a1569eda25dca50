/**
 * How a role runs: opened in order, ready when all is open, closed in reverse on a signal or when its parent is gone. SIGHUP has
 * it read again what can be replaced meanwhile.
 */
import { Lifecycle, onReloadSignal, onStopSignal } from '../kernel/lifecycle.ts';
import type { Logger } from '../kernel/log.ts';
import { onParentGone, tellParent } from './child.ts';

/**
 * Resolves once everything is closed again. What `open` throws is thrown after what was opened has been closed. Told to
 * stop in the middle of `open`, it closes what there is, which ends the waiting for anything of it, and nothing is thrown.
 */
export async function runRole(log: Logger, open: (lifecycle: Lifecycle) => Promise<void>): Promise<void> {
  const lifecycle = new Lifecycle(log);
  const stopped = new Promise<string>((resolve) => {
    onStopSignal(resolve);
    onParentGone(() => resolve('the service that started it is gone'));
  });
  const ignoreReload = onReloadSignal(() => void lifecycle.reload());
  const opened = open(lifecycle);
  try {
    const isOpen = await Promise.race([opened.then(() => true), stopped.then(() => false)]);
    if (isOpen) await tellParent({ type: 'ready' });
    log.info({ reason: await stopped }, 'stopping');
  } finally {
    await lifecycle.close();
    await opened.catch(() => undefined);
    await lifecycle.close();
    ignoreReload();
  }
}
