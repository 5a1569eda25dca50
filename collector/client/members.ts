/**
 * Which members of which W3C webrtc-stats dictionaries are sent: those behind the collector's columns, the references
 * that join them, and nothing that says who or where somebody is (no addresses, ports, labels or identifiers of tracks).
 */

const rtp = ['kind', 'ssrc', 'codecId', 'remoteId', 'transportId'] as const;
const roundTrips = ['roundTripTime', 'totalRoundTripTime', 'roundTripTimeMeasurements'] as const;

export const members: Readonly<Record<string, readonly string[]>> = {
  'inbound-rtp': [
    ...rtp,
    'packetsReceived',
    'packetsLost',
    'packetsDiscarded',
    'bytesReceived',
    'headerBytesReceived',
    'retransmittedPacketsReceived',
    'nackCount',
    'pliCount',
    'jitter',
    'jitterBufferDelay',
    'jitterBufferEmittedCount',
    'concealedSamples',
    'silentConcealedSamples',
    'totalSamplesReceived',
    'audioLevel',
    'totalAudioEnergy',
    'totalSamplesDuration',
    'framesDecoded',
    'framesDropped',
    'framesPerSecond',
    'frameWidth',
    'frameHeight',
    'freezeCount',
    'totalFreezesDuration',
    'playoutId',
  ],
  'outbound-rtp': [
    ...rtp,
    'mediaSourceId',
    'rid',
    'packetsSent',
    'bytesSent',
    'headerBytesSent',
    'retransmittedPacketsSent',
    'nackCount',
    'pliCount',
    'framesEncoded',
    'framesPerSecond',
    'frameWidth',
    'frameHeight',
    'targetBitrate',
    'qualityLimitationReason',
  ],
  'remote-inbound-rtp': ['kind', 'ssrc', 'localId', ...roundTrips, 'fractionLost', 'jitter', 'packetsLost'],
  'remote-outbound-rtp': ['kind', 'ssrc', 'localId', ...roundTrips],
  'candidate-pair': [
    'transportId',
    'localCandidateId',
    'remoteCandidateId',
    'state',
    'nominated',
    'selected',
    'currentRoundTripTime',
    'totalRoundTripTime',
    'responsesReceived',
    'bytesSent',
    'bytesReceived',
    'packetsSent',
    'packetsReceived',
    'availableOutgoingBitrate',
  ],
  'local-candidate': ['candidateType', 'protocol', 'relayProtocol', 'url', 'networkType'],
  'remote-candidate': ['candidateType', 'protocol'],
  transport: ['selectedCandidatePairId', 'dtlsState', 'iceState', 'selectedCandidatePairChanges'],
  codec: ['mimeType', 'clockRate', 'channels', 'payloadType'],
  'media-source': ['kind', 'audioLevel', 'totalAudioEnergy', 'totalSamplesDuration', 'framesPerSecond'],
  'media-playout': ['synthesizedSamplesDuration', 'totalSamplesDuration', 'totalPlayoutDelay', 'totalSamplesCount'],
};

/** One dictionary as the browser gives it. */
export type Stats = { readonly id: string; readonly type: string } & Readonly<Record<string, unknown>>;

/** The collector's own limit for one sample. */
const MAX_STATS = 2_000;
/** Digits kept of a fraction: finer than any clock behind it, and a third of what the browser prints. */
const FRACTION_DIGITS = 10;

/** The part of one getStats report that is worth storing: referenced codecs and the selected pair with its two candidates only. */
export function pickStats(report: Iterable<Stats>): Stats[] {
  const all = new Map<string, Stats>();
  for (const stats of report) all.set(stats.id, stats);
  const wanted = referenced(all);
  const picked: Stats[] = [];
  for (const stats of all.values()) {
    const names = members[stats.type];
    if (names === undefined || picked.length >= MAX_STATS) continue;
    if (ONLY_REFERENCED.has(stats.type) && !wanted.has(stats.id)) continue;
    picked.push(reduce(stats, names));
  }
  return picked;
}

const ONLY_REFERENCED = new Set(['codec', 'candidate-pair', 'local-candidate', 'remote-candidate']);

function referenced(all: ReadonlyMap<string, Stats>): Set<string> {
  const ids = new Set<string>();
  for (const stats of all.values()) {
    if (typeof stats['codecId'] === 'string') ids.add(stats['codecId']);
  }
  for (const pair of selectedPairs(all)) {
    ids.add(pair.id);
    for (const end of [pair['localCandidateId'], pair['remoteCandidateId']]) if (typeof end === 'string') ids.add(end);
  }
  return ids;
}

/** The pair of each transport; where transports are not reported (Firefox before 153), the pair marked selected, else the nominated one. */
function selectedPairs(all: ReadonlyMap<string, Stats>): Stats[] {
  const every = [...all.values()];
  const byTransport = every.flatMap((stats) => {
    const pair = stats.type === 'transport' ? all.get(String(stats['selectedCandidatePairId'])) : undefined;
    return pair === undefined ? [] : [pair];
  });
  if (byTransport.length > 0) return byTransport;
  const pairs = every.filter(({ type }) => type === 'candidate-pair');
  const selected = pairs.filter((pair) => pair['selected'] === true);
  if (selected.length > 0) return selected;
  return pairs.filter((pair) => pair['nominated'] === true && pair['state'] === 'succeeded').slice(0, 1);
}

function reduce(stats: Stats, names: readonly string[]): Stats {
  const kept: Record<string, unknown> & { id: string; type: string } = { id: stats.id, type: stats.type };
  for (const name of names) {
    const value = stats[name];
    if (typeof value === 'number') {
      if (Number.isFinite(value)) kept[name] = shorten(value);
    } else if (typeof value === 'string' || typeof value === 'boolean') {
      kept[name] = value;
    }
  }
  return kept;
}

/** Counters stay exact; fractions (seconds, levels) lose the digits that are only noise. */
function shorten(value: number): number {
  return Number.isInteger(value) ? value : Number(value.toPrecision(FRACTION_DIGITS));
}
