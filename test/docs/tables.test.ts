/** docs/tables.md against the database itself: what the migrations made is what is written down, to the column. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { tableNames, tables, views } from '../../collector/store/tables.ts';
import { hasEmbeddedStore, testDatabase } from '../embedded-store.ts';
import type { TestDatabase } from '../embedded-store.ts';
import { code, docPath, filled, markdownTable, readDoc } from './markdown.ts';

const columnRow = z.object({ table: z.string(), name: z.string(), type: z.string(), comment: z.string() });
type ColumnRow = z.output<typeof columnRow>;

function tableSection(name: (typeof tableNames)[number], columns: readonly ColumnRow[]): string {
  const { comment, orderBy, partitionBy, ageColumn, retentionDays } = tables[name];
  return [
    `## ${name}`,
    comment,
    `Sorted by ${code(orderBy)}, partitioned by ${code(partitionBy)}. Kept for ${retentionDays} days of ${code(ageColumn)} unless configured otherwise.`,
    columnTable(columns),
  ].join('\n\n');
}

/** A view's columns carry no comment of their own: one that passes a table's column on has that column's. */
function viewSection(name: keyof typeof views, columns: readonly ColumnRow[]): string {
  const comments = new Map(
    Object.values(tables).flatMap((table) => table.columns.map((column) => [column.name, column.comment])),
  );
  const passedOn = columns.map((column) => ({
    ...column,
    comment: comments.get(column.name) ?? viewColumns[column.name] ?? '',
  }));
  return [`## ${name} (view)`, views[name].comment, columnTable(passedOn)].join('\n\n');
}

const viewColumns: Readonly<Record<string, string>> = {
  egress_bytes: 'Bytes sent to the client in the window.',
  egress_packets: 'Packets sent to the client in the window.',
  ingress_bytes: 'Bytes received from the client in the window.',
};

const columnTable = (columns: readonly ColumnRow[]): string =>
  markdownTable(
    ['Column', 'Type', 'What it is'],
    columns.map(({ name, type, comment }) => [code(name), code(type), comment]),
  );

describe.skipIf(!hasEmbeddedStore)('docs/tables.md', () => {
  let store: TestDatabase;
  let columns: ColumnRow[];
  const columnsOf = (table: string): ColumnRow[] => columns.filter((column) => column.table === table);

  beforeAll(async () => {
    store = await testDatabase();
    columns = await store.select(
      columnRow,
      'SELECT table, name, type, comment FROM system.columns WHERE database = {database:String} ORDER BY table, position',
      { database: store.endpoint.database },
    );
  });
  afterAll(async () => {
    await store.drop();
    await store.close();
  });

  it('has exactly the tables, views and columns of a migrated database (npm run docs)', async () => {
    const sections = [
      ...tableNames.map((name) => tableSection(name, columnsOf(name))),
      ...(Object.keys(views) as (keyof typeof views)[]).map((name) => viewSection(name, columnsOf(name))),
    ];
    await expect(await filled('tables.md', { tables: sections.join('\n\n') })).toMatchFileSnapshot(
      docPath('tables.md'),
    );
  });

  it('leaves out nothing but the bookkeeping of migrations and rollups', () => {
    const made = new Set(columns.map(({ table }) => table));
    expect(made).toEqual(new Set([...tableNames, ...Object.keys(views), 'rollup_progress', 'schema_migrations']));
  });

  it('says of every column what it is', () => {
    const silent = tableNames.flatMap((name) => columnsOf(name).filter(({ comment }) => !/[.…]$/.test(comment)));
    expect(silent).toEqual([]);
    const known = new Set([
      ...Object.values(tables).flatMap((table) => table.columns.map(({ name }) => name)),
      ...Object.keys(viewColumns),
    ]);
    expect(columnsOf('egress').filter(({ name }) => !known.has(name))).toEqual([]);
  });

  it('shows queries that run', async () => {
    const queries = [...readDoc('tables.md').matchAll(/```sql\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
    expect(queries.length).toBeGreaterThan(1);
    for (const sql of queries) await expect(store.select(z.looseObject({}), sql)).resolves.toBeDefined();
  });
});
