/**
 * Our own wire format (docs/wire-format.md): a report, as the browser SDK sends it. A file of them has one on each line, or
 * is a list of them.
 */
import { z } from 'zod';
import { issuesOf } from '../../../kernel/errors.ts';
import { report } from '../../contract.ts';
import type { ReportEvent, ReportSample } from '../../contract.ts';
import { checkEvent, checkSample } from '../checks.ts';
import { Recent } from '../recent.ts';
import { isObject } from './format.ts';
import { DeltaReader } from './native-delta.ts';
import type { Fault, Format, FormatReader, Numbered } from './format.ts';

/** Connections whose last sample is remembered, for a report that continues it: a page has a few. */
const MAX_REMEMBERED = 32;

/** What is known of each connection in one input. Bounded: the one that was heard of longest ago is forgotten. */
class Connections {
  readonly #readers = new Recent<DeltaReader>(MAX_REMEMBERED);

  of(connection: string): DeltaReader {
    return this.#readers.use(connection, () => new DeltaReader());
  }

  held(): unknown {
    return [...this.#readers.values()].map((reader) => reader.held());
  }
}

/** The report with its samples and events still to be looked at, one by one. */
const envelope = report.extend({
  v: z.union([z.literal(1), z.literal(2)]),
  samples: z.array(z.unknown()).max(240),
  events: z.array(z.unknown()).max(1_000),
});

/** A report, less what is wrong in it; without a batch when it is no report at all. */
export interface ReadReport {
  readonly read?: Numbered;
  readonly faults: readonly Fault[];
}

/** `known` remembers, from report to report, the sample that a difference continues. */
export function readReport(body: unknown, at = '', known = new Connections()): ReadReport {
  const parsed = envelope.safeParse(body);
  const within = (path: string) => [at, path].filter((part) => part !== '').join('.');
  if (!parsed.success) {
    return { faults: issuesOf(parsed.error).map(({ path, message }) => ({ path: within(path), message })) };
  }
  const { connection, seq, offset, call, participant } = parsed.data;
  const faults: Fault[] = [];
  const differences = known.of(connection);
  const isWhole = parsed.data.v === 1;
  const samples = readSamples(parsed.data.samples, within('samples'), faults, isWhole ? undefined : differences);
  const last = samples.at(-1);
  if (isWhole && last !== undefined) differences.remember(last);
  const events: ReportEvent[] = [];
  for (const [index, given] of parsed.data.events.entries()) {
    const { value, issues } = checkEvent(given, `${within('events')}.${index}`);
    faults.push(...issues);
    if (value !== undefined) events.push(value);
  }
  const batch = { connection, seq, offset, samples, events };
  return { read: { origin: { connection, call, participant }, batch }, faults };
}

function readSamples(
  given: readonly unknown[],
  path: string,
  faults: Fault[],
  differences: DeltaReader | undefined,
): ReportSample[] {
  const samples: ReportSample[] = [];
  differences?.beginReport();
  for (const [index, one] of given.entries()) {
    const at = `${path}.${index}`;
    const expanded = differences?.read(one, at) ?? { sample: one };
    if ('fault' in expanded) {
      faults.push(expanded.fault);
      continue;
    }
    const { value, issues } = checkSample(expanded.sample, at);
    faults.push(...issues);
    if (value === undefined) {
      differences?.forget();
      continue;
    }
    differences?.remember(value);
    const before = samples.at(-1);
    if (before !== undefined && value.t <= before.t) {
      faults.push({ path: `${at}.t`, message: 'is not later than the sample before' });
    } else samples.push(value);
  }
  return samples;
}

export const native: Format = {
  name: 'native',
  recognises: (first) =>
    isObject(first) && (first['v'] === 1 || first['v'] === 2) && typeof first['connection'] === 'string',
  open(): FormatReader {
    const known = new Connections();
    return {
      *read(record, at) {
        const { read, faults } = readReport(record, at, known);
        yield* faults;
        if (read !== undefined) yield read;
      },
      held: () => known.held(),
    };
  },
};
