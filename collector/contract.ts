/**
 * The collector's door: what it accepts from clients and SFUs, the rows it derives, and what it tells readers.
 * Schemas and types, no behaviour.
 */
import { z } from 'zod';
import type { Answer } from '../kernel/answer.ts';
import { bytesText, u64 } from '../kernel/bytes.ts';
import { issue } from '../kernel/errors.ts';
import { shortName } from '../relay/contract.ts';

// ── Reports: the native wire format, versions 1 and 2 (docs/wire-format.md) ──────────────────────────────────────────────────────────────────────

/** Fractions allowed. */
const clientTime = z.number().min(0).max(8.64e15).describe('Unix milliseconds on the client’s clock.');

/** One W3C webrtc-stats dictionary, members as the browser names them. Unknown members are ignored, not refused. */
export const rtcStats = z
  .looseObject({ id: z.string().max(256), type: z.string().max(64) })
  .describe('One dictionary of webrtc-stats, members as the browser names them.');
export type RtcStats = z.output<typeof rtcStats>;

/** One getStats() call. */
export const reportSample = z.strictObject({ t: clientTime, stats: z.array(rtcStats).max(2_000) });
export type ReportSample = z.output<typeof reportSample>;

/** What happened between samples. `ms` is a duration where the event is one (set-up time, time to first frame). */
export const reportEvent = z.strictObject({
  t: clientTime,
  type: z.string().regex(/^[a-z][a-z0-9_]{0,47}$/, 'must be a lower-case name'),
  value: z.string().max(256).optional(),
  ms: z.number().min(0).max(86_400_000).optional(),
  detail: z.record(z.string().max(64), z.union([z.string().max(1_024), z.number(), z.boolean(), z.null()])).optional(),
});
export type ReportEvent = z.output<typeof reportEvent>;

/**
 * POST /v1/stats. A batch carries its own baseline, so that a collector without memory can difference it: samples[0] is
 * the last sample of the batch before (or the first ever taken), and intervals are samples[i] − samples[i−1].
 * `offset` is what the client has learnt to add to its clock to get the collector's (null before the first answer);
 * it is part of the batch, because a retried batch must be byte-identical.
 */
export const report = z
  .strictObject({
    v: z.literal(1),
    connection: z
      .string()
      .regex(/^[A-Za-z0-9_-]{8,64}$/, 'must be 8 to 64 characters of A-Z a-z 0-9 _ -')
      .describe('Made up by the client: 8 to 64 characters of A-Z a-z 0-9 _ -'),
    seq: z.int().min(0).max(0xffff_ffff),
    offset: z
      .number()
      .min(-3.2e12)
      .max(3.2e12)
      .nullable()
      .describe('Milliseconds to add to the client’s clock to get the collector’s; null before the first answer.'),
    call: shortName.optional().describe('Overridden by the report token’s own, as is the participant.'),
    participant: shortName.optional(),
    sdk: z.string().max(64).optional(),
    samples: z.array(reportSample).max(240),
    events: z.array(reportEvent).max(1_000),
  })
  .meta({
    id: 'Report',
    description:
      'A batch of the browser SDK. samples[0] is the last sample of the batch before, or the first ever taken.',
  });
export type Report = z.output<typeof report>;

/**
 * What changed since the sample before: an entry with a `type` is a whole dictionary, one without has the members of the
 * dictionary of that `id` that changed, null for a member that is no more. `gone` names dictionaries that are no more.
 */
export const sampleDelta = z.strictObject({
  t: clientTime,
  delta: z.array(z.looseObject({ id: z.string().max(256), type: z.string().max(64).optional() })).max(2_000),
  gone: z.array(z.string().max(256)).max(2_000).optional(),
});
export type SampleDelta = z.output<typeof sampleDelta>;

/**
 * Version 2 of a report: like version 1, but samples may be differences to the sample before them. A first sample that is
 * one continues the connection's last sample on the same stream of reports; a request of its own has nothing to continue.
 */
