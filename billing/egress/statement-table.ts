/** A statement as a table of plain text, for terminals and `?format=table`. The same statement gives the same text. */
import { grouped, printable, textTable } from '../../kernel/text-table.ts';
import type { Statement } from '../contract.ts';

/** Bytes are whole and exact, with thousands separators; money is in the card's currency. */
export function renderTable(statement: Statement): string {
  const { period, rateCard, allowance, lines, totals, asOf, app } = statement;
  const columns = [
    ...['App', 'Customer', 'Meter'].map((title) => ({ title })),
    ...['Bytes', 'Counted twice', 'Free', 'Charged', `Cost ${rateCard.currency}`].map((title) => ({
      title,
      align: 'right' as const,
    })),
  ];
  const body = lines.map((line) => [
    line.app,
    line.customId === '' ? '-' : line.customId,
    line.meter,
    ...figures(line),
  ]);
  const foot = ['Total', '', '', ...figures(totals)];
  const whose = app === null ? '' : `, app ${printable(app)}`;
  return [
    `Egress statement ${period.name}${whose}: ${minute(period.start)} to ${minute(period.end)} UTC`,
    `Rate card ${rateCard.id}: ${rateCard.provider}, 1 GB = ${grouped(rateCard.gbBytes)} bytes, as of ${rateCard.asOf}`,
    asOf === null ? 'Nothing was metered in this period.' : `Metered up to ${asOf.slice(0, 19).replace('T', ' ')} UTC`,
    '',
    ...textTable(columns, body, foot),
    '',
    `Free allowance: ${grouped(allowance.usedBytes)} of ${grouped(allowance.bytes)} bytes used (${percent(allowance)} %)`,
    '',
  ].join('\n');
}

function figures(row: Statement['totals']): string[] {
  return [grouped(row.bytes), grouped(row.overlapBytes), grouped(row.freeBytes), grouped(row.chargedBytes), row.cost];
}

const minute = (iso: string): string => iso.slice(0, 16).replace('T', ' ');

/** Share of the allowance to a hundredth of a percent, rounded down: 100.00 only when all of it is used. */
function percent({ bytes, usedBytes }: Statement['allowance']): string {
  if (bytes === '0') return '0.00';
  const hundredths = ((BigInt(usedBytes) * 10_000n) / BigInt(bytes)).toString().padStart(3, '0');
  return `${hundredths.slice(0, -2)}.${hundredths.slice(-2)}`;
}
