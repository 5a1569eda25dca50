import { describe, expect, it } from 'vitest';
import type { CallDetail } from '../../../../collector/contract.ts';
import { callSentence } from '../../../../dashboards/console/web/call-sentence.ts';
import { failureOf } from '../../../../dashboards/console/web/failure.ts';
import { lastMinute, liveFigures } from '../../../../dashboards/console/web/live-figures.ts';
import { monthFigures } from '../../../../dashboards/console/web/month.ts';
import { mosStep, stepOf, worst } from '../../../../dashboards/console/web/quality.ts';
import { sampleCall } from '../sample-call.ts';
import { sampleStatement } from '../sample-statement.ts';

const end = Date.UTC(2026, 10, 21, 12);
const plain = (text: string) => text.replaceAll('\u00a0', ' ');
const nothing: CallDetail = {
  ...sampleCall({ end, seconds: 0 }),
  mos: null,
  mosP5: null,
  mosModel: null,
  timeToFirstFrameMs: null,
  events: [],
};

describe('the figures of a running call', () => {
  it('shows the direction that sounds worse', () => {
    const figures = liveFigures(sampleCall({ end, loss: 0.05 }));
    expect(figures.mos).toBeLessThan(3.6);
    expect(figures.ends.A).toMatchObject({ lossRatio: 0 });
    expect(figures.ends.B.lossRatio).toBeGreaterThan(0.04);
    expect(figures.lossRatio).toBe(figures.ends.B.lossRatio);
  });

  it('sums what both ends receive, and all freezes of the call', () => {
    const call = sampleCall({ end, loss: 0.05 });
    const { bitrateBps, freezes } = liveFigures(call);
    const last = call.streams.filter(({ ts }) => Date.parse(ts) === end);
    expect(last).toHaveLength(4);
    expect(bitrateBps).toBeCloseTo(last.reduce((sum, point) => sum + (point.bitrateBps ?? 0), 0));
    expect(freezes).toBe(call.streams.reduce((sum, point) => sum + (point.freezes ?? 0), 0));
  });

  it('speaks of the last ten seconds: what was lost before is past', () => {
    const call = sampleCall({ end, loss: 0 });
    const past = call.streams.map((point) =>
      Date.parse(point.ts) < end - 10_000 ? { ...point, lossRatio: 0.5, mos: 1 } : point,
    );
    const figures = liveFigures({ ...call, streams: past });
    expect(figures.lossRatio).toBe(0);
    expect(figures.mos).toBeGreaterThan(4);
  });

  it('keeps the round trip of an interval that measured one, when the last did not', () => {
    const call = sampleCall({ end });
    const connections = call.connections.map((point) =>
      Date.parse(point.ts) === end ? { ...point, rttMs: null } : point,
    );
    expect(liveFigures({ ...call, connections }).rttMs).not.toBeNull();
  });

  it('measures nothing before the first report', () => {
    expect(liveFigures(nothing)).toMatchObject({
      mos: null,
      lossRatio: null,
      jitterMs: null,
      rttMs: null,
      bitrateBps: null,
      freezes: null,
      relayProtocol: null,
    });
  });

  it('draws the last minute, the worst of all streams at each moment', () => {
    const { series, from, to } = lastMinute(sampleCall({ end, seconds: 300, loss: 0.05 }));
    expect([from, to]).toEqual([end - 60_000, end]);
    const [mos, loss] = series;
    expect(mos?.points.length).toBeGreaterThanOrEqual(30);
    expect(mos?.points.every(([time]) => time >= from - 2_000 && time <= to)).toBe(true);
    expect(loss?.points.every(([, value]) => value !== null && value > 0.03)).toBe(true);
  });
});

describe('quality steps', () => {
  it.each([
    ['mos', 4.2, 'excellent'],
    ['mos', 4.19, 'good'],
    ['mos', 3.5, 'good'],
    ['mos', 2.5, 'fair'],
    ['mos', 2.49, 'poor'],
    ['lossRatio', 0, 'excellent'],
    ['lossRatio', 0.01, 'good'],
    ['lossRatio', 0.06, 'poor'],
    ['rttMs', 200, 'good'],
  ] as const)('puts %s %s at %s', (measure, value, step) => {
    expect(stepOf(measure, value)).toBe(step);
  });

  it('names a MOS by its value as read', () => {
    expect([3.46, 3.44, 4.15].map(mosStep)).toEqual(['good', 'fair', 'excellent']);
  });

  it('takes the worst of several, and nothing of nothing', () => {
    expect(worst(['good', undefined, 'fair', 'excellent'])).toBe('fair');
    expect(worst([undefined])).toBeUndefined();
  });
});

