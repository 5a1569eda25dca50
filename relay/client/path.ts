/**
 * What a path does to packets: round trip, loss, jitter and throughput from this host through a relay and back to it. Sender and
 * receiver are here both, so one clock times a packet's whole way. Bounded: about three seconds, one megabyte, five megabits.
 */
import type { Clock } from '../../kernel/clock.ts';
import type { Random } from '../../kernel/random.ts';
import { pause, type Timer } from './timer.ts';

export interface PathEnds {
  /** Sends a payload into the relay. */
  send(payload: Uint8Array): void;
  /** Who is told of each payload that has come back. */
  listen(arrived: (payload: Buffer) => void): void;
}

export interface Delay {
  /** Milliseconds. */
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

export interface PathQuality {
  /** From this host through the relay and back to it; undefined when nothing came back. */
  readonly roundTrip: Delay | undefined;
  /** Interarrival jitter (RFC 3550 §6.4.1) of a stream of voice, milliseconds. */
  readonly jitter: number;
  /** Percent of that stream. */
  readonly lossPercent: number;
  /** Of the faster stream: megabits of payload a second that came back, percent that did not, and what was offered. */
  readonly throughputMbps: number;
  readonly throughputLossPercent: number;
  readonly offeredMbps: number;
  /** Octets of payload sent altogether. */
  readonly bytes: number;
}

export interface Stream {
  /** Octets of each payload. */
  readonly size: number;
  /** Milliseconds between two packets. */
  readonly every: number;
  readonly count: number;
}

/** A second of G.711 in frames of 20 ms. */
export const voice: Stream = { size: 172, every: 20, count: 50 };
/** A second and a half of 4.8 Mbit/s. */
export const video: Stream = { size: 1_200, every: 2, count: 750 };

/** Milliseconds after the last packet in which stragglers count. */
const STRAGGLERS = 500;
const TAG_LENGTH = 8;
const HEADER = TAG_LENGTH + 4;

/** One packet's fate: monotonic milliseconds. */
export interface Passage {
  readonly sentAt: number;
  readonly arrivedAt: number | undefined;
}

export async function measurePath(
  ends: PathEnds,
  { clock, timer, random }: { readonly clock: Clock; readonly timer: Timer; readonly random: Random },
  streams: { readonly voice: Stream; readonly video: Stream } = { voice, video },
): Promise<PathQuality> {
  const slow = await play(streams.voice, ends, clock, timer, random.bytes(TAG_LENGTH));
  const fast = await play(streams.video, ends, clock, timer, random.bytes(TAG_LENGTH));
  const bytes = streams.voice.size * slow.length + streams.video.size * fast.length;
  return {
    roundTrip: delayOf(slow),
    jitter: jitterOf(slow),
    lossPercent: lossOf(slow),
    throughputMbps: rateOf(fast.filter(hasArrived), streams.video.size, ({ arrivedAt }) => arrivedAt),
    throughputLossPercent: lossOf(fast),
    offeredMbps: rateOf(fast, streams.video.size, ({ sentAt }) => sentAt),
    bytes,
  };
}

/** Sends a stream at its pace, catching up when this process was late, and waits for what is still on its way. */
async function play(stream: Stream, ends: PathEnds, clock: Clock, timer: Timer, tag: Buffer): Promise<Passage[]> {
  const { size, every, count } = stream;
  const arrivals = new Map<number, number>();
  ends.listen((payload) => {
    if (payload.length !== size || !payload.subarray(0, TAG_LENGTH).equals(tag)) return;
    const number = payload.readUInt32BE(TAG_LENGTH);
    // A packet that came twice came when it first did.
    if (number < count && !arrivals.has(number)) arrivals.set(number, clock.monotonic());
  });
  const sent: number[] = [];
  const start = clock.monotonic();
  while (sent.length < count) {
    const due = Math.min(count, Math.floor((clock.monotonic() - start) / every) + 1);
    while (sent.length < due) {
      const payload = Buffer.alloc(Math.max(size, HEADER));
      tag.copy(payload);
      payload.writeUInt32BE(sent.length, TAG_LENGTH);
      sent.push(clock.monotonic());
      ends.send(payload);
    }
    await pause(timer, Math.max(1, every));
  }
  const until = clock.monotonic() + STRAGGLERS;
  while (arrivals.size < count && clock.monotonic() < until) await pause(timer, 10);
  ends.listen(() => undefined);
  return sent.map((sentAt, number) => ({ sentAt, arrivedAt: arrivals.get(number) }));
}

const hasArrived = (passage: Passage): boolean => passage.arrivedAt !== undefined;

function transits(passages: readonly Passage[]): number[] {
  return passages.flatMap(({ sentAt, arrivedAt }) => (arrivedAt === undefined ? [] : [arrivedAt - sentAt]));
}

export function delayOf(passages: readonly Passage[]): Delay | undefined {
  const sorted = transits(passages).toSorted((left, right) => left - right);
  const [min] = sorted;
  const median = sorted[Math.floor((sorted.length - 1) / 2)];
  const max = sorted.at(-1);
  return min === undefined || median === undefined || max === undefined ? undefined : { min, median, max };
}

/** RFC 3550 §6.4.1: J += (|D| − J) / 16 over consecutive arrivals. */
export function jitterOf(passages: readonly Passage[]): number {
  const inOrder = passages.filter(hasArrived).toSorted((left, right) => (left.arrivedAt ?? 0) - (right.arrivedAt ?? 0));
  let jitter = 0;
  let last: number | undefined;
  for (const transit of transits(inOrder)) {
    if (last !== undefined) jitter += (Math.abs(transit - last) - jitter) / 16;
    last = transit;
  }
  return jitter;
}

export function lossOf(passages: readonly Passage[]): number {
  if (passages.length === 0) return 0;
  return (100 * passages.filter((passage) => !hasArrived(passage)).length) / passages.length;
}

/** Megabits a second between the first and the last of these moments. */
function rateOf(
  passages: readonly Passage[],
  size: number,
  momentOf: (passage: Passage) => number | undefined,
): number {
  const moments = passages.map((passage) => momentOf(passage) ?? 0);
  const milliseconds = Math.max(...moments) - Math.min(...moments);
  return moments.length < 2 || milliseconds <= 0 ? 0 : ((moments.length - 1) * size * 8) / milliseconds / 1_000;
}
