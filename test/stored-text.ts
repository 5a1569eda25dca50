/** Searches all that a database holds as text, for tests of what must not be there. */
import { z } from 'zod';
import type { StoreReader } from '../collector/store/store.ts';

/** `table.column` of every text column of the database, views included, in which one of the texts stands, whatever its case. */
export async function columnsWith(store: StoreReader, texts: readonly string[]): Promise<string[]> {
  const tables = await store.select(
    z.object({ table: z.string(), columns: z.array(z.string()) }),
    `SELECT table, groupArray(name) AS columns FROM system.columns
WHERE database = currentDatabase() AND type LIKE '%String%' GROUP BY table ORDER BY table`,
  );
  const found: string[] = [];
  for (const { table, columns } of tables) {
    const has = (column: string) =>
      `max(arrayExists(text -> positionCaseInsensitiveUTF8(toString(ifNull(${column}, '')), text) > 0, {texts:Array(String)}))`;
    const [row] = await store.select(
      z.object({ has: z.array(z.number()) }),
      `SELECT [${columns.map(has).join(', ')}] AS has FROM ${table}`,
      { texts },
    );
    found.push(...columns.filter((_, index) => row?.has[index] === 1).map((column) => `${table}.${column}`));
  }
  return found;
}