export const deltaReport = report
  .extend({ v: z.literal(2), samples: z.array(z.union([reportSample, sampleDelta])).max(240) })
  .meta({
    id: 'DeltaReport',
    description:
      'Like version 1, but samples may be differences to the sample before them; of a `delta`, null is a member that is no more.',
  });
export type DeltaReport = z.output<typeof deltaReport>;

/** ObserveRTC's ClientSample of schema 3: what tells one from a report. */
const clientSample = z
  .looseObject({
    timestamp: z.number().describe('Unix milliseconds.'),
    clientId: z.string().optional(),
    callId: z.string().optional(),
    peerConnections: z.array(z.looseObject({ peerConnectionId: z.string() })).optional(),
  })
  .meta({
    id: 'ClientSample',
    description: 'ObserveRTC’s ClientSample (schema 3), whole or with its codec’s differences.',
  });

/** Body of POST /v1/stats. A list of samples begins with a whole one. */
export const reportBody = z.union([report, deltaReport, clientSample, z.array(clientSample)]);

/** Rows, by what they are about. */
export const storedRows = z.object({
  streams: z.int().describe('Intervals of RTP streams.'),
  connections: z.int().describe('Intervals of peer connections.'),
  events: z.int(),
});
export type StoredRows = Answer<typeof storedRows>;

/** What was left out of something that was stored otherwise: where it stood, and what is wrong with it. */
export type Rejected = Answer<typeof issue>;
const rejected = z.array(issue).exactOptional().describe('What was left out. It would be refused again.');

/** How clients are to sample and report, set where the collector is configured and told in every answer. */
export const clientSettings = z.object({
  intervalMs: z.number().describe('Milliseconds between two samples.'),
  issueIntervalMs: z.number().describe('The same while the client itself sees something wrong.'),
  uploadMs: z.number().describe('Milliseconds between two reports.'),
  sampledShare: z.number().describe('Share of connections that send samples, 0 to 1; the others send events only.'),
  omittedMembers: z.array(z.string()).describe('Members of webrtc-stats dictionaries that need not be sent.'),
});
export type ClientSettings = Answer<typeof clientSettings>;

/**
 * 200 of POST /v1/stats: every row of the batch is stored; 207: every row but those that `rejected` names, which would be
 * refused again. `serverTime` also stands beside the error TP_COLLECTOR_CLOCK (times too far from now): nothing of that batch
 * is stored, so it may be sent again with another offset.
 */
export const reportAnswer = z
  .object({
    stored: storedRows,
    rejected,
    serverTime: z
      .number()
      .describe('Unix milliseconds at receipt, for the client’s offset; an empty batch asks for nothing else.'),
    client: clientSettings.exactOptional().describe('What the collector would have its clients do from now on.'),
  })
  .meta({ id: 'ReportAnswer' });
export type ReportAnswer = Answer<typeof reportAnswer>;

// ── Recordings: whole calls in the formats of the field ─────────────────────────────────────────────────────────────

export const formatNames = [
  'native',
  'observertc',
  'rtcstats',
  'rtcstats-legacy',
  'webrtc-internals',
  'peermetrics',
] as const;
export type FormatName = (typeof formatNames)[number];

/** Those that may come as a stream. */
export const streamedFormats = ['native', 'observertc', 'rtcstats', 'rtcstats-legacy'] as const satisfies FormatName[];
export type StreamedFormat = (typeof streamedFormats)[number];

/** 200 and 207 of POST /v1/dumps: every row is stored but those of what `rejected` names. */
export const dumpAnswer = z
  .object({
    format: z.enum(formatNames),
    calls: z
      .array(z.string())
      .describe(
        'As the request or the recording names it, else made from what is in it: the same for the same recording.',
      ),
    connections: z.int(),
    stored: storedRows,
    rejected,
    notes: z.array(z.string()).exactOptional().describe('What the reader of these rows should know of the recording.'),
  })
  .meta({ id: 'DumpAnswer' });
