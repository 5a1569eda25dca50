/** Usage as a table of plain text, for terminals. The same usage gives the same text. */
import { grouped, textTable } from '../../kernel/text-table.ts';
import type { UsageAnswer } from '../contract.ts';

const titles = { app: [], hour: ['Hour'], call: ['Call'], customer: ['Customer'] } as const satisfies Record<
  UsageAnswer['group'],
  readonly string[]
>;

/** Bytes are whole and exact, with thousands separators. */
export function renderUsage({ from, group, to, usage }: UsageAnswer): string {
  const columns = [
    ...['App', ...titles[group]].map((title) => ({ title })),
    ...['TURN bytes', 'SFU bytes'].map((title) => ({ title, align: 'right' as const })),
    ...['How', 'Source'].map((title) => ({ title })),
  ];
  const body = usage.map((line) => [
    line.app,
    ...titles[group].map(() => line.key || '-'),
    grouped(line.turnBytes),
    grouped(line.sfuBytes),
    howOf(line),
    line.source ?? '-',
  ]);
  const total = (member: 'turnBytes' | 'sfuBytes'): string =>
    grouped(String(usage.reduce((sum, line) => sum + BigInt(line[member]), 0n)));
  const foot = ['Total', ...titles[group].map(() => ''), total('turnBytes'), total('sfuBytes')];
  return [
    `Bytes sent to clients: ${minute(from)} to ${minute(to)} UTC`,
    '',
    ...textTable(columns, body, foot),
    '',
  ].join('\n');
}

function howOf({ claimedBytes = '', grade, scaled }: UsageAnswer['usage'][number]): string {
  const words = grade.replaceAll('_', ' ');
  return scaled === true ? `${words}, who claim ${grouped(claimedBytes)}` : words;
}

const minute = (iso: string): string => iso.slice(0, 16).replace('T', ' ');
