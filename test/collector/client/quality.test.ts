import { beforeEach, describe, expect, it } from 'vitest';
import { createQualityMonitor } from '../../../collector/client/quality.ts';
import type { QualityMonitor, Surroundings, Verdict } from '../../../collector/client/quality.ts';
import type { RtcStats } from '../../../collector/contract.ts';

const calm: Surroundings = { state: 'connected', hidden: false, cpu: 'nominal' };

/** What each second of the call adds. */
interface Second {
  readonly lost?: number;
  readonly theyLost?: number;
  readonly rttMs?: number;
  readonly jitterMs?: number;
  readonly concealed?: number;
  readonly silent?: number;
  readonly frozen?: number;
  readonly limitation?: string;
  readonly packets?: number;
}

let monitor: QualityMonitor;
let second: number;
let totals: Record<string, number>;

beforeEach(() => {
  monitor = createQualityMonitor();
  second = 0;
  totals = {};
});

function add(name: string, amount: number): number {
  totals[name] = (totals[name] ?? 0) + amount;
  return totals[name];
}

function statsAfter(given: Second): RtcStats[] {
  const {
    lost = 0,
    theyLost = 0,
    rttMs = 40,
    jitterMs = 4,
    concealed = 0,
    silent = 0,
    frozen = 0,
    packets = 50,
  } = given;
  const limitation = given.limitation ?? 'none';
  const received = { packetsReceived: add('received', packets - lost), packetsLost: add('lost', lost) };
  return [
    {
      id: 'in-audio',
      type: 'inbound-rtp',
      kind: 'audio',
      ...received,
      jitter: jitterMs / 1_000,
      totalSamplesReceived: add('samples', packets * 960),
      concealedSamples: add('concealed', concealed),
      silentConcealedSamples: add('silent', silent),
    },
    { id: 'in-video', type: 'inbound-rtp', kind: 'video', ...received, totalFreezesDuration: add('frozen', frozen) },
    {
      id: 'out',
      type: 'outbound-rtp',
      kind: 'video',
      packetsSent: add('sent', packets),
      qualityLimitationReason: limitation,
    },
    { id: 'far', type: 'remote-inbound-rtp', localId: 'out', packetsLost: add('theyLost', theyLost) },
    {
      id: 'pair',
      type: 'candidate-pair',
      totalRoundTripTime: add('rtt', rttMs / 1_000),
      responsesReceived: add('responses', 1),
    },
  ];
}

/** The verdicts that so many seconds of it bring. */
function pass(seconds: number, each: Second = {}, surroundings = calm): Verdict[] {
  const verdicts: Verdict[] = [];
  for (let passed = 0; passed < seconds; passed += 1) {
    second += 1;
    const verdict = monitor.see({ t: second * 1_000, stats: statsAfter(each) }, surroundings);
    if (verdict !== undefined) verdicts.push(verdict);
  }
  return verdicts;
}

describe('quality as felt here', () => {
  it('says nothing of the first three seconds, then that a good call is excellent, once', () => {
    expect(pass(3)).toEqual([]);
    expect(pass(60)).toEqual([{ level: 'excellent', reasons: [] }]);
    expect(monitor.hasIssue).toBe(false);
  });

  it.each([
    ['inbound_loss', { lost: 5 }, 'poor'],
    ['outbound_loss', { theyLost: 2 }, 'fair'],
    ['round_trip', { rttMs: 200 }, 'good'],
    ['round_trip', { rttMs: 900 }, 'poor'],
    ['jitter', { jitterMs: 40 }, 'fair'],
    ['concealment', { concealed: 9_600 }, 'poor'],
    ['freezes', { frozen: 0.1 }, 'fair'],
    ['bandwidth', { limitation: 'bandwidth' }, 'fair'],
    ['cpu', { limitation: 'cpu' }, 'fair'],
  ] as const)('names %s, from %o on, as what makes it %s', (reason, each, level) => {
    expect(pass(30, each)).toEqual([{ level, reasons: [reason] }]);
  });

  it('puts the worst reason first', () => {
    expect(pass(30, { lost: 5, jitterMs: 40, rttMs: 200 })).toEqual([
      { level: 'poor', reasons: ['inbound_loss', 'jitter', 'round_trip'] },
    ]);
  });

  it('overlooks one bad second among good ones', () => {
    pass(20);
    expect([...pass(1, { jitterMs: 90 }), ...pass(20)]).toEqual([]);
  });

  it('takes an issue for one at first sight, and for over when it stays away', () => {
    pass(20);
    pass(1, { jitterMs: 90 });
    expect(monitor.hasIssue).toBe(true);
    expect(pass(1, { jitterMs: 90 })).toEqual([{ level: 'fair', reasons: ['jitter'] }]);
    expect(pass(3)).toEqual([]);
    expect(monitor.hasIssue).toBe(true);
    expect(pass(1)).toEqual([{ level: 'excellent', reasons: [] }]);
    expect(monitor.hasIssue).toBe(false);
  });

  it('is poor at once when the connection breaks, and judged anew when it is back', () => {
    pass(20);
    expect(pass(1, {}, { ...calm, state: 'disconnected' })).toEqual([{ level: 'poor', reasons: ['disconnected'] }]);
    expect(pass(20)).toEqual([{ level: 'excellent', reasons: [] }]);
  });

  it('finds no fault in silence, in a muted stream, or in a picture that nobody looks at', () => {
    expect(pass(30, { concealed: 9_600, silent: 9_600 })).toMatchObject([{ level: 'excellent' }]);
    expect(pass(30, { packets: 0 })).toEqual([]);
    monitor = createQualityMonitor();
    expect(pass(30, { frozen: 0.9 }, { ...calm, hidden: true })).toMatchObject([{ level: 'excellent' }]);
  });

  it('says that the CPU is pressed, where the browser knows', () => {
    expect(pass(30, {}, { ...calm, cpu: 'critical' })).toEqual([{ level: 'fair', reasons: ['cpu'] }]);
  });

  it('judges nothing by members that the browser does not deliver, and survives counters that fall', () => {
    for (let t = 0; t < 30_000; t += 1_000) {
      const stats = [{ id: 'in', type: 'inbound-rtp', kind: 'audio', packetsReceived: 1_000_000 - t, packetsLost: 3 }];
      expect(monitor.see({ t, stats }, calm)?.level ?? 'excellent').toBe('excellent');
    }
  });
});