export type DumpAnswer = Answer<typeof dumpAnswer>;

// ── SFU egress: generic cumulative counters ─────────────────────────────────────────────────────────────────────────

/** One reading of one object's cumulative egress counter (a transport, a handle, a participant, a node). */
export const egressReading = z.strictObject({
  server_id: shortName.min(1),
  boot_id: shortName.min(1).describe('Changes whenever the counter restarts from zero (process start, new transport).'),
  object_id: z.string().min(1).max(128),
  seq: z.int().nonnegative().describe('Rises with every reading of the object.'),
  window_end: z.int().positive().describe('Unix milliseconds at which the counter was read.'),
  app_id: shortName.min(1),
  custom_id: shortName.default(''),
  call_id: shortName.default(''),
  participant_id: shortName.default(''),
  egress_bytes: u64.describe('Bytes sent to the client since boot_id began.'),
  egress_packets: u64.prefault('0'),
  final: z.boolean().default(false),
});
export const egressBatch = z.strictObject({
  source: z.string().regex(/^[a-z][a-z0-9_-]{0,31}$/),
  readings: z.array(egressReading).min(1).max(1_000),
});
export type EgressReading = z.output<typeof egressReading>;

/** 200 of POST /v1/usage and POST /v1/egress */
export const meteringAnswer = z.object({
  stored: z.int().describe('Readings stored, counting those that were there already.'),
});
export type MeteringAnswer = Answer<typeof meteringAnswer>;

// ── Scoring, passed in by the composition root ──────────────────────────────────────────────────────────────────────

/** One inbound audio interval as an audio model sees it. */
export interface AudioInterval {
  /** `opus`, `PCMU`, … as in the codec's mimeType after the slash; null when the browser did not say. */
  readonly codec: string | null;
  /** Packets lost or discarded, in percent of those expected in the interval, 0…100. */
  readonly lossPercent: number;
  /** Absolute one-way delay Ta in milliseconds, or null when the round-trip time is not known. */
  readonly delayMs: number | null;
}

export interface AudioScore {
  /** 1…4.5 */
  readonly mos: number;
  /** Transmission rating on the model's own scale mapped to 0…100. */
  readonly r: number;
  /** For instance `g107.2`. Scores of different models are never averaged. */
  readonly model: string;
}

/** Null when the interval cannot be scored (unknown codec, unknown delay). */
export type AudioScorer = (interval: AudioInterval) => AudioScore | null;

// ── What readers get ────────────────────────────────────────────────────────────────────────────────────────────────

const time = z.iso.datetime().describe('UTC.');
const ratio = z.number().nullable().describe('0…1 over inbound packets; less than 0 where late ones arrived.');
const milliseconds = z.number().nullable().describe('Milliseconds.');
const bitrate = z.number().nullable().describe('Bits per second.');

export const callSummary = z
  .object({
    app: z.string(),
    call: z.string(),
    live: z.boolean().describe('Something was reported or relayed in the last 20 seconds.'),
    startedAt: time,
    lastSeenAt: time,
    participants: z.int(),
    mos: z.number().nullable().describe('Median MOS of inbound audio intervals.'),
    mosP5: z.number().nullable().describe('Their 5th percentile.'),
    mosModel: z.string().nullable(),
    lossRatio: ratio,
    jitterMs: milliseconds,
    rttMs: milliseconds,
    bitrateBps: bitrate.describe('Bits per second received, all inbound streams of the newest interval of each.'),
    timeToFirstFrameMs: milliseconds.describe('Milliseconds: the middle one of the call’s connections.'),
    connected: z.int().describe('Connections of the call that reached `connected`.'),
    failed: z.int().describe('Connections of the call that did not.'),
    relayedBytes: bytesText.describe('Bytes our relays sent to this call’s clients, as a decimal string.'),
    sfuBytes: bytesText.describe('Bytes SFUs sent to this call’s clients, as a decimal string.'),
  })
  .meta({ id: 'CallSummary' });
