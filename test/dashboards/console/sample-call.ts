/** A call as the collector tells of it: two participants, both media both ways, every two seconds. */
import type {
  CallDetail,
  CallEventPoint,
  CallSummary,
  ConnectionPoint,
  TimelinePoint,
} from '../../../collector/contract.ts';

export interface SampleOptions {
  readonly call?: string;
  readonly live?: boolean;
  /** Unix milliseconds of the last interval. */
  readonly end: number;
  readonly seconds?: number;
  /** Share of packets that B loses from the middle of the call on. */
  readonly loss?: number;
}

/** Something that wavers, always the same. */
const waver = (index: number, depth: number) => Math.sin(index * 1.7) * depth + Math.cos(index * 0.6) * depth;

function mosOf(loss: number, index: number): number {
  return Math.max(1, Math.min(4.42, 4.4 - loss * 22 + waver(index, 0.03)));
}

function streamPoints(ts: string, index: number, participant: string, loss: number): TimelinePoint[] {
  const base = { ts, participant, direction: 'inbound' as const, lossRatio: loss };
  return [
    {
      ...base,
      stream: 'inbound/audio/11',
      kind: 'audio',
      mos: mosOf(loss, index),
      jitterMs: 2.2 + loss * 180 + waver(index, 0.4),
      bitrateBps: 33_000 + waver(index, 900),
      framesPerSecond: null,
      freezes: null,
    },
    {
      ...base,
      stream: 'inbound/video/22',
      kind: 'video',
      mos: null,
      jitterMs: 4.1 + loss * 200 + waver(index, 0.9),
      bitrateBps: 612_000 + waver(index, 24_000) - loss * 2_000_000,
      framesPerSecond: 30 - loss * 100,
      freezes: loss > 0.02 && index % 6 === 0 ? 1 : 0,
    },
  ];
}

export function sampleCall({
  call = 'try-1f0c55d2a9b4',
  live = false,
  end,
  seconds = 60,
  loss = 0,
}: SampleOptions): CallDetail {
  const streams: TimelinePoint[] = [];
  const connections: ConnectionPoint[] = [];
  const steps = Math.floor(seconds / 2);
  const start = end - steps * 2_000;
  for (let index = 1; index <= steps; index += 1) {
    const ts = new Date(start + index * 2_000).toISOString();
    const lossNow = index > steps / 2 ? loss * (1 + waver(index, 0.1)) : 0;
    streams.push(...streamPoints(ts, index, 'A', 0), ...streamPoints(ts, index, 'B', lossNow));
    for (const participant of ['A', 'B']) {
      connections.push({
        ts,
        participant,
        connection: `connection-of-${participant}`,
        rttMs: 2.4 + lossNow * 900 + waver(index, 0.5),
        localCandidateType: 'relay',
        relayProtocol: 'udp',
        bytesSent: '165000',
        bytesReceived: '165000',
        clockOffsetMs: -41,
      });
    }
  }
  const at = (milliseconds: number) => new Date(start + milliseconds).toISOString();
  const events: CallEventPoint[] = ['A', 'B'].flatMap((participant) => [
    { ts: at(40), participant, type: 'ice_state', value: 'checking', ms: null },
    { ts: at(310), participant, type: 'setup', value: 'connected', ms: 310 },
    { ts: at(420), participant, type: 'first_frame', value: 'video', ms: 420 },
  ]);
  return {
    ...summaryOf(call, live, start, end, loss),
    relayedBytes: String(330_000 * steps),
    streams,
    connections,
    events,
  };
}

function summaryOf(call: string, live: boolean, start: number, end: number, loss: number): CallSummary {
  return {
    app: 'default',
    call,
    live,
    startedAt: new Date(start).toISOString(),
    lastSeenAt: new Date(end).toISOString(),
    participants: 2,
    mos: mosOf(loss / 2, 0),
    mosP5: mosOf(loss, 3),
    mosModel: 'g107.2',
    lossRatio: loss / 4,
    jitterMs: 2.2 + loss * 100,
    rttMs: 2.4 + loss * 400,
    bitrateBps: 1_290_000,
    timeToFirstFrameMs: 420,
    connected: 2,
    failed: 0,
    relayedBytes: '0',
    sfuBytes: '0',
  };
}

export function summaryOnly(detail: CallDetail): CallSummary {
  const { streams: _streams, connections: _connections, events: _events, ...summary } = detail;
  return summary;
}
