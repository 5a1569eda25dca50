/** What /try shows of a running call, out of what the collector has stored of it. Pure. */
import type { CallDetail, TimelinePoint } from '../../../collector/contract.ts';
import type { Series } from './chart.ts';
import { stepOf, worst } from './quality.ts';
import type { QualityStep } from './quality.ts';

/** One end of the call, as that end measures it: what it receives, and the round trip to the other peer. */
export interface EndFigures {
  readonly lossRatio: number | null;
  readonly rttMs: number | null;
  readonly step: QualityStep | undefined;
}

export interface LiveFigures {
  /** Of the direction that sounds worse now. */
  readonly mos: number | null;
  readonly mosModel: string | null;
  readonly lossRatio: number | null;
  readonly jitterMs: number | null;
  readonly rttMs: number | null;
  /** Of everything that both ends receive. */
  readonly bitrateBps: number | null;
  readonly timeToFirstFrameMs: number | null;
  readonly freezes: number | null;
  readonly relayProtocol: string | null;
  readonly ends: Readonly<Record<'A' | 'B', EndFigures>>;
  readonly frames: Readonly<Record<'A' | 'B', number | null>>;
}

/** "Now" is the last report and a little before it. */
const NOW_MS = 10_000;
/** Points that belong to one moment: two connections are not sampled in step. */
const BUCKET_MS = 2_000;

const ends = ['A', 'B'] as const;

export function liveFigures(call: CallDetail): LiveFigures {
  const newest = Math.max(0, ...[...call.streams, ...call.connections].map(({ ts }) => Date.parse(ts)));
  const recent = <P extends { readonly ts: string }>(points: readonly P[]) =>
    points.filter(({ ts }) => Date.parse(ts) > newest - NOW_MS);
  const inbound = recent(call.streams).filter(({ direction }) => direction === 'inbound');
  const connections = recent(call.connections);
  const lastOfEach = newestOfEach(inbound);
  const of = (end: 'A' | 'B'): EndFigures => {
    const lossRatio = highest(streamLosses(inbound.filter(({ participant }) => participant === end)));
    // browsers check the round trip every few seconds, so not every interval measured it
    const timed = connections.filter((point) => point.rttMs !== null);
    const own = newestOfEach(timed.map((point) => ({ ...point, stream: point.connection })));
    const rttMs = highest(own.filter(({ participant }) => participant === end).map((point) => point.rttMs));
    const steps = [
      lossRatio === null ? undefined : stepOf('lossRatio', lossRatio),
      rttMs === null ? undefined : stepOf('rttMs', rttMs),
    ];
    return { lossRatio, rttMs, step: worst(steps) };
  };
  const both = { A: of('A'), B: of('B') };
  const video = call.streams.filter(({ direction, kind }) => direction === 'inbound' && kind === 'video');
  return {
    mos: lowest(lastOfEach.map(({ mos }) => mos)),
    mosModel: call.mosModel,
    lossRatio: highest([both.A.lossRatio, both.B.lossRatio]),
    jitterMs: highest(lastOfEach.map(({ jitterMs }) => jitterMs)),
    rttMs: highest([both.A.rttMs, both.B.rttMs]),
    bitrateBps: total(lastOfEach.map(({ bitrateBps }) => bitrateBps)),
    timeToFirstFrameMs: call.timeToFirstFrameMs,
    freezes: total(video.map(({ freezes }) => freezes)),
    relayProtocol: connections.findLast(({ relayProtocol }) => relayProtocol !== null)?.relayProtocol ?? null,
    ends: both,
    frames: { A: framesOf(lastOfEach, 'A'), B: framesOf(lastOfEach, 'B') },
  };
}

/** MOS and loss of the last minute, the worst of all streams at each moment. */
export function lastMinute(call: CallDetail): {
  readonly series: Series[];
  readonly from: number;
  readonly to: number;
} {
  const inbound = call.streams.filter(({ direction }) => direction === 'inbound');
  const to = Math.max(0, ...inbound.map(({ ts }) => Date.parse(ts)));
  const from = to - 60_000;
  const buckets = new Map<number, TimelinePoint[]>();
  for (const point of inbound) {
    const time = Date.parse(point.ts);
    if (time < from) continue;
    const bucket = Math.floor(time / BUCKET_MS) * BUCKET_MS;
    buckets.set(bucket, [...(buckets.get(bucket) ?? []), point]);
  }
  const moments = [...buckets].sort(([one], [other]) => one - other);
  return {
    from,
    to,
    series: [
      { name: 'MOS', points: moments.map(([time, points]) => [time, lowest(points.map(({ mos }) => mos))] as const) },
      {
        name: 'Loss',
        scale: 1,
        points: moments.map(([time, points]) => [time, highest(points.map(({ lossRatio }) => lossRatio))] as const),
      },
    ],
  };
}

/** The last point of each stream, in the order of time. */
function newestOfEach<P extends { readonly ts: string; readonly participant: string; readonly stream: string }>(
  points: readonly P[],
): P[] {
  const newest = new Map<string, P>();
  for (const point of points) {
    const key = `${point.participant} ${point.stream}`;
    const known = newest.get(key);
    if (known === undefined || Date.parse(point.ts) >= Date.parse(known.ts)) newest.set(key, point);
  }
  return [...newest.values()];
}

/** Mean loss of each stream over these points: one interval alone is too coarse a ratio. */
function streamLosses(points: readonly TimelinePoint[]): (number | null)[] {
  const streams = [...new Set(points.map(({ stream }) => stream))];
  return streams.map((stream) =>
    mean(points.filter((point) => point.stream === stream).map(({ lossRatio }) => lossRatio)),
  );
}

function framesOf(points: readonly TimelinePoint[], end: (typeof ends)[number]): number | null {
  return highest(
    points
      .filter(({ participant, kind }) => participant === end && kind === 'video')
      .map((point) => point.framesPerSecond),
  );
}

const measured = (values: readonly (number | null)[]) => values.filter((value) => value !== null);
const lowest = (values: readonly (number | null)[]) =>
  measured(values).reduce<number | null>((low, value) => (low === null || value < low ? value : low), null);
const highest = (values: readonly (number | null)[]) =>
  measured(values).reduce<number | null>((high, value) => (high === null || value > high ? value : high), null);
const total = (values: readonly (number | null)[]) =>
  measured(values).reduce<number | null>((sum, value) => (sum ?? 0) + value, null);
const mean = (values: readonly (number | null)[]) => {
  const sum = total(values);
  return sum === null ? null : sum / measured(values).length;
};