export type CallSummary = Answer<typeof callSummary>;

/** GET /v1/calls */
export const callsAnswer = z.object({ calls: z.array(callSummary) });
export type CallsAnswer = Answer<typeof callsAnswer>;

/** One stream, one interval, as the console plots it. */
export const timelinePoint = z
  .object({
    ts: time,
    participant: z.string(),
    stream: z.string(),
    direction: z.enum(['inbound', 'outbound']),
    kind: z.enum(['audio', 'video']),
    mos: z.number().nullable(),
    lossRatio: ratio,
    jitterMs: milliseconds,
    bitrateBps: bitrate,
    framesPerSecond: z.number().nullable(),
    freezes: z.number().nullable(),
  })
  .meta({ id: 'StreamInterval' });
export type TimelinePoint = Answer<typeof timelinePoint>;

/** One connection, one interval. */
export const connectionPoint = z
  .object({
    ts: time,
    participant: z.string(),
    connection: z.string(),
    rttMs: milliseconds,
    localCandidateType: z.string().nullable(),
    relayProtocol: z.string().nullable(),
    bytesSent: bytesText.nullable(),
    bytesReceived: bytesText.nullable(),
    clockOffsetMs: z
      .number()
      .nullable()
      .describe('Milliseconds: the collector’s clock less the client’s, as far as it is known.'),
  })
  .meta({ id: 'ConnectionInterval' });
export type ConnectionPoint = Answer<typeof connectionPoint>;

export const callEventPoint = z
  .object({
    ts: time,
    participant: z.string(),
    type: z.string(),
    value: z.string().nullable(),
    ms: z.number().nullable().describe('A duration, where the event is one.'),
  })
  .meta({ id: 'CallEvent' });
export type CallEventPoint = Answer<typeof callEventPoint>;

/** GET /v1/calls/:call */
export const callDetail = callSummary
  .extend({
    streams: z.array(timelinePoint),
    connections: z.array(connectionPoint),
    events: z.array(callEventPoint),
  })
  .meta({ id: 'CallDetail' });
export type CallDetail = Answer<typeof callDetail>;

export const usageGroups = ['app', 'hour', 'call', 'customer'] as const;

/** How a figure came about. */
export const usageGrades = ['metered', 'split_by_clients', 'residual'] as const;

/** GET /v1/usage: bytes sent to clients after `from` and up to `to`; not yet rated. The sums are those metered, however they are divided. */
export const usageAnswer = z
  .object({
    from: time,
    to: time,
    group: z.enum(usageGroups),
    usage: z.array(
      z
        .object({
          app: z.string(),
          key: z
            .string()
            .describe(
              'The hour by its beginning, the call or the customer; empty when grouped by app, or when nothing tells which it was.',
            ),
          turnBytes: bytesText,
          sfuBytes: bytesText,
          grade: z
            .enum(usageGrades)
            .describe(
              'metered: counted for this key. split_by_clients: counted for a whole source, and divided by what its clients say that they received. residual: what none of them received.',
            ),
          source: z.string().exactOptional().describe('Whose bytes were divided.'),
          claimedBytes: bytesText.exactOptional().describe('What the clients say; beside split_by_clients.'),
          scaled: z
            .boolean()
            .exactOptional()
            .describe('Whether clients claimed more than was counted in some hour, and were scaled down to it.'),
        })
        .meta({ id: 'UsageLine' }),
    ),
  })
  .meta({ id: 'Usage' });
export type UsageAnswer = Answer<typeof usageAnswer>;

// ── Erasure ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** DELETE /v1/participants/:participant */
export const erasureAnswer = z
  .object({
    erased: z.array(
      z.object({
        table: z.string(),
        rows: z.int(),
        fate: z
          .enum(['removed', 'renamed'])
          .describe('Rows that were billed stay, under a name that stands for the participant.'),
      }),
    ),
  })
  .meta({ id: 'Erasure' });
export type ErasureAnswer = Answer<typeof erasureAnswer>;
