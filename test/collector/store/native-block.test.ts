import { createClient } from '@clickhouse/client';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { nativeEncoder } from '../../../collector/store/native-block.ts';
import type { Row } from '../../../collector/store/store.ts';
import { writtenColumns } from '../../../collector/store/table.ts';
import { tables } from '../../../collector/store/tables.ts';
import { bigintAsString } from '../../../kernel/bytes.ts';
import { streamRow } from '../../conformance/store.ts';
import { hasEmbeddedStore, testDatabase } from '../../embedded-store.ts';
import type { TestDatabase } from '../../embedded-store.ts';

const columns = writtenColumns(tables.stream_intervals);
const encode = nativeEncoder(columns);

describe('a block of rows', () => {
  it('is as ClickHouse documents it', () => {
    const block = nativeEncoder([
      { name: 'word', type: 'LowCardinality(String)' },
      { name: 'count', type: 'Nullable(UInt16)' },
      { name: 'unknown', type: 'Nullable(UInt64)' },
    ])([
      { word: 'é', count: 258, unknown: null },
      { word: '', count: null },
    ]);
    const written = (text: string) => [text.length, ...Buffer.from(text)];
    const head = [2, 2]; // columns, rows: what has no value in any row is left to its default
    const words = [...written('word'), ...written('String'), 2, 0xc3, 0xa9, 0];
    const nulls = [0, 1];
    const counts = [...written('count'), ...written('Nullable(UInt16)'), ...nulls, 2, 1, 0, 0];
    expect([...block]).toEqual([...head, ...words, ...counts]);
  });

  it('repeats a text that is as long as its length takes two bytes', () => {
    const long = 'x'.repeat(300);
    const block = nativeEncoder([{ name: 'a', type: 'String' }])([{ a: long }, { a: long }, { a: 'y' }, { a: long }]);
    const text = Buffer.concat([Buffer.from([0xac, 0x02]), Buffer.from(long)]);
    expect(block.subarray(-(3 * text.length + 2))).toEqual(Buffer.concat([text, text, Buffer.from([1, 0x79]), text]));
  });

  it.each([
    ['a column that is misspelt', { packet: 1 }],
    ['a count that is negative', { packets: -1 }],
    ['a count with a fraction', { packets: 1.5 }],
    ['a count that a number cannot hold exactly', { packets: 2 ** 53 }],
    ['a count of more than 64 bits', { packets: 1n << 64n }],
    ['a count of more than 64 bits with its sign', { packets_lost: -(1n << 63n) - 1n }],
    ['what is wider than its column', { frame_width: 65_536 }],
    ['a decimal of ten digits', { jitter_ms: 10_000_000 }],
    ['a decimal that is none', { jitter_ms: Number.NaN }],
    ['a word that is none of the column', { kind: 'data' }],
    ['a number for a text', { codec: 1 }],
    ['a time that is none', { ts: 'yesterday' }],
  ])('refuses %s', (_, change) => {
    expect(() => encode([streamRow(), streamRow(change)])).toThrow(TypeError);
  });

  it('refuses NULL where the column has none', () => {
    expect(() => encode([streamRow(), streamRow({ ssrc: null })])).toThrow('ssrc cannot be NULL');
  });

  it('is not made of types that it does not write', () => {
    expect(() => nativeEncoder([{ name: 'list', type: 'Array(String)' }])).toThrow(TypeError);
  });
});

const anything = fc.record(Object.fromEntries(columns.map(({ name, type }) => [name, valueOf(type)])));

function valueOf(type: string): fc.Arbitrary<Row[string]> {
  const inner = /^(?:LowCardinality|Nullable)\((.*)\)$/.exec(type)?.[1];
  if (type.startsWith('Nullable')) return fc.option(valueOf(inner ?? ''));
  if (inner !== undefined) return valueOf(inner);
  const words = Array.from(type.matchAll(/'(\w+)' =/g), ([, word = '']) => word);
  const digits = /^Decimal32\((\d)\)$/.exec(type)?.[1];
  if (type.startsWith('Enum8')) return fc.constantFrom(...words);
  if (digits !== undefined) {
    return fc.integer({ min: -999_999_999, max: 999_999_999 }).map((scaled) => scaled / 10 ** Number(digits));
  }
  if (type.startsWith('DateTime64')) {
    const time = fc.integer({ min: Date.UTC(2026, 10, 20), max: Date.UTC(2026, 10, 21) - 1 });
    return fc.oneof(
      time,
      time.map((at) => new Date(at).toISOString()),
    );
  }
  if (type === 'UInt64') return fc.oneof(fc.maxSafeNat(), fc.bigInt(0n, (1n << 64n) - 1n));
  if (type === 'Int64') return fc.oneof(fc.maxSafeInteger(), fc.bigInt(-(1n << 63n), (1n << 63n) - 1n));
  if (type === 'UInt32') return fc.integer({ min: 0, max: 0xffff_ffff });
  if (type === 'UInt16') return fc.integer({ min: 0, max: 0xffff });
  return fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('', '\u0000', '\ud800', 'x'.repeat(200)));
}

describe.skipIf(!hasEmbeddedStore)('rows in blocks', () => {
  let store: TestDatabase;
  beforeAll(async () => {
    store = await testDatabase();
    await store.command('CREATE TABLE twin AS stream_intervals');
  });

  it('are the rows that they are in JSON', async () => {
    const { url, user: username, password, database } = store.endpoint;
    const client = createClient({
      url,
      username,
      password,
      database,
      json: { stringify: (value) => JSON.stringify(value, bigintAsString) },
    });
    const all = (table: string) => store.select(z.looseObject({}), `SELECT * FROM ${table} ORDER BY batch_seq`);
    const numbered = (rows: readonly Row[]) => rows.map((row, index) => ({ ...row, batch_seq: index }));
    try {
      await fc.assert(
        fc.asyncProperty(fc.array(anything, { minLength: 1, maxLength: 40 }), async (given) => {
          for (const table of ['stream_intervals', 'twin']) await store.command(`TRUNCATE TABLE ${table}`);
          const rows = numbered(given);
          await store.insert('stream_intervals', rows);
          await client.insert({
            table: 'twin',
            values: rows.map(plain),
            format: 'JSONEachRow',
            clickhouse_settings: { date_time_input_format: 'best_effort' },
          });
          const stored = await all('stream_intervals');
          expect(stored).toHaveLength(rows.length);
          expect(stored).toEqual(await all('twin'));
        }),
        { numRuns: 25 },
      );
    } finally {
      await client.close();
    }
  });
});

const wellFormed = (value: Row[string] | undefined): Row[string] =>
  typeof value === 'string' ? Buffer.from(value).toString() : (value ?? null);

/** As JSON can carry it: no lone surrogates, times as text. */
function plain(row: Row): Row {
  const ts = typeof row['ts'] === 'number' ? new Date(row['ts']).toISOString() : (row['ts'] ?? null);
  return Object.fromEntries(Object.entries({ ...row, ts }).map(([name, value]) => [name, wellFormed(value)]));
}
