/** Which members of a sample are measured, by the type of their dictionary, and what is wrong with those that cannot be. */
import type { ReportSample } from '../contract.ts';
import type { Issue } from '../../kernel/errors.ts';
import { pairCounters, streamMembers } from './members.ts';
import type { Origin } from './members.ts';

/** A count is a whole number; a signed one may be negative; an amount is any number from 0. */
type Measure = 'count' | 'signed' | 'amount';
type Measures = ReadonlyMap<string, Measure>;

const dictionaries: Readonly<Record<'inbound' | 'outbound', Readonly<Record<Origin, string>>>> = {
  inbound: {
    rtp: 'inbound-rtp',
    remote: 'remote-outbound-rtp',
    source: 'media-source',
    playout: 'media-playout',
  },
  outbound: {
    rtp: 'outbound-rtp',
    remote: 'remote-inbound-rtp',
    source: 'media-source',
    playout: 'media-playout',
  },
};

/** Members of the candidate pair that are not summed up into a column of their own. */
const pairMeasures: readonly (readonly [string, Measure])[] = [
  ['totalRoundTripTime', 'amount'],
  ['currentRoundTripTime', 'amount'],
  ['availableOutgoingBitrate', 'amount'],
  ['responsesReceived', 'count'],
];

function collect(): ReadonlyMap<string, Measures> {
  const byType = new Map<string, Map<string, Measure>>();
  const add = (type: string, member: string, measure: Measure) => {
    const members = byType.get(type) ?? new Map<string, Measure>();
    byType.set(type, members);
    members.set(member, measure);
  };
  for (const direction of ['inbound', 'outbound'] as const) {
    const { counters, means, gauges } = streamMembers[direction];
    const type = (from: Origin) => dictionaries[direction][from];
    for (const { from, total, count } of means) for (const name of [total, count]) add(type(from), name, 'amount');
    for (const { from, member } of gauges) add(type(from), member, 'amount');
    for (const { from, member, signed } of counters) add(type(from), member, signed === true ? 'signed' : 'count');
  }
  for (const [, member] of pairCounters) add('candidate-pair', member, 'count');
  for (const [member, measure] of pairMeasures) add('candidate-pair', member, measure);
  return byType;
}

/** Every member that is measured, by the type of its dictionary. */
export const measured: ReadonlyMap<string, Measures> = collect();

const MESSAGES: Readonly<Record<Measure, string>> = {
  count: 'must be a whole number from 0 to 2^53; it is taken for missing',
  signed: 'must be a whole number below 2^53; it is taken for missing',
  amount: 'must be a number that is not negative; it is taken for missing',
};

/** Members whose values cannot be what they are named for. Rows have NULL for them; the rest of the sample stands. */
export function memberIssues(sample: ReportSample, path: string): Issue[] {
  const issues: Issue[] = [];
  for (const [index, stats] of sample.stats.entries()) {
    for (const [member, measure] of measured.get(stats.type) ?? []) {
      const value = stats[member];
      if (value === undefined || value === null || fits(value, measure)) continue;
      issues.push({ path: `${path}.stats.${index}.${member}`, message: MESSAGES[measure] });
    }
  }
  return issues;
}

function fits(value: unknown, measure: Measure): boolean {
  if (typeof value !== 'number') return false;
  if (measure === 'amount') return Number.isFinite(value) && value >= 0;
  return Number.isSafeInteger(value) && (measure === 'signed' || value >= 0);
}
