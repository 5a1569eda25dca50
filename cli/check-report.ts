/** What `turnpike check` found, as text. Nothing of the server's own text is in it. */
import type { Endpoint } from '../kernel/address.ts';
import { textTable } from '../kernel/text-table.ts';
import type { Path, Reach } from '../relay/client/reach.ts';
import type { CheckResult, Verdict } from '../relay/conformance/run.ts';

const milliseconds = (value: number): string => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
const at = ({ address, port }: Endpoint): string => `${address.includes(':') ? `[${address}]` : address}:${port}`;
const right = 'right' as const;

/** A table of figures, then one line of verdict for each transport, with a hint where one helps. */
export function reachText(results: readonly Reach[]): string {
  const columns = [
    { title: 'transport' },
    { title: 'server' },
    { title: 'seen as' },
    { title: 'Binding', align: right },
    { title: 'allocated in', align: right },
    { title: 'round trip', align: right },
    { title: 'jitter', align: right },
    { title: 'loss', align: right },
    { title: 'throughput', align: right },
  ];
  const rows = results.map((result) => [
    result.transport,
    at({ address: result.address ?? result.host, port: result.port }),
    result.mapped === undefined ? '' : at(result.mapped),
    result.bindingMs === undefined ? '' : milliseconds(result.bindingMs),
    result.allocateMs === undefined ? '' : milliseconds(result.allocateMs),
    ...figuresOf(result.path),
  ]);
  return `${textTable(columns, rows).join('\n')}\n\n${results.map(verdictOf).join('')}`;
}

function figuresOf(path: Path | undefined): string[] {
  if (path === undefined || path.through === 'nothing') return ['', '', '', ''];
  const { roundTrip, jitter, lossPercent, throughputMbps, offeredMbps } = path.quality;
  if (roundTrip === undefined) return ['', '', '100 %', ''];
  return [
    milliseconds(roundTrip.median),
    milliseconds(jitter),
    `${lossPercent.toFixed(1)} %`,
    `${throughputMbps.toFixed(1)} of ${offeredMbps.toFixed(1)} Mbit/s`,
  ];
}

function verdictOf(result: Reach): string {
  const { transport, failure, path, relayed } = result;
  if (failure !== undefined) return `✗ ${transport}: ${failure.stage}: ${failure.what}\n  ${failure.hint}\n`;
  if (relayed === undefined) return `✓ ${transport}: Binding is answered\n`;
  const works = `✓ ${transport}: relays from ${at(relayed)}`;
  if (path === undefined) return `${works}\n`;
  if (path.through === 'nothing') return `${works}; the path was not measured (${path.why})\n  ${path.hint}\n`;
  if (path.quality.roundTrip === undefined) {
    return `✗ ${transport}: allocates ${at(relayed)}, and nothing sent through it (${path.through}) comes back\n  Relayed UDP is dropped: are the relay ports open in the server's firewall, and is its external address right?\n`;
  }
  return `${works}, measured through ${path.through}\n`;
}

/** Whether the relay can be used: allocated, and not found to swallow everything. */
export function isUsable({ failure, path }: Reach): boolean {
  return (
    failure === undefined && (path === undefined || path.through === 'nothing' || path.quality.roundTrip !== undefined)
  );
}

/** Columns of a cell of prose, so that the table fits a wide terminal. */
const PROSE_WIDTH = 44;

function wrap(text: string): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= PROSE_WIDTH) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

export function conformanceText(
  results: readonly CheckResult[],
  run: { readonly url: string; readonly transport: string; readonly seed: string },
): string {
  const columns = ['verdict', 'check', 'section', 'expected', 'got'].map((title) => ({ title }));
  const rows = results.flatMap(({ name, section, expected, got, verdict }) => {
    const [wanted, came] = [wrap(expected), wrap(got)];
    const lines = Array.from({ length: Math.max(wanted.length, came.length) }, (_, index) => index);
    return lines.map((index) => {
      const isFirst = index === 0;
      const [what, where, how] = isFirst ? [name, section, verdict] : ['', '', ''];
      return [how, what, where, wanted[index] ?? '', came[index] ?? ''];
    });
  });
  const count = (verdict: Verdict, of?: CheckResult['class']): number =>
    results.filter((result) => result.verdict === verdict && (of === undefined || result.class === of)).length;
  const summary = [
    `${run.url} over ${run.transport}, seed ${run.seed}:`,
    `${count('pass')} passed,`,
    `${count('fail', 'protocol')} protocol and ${count('fail', 'security')} security checks failed,`,
    `${count('skip')} skipped.`,
  ];
  return `${textTable(columns, rows).join('\n')}\n\n${summary.join(' ')}\n`;
}
