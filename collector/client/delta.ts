/**
 * Writes a series of samples as the first of them and what changed from each to the next (docs/wire-format.md), and
 * reads that back. A sample that differences cannot say exactly is written whole.
 */
import type { ReportSample, RtcStats, SampleDelta } from '../contract.ts';

export function encodeDeltas(samples: readonly ReportSample[]): (ReportSample | SampleDelta)[] {
  return samples.map((sample, index) => {
    const before = samples[index - 1];
    return (before && differenceOf(before, sample)) ?? sample;
  });
}

/** The samples that `encodeDeltas` was given. */
export function expandDeltas(encoded: readonly (ReportSample | SampleDelta)[]): ReportSample[] {
  let stats = new Map<string, RtcStats>();
  return encoded.map((sample) => {
    if ('stats' in sample) {
      stats = byId(sample.stats);
      return sample;
    }
    stats = new Map(stats);
    for (const id of sample.gone ?? []) stats.delete(id);
    for (const { id, type, ...changes } of sample.delta) {
      const before = type === undefined ? stats.get(id) : { id, type };
      if (before === undefined) continue; // never said by encodeDeltas
      const members = Object.entries({ ...before, ...changes }).filter(([, value]) => value !== null);
      stats.set(id, Object.fromEntries(members) as RtcStats);
    }
    return { t: sample.t, stats: [...stats.values()] };
  });
}

/** Undefined where dictionaries stand in another order than a reader would put them, which goes by what it knew first. */
function differenceOf(before: ReportSample, after: ReportSample): SampleDelta | undefined {
  const earlier = byId(before.stats);
  const later = byId(after.stats);
  if (earlier.size !== before.stats.length || later.size !== after.stats.length) return undefined;
  const kept = [...earlier.keys()].filter((id) => later.has(id));
  const added = [...later.keys()].filter((id) => !earlier.has(id));
  const order = [...kept, ...added];
  if (after.stats.some(({ id }, index) => id !== order[index])) return undefined;
  const gone = [...earlier.keys()].filter((id) => !later.has(id));
  const delta = after.stats.flatMap((stats) => changesOf(earlier.get(stats.id), stats) ?? []);
  return { t: after.t, delta, ...(gone.length > 0 ? { gone } : {}) };
}

/** Undefined where nothing changed. Members are numbers, strings and booleans. */
function changesOf(before: RtcStats | undefined, after: RtcStats): SampleDelta['delta'][number] | undefined {
  if (before === undefined || before.type !== after.type) return after;
  const changes: Record<string, unknown> & { id: string } = { id: after.id };
  let changed = false;
  for (const [name, value] of Object.entries(after)) {
    if (value === before[name]) continue;
    changes[name] = value;
    changed = true;
  }
  const names = new Set(Object.keys(after));
  for (const name of Object.keys(before)) {
    if (names.has(name)) continue;
    changes[name] = null;
    changed = true;
  }
  return changed ? changes : undefined;
}

function byId(stats: readonly RtcStats[]): Map<string, RtcStats> {
  return new Map(stats.map((one) => [one.id, one]));
}
