/**
 * The erasure of a participant: what it is called, and its statements.
 *
 * Rows that say how somebody's call was are removed. Rows of metering stay, since they are what was billed, and get another
 * participant: a name made of a hash, one for each app and participant, so that a call which went through an SFU and TURN is still
 * charged once. Statements know a row by that hash as well. So the id itself stands nowhere, neither in `control`, which remembers
 * the erasure, nor in the server's lists of mutations and queries.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Row, StoreReader } from '../store/store.ts';
import { storedTable } from '../store/ddl.ts';
import type { Place } from '../store/ddl.ts';
import { tableNames, tables } from '../store/tables.ts';
import type { TableName } from '../store/tables.ts';

/** Somebody as an app names them: in all of their calls, or in one. */
export interface Person {
  readonly app: string;
  readonly participant: string;
  readonly call?: string | undefined;
}

const kinds = ['erasure', 'erasure_in_call'] as const;

export interface Erasure {
  readonly kind: (typeof kinds)[number];
  readonly app: string;
  /** What stands for the participant from now on. */
  readonly name: string;
  /** When it was decided, Unix milliseconds: reports of before are not taken any more. */
  readonly at: number;
}

/** Rows of a person in one table, and what becomes of them. */
export interface PersonalRows {
  readonly table: TableName;
  readonly rows: number;
  readonly fate: 'removed' | 'renamed';
}

/** As long as any table can be told to keep rows, days: until then something of before may come. */
const IN_FORCE_DAYS = 3_650;
const DAY_MS = 86_400_000;

/** Every table that names participants. What is billed is flushed to the disk; all else is about how it was. */
const personalTables = tableNames.filter((name) =>
  tables[name].columns.some((column) => column.name === 'participant_id'),
);
export const fateOf = (table: TableName): PersonalRows['fate'] => ('flushed' in tables[table] ? 'renamed' : 'removed');

/** No name has the separator in it. */
export function erasedName({ app, participant, call }: Person): string {
  const whole = [app, participant, ...(call === undefined ? [] : [call])].join('\0');
  return `erased-${createHash('sha256').update(whole).digest('hex').slice(0, 32)}`;
}

const nameSql = (columns: readonly string[]): string =>
  `concat('erased-', lower(substring(hex(SHA256(concat(${columns.join(`, '\\0', `)}))), 1, 32)))`;
const NAME_SQL: Readonly<Record<Erasure['kind'], string>> = {
  erasure: nameSql(['app_id', 'participant_id']),
  erasure_in_call: nameSql(['app_id', 'participant_id', 'call_id']),
};

export function erasureOf(person: Person, at: number): Erasure {
  const kind = person.call === undefined ? 'erasure' : 'erasure_in_call';
  return { kind, app: person.app, name: erasedName(person), at };
}

export function erasureRow({ app, kind, name, at }: Erasure): Row {
  return { app_id: app, kind, subject: name, changed_at: at, in_force_until: at + IN_FORCE_DAYS * DAY_MS };
}

const erasureRecord = z.object({
  kind: z.enum(kinds),
  app: z.string(),
  name: z.string(),
  at: z.coerce.number(),
});

/** All that are in force, each as it was decided last. */
export function erasuresIn(reader: StoreReader): Promise<Erasure[]> {
  return reader.select(
    erasureRecord,
    `SELECT kind, app_id AS app, subject AS name, toUnixTimestamp64Milli(max(changed_at)) AS at
FROM control WHERE kind IN {kinds:Array(String)} GROUP BY kind, app, name`,
    { kinds: [...kinds] },
  );
}

/** `late`: only rows that came after it was decided, from an insert that did not know of it yet, and of reports only what they say of before. */
export interface Extent {
  readonly late?: true;
}

/** An insert that began so many milliseconds ago, by any clock here, is over. */
export const UNDER_WAY_MS = 120_000;

function conditionOf(table: TableName, { kind, name, at }: Erasure, { late }: Extent): string {
  const moment = (milliseconds: number) => `fromUnixTimestamp64Milli(${milliseconds}, 'UTC')`;
  const bounds = late === undefined ? [] : [`stored_at >= ${moment(at - UNDER_WAY_MS)}`];
  if (late !== undefined && fateOf(table) === 'removed') bounds.push(`${tables[table].ageColumn} <= ${moment(at)}`);
  return [...bounds, 'app_id = {app:String}', `${NAME_SQL[kind]} = '${name}'`].join(' AND ');
}

/** How many rows there are, table by table, as they lie in the store: a row that came twice counts twice until parts merge. */
export async function personalRows(
  reader: StoreReader,
  erasure: Erasure,
  extent: Extent = {},
): Promise<PersonalRows[]> {
  const found: PersonalRows[] = [];
  for (const table of personalTables) {
    const [counted] = await reader.select(
      z.object({ rows: z.coerce.number() }),
      `SELECT count() AS rows FROM ${table} WHERE ${conditionOf(table, erasure, extent)}`,
      { app: erasure.app },
    );
    found.push({ table, rows: counted?.rows ?? 0, fate: fateOf(table) });
  }
  return found;
}

/** The statement that removes or renames them. It has begun when it is answered; parts are rewritten, so nothing is left behind in them. */
export function erasingSql(table: TableName, erasure: Erasure, extent: Extent, place: Place): string {
  const change = fateOf(table) === 'removed' ? 'DELETE' : `UPDATE participant_id = '${erasure.name}'`;
  return `ALTER TABLE ${storedTable(table, place)} ${change} WHERE ${conditionOf(table, erasure, extent)}`;
}

/** Changes of the table that have begun and are not done, on all of its replicas, and why, where one cannot go on. */
export async function pendingIn(
  reader: StoreReader,
  table: TableName,
  { cluster, database }: Place,
): Promise<{ pending: number; fault: string }> {
  const mutations = cluster === undefined ? 'system.mutations' : `clusterAllReplicas(${cluster}, system.mutations)`;
  const [found] = await reader.select(
    z.object({ pending: z.coerce.number(), fault: z.string() }),
    `SELECT count() AS pending, max(latest_fail_reason) AS fault FROM ${mutations}
WHERE database = {database:String} AND table = {table:String} AND NOT is_done`,
    { database, table: cluster === undefined ? table : `${table}_local` },
  );
  return found ?? { pending: 0, fault: '' };
}