describe('a call in words', () => {
  it('says what it was, how it sounded, how it travelled and what it moved', () => {
    expect(plain(callSentence(sampleCall({ end, seconds: 134, loss: 0.031 })))).toBe(
      'Lasted 2 min 14 s, 2 participants, through the relay over UDP. ' +
        'It sounds good: median MOS 4.1 by ITU-T G.107.2; 5 % of the time below 3.7. ' +
        'Loss 0.8 %, jitter 5.3 ms, round trip 15 ms, first picture after 0.42 s. ' +
        'The relay sent 22.1 MB to its participants.',
    );
  });

  it('says that a call goes on, that it went without a relay, and what failed', () => {
    const call = sampleCall({ end, live: true });
    const direct = call.connections.map((point) => ({ ...point, localCandidateType: 'host', relayProtocol: null }));
    const text = plain(callSentence({ ...call, connections: direct, connected: 1, failed: 1 }));
    expect(text).toContain('Live for 1 min 0 s, 2 participants, without a relay.');
    expect(text).toContain('1 of 2 connections failed.');
  });

  it('does not invent what was not measured', () => {
    const text = plain(
      callSentence({ ...nothing, lossRatio: null, jitterMs: null, rttMs: null, connected: 0, failed: 2 }),
    );
    expect(text).toBe(
      'Lasted 0 s, 2 participants; no connection came about. How it sounded was not measured. 2 of 2 connections failed.',
    );
  });
});

describe('why a call did not come about', () => {
  const url = 'turn:127.0.0.1:3478?transport=udp';

  it.each([
    [401, 'refused the credential'],
    [486, 'allocation limit'],
    [508, 'no port or memory left'],
    [701, 'did not answer'],
    [599, 'failed'],
  ])('says the code %i in words, with the server’s URL', (code, words) => {
    const { what, advice } = failureOf({
      kind: 'no_candidate',
      peer: 'A',
      urls: [url],
      errors: [{ code, url, text: '' }],
    });
    expect(what).toContain(words);
    expect(what).toContain(url);
    expect(what).toContain(`error ${code}`);
    expect(advice).not.toBe('');
  });

  it('names the silent relay when the browser gave no code', () => {
    expect(failureOf({ kind: 'no_candidate', peer: 'B', urls: [url], errors: [] }).what).toBe(
      `Peer B got no relay address: ${url} did not answer in time.`,
    );
  });

  it('tells a relay without hairpin from one that is not there', () => {
    const { what, advice } = failureOf({ kind: 'not_connected', errors: [{ code: 701, url, text: '' }] });
    expect(what).toContain('nothing passed between them');
    expect(advice).toContain('hairpin');
    expect(advice).toContain('701');
  });

  it('passes on what the service and the browser said', () => {
    expect(failureOf({ kind: 'session', message: 'There is no such TURN key.' }).what).toContain('no such TURN key');
    expect(failureOf({ kind: 'browser', message: 'no WebRTC' }).what).toContain('no WebRTC');
  });
});

describe('the month', () => {
  it('shows bytes, cost and the share of the free tier', () => {
    const month = monthFigures(sampleStatement(31_700_000_000n, 210_000_000_000n));
    expect({ ...month, bytes: plain(month.bytes), used: plain(month.used) }).toMatchObject({
      bytes: '242 GB',
      cost: '$0.00',
      used: '242 GB of 1,000 GB free',
      card: 'Cloudflare Realtime, prices of 2026-11-01',
    });
    expect(plain(month.relayed)).toBe('31.7 GB');
    expect(month.share).toBeCloseTo(0.2417, 6);
    expect(plain(month.shareText)).toBe('24 %');
  });

  it.each([
    [0n, '0 %'],
    [1_000n, '< 0.01 %'],
    [5_000_000_000n, '0.50 %'],
    [1_500_000_000_000n, '150 %'],
  ])('writes the share of %s bytes as %s', (bytes, text) => {
    expect(plain(monthFigures(sampleStatement(bytes, 0n)).shareText)).toBe(text);
  });

  it('knows cards without a free tier', () => {
    const statement = sampleStatement(5_000_000n, 0n);
    const month = monthFigures({ ...statement, allowance: { bytes: '0', usedBytes: '0' } });
    expect([month.share, month.shareText, plain(month.used)]).toEqual([null, 'None', '5.00 MB']);
  });
});
