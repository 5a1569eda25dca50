import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { reportSample } from '../../../collector/contract.ts';
import { checkEvent, checkSample, Rejections, timeIssue, windowAround } from '../../../collector/intake/checks.ts';

const NOW = Date.UTC(2026, 10, 20, 18);
const DAY_MS = 86_400_000;

describe('a sample', () => {
  it('is what the schema says, whatever it is', () => {
    const odd = fc.oneof(
      fc.anything(),
      fc.constantFrom(0, -1, 8.64e15, 8.65e15, Number.NaN, Infinity, '', 'x'.repeat(257), 'x'.repeat(65)),
    );
    const dictionary = fc.record({ id: fc.oneof(fc.string(), odd), type: fc.oneof(fc.string(), odd) });
    const sample = fc.oneof(
      odd,
      fc.record({ t: fc.oneof(fc.nat(), odd), stats: fc.oneof(fc.array(fc.oneof(dictionary, odd)), odd) }),
      fc.record({ t: fc.nat(), stats: fc.array(dictionary), more: odd }),
    );
    fc.assert(
      fc.property(sample, (given) => {
        const { value, issues } = checkSample(given, 'samples.3');
        const parsed = reportSample.safeParse(given);
        expect(value).toEqual(parsed.success ? parsed.data : undefined);
        for (const { path } of issues) expect(path).toMatch(/^samples\.3/);
        if (!parsed.success) expect(issues.length).toBeGreaterThan(0);
      }),
      { numRuns: 500 },
    );
  });

  it('of two thousand dictionaries is one, of more is none', () => {
    const stats = Array.from({ length: 2_001 }, (_, index) => ({ id: String(index), type: 'codec' }));
    expect(checkSample({ t: 1, stats: stats.slice(1) }, 's').value).toBeDefined();
    expect(checkSample({ t: 1, stats }, 's')).toMatchObject({ value: undefined, issues: [{ path: 's.stats' }] });
  });

  it('has members named that cannot be, and is kept', () => {
    const inbound = { id: 'a', type: 'inbound-rtp', packetsLost: -3, packetsReceived: -3, jitter: null, unknown: 'x' };
    const { value, issues } = checkSample({ t: 1, stats: [inbound] }, 's');
    expect(value?.stats).toHaveLength(1);
    expect(issues.map(({ path }) => path)).toEqual(['s.stats.0.packetsReceived']);
  });
});

describe('a time', () => {
  const window = windowAround(NOW);
  it('may be fourteen days behind, as a client was offline, and an hour ahead', () => {
    for (const t of [NOW, NOW - 14 * DAY_MS, NOW + 3_600_000]) expect(timeIssue(t, 't', window)).toBeUndefined();
    for (const t of [NOW - 14 * DAY_MS - 1, NOW + 3_600_001, 0, 3e15]) expect(timeIssue(t, 't', window)).toBeDefined();
  });

  it('that lies outside is told what time it is here', () => {
    expect(timeIssue(5, 'samples.1.t', window)).toEqual({
      path: 'samples.1.t',
      message: `lies outside the last 14 days; this clock says ${new Date(NOW).toISOString()}`,
    });
  });
});

describe('rejections', () => {
  it('are counted all, and listed as far as anybody would read', () => {
    const rejections = new Rejections();
    for (let index = 0; index < 500; index += 1) rejections.add(...checkEvent({}, `.events.${index}`).issues);
    expect(rejections.count).toBe(1_000);
    expect(rejections.list()).toHaveLength(21);
    expect(rejections.list()[0]?.path).toBe('events.0.t');
    expect(rejections.list().at(-1)).toEqual({ path: '', message: 'and 980 more' });
  });
});
