/**
 * One connection's samples in each of the formats, written as its recorder writes them. Independent of the readers: what
 * they share is the format's description, not code.
 */
import type { ReportSample, RtcStats } from '../../../collector/contract.ts';
import { members, types } from '../../../collector/intake/formats/rtcstats-names.ts';
import { recordedSamples } from '../recording.ts';

export interface Happened {
  readonly t: number;
  readonly name: string;
  readonly value: unknown;
}

export interface Call {
  readonly samples: readonly ReportSample[];
  readonly events: readonly Happened[];
}

/** A recorded call whose samples have the time at which the browser measured: some formats have no other. */
export function recordedCall(name: string, peer: 'a' | 'b', shiftMs = 0): Call {
  const samples = recordedSamples(name, peer).map(({ stats }) => {
    const shifted = stats.map((entry) => ({ ...entry, timestamp: Number(entry['timestamp']) + shiftMs }));
    return { t: Math.max(...shifted.filter(isLocal).map(({ timestamp }) => timestamp)), stats: shifted };
  });
  const start = samples[0]?.t ?? 0;
  return {
    samples,
    events: [
      { t: start - 1_400, name: 'signalingstatechange', value: 'stable' },
      { t: start - 1_300, name: 'icecandidateerror', value: ERROR },
      { t: start - 1_200, name: 'iceconnectionstatechange', value: 'connected' },
      { t: start - 1_200, name: 'connectionstatechange', value: 'connected' },
    ],
  };
}

const ERROR = {
  errorCode: 701,
  errorText: 'STUN host lookup received error.',
  url: 'turn:turn.example.org:3478?transport=udp',
  address: '192.0.2.7',
};
const isLocal = ({ type }: { type: string }) => !/^remote-.*-rtp$/.test(type);
const lines = (records: readonly unknown[]) => records.map((record) => JSON.stringify(record)).join('\n');
type Entry = Record<string, unknown>;

/** Reports of our own SDK in batches of five samples, each with its baseline. */
export function asNative({ samples, events }: Call): string {
  const told = events.map(({ t, name, value }) => {
    if (name === 'icecandidateerror') {
      const detail = { scheme: 'turn', host: 'turn.example.org:3478', transport: 'udp', text: ERROR.errorText };
      return { t, type: 'candidate_error', value: '701', detail };
    }
    const type = { signalingstatechange: 'signaling_state', iceconnectionstatechange: 'ice_state' }[name];
    return { t, type: type ?? 'connection_state', value };
  });
  const [begun = 0, connected = 0] = [events[0]?.t, events.at(-1)?.t];
  const shown = Math.min(...framesOf(samples[0]?.stats ?? []).map(({ t }) => t));
  const milestones = [
    { t: connected, type: 'setup', value: 'connected', ms: Math.round(connected) - Math.round(begun) },
    { t: shown, type: 'first_frame', value: 'video', ms: Math.round(shown) - Math.round(begun) },
  ];
  const batches: Entry[] = [];
  for (let first = 0; first < samples.length; first += 5) {
    const batch = samples.slice(Math.max(0, first - 1), first + 5);
    const seq = batches.length;
    batches.push({
      v: 1,
      connection: 'connection-1',
      seq,
      offset: null, // as in the other formats, which have none
      samples: batch,
      events: seq === 0 ? [...told, ...milestones] : [],
    });
  }
  return lines(batches);
}

/** The same told as a stream of differences: only the very first sample is whole, each report goes on from the one before. */
export function asNativeStream(call: Call): string {
  let before: readonly RtcStats[] | undefined;
  const reports = asNative(call)
    .split('\n')
    .map((line) => JSON.parse(line) as { samples: ReportSample[] });
  return lines(
    reports.map((report) => {
      const samples = report.samples.map((sample) => {
        const told = before === undefined ? sample : { t: sample.t, ...changesOf(before, sample.stats) };
        before = sample.stats;
        return told;
      });
      return { ...report, v: 2, samples };
    }),
  );
}

function changesOf(before: readonly RtcStats[], stats: readonly RtcStats[]): Entry {
  const earlier = new Map<string, RtcStats>(before.map((entry) => [entry.id, entry]));
  const delta = stats.flatMap((entry) => {
    const known = earlier.get(entry.id);
    earlier.delete(entry.id);
    if (known === undefined) return [entry];
    const changed = Object.entries(entry).filter(([name, value]) => known[name] !== value);
    const gone = Object.keys(known).filter((name) => !(name in entry));
    const changes = Object.fromEntries([...changed, ...gone.map((name) => [name, null])]);
    return Object.keys(changes).length === 0 ? [] : [{ id: entry.id, ...changes }];
  });
  return { delta, gone: [...earlier.keys()] };
}

