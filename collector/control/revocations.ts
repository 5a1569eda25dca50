/** Revocations in the store's terms. */
import { z } from 'zod';
import type { Revocation } from '../../relay/contract.ts';
import type { Row, StoreReader } from '../store/store.ts';

export interface AppRevocation extends Revocation {
  readonly app: string;
}

const sql = `SELECT app_id, subject, toUnixTimestamp64Milli(in_force_until) AS until
FROM control FINAL
WHERE kind = 'revocation'
  AND in_force_until > fromUnixTimestamp64Milli({now:Int64}, 'UTC')
  AND changed_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
ORDER BY changed_at, subject`;

const row = z.object({ app_id: z.string(), subject: z.string(), until: z.coerce.number() });

/** Those in force at `now` that were decided at `since` or later, oldest first. Unix milliseconds. */
export async function revocationsSince(reader: StoreReader, since: number, now: number): Promise<AppRevocation[]> {
  const rows = await reader.select(row, sql, { since, now });
  return rows.map(({ app_id: app, subject: username, until }) => ({ app, username, until }));
}

export function revocationRow({ app, username, until }: AppRevocation, now: number): Row {
  return { app_id: app, kind: 'revocation', subject: username, changed_at: now, in_force_until: until };
}
