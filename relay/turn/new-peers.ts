/**
 * New peers of one allocation: who tries address after address through a relay is scanning somebody, or being used to. A peer it
 * has or had a permission for costs nothing, so that calls and their refreshes are never held up.
 */
import type { AllocationRecord } from './allocation.ts';
import { spend } from './rate.ts';
import { limited, type Outcome, type TurnRequest } from './request.ts';
import type { Settings } from './settings.ts';

/** Seconds' worth of new peers that may come at once: all candidates of the other side arrive together. */
const BURST_SECONDS = 5;

/** Spends what these addresses cost; what to answer when the allocation has to wait. */
export function refusalOfNewPeers(
  { from, at }: Pick<TurnRequest, 'from' | 'at'>,
  allocation: AllocationRecord,
  addresses: ReadonlySet<string>,
  settings: Pick<Settings, 'newPeersPerSecond'>,
): Outcome | undefined {
  const count = allocation.permissions.newAmong(addresses);
  if (count === 0) return undefined;
  const perSecond = allocation.claims.limits.newPeersPerSecond ?? settings.newPeersPerSecond;
  const rate = { perSecond, burst: perSecond * BURST_SECONDS };
  const spent = spend(allocation.newPeers, at.monotonic, count, rate);
  if (spent !== undefined) {
    allocation.newPeers = spent;
    return undefined;
  }
  return from.transport === 'udp'
    ? { type: 'ignored', limit: 'new_peers' }
    : limited('new_peers', 'INSUFFICIENT_CAPACITY');
}
