/** `turnpike mos`: the E-model by hand, with every parameter that went into the figure. */
import type { Command } from 'commander';
import { mosByHand } from '../billing/quality/mos/by-hand.ts';
import { TurnpikeError } from '../kernel/errors.ts';
import type { Issue } from '../kernel/errors.ts';
import { textTable } from '../kernel/text-table.ts';

export function mos(command: Command): void {
  const options = command.opts<{ model: string; codec?: string; param?: string[]; json?: boolean }>();
  const result = mosByHand({
    model: options.model,
    ...(options.codec === undefined ? {} : { codec: options.codec }),
    params: readParameters(options.param ?? []),
  });
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
    return;
  }
  const rows = result.parameters.map(({ name, value, unit, source }) => [name, String(value), unit, source]);
  const heading = `MOS ${result.mos.toFixed(3)}   R ${result.r.toFixed(2)}   model ${result.model}\n\n`;
  const columns = [
    { title: 'parameter' },
    { title: 'value', align: 'right' as const },
    { title: 'unit' },
    { title: 'source' },
  ];
  process.stdout.write(`${heading}${textTable(columns, rows).join('\n')}\n`);
}

/** `Ppl=5` pairs; every fault is reported together. */
function readParameters(pairs: readonly string[]): Record<string, number> {
  const issues: Issue[] = [];
  const values: Record<string, number> = {};
  for (const pair of pairs) {
    const [name = '', text = '', ...more] = pair.split('=');
    const value = Number(text);
    if (name === '' || text.trim() === '' || more.length > 0 || !Number.isFinite(value)) {
      issues.push({ path: pair, message: 'must be NAME=NUMBER, such as Ppl=5' });
    } else {
      values[name] = value;
    }
  }
  if (issues.length > 0) throw new TurnpikeError('TP_CLI_USAGE', undefined, { issues });
  return values;
}
