/** `turnpike import FILE…`: reads call recordings into the store and says what the calls were like. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Command } from 'commander';
import { audioScorer } from '../billing/quality/mos/scorer.ts';
import { findCalls } from '../collector/calls/summaries.ts';
import type { CallSummary, DumpAnswer } from '../collector/contract.ts';
import { Erasures } from '../collector/erasure/erasures.ts';
import { storeDump } from '../collector/intake/dump.ts';
import { IdentifyingWriter } from '../collector/privacy/identifiers.ts';
import type { ClickHouseStore } from '../collector/store/clickhouse.ts';
import type { StoreWriter } from '../collector/store/store.ts';
import { systemClock as clock } from '../kernel/clock.ts';
import { TurnpikeError } from '../kernel/errors.ts';
import { createLog } from '../kernel/log.ts';
import { systemSleep as sleep } from '../kernel/sleep.ts';
import { textTable } from '../kernel/text-table.ts';
import { identifiersOf } from './privacy-config.ts';
import { Progress } from './progress.ts';
import { settingsOf } from './settings.ts';
import { placeOf, reportDays, withStore } from './store.ts';
import { appOf, nameOf } from './whom.ts';

interface Options {
  readonly app?: string;
  readonly call?: string;
  readonly participant?: string;
  readonly json?: boolean;
}

interface Imported extends DumpAnswer {
  readonly file: string;
}

const DAY_MS = 86_400_000;
/** Shorter work needs no progress bar. */
const SHOWN_AFTER_MS = 1_000;
const BAR_WIDTH = 30;
/** Nobody's call was seen after this. */
const FOREVER = Date.UTC(2200, 0, 1);

/** Every file is tried; one that cannot be read is told at the end, with an exit code of its own. */
export async function importRecordings(files: readonly string[], command: Command): Promise<void> {
  const options = command.opts<Options>();
  const config = settingsOf(command);
  const app = appOf(config, options.app);
  const names = { call: nameOf('--call', options.call), participant: nameOf('--participant', options.participant) };
  const sizes = new Map(await Promise.all(files.map(async (file) => [file, await sizeOf(file)] as const)));
  const failures: string[] = [];
  const log = createLog('import', config.log.level);
  await withStore(config, log, async (store) => {
    const erasures = new Erasures({ store, place: placeOf(config), clock, sleep, log });
    await erasures.look();
    const writer = new IdentifyingWriter(erasures, identifiersOf(config));
    const imported: Imported[] = [];
    for (const [file, size] of sizes) {
      try {
        imported.push({
          file,
          ...(await importFile(file, size, { writer, app, keptDays: reportDays(config), ...names })),
        });
      } catch (error) {
        if (!(error instanceof TurnpikeError) || error.status >= 500) throw error;
        failures.push(`${file}: ${error.code}: ${error.message}${listed(error.issues)}`);
      }
    }
    const named = [...new Set(imported.flatMap(({ calls }) => calls))];
    const calls = (await Promise.all(named.map((call) => summaryOf(store, app, call)))).flat();
    if (options.json === true) process.stdout.write(`${JSON.stringify({ imported, calls }, null, 2)}\n`);
    else process.stdout.write(rendered(imported, calls));
  });
  if (failures.length > 0) throw new TurnpikeError('TP_CLI_IMPORT', failures.join('\n'));
}

async function sizeOf(file: string): Promise<number> {
  const found = await stat(file);
  if (found.isFile()) return found.size;
  throw new TurnpikeError('TP_CLI_USAGE', `${file} is no file.`);
}

interface Target {
  readonly writer: StoreWriter;
  readonly app: string;
  readonly call: string | undefined;
  readonly participant: string | undefined;
  readonly keptDays: number;
}

async function importFile(file: string, size: number, target: Target): Promise<DumpAnswer> {
  const { writer, keptDays, ...names } = target;
  const progress = new Progress(process.stderr);
  const start = performance.now();
  let read = 0;
  const bytes = async function* (): AsyncGenerator<Buffer> {
    const chunks: AsyncIterable<Buffer> = createReadStream(file);
    for await (const chunk of chunks) {
      read += chunk.length;
      if (performance.now() - start > SHOWN_AFTER_MS) progress.show(barOf(file, read / size));
      yield chunk;
    }
  };
  try {
    return await storeDump(bytes(), {
      ...names,
      encoding: file.endsWith('.br') ? 'br' : undefined,
      score: audioScorer,
      now: clock.now(),
      keptMs: keptDays * DAY_MS,
      async write(rows) {
        await Promise.all([
          writer.insert('stream_intervals', rows.stream_intervals),
          writer.insert('connection_intervals', rows.connection_intervals),
          writer.insert('call_events', rows.call_events),
        ]);
      },
    });
  } finally {
    progress.end();
  }
}

/** A bar, the share of a file that was read, and its name. */
function barOf(file: string, share: number): string {
  const filled = Math.round(Math.min(1, share) * BAR_WIDTH);
  return `${'#'.repeat(filled).padEnd(BAR_WIDTH, '.')} ${Math.floor(share * 100)} % ${file}`;
}

function summaryOf(store: ClickHouseStore, app: string, call: string): Promise<CallSummary[]> {
  return findCalls(store, { app, call, limit: 1, before: FOREVER, live: false }, clock.now());
}

function rendered(imported: readonly Imported[], calls: readonly CallSummary[]): string {
  if (imported.length === 0) return '';
  const lines = imported.flatMap(({ file, format, connections, stored, calls: names, rejected = [], notes = [] }) => [
    `${file}: ${format}, call ${names.join(', ')}: ${count(connections, 'connection')}, ` +
      `${count(stored.streams + stored.connections, 'interval')}, ${count(stored.events, 'event')}`,
    ...notes.map((note) => `  ${note}`),
    ...rejected.map(({ path, message }) => `  left out: ${[path, message].filter((part) => part !== '').join(' ')}`),
  ]);
  return `${lines.join('\n')}\n\n${textTable(COLUMNS, calls.map(scores)).join('\n')}\n`;
}

const COLUMNS = [
  { title: 'call' },
  { title: 'began' },
  { title: 'participants', align: 'right' },
  { title: 'MOS', align: 'right' },
  { title: 'MOS p5', align: 'right' },
  { title: 'model' },
  { title: 'loss', align: 'right' },
  { title: 'jitter ms', align: 'right' },
  { title: 'rtt ms', align: 'right' },
  { title: 'connected', align: 'right' },
  { title: 'failed', align: 'right' },
] as const;

function scores(call: CallSummary): string[] {
  const figure = (value: number | null, digits: number) => (value === null ? '–' : value.toFixed(digits));
  return [
    call.call,
    call.startedAt,
    String(call.participants),
    figure(call.mos, 2),
    figure(call.mosP5, 2),
    call.mosModel ?? '–',
    call.lossRatio === null ? '–' : `${(call.lossRatio * 100).toFixed(2)} %`,
    figure(call.jitterMs, 1),
    figure(call.rttMs, 1),
    String(call.connected),
    String(call.failed),
  ];
}

const count = (number: number, what: string) => `${number} ${what}${number === 1 ? '' : 's'}`;

function listed(issues: readonly { readonly path: string; readonly message: string }[]): string {
  return issues.map(({ path, message }) => `\n  ${path === '' ? '' : `${path}: `}${message}`).join('');
}
