/** The records of an input: the lines of a file of JSON lines, the members of a JSON list, or one JSON value. */
import { TurnpikeError } from '../../kernel/errors.ts';
import { FILE_MARK } from './formats/rtcstats.ts';

export interface Record {
  readonly value: unknown;
  /** Place in the input, for messages. */
  readonly at: string;
  /** The line is no JSON. */
  readonly isBroken?: true;
}

/** Largest JSON value, and largest line of a file that has several, bytes. */
const MAX_VALUE = 64 * 1_048_576;
const MAX_LINE = 8 * 1_048_576;
/** A recording of ten hours has a few hundred thousand. */
const MAX_LINES = 2_000_000;
const NEWLINE = 10;

/** Throws TP_KERNEL_BAD_JSON when it is JSON neither as a whole nor by lines, TP_KERNEL_BODY_TOO_LARGE for what is too long. */
export async function* recordsOf(source: AsyncIterable<Buffer>): AsyncGenerator<Record> {
  const lines = linesOf(source)[Symbol.asyncIterator]();
  const first = await lines.next();
  if (first.done === true) throw new TurnpikeError('TP_KERNEL_BAD_JSON', 'There is nothing in it.');
  const value = first.value === FILE_MARK ? FILE_MARK : parse(first.value);
  const next = await lines.next();
  if (value === undefined) yield* valueRecords(await wholeOf(first.value, next, lines));
  else if (next.done === true) yield* valueRecords(value);
  else yield* lineRecords(value, next.value, lines);
}

async function* lineRecords(first: unknown, second: string, lines: AsyncIterator<string>): AsyncGenerator<Record> {
  yield { value: first, at: 'line 1' };
  let line = second;
  for (let number = 2; ; number += 1) {
    const at = `line ${number}`;
    if (line.length > MAX_LINE) throw tooLarge(at);
    const value = parse(line);
    if (value !== undefined) yield { value, at };
    else if (line.trim() !== '') yield { value: undefined, at, isBroken: true };
    const next = await lines.next();
    if (next.done === true) return;
    line = next.value;
  }
}

function* valueRecords(value: unknown): Generator<Record> {
  const isList = Array.isArray(value) && typeof value[0] === 'object' && value[0] !== null;
  if (!isList) yield { value, at: '' };
  else for (const [index, member] of value.entries()) yield { value: member, at: String(index) };
}

/** A value of several lines. */
async function wholeOf(first: string, second: IteratorResult<string>, lines: AsyncIterator<string>): Promise<unknown> {
  const parts = [first];
  let length = first.length;
  for (let next = second; next.done !== true; next = await lines.next()) {
    parts.push(next.value);
    length += next.value.length + 1;
    if (length > MAX_VALUE) throw tooLarge('The JSON value');
  }
  const value = parse(parts.join('\n'));
  if (value === undefined) throw new TurnpikeError('TP_KERNEL_BAD_JSON', 'It is no JSON, nor are its lines.');
  return value;
}

/** Undefined, which JSON does not have, for what is none. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Lines without their ends; blank ones at the beginning are left out. */
async function* linesOf(source: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let begun = false;
  let count = 0;
  let parts: Buffer[] = [];
  let length = 0;
  const line = (): string => {
    const text = Buffer.concat(parts)
      .toString('utf8')
      .replace(/\r$/, '')
      .replace(/^\uFEFF/, '');
    parts = [];
    length = 0;
    begun ||= text.trim() !== '';
    return text;
  };
  for await (const chunk of source) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      count += 1;
      if (count > MAX_LINES) throw tooLarge('The recording');
      parts.push(chunk.subarray(start, end));
      const text = line();
      if (begun) yield text;
      start = end + 1;
    }
    parts.push(chunk.subarray(start));
    length += chunk.length - start;
    if (length > MAX_VALUE) throw tooLarge('The JSON value');
  }
  const last = line();
  if (last.trim() !== '') yield last;
}

function tooLarge(what: string): TurnpikeError {
  return new TurnpikeError('TP_KERNEL_BODY_TOO_LARGE', `${what} is longer than this route accepts.`);
}
