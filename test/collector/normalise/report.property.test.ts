import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { report } from '../../../collector/contract.ts';
import type { ReportSample } from '../../../collector/contract.ts';
import { normaliseReport } from '../../../collector/normalise/report.ts';
import type { ReportRows } from '../../../collector/normalise/report.ts';
import { streamMembers } from '../../../collector/normalise/members.ts';
import type { Row } from '../../../collector/store/store.ts';
import { hasEmbeddedStore, testDatabase } from '../../embedded-store.ts';
import type { TestDatabase } from '../../embedded-store.ts';
import { recordedSamples, reportOf } from '../recording.ts';
import { scoreInboundAudio } from './scorer.ts';

const reporter = { app: 'app', call: 'call', participant: 'b' };
const normalise = (samples: readonly ReportSample[], seq = 0) =>
  normaliseReport(reportOf(samples, { seq }), reporter, scoreInboundAudio);

const anything = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 2_000_000 }) },
  { weight: 1, arbitrary: fc.double() },
  {
    weight: 1,
    arbitrary: fc.constantFrom(0, -0, -5, 1e308, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, 'x', '', null, true),
  },
  { weight: 1, arbitrary: fc.string() },
);
const rtpMembers = Object.values(streamMembers).flatMap(({ counters, means, gauges }) => [
  ...counters.map(({ member }) => member),
  ...means.flatMap(({ total, count }) => [total, count]),
  ...gauges.map(({ member }) => member),
]);
const otherMembers =
  'totalFreezesDuration totalPlayoutDelay totalSamplesCount qualityLimitationReason mimeType bytesSent iceState state ' +
  'currentRoundTripTime responsesReceived availableOutgoingBitrate candidateType relayProtocol url networkType ' +
  'selected nominated timestamp';
const memberNames = [...new Set([...rtpMembers, ...otherMembers.split(' ')])];
const references = 'codecId remoteId mediaSourceId playoutId transportId localCandidateId selectedCandidatePairId';
const types =
  'inbound-rtp inbound-rtp outbound-rtp remote-inbound-rtp remote-outbound-rtp candidate-pair transport ' +
  'local-candidate codec media-source media-playout toString';
const hostileStats = fc
  .record({
    id: fc.constantFrom('1', '2', '3', '4', '__proto__', 'constructor'),
    type: fc.constantFrom(...types.split(' ')),
    kind: fc.constantFrom('audio', 'audio', 'video', 'smell'),
    ssrc: fc.constantFrom(1, 1, 1, -1, 'x'),
    members: fc.dictionary(fc.constantFrom(...memberNames), anything, { maxKeys: 8 }),
    references: fc.dictionary(
      fc.constantFrom(...references.split(' ')),
      fc.constantFrom('1', '2', '3', '4', '__proto__'),
    ),
  })
  .map(({ id, type, kind, ssrc, members, references }) => ({ ...members, ...references, id, type, kind, ssrc }));
const T = Date.now() - 3_600_000;
const hostileSamples = fc
  .array(fc.record({ step: fc.integer({ min: -2, max: 20_000 }), stats: fc.array(hostileStats, { maxLength: 12 }) }), {
    maxLength: 10,
  })
  .map((samples) => {
    let t = T;
    return samples.map(({ step, stats }) => ({ t: (t += step / 3), stats }));
  });

/** Rows without what names the batch they came in. */
const bare = (rows: readonly Row[]) => rows.map(({ batch_seq: _seq, sample_index: _index, ...row }) => row);

function split(samples: readonly ReportSample[], cuts: readonly number[]): ReportSample[][] {
  const batches: ReportSample[][] = [];
  let from = 0;
  for (const cut of [...new Set(cuts.map((cut) => cut % samples.length))].sort((a, b) => a - b)) {
    if (cut <= from) continue;
    batches.push(samples.slice(from, cut + 1));
    from = cut;
  }
  return [...batches, samples.slice(from)];
}

describe('normalising', () => {
  it.each(['chromium-156-good', 'chromium-156-turn-stall', 'firefox-153esr-good'])(
    'gives the same rows however %s was cut into batches, each with its baseline',
    (name) => {
      const samples = recordedSamples(name, 'b');
      const whole = normalise(samples);
      fc.assert(
        fc.property(fc.array(fc.nat(), { maxLength: 6 }), (cuts) => {
          const parts = split(samples, cuts).map((batch, seq) => normalise(batch, seq));
          for (const table of ['stream_intervals', 'connection_intervals'] as const) {
            expect(parts.flatMap((part) => bare(part[table]))).toEqual(bare(whole[table]));
          }
        }),
        { numRuns: 10 },
      );
    },
  );

  it('gives identical rows for a batch that comes again', () => {
    fc.assert(
      fc.property(hostileSamples, (samples) => {
        expect(normalise(samples)).toEqual(normalise(structuredClone(samples)));
      }),
    );
  });

  it('never gives a negative number, but for packets that were lost no more', () => {
    fc.assert(
      fc.property(hostileSamples, (samples) => {
        const rows = normalise(samples);
        for (const row of [...rows.stream_intervals, ...rows.connection_intervals]) {
          for (const [column, value] of Object.entries(row)) {
            if (typeof value !== 'number' || column === 'packets_lost') continue;
            expect([column, value >= 0 && Number.isFinite(value)]).toEqual([column, true]);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it('gives every row its own identity within the batch', () => {
    fc.assert(
      fc.property(hostileSamples, (samples) => {
        const { stream_intervals: streams } = normalise(samples);
        const identities = streams.map((row) => `${row['sample_index']} ${row['stream']}`);
        expect(new Set(identities).size).toBe(identities.length);
      }),
    );
  });

  describe.skipIf(!hasEmbeddedStore)('whatever was reported', () => {
    let store: TestDatabase;
    beforeAll(async () => {
      store = await testDatabase();
    });

    it('gives rows that the store takes', async () => {
      const batches: ReportRows[] = [];
      fc.assert(
        fc.property(hostileSamples, fc.string({ unit: 'binary' }), fc.nat(), (samples, word, seq) => {
          const events = [{ t: T, type: 'hostile', value: word.slice(0, 256), detail: { '\ud800': '\udfff' } }];
          const parsed = report.parse({ v: 1, connection: 'hostile-1', seq, offset: null, samples, events });
          batches.push(normaliseReport(parsed, { ...reporter, call: '\ud83d' }, scoreInboundAudio));
        }),
        { numRuns: 300 },
      );
      for (const table of ['stream_intervals', 'connection_intervals', 'call_events'] as const) {
        const rows = batches.flatMap((batch) => batch[table]);
        expect(rows.length).toBeGreaterThan(50);
        await store.insert(table, rows);
      }
      const [counted] = await store.select(z.object({ n: z.string() }), 'SELECT count() AS n FROM call_events');
      expect(Number(counted?.n)).toBeGreaterThan(0);
    });
  });
});
