/** One getStats() sample, indexed: its streams with all that is said about them, and the candidate pair in use. */
import type { ReportSample, RtcStats } from '../contract.ts';
import type { Origin } from './members.ts';
import { count, text } from './values.ts';

export interface Stream {
  /** direction/kind/ssrc: the stream's identity within the connection. */
  readonly key: string;
  readonly direction: 'inbound' | 'outbound';
  readonly kind: 'audio' | 'video';
  readonly ssrc: number;
  /** The mimeType after its slash. */
  readonly codec: string | null;
  readonly from: Readonly<Record<Origin, RtcStats | undefined>>;
}

export interface Sample {
  /** Unix milliseconds on the client's clock. */
  readonly t: number;
  readonly streams: ReadonlyMap<string, Stream>;
  readonly pair: RtcStats | undefined;
  readonly transport: RtcStats | undefined;
  readonly localCandidate: RtcStats | undefined;
  readonly remoteCandidate: RtcStats | undefined;
  /** The far end's reports on what we send. */
  readonly remoteReports: readonly RtcStats[];
}

const MAX_SSRC = 0xffff_ffff;
const CODEC_NAME = /^(?:audio|video)\/([A-Za-z][A-Za-z0-9+_-]{0,31})$/i;

export function readSample(sample: ReportSample): Sample {
  const byId = new Map(sample.stats.map((stats) => [stats.id, stats]));
  const byType = new Map<string, RtcStats[]>();
  for (const stats of sample.stats) {
    const same = byType.get(stats.type);
    if (same === undefined) byType.set(stats.type, [stats]);
    else same.push(stats);
  }
  const ofType = (type: string) => byType.get(type) ?? [];
  const streams = new Map<string, Stream>();
  for (const direction of ['inbound', 'outbound'] as const) {
    const remotes = new Map(ofType(`remote-${opposite[direction]}-rtp`).map((stats) => [stats['ssrc'], stats]));
    for (const rtp of ofType(`${direction}-rtp`)) {
      const stream = readStream(direction, rtp, byId, remotes, ofType('media-playout'));
      if (stream !== undefined && !streams.has(stream.key)) streams.set(stream.key, stream);
    }
  }
  const pair = selectedPair(ofType('transport'), ofType('candidate-pair'), byId);
  const reference = (stats: RtcStats | undefined, member: string) => byId.get(text(stats, member) ?? '');
  return {
    t: sample.t,
    streams,
    pair,
    transport: reference(pair, 'transportId') ?? ofType('transport')[0],
    localCandidate: reference(pair, 'localCandidateId'),
    remoteCandidate: reference(pair, 'remoteCandidateId'),
    remoteReports: ofType('remote-inbound-rtp'),
  };
}

/** The far end's report on what we receive is about its sending, and the other way round. */
const opposite = { inbound: 'outbound', outbound: 'inbound' } as const;

function readStream(
  direction: 'inbound' | 'outbound',
  rtp: RtcStats,
  byId: ReadonlyMap<string, RtcStats>,
  remotes: ReadonlyMap<unknown, RtcStats>,
  playouts: readonly RtcStats[],
): Stream | undefined {
  const kind = text(rtp, 'kind') ?? text(rtp, 'mediaType');
  const ssrc = count(rtp, 'ssrc');
  if ((kind !== 'audio' && kind !== 'video') || ssrc === null || ssrc > MAX_SSRC || rtp['isRemote'] === true) {
    return undefined;
  }
  const reference = (member: string) => byId.get(text(rtp, member) ?? '');
  const mimeType = text(reference('codecId'), 'mimeType');
  return {
    key: `${direction}/${kind}/${ssrc}`,
    direction,
    kind,
    ssrc,
    codec: CODEC_NAME.exec(mimeType ?? '')?.[1] ?? null,
    from: {
      rtp,
      remote: reference('remoteId') ?? remotes.get(ssrc),
      source: reference('mediaSourceId'),
      playout: direction === 'inbound' && kind === 'audio' ? (reference('playoutId') ?? playouts[0]) : undefined,
    },
  };
}

/**
 * The pair in use. Chrome may have several that are nominated and succeeded: only the transport says which one it is.
 * Firefox before 153 has no transport, but marks the pair `selected`.
 */
function selectedPair(
  transports: readonly RtcStats[],
  pairs: readonly RtcStats[],
  byId: ReadonlyMap<string, RtcStats>,
): RtcStats | undefined {
  for (const transport of transports) {
    const pair = byId.get(text(transport, 'selectedCandidatePairId') ?? '');
    if (pair?.type === 'candidate-pair') return pair;
  }
  return (
    pairs.find((pair) => pair['selected'] === true) ??
    pairs.find((pair) => pair['nominated'] === true && pair['state'] === 'succeeded')
  );
}
