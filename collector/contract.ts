/**
 * The collector's door: what it accepts from clients and SFUs, the rows it derives, and what it tells readers.
 * Schemas and types, no behaviour.
 */
import { z } from 'zod';
import { u64 } from '../kernel/bytes.ts';
import { shortName } from '../relay/contract.ts';

// ── Reports: the native wire format, versions 1 and 2 (docs/wire-format.md) ──────────────────────────────────────────────────────────────────────

/** Unix milliseconds on the client's clock; fractions allowed. */
const clientTime = z.number().min(0).max(8.64e15);

/** One W3C webrtc-stats dictionary, members as the browser names them. Unknown members are ignored, not refused. */
export const rtcStats = z.looseObject({ id: z.string().max(256), type: z.string().max(64) });
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
export const report = z.strictObject({
  v: z.literal(1),
  connection: z.string().regex(/^[A-Za-z0-9_-]{8,64}$/, 'must be 8 to 64 characters of A-Z a-z 0-9 _ -'),
  seq: z.int().min(0).max(0xffff_ffff),
  offset: z.number().min(-3.2e12).max(3.2e12).nullable(),
  /** Overridden by the report token's own ids where that has them. */
  call: shortName.optional(),
  participant: shortName.optional(),
  sdk: z.string().max(64).optional(),
  samples: z.array(reportSample).max(240),
  events: z.array(reportEvent).max(1_000),
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
export const deltaReport = report.extend({
  v: z.literal(2),
  samples: z.array(z.union([reportSample, sampleDelta])).max(240),
});
export type DeltaReport = z.output<typeof deltaReport>;

/** Rows, by what they are about. */
export interface StoredRows {
  readonly streams: number;
  readonly connections: number;
  readonly events: number;
}

/** What was left out of something that was stored otherwise: where it stood, and what is wrong with it. */
export interface Rejected {
  readonly path: string;
  readonly message: string;
}

/**
 * 200 of POST /v1/stats: every row of the batch is stored; 207: every row but those that `rejected` names, which would be
 * refused again. `serverTime` is Unix milliseconds at receipt, for the client's offset; a batch without samples and events
 * asks for nothing else. It also stands beside the error TP_COLLECTOR_CLOCK (times too far from now): nothing of that batch
 * is stored, so it may be sent again with another offset.
 */
export interface ReportAnswer {
  readonly stored: StoredRows;
  readonly rejected?: readonly Rejected[];
  readonly serverTime: number;
  /** What the collector would have its clients do from now on. */
  readonly client?: ClientSettings;
}

/** How clients are to sample and report, set where the collector is configured and told in every answer. */
export interface ClientSettings {
  /** Milliseconds between two samples, and while the client itself sees something wrong. */
  readonly intervalMs: number;
  readonly issueIntervalMs: number;
  /** Milliseconds between two reports. */
  readonly uploadMs: number;
  /** Share of connections that send samples, 0 to 1; the others send events only. */
  readonly sampledShare: number;
  /** Members of webrtc-stats dictionaries that need not be sent. */
  readonly omittedMembers: readonly string[];
}

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

/** 200 and 207 of POST /v1/dumps: every row is stored but those of what `rejected` names. */
export interface DumpAnswer {
  readonly format: FormatName;
  /** As the request or the recording names it, else made from what is in it: the same for the same recording. */
  readonly calls: readonly string[];
  readonly connections: number;
  readonly stored: StoredRows;
  readonly rejected?: readonly Rejected[];
  /** What the reader of these rows should know of the recording. */
  readonly notes?: readonly string[];
}

// ── SFU egress: generic cumulative counters ─────────────────────────────────────────────────────────────────────────

/** One reading of one object's cumulative egress counter (a transport, a handle, a participant, a node). */
export const egressReading = z.strictObject({
  server_id: shortName.min(1),
  /** Changes whenever the counter restarts from zero (process start, new transport). */
  boot_id: shortName.min(1),
  object_id: z.string().min(1).max(128),
  /** Rises with every reading of the object. */
  seq: z.int().nonnegative(),
  /** Unix milliseconds at which the counter was read. */
  window_end: z.int().positive(),
  app_id: shortName.min(1),
  custom_id: shortName.default(''),
  call_id: shortName.default(''),
  participant_id: shortName.default(''),
  /** Bytes sent to the client since boot_id began. */
  egress_bytes: u64,
  egress_packets: u64.default(0n),
  final: z.boolean().default(false),
});
export const egressBatch = z.strictObject({
  source: z.string().regex(/^[a-z][a-z0-9_-]{0,31}$/),
  readings: z.array(egressReading).min(1).max(1_000),
});
export type EgressReading = z.output<typeof egressReading>;

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

/** GET /v1/calls */
export interface CallSummary {
  readonly app: string;
  readonly call: string;
  /** Something was reported or relayed in the last 20 seconds. */
  readonly live: boolean;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly lastSeenAt: string;
  readonly participants: number;
  /** Median MOS of inbound audio intervals, and its 5th percentile. */
  readonly mos: number | null;
  readonly mosP5: number | null;
  readonly mosModel: string | null;
  /** 0…1 over inbound packets. */
  readonly lossRatio: number | null;
  readonly jitterMs: number | null;
  readonly rttMs: number | null;
  /** Bits per second received, all inbound streams of the newest interval of each. */
  readonly bitrateBps: number | null;
  /** The middle one of the call's connections. */
  readonly timeToFirstFrameMs: number | null;
  /** Connections of the call that reached `connected`, and those that did not. */
  readonly connected: number;
  readonly failed: number;
  /** Bytes our relays sent to this call's clients, as a decimal string. */
  readonly relayedBytes: string;
  /** Bytes SFUs sent to this call's clients, as a decimal string. */
  readonly sfuBytes: string;
}

export interface CallsAnswer {
  readonly calls: readonly CallSummary[];
}

/** One stream, one interval, as the console plots it. */
export interface TimelinePoint {
  readonly ts: string;
  readonly participant: string;
  readonly stream: string;
  readonly direction: 'inbound' | 'outbound';
  readonly kind: 'audio' | 'video';
  readonly mos: number | null;
  readonly lossRatio: number | null;
  readonly jitterMs: number | null;
  readonly bitrateBps: number | null;
  readonly framesPerSecond: number | null;
  readonly freezes: number | null;
}

/** One connection, one interval. */
export interface ConnectionPoint {
  readonly ts: string;
  readonly participant: string;
  readonly connection: string;
  readonly rttMs: number | null;
  readonly localCandidateType: string | null;
  readonly relayProtocol: string | null;
  readonly bytesSent: string | null;
  readonly bytesReceived: string | null;
}

export interface CallEventPoint {
  readonly ts: string;
  readonly participant: string;
  readonly type: string;
  readonly value: string | null;
  readonly ms: number | null;
}

/** GET /v1/calls/:call */
export interface CallDetail extends CallSummary {
  readonly streams: readonly TimelinePoint[];
  readonly connections: readonly ConnectionPoint[];
  readonly events: readonly CallEventPoint[];
}

export const usageGroups = ['app', 'call', 'customer'] as const;

/** GET /v1/usage: bytes sent to clients after `from` and up to `to`, as metered; not yet rated. */
export interface UsageAnswer {
  /** ISO 8601, UTC. */
  readonly from: string;
  readonly to: string;
  readonly group: (typeof usageGroups)[number];
  readonly usage: readonly {
    readonly app: string;
    /** The call or the customer; empty when grouped by app, or when the credential named none. */
    readonly key: string;
    /** Decimal strings. */
    readonly turnBytes: string;
    readonly sfuBytes: string;
  }[];
}