/** When each video stream had its first frame: so long before its last one, which was just before the sample. */
function framesOf(stats: readonly RtcStats[]): { readonly t: number }[] {
  const streams = stats.filter(({ type, kind }) => type === 'inbound-rtp' && kind === 'video');
  return streams.map((stream) => ({ t: Number(stream['timestamp']) - 1_000 * Number(stream['totalInterFrameDelay']) }));
}

/** The file of Chrome's internals page: whole reports, names in full, states as JSON in a string. */
export function asChromeRtcstats({ samples, events }: Call): string {
  const trace = inOrder(
    events.map(
      ({ t, name, value }) => [t, `on${name}`, typeof value === 'string' ? JSON.stringify(value) : value] as const,
    ),
    samples.map(
      ({ t, stats }) => [t + 3, 'getStats', Object.fromEntries(stats.map((entry) => [entry.id, entry]))] as const,
    ),
  );
  const start = (trace[0]?.[0] ?? 0) - 1_000;
  const records = [
    ['create', null, { hardwareConcurrency: 2 }, start],
    ['create', '6-1', { iceServers: [] }, 'http://x/', 500],
  ];
  return `RTCStatsDump\n{"fileFormat":3}\n${lines([...records, ...timed(trace, start + 500, '6-1')])}`;
}

/** The events of a stream of version 5: numbers for names, differences of reports, ids counted up. */
export function asRtcstatsStream({ samples, events }: Call): string {
  const numbers = new Map<string, number>(rtcstatsMethods);
  const ids = new Map<string, string>();
  let before: readonly RtcStats[] = [];
  const trace = inOrder(
    events.map(({ t, name, value }) => [t, numbers.get(`on${name}`) ?? `on${name}`, value] as const),
    samples.map(({ t, stats }) => {
      const delta = rtcstatsDelta(before, stats, ids);
      before = stats;
      return [t + 3, 'g', delta] as const;
    }),
  );
  const start = (trace[0]?.[0] ?? 0) - 1_000;
  return lines([[39, null, { hardwareConcurrency: 2 }, start], ...timed(trace, start, '6-1')]);
}

const rtcstatsMethods = [
  ['onicecandidateerror', 21],
  ['onsignalingstatechange', 23],
  ['oniceconnectionstatechange', 24],
  ['onconnectionstatechange', 25],
] as const;

function rtcstatsDelta(before: readonly RtcStats[], stats: readonly RtcStats[], ids: Map<string, string>): Entry {
  const useful = stats.filter(({ type }) => type !== 'certificate');
  const earlier = new Map<string, RtcStats>(before.map((entry) => [entry.id, entry]));
  const newest = Math.max(...useful.map((entry) => Number(entry['timestamp'])));
  const delta: Entry = { t: newest };
  for (const { id } of useful) if (!ids.has(id)) ids.set(id, String(ids.size));
  for (const { id, ...entry } of useful) {
    const changed = Object.entries(entry).filter(([name, value]) => {
      if (['isRemote', 'ip', 'mediaType', 'writable', 'localCertificateId', 'remoteCertificateId'].includes(name))
        return false;
      if (JSON.stringify(earlier.get(id)?.[name]) === JSON.stringify(value)) return false;
      return name !== 'timestamp' || value !== newest;
    });
    if (changed.length === 0) continue;
    delta[ids.get(id) ?? ''] = Object.fromEntries(
      changed.map(([name, value]) => {
        if (name === 'type') return [name, numberOf(types, value)];
        const reference = name.endsWith('Id') ? ids.get(String(value)) : undefined;
        return [numberOf(members, name), reference ?? value];
      }),
    );
  }
  const present = new Set(useful.map(({ id }) => id));
  for (const { id } of before) if (ids.has(id) && !present.has(id)) delta[ids.get(id) ?? ''] = null;
  return delta;
}

function numberOf(table: ReadonlyMap<unknown, string>, name: unknown): unknown {
  for (const [number, known] of table) if (known === name) return number;
  return name;
}

