/**
 * A small month for the dashboards: a good call that is live, a bad one that is over, one of another app under another
 * model, and readings of two relays and an SFU that began before the month did.
 *
 * It lies far in the future, so that no table's retention ever drops it.
 */
import type { Row, StoreWriter } from '../../collector/store/store.ts';

/** End of the range shown: 20 November 2099, noon UTC. */
export const END = Date.UTC(2099, 10, 20, 12);
export const MONTH_START = Date.UTC(2099, 10, 1);
export const INTERVAL_MS = 5_000;
export const INTERVALS = 24;

interface CallPlan {
  readonly app: string;
  readonly call: string;
  readonly participants: readonly string[];
  /** Milliseconds from the call's last interval to the end of the range. */
  readonly ended: number;
  readonly model: string;
  readonly mos: number;
  /** Packets lost of the 250 that each interval's audio has. */
  readonly lost: number;
  readonly firstFrameMs: number;
}

export const goodCall: CallPlan = {
  app: 'demo',
  call: 'standup',
  participants: ['ana', 'ben'],
  ended: 0,
  model: 'g107.2',
  mos: 4.4,
  lost: 0,
  firstFrameMs: 400,
};
export const badCall: CallPlan = {
  app: 'demo',
  call: "cara's call",
  participants: ['cara', 'dan'],
  ended: 600_000,
  model: 'g107.2',
  mos: 2.1,
  lost: 25,
  firstFrameMs: 3_600,
};
export const otherCall: CallPlan = {
  ...goodCall,
  app: 'other',
  call: 'elsewhere',
  ended: 900_000,
  model: 'g107',
  mos: 3.9,
};
export const plans = [goodCall, badCall, otherCall] as const;

const connectionOf = (plan: CallPlan, participant: string): string => `${plan.call.replace(/\W/g, '-')}-${participant}`;

interface Leading {
  readonly app_id: string;
  readonly call_id: string;
  readonly participant_id: string;
  readonly connection_id: string;
  readonly ts: number;
  readonly batch_seq: number;
  readonly sample_index: number;
}

function intervalsOf(plan: CallPlan): Leading[] {
  return plan.participants.flatMap((participant) =>
    Array.from({ length: INTERVALS }, (_, index) => ({
      app_id: plan.app,
      call_id: plan.call,
      participant_id: participant,
      connection_id: connectionOf(plan, participant),
      ts: END - plan.ended - (INTERVALS - 1 - index) * INTERVAL_MS,
      batch_seq: index,
      sample_index: 1,
    })),
  );
}

function streamRows(plan: CallPlan): Row[] {
  return intervalsOf(plan).flatMap((leading): Row[] => {
    const media = { ...leading, interval_ms: INTERVAL_MS, packets_discarded: 0 };
    return [
      {
        ...media,
        stream: 'inbound/audio/1',
        direction: 'inbound',
        kind: 'audio',
        ssrc: 1,
        codec: 'opus',
        packets: 250 - plan.lost,
        packets_lost: plan.lost,
        bytes: 20_000,
        jitter_ms: plan.lost === 0 ? 4 : 60,
        concealed_samples: plan.lost * 960,
        total_samples_received: 250 * 960,
        mos: plan.mos,
        mos_model: plan.model,
      },
      {
        ...media,
        stream: 'inbound/video/2',
        direction: 'inbound',
        kind: 'video',
        ssrc: 2,
        codec: 'VP8',
        packets: 500,
        packets_lost: 0,
        bytes: 500_000,
        jitter_ms: 8,
        frames: 150,
        frames_per_second: plan.lost === 0 ? 30 : 12,
        freeze_count: plan.lost === 0 ? 0 : 1,
        freeze_ms: plan.lost === 0 ? 0 : 400,
      },
      // An outbound stream, and one whose browser delivered almost nothing.
      {
        ...media,
        stream: 'outbound/video/3',
        direction: 'outbound',
        kind: 'video',
        ssrc: 3,
        packets: 500,
        bytes: 625_000,
        frames_per_second: 30,
      },
      { ...media, stream: 'inbound/audio/4', direction: 'inbound', kind: 'audio', ssrc: 4 },
    ];
  });
}

const connectionRows = (plan: CallPlan): Row[] =>
  intervalsOf(plan).map((leading) => ({
    ...leading,
    interval_ms: INTERVAL_MS,
    rtt_ms: plan.lost === 0 ? 30 : 240,
    bytes_sent: 650_000,
    bytes_received: 520_000,
    local_candidate_type: 'relay',
    relay_protocol: 'udp',
  }));

const eventRows = (plan: CallPlan): Row[] =>
  intervalsOf(plan)
    .filter(({ batch_seq }) => batch_seq === 0)
    .flatMap((leading): Row[] => [
      { ...leading, sample_index: 0, type: 'setup', value: 'connected', value_ms: 210.5, detail: '{}' },
      { ...leading, sample_index: 1, type: 'first_frame', value: 'video', value_ms: plan.firstFrameMs, detail: '{}' },
    ]);

