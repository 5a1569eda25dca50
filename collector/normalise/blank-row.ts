/** Rows to be filled in: every column that comes with a row, NULL until something is known. */
import type { Row } from '../store/store.ts';
import { writtenColumns } from '../store/table.ts';
import { tables } from '../store/tables.ts';
import type { TableName } from '../store/tables.ts';

export type Values = Record<string, Row[string]>;

/** The columns that every reported row begins with. */
export interface Leading {
  readonly app_id: string;
  readonly call_id: string;
  readonly participant_id: string;
  readonly connection_id: string;
  readonly ts: number;
  readonly batch_seq: number;
  readonly sample_index: number;
}

/**
 * Copies of what this answers keep one hidden class. Built member by member from names in a table, an object of so many
 * members becomes a hash table in V8, and each copy of it ten times dearer; what JSON.parse makes does not.
 */
export function blankRow(table: TableName): Readonly<Values> {
  const names = writtenColumns(tables[table]).map(({ name }) => `${JSON.stringify(name)}:null`);
  return JSON.parse(`{${names.join(',')}}`) as Values;
}