/** Jitsi's messages: differences, the newest time beside them and 0 in their stead, ids that are gone left out. */
export function asJitsi({ samples, events }: Call): string {
  let before: readonly RtcStats[] = [];
  const trace = inOrder(
    events.map(({ t, name, value }) => [t, `on${name}`, value] as const),
    samples.map(({ t, stats }) => {
      const delta = jitsiDelta(before, stats);
      before = stats;
      return [t + 3, 'getstats', delta] as const;
    }),
  );
  const message = (type: string, data: unknown) => ({ statsSessionId: 'session-1', type, data });
  const identity = message('identity', ['identity', null, { confName: 'standup' }, trace[0]?.[0], 1]);
  const entries = trace.map(([t, method, value], index) =>
    message('stats-entry', JSON.stringify([method, 'PC_0', value, t, index + 2])),
  );
  return lines([identity, ...entries, { statsSessionId: 'session-1', type: 'keepalive' }]);
}

function jitsiDelta(before: readonly RtcStats[], stats: readonly RtcStats[]): Entry {
  const earlier = new Map<string, RtcStats>(before.map((entry) => [entry.id, entry]));
  const newest = Math.max(...stats.map((entry) => Number(entry['timestamp'])));
  const delta: Entry = {};
  for (const { id, ...entry } of stats) {
    const changed = Object.entries(entry).filter(([name, value]) => earlier.get(id)?.[name] !== value);
    delta[id] = Object.fromEntries(
      changed.map(([name, value]) => [name, name === 'timestamp' && value === newest ? 0 : value]),
    );
  }
  return { ...delta, timestamp: newest };
}

/** The internals page's dump: columns; `old` as before Chrome 117, without times and with the clock of a wall. */
export function asInternals({ samples, events }: Call, { old = false } = {}): string {
  const columns = new Map<string, { statsType: string; times: number[]; values: unknown[] }>();
  for (const { stats } of samples) {
    for (const { id, ...entry } of stats) {
      for (const [member, value] of Object.entries(entry)) {
        if (old && member === 'timestamp') continue;
        const column = columns.get(`${id}-${member}`) ?? { statsType: entry.type, times: [], values: [] };
        columns.set(`${id}-${member}`, column);
        column.times.push(Number(entry['timestamp']));
        column.values.push(value);
      }
      columns.set(`${id}-[bytes_in_bits/s]`, { statsType: entry.type, times: [samples[0]?.t ?? 0], values: [1] });
    }
  }
  const stats = Object.fromEntries(
    [...columns].map(([key, { statsType, times, values }]) => {
      const [startTime, endTime] = [times[0], times.at(-1)].map((t) => new Date(Math.floor(t ?? 0)).toISOString());
      return [key, { startTime, endTime, statsType, values: JSON.stringify(values) }];
    }),
  );
  const updateLog = events.map(({ t, name, value }) => {
    if (!old) return { type: `on${name}`, value: JSON.stringify(value), timestamp: t };
    // nine hours ahead of UTC
    const time = new Date(Math.round(t) + 9 * 3_600_000).toLocaleString('en-US', { timeZone: 'UTC' });
    return { type: name, value: typeof value === 'string' ? value : oldText(ERROR), time };
  });
  const connection = { pid: 7, url: 'https://x/', rtcConfiguration: '{}', constraints: '', stats, updateLog };
  return JSON.stringify(
    { getUserMedia: [], PeerConnections: { '6-1': connection }, UserAgent: 'Chrome' },
    null,
    old ? 1 : 0,
  );
}

const oldText = ({ url, errorCode, errorText }: typeof ERROR) =>
  `url: ${url}\nhost_candidate: 192.0.2.x:9\nerror_text: ${errorText}\nerror_code: ${errorCode}`;

const COLLECTIONS: Readonly<Record<string, string>> = {
  'inbound-rtp': 'inboundRtps',
  'outbound-rtp': 'outboundRtps',
  'remote-inbound-rtp': 'remoteInboundRtps',
  'remote-outbound-rtp': 'remoteOutboundRtps',
  codec: 'codecs',
  'media-source': 'mediaSources',
  'media-playout': 'mediaPlayouts',
  transport: 'iceTransports',
  'local-candidate': 'iceCandidates',
  'remote-candidate': 'iceCandidates',
  'candidate-pair': 'iceCandidatePairs',
};

const OBSERVERTC_EVENTS: Readonly<Record<string, readonly [string, string | undefined]>> = {
  signalingstatechange: ['SIGNALING_STATE_CHANGE', 'signalingState'],
  icecandidateerror: ['ICE_CANDIDATE_ERROR', undefined],
  iceconnectionstatechange: ['ICE_CONNECTION_STATE_CHANGED', 'iceConnectionState'],
  connectionstatechange: ['PEER_CONNECTION_STATE_CHANGED', 'connectionState'],
};
const PC = '0b6e1d2c-5f83-4a7e-9c10-6a1c3c6f2d4e';

