/** Version 2 of the wire format: what differences stand for, and what hostile ones may not do. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeDeltas, expandDeltas } from '../../../collector/client/delta.ts';
import { pickStats } from '../../../collector/client/members.ts';
import type { ReportSample, RtcStats } from '../../../collector/contract.ts';
import { native, readReport } from '../../../collector/intake/formats/native.ts';
import { MAX_DICTIONARIES, MAX_MEMBERS } from '../../../collector/intake/formats/native-delta.ts';
import { normaliseReport } from '../../../collector/normalise/report.ts';
import { recordedSamples } from '../recording.ts';
import { scoreInboundAudio } from '../normalise/scorer.ts';

const reporter = { app: 'demo', call: 'call', participant: '' };
const envelope = { connection: 'connection-1', seq: 3, offset: 12, events: [] };
const differences = (samples: unknown) => JSON.parse(JSON.stringify({ v: 2, ...envelope, samples })) as unknown;
/** The samples as a reader without memory finds them, and what it says was wrong. */
function read(samples: unknown) {
  const { read: found, faults } = readReport(differences(samples));
  return { samples: found?.batch.samples ?? [], faults };
}
const whole = (t: number, ...stats: RtcStats[]): ReportSample => ({ t, stats });
const inbound = (id: string, more: Record<string, unknown> = {}): RtcStats => ({ id, type: 'inbound-rtp', ...more });

describe.each([
  ['chromium-156-good', 'a'],
  ['chromium-156-turn-killed', 'b'],
  ['chromium-156-turn-stall', 'a'],
  ['firefox-153esr-good', 'b'],
] as const)('a recorded call, %s', (name, peer) => {
  const recorded = recordedSamples(name, peer);
  const picked = recorded.map(({ t, stats }) => ({ t, stats: pickStats(stats) as RtcStats[] }));

  it.each([
    ['as the SDK picks its members', picked],
    ['with every member of the browser', recorded],
  ])('has the same rows in differences as in full, %s', (_how, samples) => {
    for (let first = 0; first < samples.length; first += 10) {
      const part = samples.slice(Math.max(0, first - 1), first + 10);
      const encoded = encodeDeltas(part);
      const full = readReport({ v: 1, ...envelope, samples: part });
      const short = readReport(differences(encoded));
      expect(short.faults).toEqual(full.faults);
      const rows = [full, short].map(({ read: found }) => normaliseReport(found!.batch, reporter, scoreInboundAudio));
      expect(rows[0]!.stream_intervals.length + rows[0]!.connection_intervals.length).toBeGreaterThan(0);
      expect(rows[1]).toEqual(rows[0]);
    }
  });

  it('is less than half as long', () => {
    const part = picked.slice(-6);
    expect(JSON.stringify(encodeDeltas(part)).length).toBeLessThan(JSON.stringify(part).length / 2);
  });
});

describe('differences', () => {
  const member = fc.oneof(fc.integer(), fc.string({ maxLength: 4 }), fc.boolean());
  const stats = fc
    .record({
      id: fc.constantFrom('a', 'b', 'c', '__proto__', 'constructor'),
      type: fc.constantFrom('inbound-rtp', 'codec'),
      members: fc.dictionary(fc.constantFrom('x', 'y', 'ssrc', 'toString'), member),
    })
    .map(({ id, type, members }): RtcStats => ({ ...members, id, type }));
  const series = fc
    .array(fc.array(stats, { maxLength: 6 }), { minLength: 1, maxLength: 6 })
    .map((all) => all.map((one, t) => ({ t: t + 1, stats: one })));

  it('say any series of samples, to the SDK itself and to the collector', () => {
    fc.assert(
      fc.property(series, (samples) => {
        const encoded = encodeDeltas(samples);
        const plain: unknown = JSON.parse(JSON.stringify(samples));
        expect(JSON.parse(JSON.stringify(expandDeltas(encoded)))).toEqual(plain);
        expect(JSON.parse(JSON.stringify(read(encoded).samples))).toEqual(plain);
      }),
    );
  });

  it('name what changed, what is gone and what is new, and nothing else', () => {
    const samples = [
      whole(1, inbound('a', { x: 1, y: 2 }), inbound('b', { x: 1 }), inbound('c', { x: 1 })),
      whole(2, inbound('a', { x: 3 }), inbound('b', { x: 1 }), inbound('d', { x: 9 })),
    ];
    expect(encodeDeltas(samples)[1]).toEqual({
      t: 2,
      delta: [
        { id: 'a', x: 3, y: null },
        { id: 'd', type: 'inbound-rtp', x: 9 },
      ],
      gone: ['c'],
    });
  });

  it('continue the last sample of the connection where reports come in one stream', () => {
    const reader = native.open();
    const first = differences([whole(1, inbound('a', { x: 1 })), { t: 2, delta: [{ id: 'a', x: 2 }] }]);
    const second = {
      ...(differences([
        { t: 2, delta: [] },
        { t: 3, delta: [{ id: 'a', x: 3 }] },
      ]) as object),
      seq: 4,
    };
    const other = { ...(second as object), connection: 'connection-2' };
    expect([...reader.read(first, '')]).toHaveLength(1);
    expect([...reader.read(second, '')]).toMatchObject([
      {
        batch: {
          seq: 4,
          samples: [
            { t: 2, stats: [{ x: 2 }] },
            { t: 3, stats: [{ x: 3 }] },
          ],
        },
      },
    ]);
    expect([...reader.read(other, '')][0]).toMatchObject({ path: 'samples.0.delta', continuesNothing: true });
  });
});

