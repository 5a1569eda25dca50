/** Text tables for people: columns aligned, numbers to the right, nothing truncated. The same rows give the same text. */
export interface TextColumn {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

type Row = readonly string[];

/** Lines without their ends: titles, a rule, the rows; with a foot, a second rule and the foot. */
export function textTable(columns: readonly TextColumn[], body: readonly Row[], foot?: Row): string[] {
  const rows = [columns.map(({ title }) => title), ...body, ...(foot === undefined ? [] : [foot])];
  const cells = rows.map((row) => columns.map((_, column) => printable(row[column] ?? '')));
  const widths = columns.map((_, column) => Math.max(...cells.map((row) => widthOf(row[column] ?? ''))));
  const written = cells.map((row) =>
    row
      .map((cell, column) => {
        const gap = ' '.repeat((widths[column] ?? 0) - widthOf(cell));
        return columns[column]?.align === 'right' ? gap + cell : cell + gap;
      })
      .join('  ')
      .trimEnd(),
  );
  const rule = widths.map((width) => '-'.repeat(width)).join('  ');
  const [head = '', ...rest] = written;
  return foot === undefined ? [head, rule, ...rest] : [head, rule, ...rest.slice(0, -1), rule, ...rest.slice(-1)];
}

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });
const widthOf = (text: string): number => Array.from(graphemes.segment(text)).length;

/** A whole number's digits with thousands separators. */
export function grouped(digits: string): string {
  return digits.replace(/\B(?=(\d{3})+$)/g, ',');
}

/** What comes from outside may hold control and formatting characters, which would move the reader's cursor. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\uFFFD');
}
