/** One rule's figure for every app that had something to measure in the window before `now`. */
import { z } from 'zod';
import type { StoreReader } from '../../../collector/store/store.ts';
import type { AlertRule } from './alert-rules.ts';
import type { Measurement } from './alert-state.ts';

const row = z.object({ app: z.string(), value: z.number(), samples: z.coerce.number() });

export async function measure(
  reader: StoreReader,
  { sql, windowSeconds }: Pick<AlertRule, 'sql' | 'windowSeconds'>,
  now: number,
): Promise<Map<string, Measurement>> {
  const rows = await reader.select(row, sql, { from: now - windowSeconds * 1000, to: now });
  return new Map(rows.map(({ app, value, samples }) => [app, { value, samples }]));
}