describe('hostile differences', () => {
  it('that continue nothing are named, and so is what continues them', () => {
    const { samples, faults } = read([
      { t: 1, delta: [] },
      { t: 2, delta: [] },
      whole(3, inbound('a')),
      { t: 4, delta: [] },
    ]);
    expect(samples.map(({ t }) => t)).toEqual([3, 4]);
    expect(faults.map(({ path, continuesNothing }) => [path, continuesNothing])).toEqual([
      ['samples.0.delta', true],
      ['samples.1.delta', true],
    ]);
  });

  it('that change an unknown dictionary cost all that follow, since those would be made up', () => {
    const { samples, faults } = read([
      whole(1, inbound('a')),
      { t: 2, delta: [{ id: 'b', x: 1 }] },
      { t: 3, delta: [] },
    ]);
    expect(samples.map(({ t }) => t)).toEqual([1]);
    expect(faults.map(({ path }) => path)).toEqual(['samples.1.delta.0', 'samples.2.delta']);
  });

  it('never continue a sample that was refused', () => {
    const { samples, faults } = read([whole(1, inbound('a')), { t: 2, stats: 'none' }, { t: 3, delta: [] }]);
    expect(samples.map(({ t }) => t)).toEqual([1]);
    expect(faults.at(-1)).toMatchObject({ path: 'samples.2.delta', continuesNothing: true });
  });

  it.each([
    ['no list', { t: 2, delta: 7 }],
    ['no id', { t: 2, delta: [{ x: 1 }] }],
    ['no time', { delta: [] }],
    ['a list and whole statistics', { t: 2, delta: [], stats: [] }],
    ['ids of gone dictionaries that are none', { t: 2, delta: [], gone: [1] }],
  ])('with %s are refused by name', (_what, sample) => {
    const { samples, faults } = read([whole(1, inbound('a')), sample]);
    expect(samples).toHaveLength(1);
    expect(faults[0]?.path).toMatch(/^samples\.1/);
  });

  it('cannot stand for more dictionaries than a report of that size could have', () => {
    const many = Array.from({ length: 2_000 }, (_, index) => inbound(`${index}`));
    const repeated = Array.from({ length: 200 }, (_, index) => ({ t: index + 2, delta: [] }));
    const { samples, faults } = read([whole(1, ...many), ...repeated]);
    expect(samples).toHaveLength(1 + MAX_DICTIONARIES / 2_000);
    expect(faults).toHaveLength(200 - MAX_DICTIONARIES / 2_000);
  });

  it('cannot make a dictionary grow, nor be copied when it is large', () => {
    const members = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`m${index}`, 1]));
    const large = inbound('a', members(MAX_MEMBERS + 1));
    expect(read([whole(1, large), { t: 2, delta: [{ id: 'a', x: 1 }] }]).samples).toHaveLength(1);
    expect(
      read([whole(1, inbound('a')), { t: 2, delta: [{ id: 'a', ...members(MAX_MEMBERS) }] }]).samples,
    ).toHaveLength(1);
  });

  it('cannot reach a prototype', () => {
    const delta = JSON.parse('[{ "id": "a", "__proto__": { "polluted": 1 }, "x": 1 }]') as unknown;
    const { samples } = read([whole(1, inbound('a')), { t: 2, delta }]);
    expect(samples[1]?.stats[0]?.['polluted']).toBeUndefined();
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it('are no part of version 1', () => {
    const { read: found, faults } = readReport({ v: 1, ...envelope, samples: [whole(1), { t: 2, delta: [] }] });
    expect(found?.batch.samples).toHaveLength(1);
    expect(faults.length).toBeGreaterThan(0);
  });
});
