/** Recorded getStats() of real browsers, as reports of our own format. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { report } from '../../collector/contract.ts';
import type { Report, ReportSample, RtcStats } from '../../collector/contract.ts';

interface Recording {
  readonly samples: readonly { readonly t: number; readonly a: RtcStats[]; readonly b: RtcStats[] }[];
}

export function readRecording(name: string): Recording {
  const file = new URL(`../vectors/${name}.json.gz`, import.meta.url);
  return JSON.parse(gunzipSync(readFileSync(file)).toString('utf8')) as Recording;
}

/** Every sample of one of the two peers. */
export function recordedSamples(name: string, peer: 'a' | 'b'): ReportSample[] {
  return readRecording(name).samples.map((sample) => ({ t: sample.t, stats: sample[peer] }));
}

export function reportOf(samples: readonly ReportSample[], change: Partial<Report> = {}): Report {
  return report.parse({ v: 1, connection: 'connection-1', seq: 0, offset: 0, samples, events: [], ...change });
}
