/**
 * The reference is prose with generated tables between marks:
 *
 *     <!-- table: errors -->
 *     <!-- end -->
 *
 * A test holds each file against what the code's tables give; `npm run docs` writes what it would have.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';

export const docPath = (name: string): string => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url));
export const readDoc = (name: string): string => readFileSync(docPath(name), 'utf8');

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ').trim();

export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

export const code = (text: string): string => (text === '' ? '' : `\`${text}\``);

const marks = /<!-- table: (\S+) -->[\s\S]*?<!-- end -->/g;

/** The file with every marked table filled in anew. Throws when marks and tables are not the same. */
export async function filled(name: string, tables: Readonly<Record<string, string>>): Promise<string> {
  const text = readDoc(name);
  const marked = [...text.matchAll(marks)].map((match) => match[1] ?? '');
  if (marked.toSorted().join() !== Object.keys(tables).toSorted().join()) {
    throw new Error(`${name} marks ${marked.join(', ')}; there are ${Object.keys(tables).join(', ')}`);
  }
  const whole = text.replace(
    marks,
    (_, table: string) => `<!-- table: ${table} -->\n\n${tables[table] ?? ''}\n\n<!-- end -->`,
  );
  return format(whole, { ...(await resolveConfig(docPath(name))), parser: 'markdown' });
}

/** Rows of the hand-written table under a heading: cells without their backquotes. */
export function rowsUnder(name: string, heading: string): string[][] {
  const section =
    readDoc(name)
      .split(/^#+ /m)
      .find((part) => part.startsWith(`${heading}\n`)) ?? '';
  const lines = section.split('\n').filter((line) => line.startsWith('|'));
  return lines.slice(2).map((line) =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((text) => text.trim().replaceAll('`', '')),
  );
}
