/** Rows of stream_intervals: one RTP stream between two samples. */
import type { AudioScorer, RtcStats } from '../contract.ts';
import { blankRow } from './blank-row.ts';
import type { Leading, Values } from './blank-row.ts';
import { streamMembers, words } from './members.ts';
import type { GaugeMember, MeanMember, Origin } from './members.ts';
import type { Stream } from './sample.ts';
import { amount, count, CounterReset, decimal, gain, word } from './values.ts';

export interface StreamContext {
  readonly leading: Leading;
  /** Length of the interval, milliseconds. */
  readonly intervalMs: number;
  /** Round trip of the connection, milliseconds; null when nobody measured it. */
  readonly roundTripMs: number | null;
  readonly score: AudioScorer;
}

const BLANK = blankRow('stream_intervals');

/** Row of the stream's interval; undefined when there is none: a counter fell, or the codec is another one. */
export function streamInterval(before: Stream, after: Stream, context: StreamContext): Values | undefined {
  if (before.codec !== null && after.codec !== null && before.codec !== after.codec) return undefined;
  try {
    return measure(before, after, context);
  } catch (error) {
    if (error instanceof CounterReset) return undefined;
    throw error;
  }
}

function measure(before: Stream, after: Stream, context: StreamContext): Values {
  const { direction, kind, ssrc, key, codec } = after;
  const row: Values = { ...BLANK };
  Object.assign(row, context.leading, { stream: key, interval_ms: context.intervalMs, direction, kind, ssrc, codec });
  const { counters, means, gauges } = streamMembers[direction];
  for (const { column, from, member, signed } of counters) {
    const [first, last] = [
      count(earlier(before, after, from), member, signed),
      count(after.from[from], member, signed),
    ];
    row[column] = signed === true ? change(first, last) : gain(first, last);
  }
  for (const mean of means) row[mean.column] = meanOver(before, after, mean);
  const heardOf = hasNewRemoteReport(before, after);
  for (const gauge of gauges) row[gauge.column] = gauge.from === 'remote' && !heardOf ? null : valueOf(after, gauge);
  if (direction === 'inbound' && row['packets'] === 0) row['jitter_ms'] = null; // of packets of an earlier interval
  measureVideo(row, before, after, context.intervalMs);
  if (direction === 'inbound' && kind === 'audio') Object.assign(row, scoreAudio(row, before, after, context));
  return row;
}

function change(before: number | null, after: number | null): number | null {
  return before === null || after === null ? null : after - before;
}

/** The dictionary that the later one continues: a new source or a new far end starts its own counters. */
function earlier(before: Stream, after: Stream, from: Origin): RtcStats | undefined {
  return from === 'rtp' || before.from[from]?.id === after.from[from]?.id ? before.from[from] : undefined;
}

/** A fall of what is only about the stream (its source, its far end) leaves the stream itself whole. */
function meanOver(before: Stream, after: Stream, mean: MeanMember): number | null {
  const { from, scale, digits, root, most = Infinity } = mean;
  const rise = (member: string) => gain(amount(earlier(before, after, from), member), amount(after.from[from], member));
  try {
    const [total, divisor] = [rise(mean.total), rise(mean.count)];
    if (total === null || divisor === null || divisor === 0) return null;
    const value = (total / divisor) * scale;
    return decimal(Math.min(root === true ? Math.sqrt(value) : value, most), digits);
  } catch (error) {
    if (from !== 'rtp' && error instanceof CounterReset) return null;
    throw error;
  }
}

function valueOf(after: Stream, gauge: GaugeMember): number | null {
  const value = amount(after.from[gauge.from], gauge.member);
  if (value === null) return null;
  if (gauge.digits > 0) return decimal(value * gauge.scale, gauge.digits, gauge.most);
  const whole = Math.round(value * gauge.scale);
  return whole <= (gauge.most ?? Infinity) ? whole : null;
}

/** The far end reports every few seconds; between its reports the browser repeats the last one. */
function hasNewRemoteReport(before: Stream, after: Stream): boolean {
  for (const member of ['timestamp', 'roundTripTimeMeasurements']) {
    const [first, last] = [amount(before.from.remote, member), amount(after.from.remote, member)];
    if (first !== null && last !== null) return first !== last;
  }
  return true;
}

function measureVideo(row: Values, before: Stream, after: Stream, intervalMs: number): void {
  if (after.kind !== 'video') return;
  const frames = row['frames'];
  if (typeof frames === 'number') row['frames_per_second'] = decimal((frames * 1_000) / intervalMs, 2);
  if (after.direction === 'outbound') {
    row['quality_limitation_reason'] = word(after.from.rtp, 'qualityLimitationReason', words.qualityLimitationReason);
    return;
  }
  const frozen = gain(amount(before.from.rtp, 'totalFreezesDuration'), amount(after.from.rtp, 'totalFreezesDuration'));
  row['freeze_ms'] = frozen === null ? null : decimal(frozen * 1_000, 1);
}

/** Packetisation delay taken for an audio frame, milliseconds. */
const PACKETISATION_MS = 20;

/**
 * Loss counts what was discarded too, and late packets do not make it negative. Delay is half the round trip, what the
 * jitter buffer held the samples, one packet, and the playout device's delay where the browser tells it.
 */
function scoreAudio(row: Values, before: Stream, after: Stream, context: StreamContext): Values {
  const { packets, packets_lost: signedLoss, packets_discarded: discarded, jitter_buffer_ms: buffered } = row;
  if (typeof packets !== 'number' || packets === 0 || typeof signedLoss !== 'number') return {};
  const loss = Math.max(0, signedLoss);
  const lossPercent = (100 * (loss + (typeof discarded === 'number' ? discarded : 0))) / (packets + loss);
  const playedOut = meanOver(before, after, PLAYOUT) ?? 0;
  const { roundTripMs } = context;
  const delayMs =
    roundTripMs === null || typeof buffered !== 'number'
      ? null
      : roundTripMs / 2 + buffered + PACKETISATION_MS + playedOut;
  const score = context.score({ codec: after.codec, lossPercent: Math.min(100, lossPercent), delayMs });
  if (score === null || delayMs === null) return {};
  return { mos: decimal(score.mos, 3), mos_model: score.model, r_factor: decimal(score.r, 2) };
}

const PLAYOUT: MeanMember = {
  column: 'playout_ms',
  from: 'playout',
  total: 'totalPlayoutDelay',
  count: 'totalSamplesCount',
  scale: 1_000,
  digits: 2,
};