/** ClientSamples of ObserveRTC, whole. */
export function clientSamples({ samples, events }: Call): Entry[] {
  return samples.map(({ t, stats }, index) => {
    const connection: Record<string, unknown> = { peerConnectionId: PC, score: 4.2 };
    for (const { type, ...entry } of stats) {
      const name = COLLECTIONS[type];
      if (name !== undefined) connection[name] = [...((connection[name] as Entry[] | undefined) ?? []), entry];
    }
    const clientEvents = events.map(({ t: timestamp, name, value }) => {
      const [type, member] = OBSERVERTC_EVENTS[name] ?? ['', undefined];
      const told = member === undefined ? (value as object) : { [member]: value };
      return { type, timestamp, payload: JSON.stringify({ peerConnectionId: PC, ...told }) };
    });
    const ids = { callId: 'standup', clientId: 'ann' };
    return { timestamp: t, ...ids, peerConnections: [connection], ...(index === 0 ? { clientEvents } : {}) };
  });
}

export const asObserveRtc = (call: Call): string => JSON.stringify(clientSamples(call));

/** The same with what did not change left out. A member that is gone cannot be told. */
export function asObserveRtcDelta(call: Call): string {
  let before = new Map<string, Entry>();
  const messages = clientSamples(call).map((sample, index) => {
    const known = new Map<string, Entry>();
    const connections = (sample['peerConnections'] as Entry[]).map((connection) =>
      Object.fromEntries(
        Object.entries(connection).map(([name, value]) => {
          if (!Array.isArray(value)) return [name, value];
          const key = name.endsWith('Rtps') ? 'ssrc' : 'id';
          const entries = (value as Entry[]).map((entry) => {
            const id = `${name}/${String(entry[key])}`;
            const earlier = before.get(id);
            known.set(id, { ...earlier, ...entry });
            return Object.fromEntries(
              Object.entries(entry).filter(
                ([member, given]) => member === key || JSON.stringify(earlier?.[member]) !== JSON.stringify(given),
              ),
            );
          });
          return [name, entries];
        }),
      ),
    );
    before = known;
    const { callId, ...rest } = sample;
    return { ...rest, ...(index === 0 ? { callId } : {}), peerConnections: connections };
  });
  return lines(messages);
}

/** peermetrics' stats requests. */
export function asPeermetrics({ samples }: Call): string {
  return lines(
    samples.map(({ stats }) => {
      const byId = new Map(stats.map((entry) => [entry.id, entry]));
      const find = (id: unknown) => byId.get(String(id));
      const data = {
        audio: { inbound: [] as Entry[], outbound: [] as Entry[] },
        video: { inbound: [] as Entry[], outbound: [] as Entry[] },
        remote: {
          audio: { inbound: [] as Entry[], outbound: [] as Entry[] },
          video: { inbound: [] as Entry[], outbound: [] as Entry[] },
        },
        connection: {} as Entry,
      };
      for (const entry of stats) {
        const match = /^(remote-)?(inbound|outbound)-rtp$/.exec(entry.type);
        if (match === null) continue;
        const mimeType = find(entry['codecId'])?.['mimeType'];
        const codec = mimeType === undefined ? {} : { mimeType };
        const of = (match[1] === undefined ? data : data.remote)[entry['kind'] as 'audio' | 'video'];
        of[match[2] as 'inbound' | 'outbound'].push({ ...entry, ...find(entry['remoteId']), ...codec });
      }
      const transport = stats.find(({ type }) => type === 'transport');
      const pair = find(transport?.['selectedCandidatePairId']);
      if (pair !== undefined) {
        data.connection = { ...pair, local: find(pair['localCandidateId']), remote: find(pair['remoteCandidateId']) };
      }
      return { token: 'a.b.c', connectionId: PC, data, delta: 12 };
    }),
  );
}

type Traced = readonly [t: number, method: string | number, value: unknown];

function inOrder(...traces: readonly (readonly Traced[])[]): Traced[] {
  return traces.flat().toSorted(([one], [other]) => one - other);
}

/** With what passed since the event before. */
function timed(trace: readonly Traced[], start: number, name: string): unknown[] {
  let before = start;
  return trace.map(([t, method, value]) => {
    const passed = t - before;
    before = t;
    return [method, name, value, passed];
  });
}
