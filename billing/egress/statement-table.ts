/** A statement as a table of plain text, for terminals and `?format=table`. The same statement gives the same text. */
import type { Statement } from '../contract.ts';

type Row = readonly string[];

const LEFT_COLUMNS = 3;

/** Bytes are whole and exact, with thousands separators; money is in the card's currency. */
export function renderTable(statement: Statement): string {
  const { period, rateCard, allowance, lines, totals, asOf, app } = statement;
  const head: Row = [
    'App',
    'Customer',
    'Meter',
    'Bytes',
    'Counted twice',
    'Free',
    'Charged',
    `Cost ${rateCard.currency}`,
  ];
  const body = lines.map((line): Row => [
    line.app,
    line.customId === '' ? '-' : line.customId,
    line.meter,
    ...figures(line),
  ]);
  const foot: Row = ['Total', '', '', ...figures(totals)];
  const whose = app === null ? '' : `, app ${printable(app)}`;
  return [
    `Egress statement ${period.name}${whose}: ${minute(period.start)} to ${minute(period.end)} UTC`,
    `Rate card ${rateCard.id}: ${rateCard.provider}, 1 GB = ${grouped(rateCard.gbBytes)} bytes, as of ${rateCard.asOf}`,
    asOf === null ? 'Nothing was metered in this period.' : `Metered up to ${asOf.slice(0, 19).replace('T', ' ')} UTC`,
    '',
    ...table(head, body, foot),
    '',
    `Free allowance: ${grouped(allowance.usedBytes)} of ${grouped(allowance.bytes)} bytes used (${percent(allowance)} %)`,
    '',
  ].join('\n');
}

function figures(row: Statement['totals']): Row {
  return [grouped(row.bytes), grouped(row.overlapBytes), grouped(row.freeBytes), grouped(row.chargedBytes), row.cost];
}

function table(head: Row, body: readonly Row[], foot: Row): string[] {
  const rows = [head, ...body, foot].map((row) => row.map(printable));
  const widths = head.map((_, column) => Math.max(...rows.map((row) => width(row[column] ?? ''))));
  const written = rows.map((row) =>
    row
      .map((cell, column) => {
        const gap = ' '.repeat((widths[column] ?? 0) - width(cell));
        return column < LEFT_COLUMNS ? cell + gap : gap + cell;
      })
      .join('  ')
      .trimEnd(),
  );
  const rule = widths.map((length) => '-'.repeat(length)).join('  ');
  return [written[0] ?? '', rule, ...written.slice(1, -1), rule, written.at(-1) ?? ''];
}

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });
const width = (text: string): number => Array.from(graphemes.segment(text)).length;

/** Customer names come from outside: control and formatting characters would move the reader's cursor. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\uFFFD');
}

function grouped(digits: string): string {
  return digits.replace(/\B(?=(\d{3})+$)/g, ',');
}

const minute = (iso: string): string => iso.slice(0, 16).replace('T', ' ');

/** Share of the allowance to a hundredth of a percent, rounded down: 100.00 only when all of it is used. */
function percent({ bytes, usedBytes }: Statement['allowance']): string {
  if (bytes === '0') return '0.00';
  const hundredths = ((BigInt(usedBytes) * 10_000n) / BigInt(bytes)).toString().padStart(3, '0');
  return `${hundredths.slice(0, -2)}.${hundredths.slice(-2)}`;
}
