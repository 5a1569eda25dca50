/**
 * Judges a connection from its own samples, for the app in the same page. No score: a level and what keeps it down. What is
 * muted, paused or hidden by choice is no fault, and too few packets say nothing.
 */
import type { ReportSample, RtcStats } from '../contract.ts';
import type { QualityLevel, QualityReason } from './api.ts';

/** What the samples do not say. */
export interface Surroundings {
  readonly state: RTCPeerConnectionState;
  readonly hidden: boolean;
  /** As Compute Pressure names it. */
  readonly cpu: string;
}

export interface Verdict {
  readonly level: QualityLevel;
  readonly reasons: readonly QualityReason[];
}

export interface QualityMonitor {
  /** The level after this sample, when it has changed. */
  see(sample: ReportSample, surroundings: Surroundings): Verdict | undefined;
  /** Whether something is wrong, or seems to be. */
  readonly hasIssue: boolean;
}

const LEVELS = ['excellent', 'good', 'fair', 'poor'] as const;
const FAIR = 2;
const POOR = 3;

/** From which value on a measure is at best good, fair, poor. Ratios of 1, milliseconds. */
const STEPS: Readonly<Partial<Record<QualityReason, readonly [good: number, fair: number, poor: number]>>> = {
  inbound_loss: [0.01, 0.03, 0.08],
  outbound_loss: [0.01, 0.03, 0.08],
  round_trip: [150, 300, 500],
  jitter: [20, 30, 100],
  concealment: [0.01, 0.03, 0.1],
  freezes: [0.01, 0.05, 0.2],
};

/** Differences are taken over so long. */
const WINDOW_MS = 10_000;
const MIN_WINDOW_MS = 3_000;
const MIN_PACKETS = 50;
/** Half a second of audio. */
const MIN_AUDIO_SAMPLES = 24_000;
/** A level must be seen so often in a row before it counts: one bad second is none, and trouble is over when it stays away. */
const SEEN_WORSE = 2;
const SEEN_BETTER = 4;

export function createQualityMonitor(): QualityMonitor {
  let samples: ReportSample[] = [];
  let current: number | undefined;
  let newest = 0;
  let streak = 0;
  return {
    see(sample, surroundings) {
      samples = [...samples.filter(({ t }) => sample.t - t <= WINDOW_MS), sample];
      const faults = faultsIn(samples, surroundings);
      if (faults === undefined) return undefined;
      newest = Math.max(0, ...faults.values());
      streak = newest === current ? 0 : streak + 1;
      const isWorse = newest > (current ?? -1);
      const needed =
        current === undefined || surroundings.state !== 'connected' ? 1 : isWorse ? SEEN_WORSE : SEEN_BETTER;
      if (streak < needed) return undefined;
      current = newest;
      streak = 0;
      const worstFirst = [...faults].filter(([, level]) => level > 0).sort(([, one], [, other]) => other - one);
      return { level: LEVELS[current] ?? 'poor', reasons: worstFirst.map(([reason]) => reason) };
    },
    get hasIssue() {
      return newest >= FAIR || (current ?? 0) >= FAIR;
    },
  };
}

type Faults = ReadonlyMap<QualityReason, number>;

/** Undefined while there is too little to judge by. */
function faultsIn(samples: readonly ReportSample[], { state, hidden, cpu }: Surroundings): Faults | undefined {
  if (state === 'disconnected' || state === 'failed') return new Map([['disconnected', POOR]]);
  const [first] = samples;
  const last = samples.at(-1);
  if (state !== 'connected' || first === undefined || last === undefined) return undefined;
  const passed = last.t - first.t;
  if (passed < MIN_WINDOW_MS) return undefined;
  const faults = new Map<QualityReason, number>();
  for (const [reason, value] of measure(first, last, passed)) {
    if (reason === 'freezes' && hidden) continue; // nobody looks, and browsers decode no faster than they are looked at
    const level = STEPS[reason]?.filter((step) => value >= step).length ?? 0;
    faults.set(reason, Math.max(level, faults.get(reason) ?? 0));
  }
  const limits = [first, last].map(limitationsOf);
  for (const reason of ['bandwidth', 'cpu'] as const) {
    if (limits.every((limit) => limit.has(reason))) faults.set(reason, FAIR);
  }
  if (cpu === 'critical') faults.set('cpu', FAIR);
  return faults;
}

function limitationsOf({ stats }: ReportSample): Set<unknown> {
  return new Set(stats.map((one) => one['qualityLimitationReason']));
}

function* measure(
  first: ReportSample,
  last: ReportSample,
  passedMs: number,
): Generator<readonly [QualityReason, number]> {
  const before = new Map(first.stats.map((stats) => [stats.id, stats]));
  const after = new Map(last.stats.map((stats) => [stats.id, stats]));
  for (const stats of last.stats) {
    const earlier = before.get(stats.id);
    if (earlier === undefined) continue;
    const gained = (member: string) => number(stats, member) - number(earlier, member);
    switch (stats.type) {
      case 'inbound-rtp':
        yield* inbound(stats, gained, passedMs);
        break;
      case 'remote-inbound-rtp': {
        const sender = String(stats['localId']);
        const sent = number(after.get(sender), 'packetsSent') - number(before.get(sender), 'packetsSent');
        if (sent >= MIN_PACKETS) yield ['outbound_loss', gained('packetsLost') / sent];
        const measured = gained('roundTripTimeMeasurements');
        if (measured > 0) yield ['round_trip', (1_000 * gained('totalRoundTripTime')) / measured];
        break;
      }
      case 'candidate-pair': {
        const answered = gained('responsesReceived');
        if (answered > 0) yield ['round_trip', (1_000 * gained('totalRoundTripTime')) / answered];
        break;
      }
    }
  }
}

function* inbound(
  stats: RtcStats,
  gained: (member: string) => number,
  passedMs: number,
): Generator<readonly [QualityReason, number]> {
  const lost = gained('packetsLost');
  const expected = lost + gained('packetsReceived');
  if (expected >= MIN_PACKETS) yield ['inbound_loss', lost / expected];
  if (stats['kind'] === 'video') {
    yield ['freezes', (1_000 * gained('totalFreezesDuration')) / passedMs];
    return;
  }
  if (expected >= MIN_PACKETS) yield ['jitter', 1_000 * number(stats, 'jitter')];
  const played = gained('totalSamplesReceived');
  const concealed = gained('concealedSamples') - gained('silentConcealedSamples');
  if (played >= MIN_AUDIO_SAMPLES) yield ['concealment', concealed / played];
}

/** NaN where the browser did not say: it compares false with every step. */
function number(stats: RtcStats | undefined, member: string): number {
  const value = stats?.[member];
  return typeof value === 'number' ? value : Number.NaN;
}
