/**
 * Which W3C webrtc-stats member becomes which column, as data. Members are spelt as the specification spells them
 * (https://www.w3.org/TR/webrtc-stats/), columns as store/tables.ts does.
 */

/** Where a stream's member is read: its own dictionary, the far end's report on it, or what it is made from or played into. */
export type Origin = 'rtp' | 'remote' | 'source' | 'playout';

/** A cumulative counter; the column holds its difference over the interval. */
export interface CounterMember {
  readonly column: string;
  readonly from: Origin;
  readonly member: string;
  /** RTCP's cumulative loss goes down when packets arrive late (RFC 3550 §6.4.1); every other counter only rises. */
  readonly signed?: true;
}

/** A mean over the interval: difference of one cumulative member over the difference of another, times `scale`. */
export interface MeanMember {
  readonly column: string;
  readonly from: Origin;
  readonly total: string;
  readonly count: string;
  readonly scale: number;
  readonly digits: number;
  /** The mean is of squares (energy); the column holds its root. */
  readonly root?: true;
  readonly most?: number;
}

/** A value as it stood at the end of the interval, times `scale`. */
export interface GaugeMember {
  readonly column: string;
  readonly from: Origin;
  readonly member: string;
  readonly scale: number;
  readonly digits: number;
  readonly most?: number;
}

export interface StreamMembers {
  readonly counters: readonly CounterMember[];
  readonly means: readonly MeanMember[];
  readonly gauges: readonly GaugeMember[];
}

const counter = (column: string, member: string, from: Origin = 'rtp'): CounterMember => ({ column, from, member });
const lost = (from: Origin): CounterMember => ({ column: 'packets_lost', from, member: 'packetsLost', signed: true });
/** Members in seconds, columns in milliseconds. */
const milliseconds = (column: string, member: string, from: Origin = 'rtp'): GaugeMember => ({
  column,
  from,
  member,
  scale: 1_000,
  digits: 2,
});
const whole = (column: string, member: string, most: number): GaugeMember => ({
  column,
  from: 'rtp',
  member,
  scale: 1,
  digits: 0,
  most,
});
const frameSize = [whole('frame_width', 'frameWidth', 65_535), whole('frame_height', 'frameHeight', 65_535)];
const rtcpRoundTrip: MeanMember = {
  column: 'rtt_ms',
  from: 'remote',
  total: 'totalRoundTripTime',
  count: 'roundTripTimeMeasurements',
  scale: 1_000,
  digits: 2,
};
const audioLevel = (from: Origin): MeanMember => ({
  column: 'audio_level',
  from,
  total: 'totalAudioEnergy',
  count: 'totalSamplesDuration',
  scale: 1,
  digits: 4,
  root: true,
  most: 1,
});

export const streamMembers: Readonly<Record<'inbound' | 'outbound', StreamMembers>> = {
  inbound: {
    counters: [
      counter('packets', 'packetsReceived'),
      lost('rtp'),
      counter('packets_discarded', 'packetsDiscarded'),
      counter('bytes', 'bytesReceived'),
      counter('header_bytes', 'headerBytesReceived'),
      counter('retransmitted_packets', 'retransmittedPacketsReceived'),
      counter('nack_count', 'nackCount'),
      counter('pli_count', 'pliCount'),
      counter('concealed_samples', 'concealedSamples'),
      counter('silent_concealed_samples', 'silentConcealedSamples'),
      counter('total_samples_received', 'totalSamplesReceived'),
      counter('frames', 'framesDecoded'),
      counter('frames_dropped', 'framesDropped'),
      counter('freeze_count', 'freezeCount'),
    ],
    means: [
      rtcpRoundTrip,
      {
        column: 'jitter_buffer_ms',
        from: 'rtp',
        total: 'jitterBufferDelay',
        count: 'jitterBufferEmittedCount',
        scale: 1_000,
        digits: 2,
      },
      audioLevel('rtp'),
    ],
    gauges: [milliseconds('jitter_ms', 'jitter'), ...frameSize],
  },
  outbound: {
    counters: [
      counter('packets', 'packetsSent'),
      lost('remote'),
      counter('bytes', 'bytesSent'),
      counter('header_bytes', 'headerBytesSent'),
      counter('retransmitted_packets', 'retransmittedPacketsSent'),
      counter('nack_count', 'nackCount'),
      counter('pli_count', 'pliCount'),
      counter('frames', 'framesEncoded'),
    ],
    means: [rtcpRoundTrip, audioLevel('source')],
    gauges: [
      milliseconds('jitter_ms', 'jitter', 'remote'),
      { column: 'fraction_lost', from: 'remote', member: 'fractionLost', scale: 1, digits: 4, most: 1 },
      ...frameSize,
      whole('target_bitrate', 'targetBitrate', Number.MAX_SAFE_INTEGER),
    ],
  },
};

/** Differences of the selected candidate pair. */
export const pairCounters: readonly (readonly [column: string, member: string])[] = [
  ['bytes_sent', 'bytesSent'],
  ['bytes_received', 'bytesReceived'],
  ['packets_sent', 'packetsSent'],
  ['packets_received', 'packetsReceived'],
];

/** Words that a column may hold, by the W3C enumeration behind it; another word is taken for a missing member. */
export const words = {
  candidateType: ['host', 'srflx', 'prflx', 'relay'],
  protocol: ['udp', 'tcp'],
  relayProtocol: ['udp', 'tcp', 'tls'],
  networkType: ['bluetooth', 'cellular', 'ethernet', 'wifi', 'wimax', 'vpn', 'unknown'],
  dtlsState: ['new', 'connecting', 'connected', 'closed', 'failed'],
  iceState: ['new', 'checking', 'connected', 'completed', 'disconnected', 'failed', 'closed'],
  pairState: ['frozen', 'waiting', 'in-progress', 'failed', 'succeeded'],
  qualityLimitationReason: ['none', 'cpu', 'bandwidth', 'other'],
} as const satisfies Record<string, readonly string[]>;