/** A third participant of the bad call, who never got through. */
const failedSetup: Row = {
  app_id: badCall.app,
  call_id: badCall.call,
  participant_id: 'eve',
  connection_id: 'caras-call-eve',
  ts: END - badCall.ended,
  batch_seq: 0,
  sample_index: 0,
  type: 'setup',
  value: 'failed',
  value_ms: 15_000,
  detail: '{"ice":"failed"}',
};

/** 2^53 + 1: a counter that no float holds. */
export const HUGE = 9_007_199_254_740_993n;
const GB = 1_000_000_000n;

interface ReadingPlan {
  readonly meter: 'turn' | 'sfu';
  readonly object: string;
  readonly peerClass: string;
  readonly app: string;
  readonly customId: string;
  readonly call: string;
  readonly participant: string;
  /** Cumulative egress at each time. */
  readonly totals: readonly (readonly [time: number, bytes: bigint])[];
}

/** This month: 401.5 GB by TURN to the internet, 100 GB by TURN from the SFU, 700 GB by the SFU itself, 2,000 bytes of STUN. */
export const readings: readonly ReadingPlan[] = [
  {
    meter: 'turn',
    object: 'allocation-1',
    peerClass: 'internet',
    app: 'demo',
    customId: 'acme',
    call: 'standup',
    participant: 'ana',
    totals: [
      [MONTH_START - 60_000, HUGE - 5n * GB],
      [MONTH_START, HUGE],
      [END - 20_000, HUGE + 401n * GB],
      [END - 10_000, HUGE + 401n * GB + 400_000_000n],
      [END, HUGE + 401n * GB + 500_000_000n],
    ],
  },
  {
    meter: 'turn',
    object: 'allocation-1',
    peerClass: 'control',
    app: 'demo',
    customId: 'acme',
    call: 'standup',
    participant: 'ana',
    totals: [
      [END - 10_000, 1_000n],
      [END, 2_000n],
    ],
  },
  {
    meter: 'turn',
    object: 'allocation-2',
    peerClass: 'sfu',
    app: 'demo',
    customId: 'acme',
    call: "cara's call",
    participant: 'cara',
    totals: [[END - 600_000, 100n * GB]],
  },
  {
    meter: 'sfu',
    object: 'transport-1',
    peerClass: 'none',
    app: 'demo',
    customId: 'acme',
    call: "cara's call",
    participant: 'cara',
    totals: [
      [MONTH_START - 1, 50n * GB],
      [END - 600_000, 750n * GB],
    ],
  },
  // Nobody's bytes on both meters: nothing proves that they are the same, so both count.
  ...(['turn', 'sfu'] as const).map((meter): ReadingPlan => ({
    meter,
    object: `${meter}-anonymous`,
    peerClass: meter === 'turn' ? 'sfu' : 'none',
    app: 'demo',
    customId: '',
    call: '',
    participant: '',
    totals: [[END - 3_000_000, 500_000_000n]],
  })),
];

const readingRows = (plan: ReadingPlan): Row[] =>
  plan.totals.map(([time, bytes], seq) => ({
    app_id: plan.app,
    meter: plan.meter,
    source: plan.meter === 'turn' ? 'turnpike' : 'mediasoup',
    server_id: `${plan.meter}-1`,
    boot_id: 'boot-1',
    object_id: plan.object,
    peer_class: plan.peerClass,
    seq,
    window_end: time,
    key_id: plan.meter === 'turn' ? 'main' : '',
    custom_id: plan.customId,
    call_id: plan.call,
    participant_id: plan.participant,
    transport: plan.meter === 'turn' ? 'udp' : '',
    client_family: plan.meter === 'turn' ? 4 : 0,
    relay_family: plan.meter === 'turn' ? 4 : 0,
    final: false,
    client_rx_bytes: 0,
    client_rx_packets: 0,
    client_tx_bytes: bytes,
    client_tx_packets: bytes / 1_000n,
    peer_rx_bytes: 0,
    peer_rx_packets: 0,
    peer_tx_bytes: 0,
    peer_tx_packets: 0,
  }));

const alertRow = (rule: string, state: string, ts: number, app: string): Row => ({
  ts,
  rule,
  fingerprint: `${rule}/${app}`,
  state,
  severity: 'warning',
  app_id: app,
  value: 0.1,
  threshold: 0.05,
  samples: 48,
  summary: `${rule} is ${state}.`,
});

const alertRows: Row[] = [
  alertRow('loss', 'pending', END - 300_000, 'demo'),
  alertRow('loss', 'firing', END - 240_000, 'demo'),
  alertRow('mos', 'pending', END - 300_000, 'demo'),
  alertRow('mos', 'firing', END - 240_000, 'demo'),
  alertRow('mos', 'resolved', END - 60_000, 'demo'),
  alertRow('jitter', 'firing', END - 200_000, 'other'),
];

/** Writes all of it, and the good call a second time, as a client does whose acknowledgement was lost. */
export async function writeCallData(store: StoreWriter): Promise<void> {
  for (const plan of [...plans, goodCall]) {
    await store.insert('stream_intervals', streamRows(plan));
    await store.insert('connection_intervals', connectionRows(plan));
    await store.insert('call_events', eventRows(plan));
  }
  await store.insert('call_events', [failedSetup]);
  for (const plan of [...readings, ...readings]) await store.insert('egress_samples', readingRows(plan));
  await store.insert('alerts', alertRows);
}
