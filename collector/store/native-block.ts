/**
 * Rows as one block of ClickHouse's Native format (https://clickhouse.com/docs/interfaces/formats/Native), column by column: half
 * of what JSON costs, in a third of its bytes. Only of the types that tables of reports have.
 *
 * A block is the number of columns and of rows (LEB128), then for each column its name, its type and its values. A string is its
 * length (LEB128) and its UTF-8; numbers are little-endian; a Nullable column has a byte for each row before its values, 1 for NULL.
 */
import type { Row } from './store.ts';

type Value = Row[string];
type Write = (block: Block, value: Value) => void;

interface Column {
  readonly name: string;
  readonly type: string;
}

interface Writer {
  readonly column: Column;
  /** As it is told to the server, which casts it to the column's own. */
  readonly type: string;
  readonly isNullable: boolean;
  readonly write: Write;
  /** What stands where NULL does. */
  readonly blank: Value;
}

/** Makes the encoder of a table's rows. Throws TypeError for a column of a type that it does not write. */
export function nativeEncoder(columns: readonly Column[]): (rows: readonly Row[]) => Buffer {
  const writers = columns.map(writerOf);
  const known = new Set(columns.map(({ name }) => name));
  return (rows) => {
    for (const row of rows) {
      for (const name in row) if (!known.has(name)) throw new TypeError(`there is no column ${JSON.stringify(name)}`);
    }
    // A column without a value is left out: the server fills in its default.
    const present = writers.filter(({ column: { name } }) => rows.some((row) => (row[name] ?? null) !== null));
    const block = new Block();
    block.length(present.length);
    block.length(rows.length);
    for (const writer of present) writeColumn(block, writer, rows);
    return block.take();
  };
}

function writeColumn(
  block: Block,
  { column: { name }, type, isNullable, write, blank }: Writer,
  rows: readonly Row[],
): void {
  block.string(name);
  block.string(type);
  if (isNullable) for (const row of rows) block.byte((row[name] ?? null) === null ? 1 : 0);
  for (const row of rows) {
    const value = row[name] ?? null;
    if (value === null && !isNullable) throw new TypeError(`${name} cannot be NULL`);
    write(block, value ?? blank);
  }
}

const INTEGERS: Readonly<Record<string, readonly [bytes: 1 | 2 | 4, least: number, most: number]>> = {
  UInt8: [1, 0, 0xff],
  UInt16: [2, 0, 0xffff],
  UInt32: [4, 0, 0xffff_ffff],
};

function writerOf(column: Column): Writer {
  const bare = /^LowCardinality\((.*)\)$/.exec(column.type)?.[1] ?? column.type;
  const inner = /^Nullable\((.*)\)$/.exec(bare)?.[1];
  const type = inner ?? bare;
  return {
    column,
    type: bare,
    isNullable: inner !== undefined,
    write: writeOf(type),
    blank: type === 'String' ? '' : blankOf(type),
  };
}

const blankOf = (type: string): Value => /^Enum8\('([^']*)'/.exec(type)?.[1] ?? 0;

function writeOf(type: string): Write {
  const integer = INTEGERS[type];
  if (integer !== undefined) {
    const [bytes, least, most] = integer;
    return (block, value) => block.integer(within(value, least, most, type), bytes);
  }
  if (type === 'String') return (block, value) => block.string(text(value));
  if (type === 'UInt64' || type === 'Int64') return (block, value) => block.long(long(value, type));
  if (type.startsWith('DateTime64(3')) return (block, value) => block.long(moment(value));
  const digits = /^Decimal32\((\d)\)$/.exec(type)?.[1];
  if (digits !== undefined) {
    const scale = 10 ** Number(digits);
    return (block, value) =>
      block.integer(within(Math.round(Number(value) * scale), -999_999_999, 999_999_999, type), 4);
  }
  const words = new Map(
    Array.from(type.matchAll(/'([^']*)' = (-?\d+)/g), ([, word = '', number]) => [word, Number(number)]),
  );
  if (!type.startsWith('Enum8(')) throw new TypeError(`${type} is no type of a block`);
  return (block, value) => {
    const number = words.get(text(value));
    if (number === undefined) throw new TypeError(`${JSON.stringify(value)} is none of ${type}`);
    block.integer(number, 1);
  };
}

function text(value: Value): string {
  if (typeof value !== 'string') throw new TypeError(`${String(value)} is no text`);
  return value;
}

function within(value: Value, least: number, most: number, type: string): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
    throw new TypeError(`${String(value)} is no ${type}`);
  }
  return value;
}

/** A count may also be a decimal string, as it is after JSON. */
function long(value: Value, type: string): number | bigint {
  if (typeof value === 'number' && Number.isSafeInteger(value) && (value >= 0 || type === 'Int64')) return value;
  const exact = typeof value === 'string' && /^-?\d{1,20}$/.test(value) ? BigInt(value) : value;
  const fits =
    typeof exact === 'bigint' && (type === 'Int64' ? BigInt.asIntN(64, exact) : BigInt.asUintN(64, exact)) === exact;
  if (!fits) throw new TypeError(`${String(value)} is no ${type}`);
  return exact;
}

/** Unix milliseconds, or ISO 8601. */
function moment(value: Value): number {
  const at = typeof value === 'string' ? Date.parse(value) : value;
  if (typeof at !== 'number' || !Number.isFinite(at)) throw new TypeError(`${String(value)} is no time`);
  return Math.round(at);
}

/** Bytes that grow. */
class Block {
  #bytes = Buffer.allocUnsafe(65_536);
  #view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
  #at = 0;
  #lastString: string | undefined;
  #lastStart = 0;
  #lastEnd = 0;

  take(): Buffer {
    return this.#bytes.subarray(0, this.#at);
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#at++] = value;
  }

  /** A signed one is written as its two's complement. */
  integer(value: number, bytes: 1 | 2 | 4): void {
    this.#reserve(4);
    this.#view.setInt32(this.#at, value, true);
    this.#at += bytes;
  }

  long(value: number | bigint): void {
    this.#reserve(8);
    if (typeof value === 'number' && value >= 0) {
      this.#view.setUint32(this.#at, value % TWO_32, true);
      this.#view.setUint32(this.#at + 4, value / TWO_32, true);
    } else this.#view.setBigInt64(this.#at, BigInt.asIntN(64, BigInt(value)), true);
    this.#at += 8;
  }

  length(value: number): void {
    let rest = value;
    for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) this.byte((rest & 0x7f) | 0x80);
    this.byte(rest);
  }

  string(value: string): void {
    // What the rows of one request have in common stands in one row after the other.
    if (value === this.#lastString) {
      const [start, end] = [this.#lastStart, this.#lastEnd];
      this.#reserve(end - start);
      this.#bytes.copyWithin(this.#at, start, end);
      this.#at += end - start;
      return;
    }
    this.#lastStart = this.#at;
    const bytes = Buffer.byteLength(value);
    this.length(bytes);
    this.#reserve(bytes);
    this.#at += this.#bytes.write(value, this.#at);
    this.#lastString = value;
    this.#lastEnd = this.#at;
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + bytes));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer, larger.byteOffset, larger.byteLength);
  }
}

const TWO_32 = 0x1_0000_0000;
