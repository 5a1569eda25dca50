/**
 * An allocation that outlives the process that gave it: what a predecessor wrote down is judged as of now, and what is still good
 * goes on under its old id, with the rest of every lifetime and of its quota. Rates and the budget of new peers begin anew.
 */
import type { AllocationId, Command } from '../planes/plane.ts';
import { limitsOf, openPort } from './allocate.ts';
import { type AllocationRecord, siblingOf } from './allocation.ts';
import type { Instant } from './authenticator.ts';
import type { State } from './request.ts';
import { momentOf, restoredAllocation, writtenAllocation } from './snapshot.ts';

/** Why an allocation does not go on. */
export type NotResumed =
  /** Written by another version, or damaged. */
  | 'unreadable'
  /** Its lifetime, or its credential's, ran out meanwhile. */
  | 'expired'
  /** Its credential was revoked, or its key taken out of the configuration. */
  | 'credential'
  /** It had sent all that it may, or its app has. */
  | 'quota'
  /** Somebody else has its five-tuple. */
  | 'taken';

export type Resumed =
  | { readonly ok: true; readonly id: AllocationId; readonly commands: readonly Command[] }
  | { readonly ok: false; readonly reason: NotResumed };

const refused = (reason: NotResumed): Resumed => ({ ok: false, reason });

export function resume(written: unknown, sent: bigint, at: Instant, { table, settings, spent }: State): Resumed {
  const read = writtenAllocation.safeParse(written);
  if (!read.success) return refused('unreadable');
  const record = restoredAllocation(read.data.allocation, momentOf(read.data.takenAt, at), settings);
  const { relayed } = record;
  if (record.state !== 'live' || relayed === undefined) return refused('unreadable');
  // Sent in an earlier life, so that the plane will not count it again; and spent by the credential, whatever becomes of this.
  if (record.claims.limits.bytes !== undefined) spent.add(record.username, sent, record.startsUntil);
  if (record.deadline <= at.monotonic) return refused('expired');
  const standing = settings.authenticator.lookup(record.username, at);
  // One that merely expired is judged by the allocation's own deadline (onExpiry).
  if (!standing.ok && standing.reason !== 'expired') return refused('credential');
  if (settings.isCapped(record.app, at)) return refused('quota');
  const limits = limitsOf(record.claims.limits, spent.of(record.username));
  if (limits.bytes === 0n) return refused('quota');
  const other = table.of(record.fiveTuple);
  const isSibling = other?.username === record.username && siblingOf(other, record.relayFamily) === undefined;
  if (table.get(record.id) !== undefined || (other !== undefined && !isSibling)) return refused('taken');

  record.isReopening = true;
  table.add(record);
  const open = openPort(record, relayed.port, limits);
  return { ok: true, id: record.id, commands: [open, ...installed(record, at.monotonic)] };
}

/** Permissions and channels that are still alive; those at rest are the core's business alone. */
function installed({ id, permissions, channels }: AllocationRecord, now: number): Command[] {
  const permits = permissions
    .entries()
    .filter(([, deadline]) => deadline > now)
    .map(([peer, deadline]): Command => ({ type: 'permit', allocation: id, peer, deadline }));
  const binds = channels
    .entries()
    .filter(({ deadline }) => deadline > now)
    .map(({ number, peer, deadline }): Command => {
      return { type: 'bind', allocation: id, channel: number, peer, deadline };
    });
  return [...permits, ...binds];
}
