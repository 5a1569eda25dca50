/** Our own wire format: a report, as the browser SDK sends it. A file of them has one on each line, or is a list of them. */
import { z } from 'zod';
import { issuesOf } from '../../../kernel/errors.ts';
import { report } from '../../contract.ts';
import type { ReportEvent, ReportSample } from '../../contract.ts';
import { checkEvent, checkSample } from '../checks.ts';
import { isObject } from './format.ts';
import type { Fault, Format, FormatReader, Numbered } from './format.ts';

/** The report with its samples and events still to be looked at, one by one. */
const envelope = report.extend({
  samples: z.array(z.unknown()).max(240),
  events: z.array(z.unknown()).max(1_000),
});

/** A report, less what is wrong in it; without a batch when it is no report at all. */
export interface ReadReport {
  readonly read?: Numbered;
  readonly faults: readonly Fault[];
}

export function readReport(body: unknown, at = ''): ReadReport {
  const parsed = envelope.safeParse(body);
  const within = (path: string) => [at, path].filter((part) => part !== '').join('.');
  if (!parsed.success) {
    return { faults: issuesOf(parsed.error).map(({ path, message }) => ({ path: within(path), message })) };
  }
  const { connection, seq, offset, call, participant } = parsed.data;
  const faults: Fault[] = [];
  const samples = readSamples(parsed.data.samples, within('samples'), faults);
  const events: ReportEvent[] = [];
  for (const [index, given] of parsed.data.events.entries()) {
    const { value, issues } = checkEvent(given, `${within('events')}.${index}`);
    faults.push(...issues);
    if (value !== undefined) events.push(value);
  }
  const batch = { connection, seq, offset, samples, events };
  return { read: { origin: { connection, call, participant }, batch }, faults };
}

function readSamples(given: readonly unknown[], path: string, faults: Fault[]): ReportSample[] {
  const samples: ReportSample[] = [];
  for (const [index, sample] of given.entries()) {
    const at = `${path}.${index}`;
    const { value, issues } = checkSample(sample, at);
    faults.push(...issues);
    if (value === undefined) continue;
    const before = samples.at(-1);
    if (before !== undefined && value.t <= before.t) {
      faults.push({ path: `${at}.t`, message: 'is not later than the sample before' });
    } else samples.push(value);
  }
  return samples;
}

export const native: Format = {
  name: 'native',
  recognises: (first) => isObject(first) && first['v'] === 1 && typeof first['connection'] === 'string',
  open: (): FormatReader => ({
    *read(record, at) {
      const { read, faults } = readReport(record, at);
      yield* faults;
      if (read !== undefined) yield read;
    },
  }),
};
