import { describe, expect, it } from 'vitest';
import type { ReportSample } from '../../../collector/contract.ts';
import { normaliseReport } from '../../../collector/normalise/report.ts';
import { scoreInboundAudio } from './scorer.ts';
import { reportOf } from '../recording.ts';

const T = Date.UTC(2026, 10, 20, 18);
const reporter = { app: 'app', call: 'call', participant: 'alice' };

type Members = Record<string, unknown>;

/** A sample with one inbound audio stream, its codec, and a connection that measured 40 ms. */
function sample(t: number, rtp: Members = {}, more: ReportSample['stats'] = []): ReportSample {
  const seconds = (t - T) / 1_000;
  return {
    t,
    stats: [
      {
        id: 'IT1',
        type: 'inbound-rtp',
        kind: 'audio',
        ssrc: 42,
        codecId: 'C1',
        packetsReceived: 50 * seconds,
        packetsLost: 0,
        packetsDiscarded: 0,
        bytesReceived: 4_000 * seconds,
        jitter: 0.012,
        jitterBufferDelay: 0.06 * 48_000 * seconds,
        jitterBufferEmittedCount: 48_000 * seconds,
        ...rtp,
      },
      { id: 'C1', type: 'codec', mimeType: 'audio/opus' },
      { id: 'T1', type: 'transport', selectedCandidatePairId: 'P1', dtlsState: 'connected', iceState: 'connected' },
      {
        id: 'P1',
        type: 'candidate-pair',
        state: 'succeeded',
        bytesSent: 1_000 * seconds,
        responsesReceived: seconds,
        totalRoundTripTime: 0.04 * seconds,
        currentRoundTripTime: 0.04,
      },
      ...more,
    ],
  };
}

const rows = (samples: ReportSample[], change: Parameters<typeof reportOf>[1] = {}) =>
  normaliseReport(reportOf(samples, change), reporter, scoreInboundAudio);
const stream = (first: ReportSample, second: ReportSample) => rows([first, second]).stream_intervals[0];

describe('an interval', () => {
  it('is the difference of two samples, at the end of the second on the corrected clock', () => {
    const { stream_intervals: streams } = rows([sample(T), sample(T + 5_000.4)], { seq: 7, offset: 1_000.3 });
    expect(streams).toHaveLength(1);
    expect(streams[0]).toMatchObject({
      app_id: 'app',
      call_id: 'call',
      participant_id: 'alice',
      connection_id: 'connection-1',
      ts: T + 6_001,
      batch_seq: 7,
      sample_index: 1,
      stream: 'inbound/audio/42',
      interval_ms: 5_000,
      codec: 'opus',
      packets_lost: 0,
      jitter_ms: 12,
      jitter_buffer_ms: 60,
    });
  });

  it('takes an unknown offset for none', () => {
    expect(rows([sample(T), sample(T + 5_000)], { offset: null }).stream_intervals[0]?.['ts']).toBe(T + 5_000);
  });

  it('needs a sample before it: the first one has no rows', () => {
    expect(rows([sample(T)])).toEqual({ stream_intervals: [], connection_intervals: [], call_events: [] });
  });

  it('is left out when time stood still or went back, and only then', () => {
    const times = [T, T + 5_000, T + 5_000, T + 4_000, T + 9_000];
    const { stream_intervals: streams, connection_intervals: connections } = rows(times.map((t) => sample(t)));
    expect(streams.map((row) => row['sample_index'])).toEqual([1, 4]);
    expect(connections.map((row) => row['sample_index'])).toEqual([1, 4]);
  });

  it('is left out for a stream whose counter fell, and for no other', () => {
    const other = { id: 'IT2', type: 'inbound-rtp', kind: 'audio', ssrc: 43, packetsReceived: 5 };
    const { stream_intervals: streams, connection_intervals: connections } = rows([
      sample(T, { bytesReceived: 9_000 }, [other]),
      sample(T + 1_000, { bytesReceived: 100 }, [other]),
    ]);
    expect(streams.map((row) => row['ssrc'])).toEqual([43]);
    expect(connections).toHaveLength(1);
  });

  it('is left out for a stream that changed its codec or its SSRC', () => {
    const red = { id: 'C2', type: 'codec', mimeType: 'audio/red' };
    expect(stream(sample(T), sample(T + 1_000, { codecId: 'C2' }, [red]))).toBeUndefined();
    expect(stream(sample(T), sample(T + 1_000, { ssrc: 44 }))).toBeUndefined();
    expect(stream(sample(T, { codecId: undefined }), sample(T + 1_000))).toMatchObject({ codec: 'opus' });
  });

  it('keeps a loss that went down negative, and scores it as none', () => {
    const row = stream(sample(T, { packetsLost: 10 }), sample(T + 1_000, { packetsLost: 7 }));
    expect(row).toMatchObject({ packets_lost: -3 });
    expect(row?.['mos']).toBe(stream(sample(T), sample(T + 1_000))?.['mos']);
  });

  it('counts discarded packets as lost when it scores, never above 100 percent', () => {
    const clean = stream(sample(T), sample(T + 1_000));
    const discarded = stream(sample(T), sample(T + 1_000, { packetsDiscarded: 10 }));
    expect(Number(discarded?.['mos'])).toBeLessThan(Number(clean?.['mos']));
    expect(stream(sample(T), sample(T + 1_000, { packetsDiscarded: 1e9 }))).toMatchObject({ r_factor: 0 });
  });

  it('takes loss as a share of what was expected: received and lost', () => {
    const asked: number[] = [];
    const samples = [sample(T), sample(T + 1_000, { packetsLost: 50 })];
    normaliseReport(reportOf(samples), reporter, ({ lossPercent }) => {
      asked.push(lossPercent);
      return null;
    });
    expect(asked).toEqual([50]);
  });

  it('has for a level the root of the mean energy, and no more than 1', () => {
    const level = (energy: number) =>
      stream(
        sample(T, { totalAudioEnergy: 0, totalSamplesDuration: 0 }),
        sample(T + 1_000, { totalAudioEnergy: energy, totalSamplesDuration: 1 }),
      )?.['audio_level'];
    expect([0, 0.09, 1, 1.44].map(level)).toEqual([0, 0.3, 1, 1]);
  });

  it('is scored from half the round trip, the jitter buffer, one packet and the playout', () => {
    const delays: (number | null)[] = [];
    const playout = (delay: number, samples: number) => ({
      id: 'AP',
      type: 'media-playout',
      totalPlayoutDelay: delay,
      totalSamplesCount: samples,
    });
    for (const more of [[], [playout(0, 0)]]) {
      const later = more.length === 0 ? [] : [playout(0.03 * 48_000, 48_000)];
      normaliseReport(reportOf([sample(T, {}, more), sample(T + 1_000, {}, later)]), reporter, ({ delayMs }) => {
        delays.push(delayMs);
        return null;
      });
    }
    expect(delays).toEqual([40 / 2 + 60 + 20, 40 / 2 + 60 + 20 + 30]);
  });

  it('has no score without packets, without a round trip, without a known loss or delay', () => {
    const later = T + 1_000;
    const without = (stats: ReportSample['stats'], type: string) => stats.filter((entry) => entry.type !== type);
    const quiet = [sample(T), sample(later)].map(({ t, stats }) => ({ t, stats: without(stats, 'candidate-pair') }));
    expect(stream(quiet[0]!, quiet[1]!)).toMatchObject({ mos: null, mos_model: null, r_factor: null });
    for (const missing of [
      { packetsReceived: 0 },
      { packetsLost: undefined },
      { jitterBufferDelay: undefined },
      { codecId: 'nowhere' },
    ]) {
      expect(stream(sample(T, missing), sample(later, missing))).toMatchObject({ mos: null, mos_model: null });
    }
  });

  it('takes the last round trip that ICE measured when it measured none in the interval, before RTCP’s', () => {
    const rtcp = { id: 'R', type: 'remote-inbound-rtp', kind: 'audio', ssrc: 1, roundTripTime: 0.08 };
    const unchecked = { responsesReceived: 4, totalRoundTripTime: 0.16, currentRoundTripTime: 0.06 };
    const at = (t: number) => {
      const { stats } = sample(t, {}, [rtcp]);
      return { t, stats: stats.map((entry) => (entry.id === 'P1' ? { ...entry, ...unchecked } : entry)) };
    };
    const { stream_intervals: streams, connection_intervals: connections } = rows([at(T), at(T + 1_000)]);
    expect(streams[0]?.['r_factor']).toBe(100 - (60 / 2 + 60 + 20) / 50);
    expect(connections[0]?.['rtt_ms']).toBeNull();
  });

  it('does not difference the round trips of two pairs', () => {
    const pair = { id: 'P2', type: 'candidate-pair', responsesReceived: 9, totalRoundTripTime: 50 };
    const { t, stats } = sample(T + 1_000, {}, [{ ...pair, currentRoundTripTime: 0.02 }]);
    const moved = stats.map((entry) => (entry.id === 'T1' ? { ...entry, selectedCandidatePairId: 'P2' } : entry));
    expect(stream(sample(T), { t, stats: moved })?.['r_factor']).toBe(100 - (20 / 2 + 60 + 20) / 50);
  });

  it('takes a round trip from RTCP when ICE tells none', () => {
    const rtcp = { id: 'R', type: 'remote-inbound-rtp', kind: 'audio', ssrc: 1, roundTripTime: 0.08 };
    const silent = (t: number) => {
      const { stats } = sample(t, {}, [rtcp]);
      return { t, stats: stats.map((entry) => (entry.id === 'P1' ? { id: 'P1', type: 'candidate-pair' } : entry)) };
    };
    expect(stream(silent(T), silent(T + 1_000))?.['r_factor']).toBe(100 - (80 / 2 + 60 + 20) / 50);
  });

  it('does not take the repetition of an RTCP report for a new one', () => {
    const outbound = { id: 'O', type: 'outbound-rtp', kind: 'audio', ssrc: 9, packetsSent: 1, remoteId: 'R' };
    const remote = (change: Members) => ({
      id: 'R',
      type: 'remote-inbound-rtp',
      ssrc: 9,
      jitter: 0.02,
      fractionLost: 0.25,
      packetsLost: 3,
      totalRoundTripTime: 1,
      roundTripTimeMeasurements: 4,
      ...change,
    });
    const pick = (second: Members) =>
      rows([sample(T, {}, [outbound, remote({})]), sample(T + 1_000, {}, [outbound, remote(second)])])
        .stream_intervals[1];
    expect(pick({})).toMatchObject({ jitter_ms: null, fraction_lost: null, rtt_ms: null, packets_lost: 0 });
    expect(pick({ totalRoundTripTime: 1.5, roundTripTimeMeasurements: 5, packetsLost: 8, jitter: 0.03 })).toMatchObject(
      { jitter_ms: 30, fraction_lost: 0.25, rtt_ms: 500, packets_lost: 5 },
    );
  });

  it('survives a new source or a new far end: their counters start again, the stream goes on', () => {
    const outbound = (source: string) => ({
      id: 'O',
      type: 'outbound-rtp',
      kind: 'audio',
      ssrc: 9,
      packetsSent: 1,
      mediaSourceId: source,
    });
    const source = (id: string, energy: number) => ({
      id,
      type: 'media-source',
      totalAudioEnergy: energy,
      totalSamplesDuration: energy,
    });
    const pick = (id: string, energy: number) =>
      rows([
        sample(T, {}, [outbound('S1'), source('S1', 5)]),
        sample(T + 1_000, {}, [outbound(id), source(id, energy)]),
      ]).stream_intervals[1];
    expect(pick('S2', 1)).toMatchObject({ stream: 'outbound/audio/9', audio_level: null });
    expect(pick('S2', 9)).toMatchObject({ stream: 'outbound/audio/9', audio_level: null });
    expect(pick('S1', 1)).toMatchObject({ stream: 'outbound/audio/9', audio_level: null });
    expect(pick('S1', 6)).toMatchObject({ stream: 'outbound/audio/9', audio_level: 1 });
  });
});

describe('a member that is not what it should be', () => {
  it.each([
    ['not a number', 'fifty'],
    ['infinite once parsed', 1e308 * 10],
    ['too large to be exact', 1e308],
    ['negative', -1],
    ['a fraction of a packet', 0.5],
    ['null', null],
    ['an object', { packets: 5 }],
    ['absent', undefined],
  ])('is missing when it is %s, and costs only itself', (_name, value) => {
    const row = stream(sample(T), sample(T + 1_000, { packetsReceived: value }));
    expect(row).toMatchObject({ packets: null, bytes: 4_000, jitter_ms: 12, mos: null });
  });

  it('is missing when no Decimal32 holds it', () => {
    const row = stream(sample(T), sample(T + 1_000, { jitter: 1e5 }));
    expect(row).toMatchObject({ jitter_ms: null, packets: 50 });
    expect(stream(sample(T), sample(T + 1_000, { jitter: 9_999.999_999 }))?.['jitter_ms']).toBeNull();
    expect(stream(sample(T), sample(T + 1_000, { jitter: 9_999.99 }))?.['jitter_ms']).toBe(9_999_990);
  });

  it('is missing when its column cannot hold it', () => {
    const picture = { kind: 'video', frameWidth: 65_536, frameHeight: 65_535 };
    expect(stream(sample(T, picture), sample(T + 1_000, picture))).toMatchObject({
      frame_width: null,
      frame_height: 65_535,
    });
    const { t, stats } = sample(T + 1_000);
    const fast = stats.map((entry) => (entry.id === 'P1' ? { ...entry, availableOutgoingBitrate: 2 ** 60 } : entry));
    expect(rows([sample(T), { t, stats: fast }]).connection_intervals[0]).toMatchObject({
      available_outgoing_bitrate: null,
      bytes_sent: 1_000,
    });
  });

  it('is missing when it is not a word of its enumeration', () => {
    const { t, stats } = sample(T + 1_000);
    const odd = stats.map((entry) => (entry.id === 'T1' ? { ...entry, iceState: 'great' } : entry));
    expect(rows([sample(T), { t, stats: odd }]).connection_intervals[0]).toMatchObject({
      ice_state: null,
      pair_state: 'succeeded',
    });
  });

  it('does not become a stream without a kind or an SSRC', () => {
    for (const change of [{ kind: 'smell' }, { ssrc: -1 }, { ssrc: 2 ** 32 }, { ssrc: 'x' }]) {
      expect(stream(sample(T, change), sample(T + 1_000, change))).toBeUndefined();
    }
  });
});

describe('a stream', () => {
  const media = { id: 'IT1', type: 'inbound-rtp', kind: 'audio', ssrc: 42 };
  const of = (...stats: ReportSample['stats']) => [T, T + 1_000].map((t) => ({ t, stats }));

  it('has its kind in mediaType where a browser is old, and is none where it is the far end’s', () => {
    const old = { ...media, kind: undefined, mediaType: 'audio' };
    expect(rows(of(old)).stream_intervals).toMatchObject([{ kind: 'audio', ssrc: 42 }]);
    expect(rows(of({ ...old, isRemote: true })).stream_intervals).toEqual([]);
  });

  it('is counted once when a report holds it twice', () => {
    const { stream_intervals: streams } = rows(
      of({ ...media, jitter: 0.001, packetsReceived: 1 }, { ...media, id: 'X' }),
    );
    expect(streams.map((row) => row['packets'])).toEqual([0]);
  });

  it('finds the far end’s report by remoteId, else by its SSRC', () => {
    const sent = { id: 'O', type: 'outbound-rtp', kind: 'audio', ssrc: 9 };
    const heard = (id: string, ssrc: number, fractionLost: number) => ({
      id,
      type: 'remote-inbound-rtp',
      ssrc,
      fractionLost,
    });
    const lost = (...stats: ReportSample['stats']) => rows(of(...stats)).stream_intervals[0]?.['fraction_lost'];
    expect(lost({ ...sent, remoteId: 'R1' }, heard('R1', 1, 0.1), heard('R2', 9, 0.2))).toBe(0.1);
    expect(lost(sent, heard('R1', 1, 0.1), heard('R2', 9, 0.2))).toBe(0.2);
  });
});

describe('the pair in use, where no transport names it', () => {
  const pair = (id: string, bytes: number, more: Members) => (t: number) => ({
    id,
    type: 'candidate-pair',
    bytesSent: t === T ? 0 : bytes,
    ...more,
  });
  const sent = (...pairs: ReturnType<typeof pair>[]) =>
    rows([T, T + 1_000].map((t) => ({ t, stats: pairs.map((at) => at(t)) }))).connection_intervals[0]?.['bytes_sent'];

  it('is the one that Firefox marks selected, before any nominated one', () => {
    const nominated = pair('P1', 10, { nominated: true, state: 'succeeded' });
    expect(sent(nominated, pair('P2', 20, { selected: true }))).toBe(20);
  });

  it('is else the first that is nominated and has succeeded', () => {
    const failed = pair('P1', 10, { nominated: true, state: 'failed' });
    const spare = pair('P2', 20, { nominated: false, state: 'succeeded' });
    expect(sent(failed, spare, pair('P3', 30, { nominated: true, state: 'succeeded' }))).toBe(30);
    expect(sent(failed, spare)).toBeUndefined();
  });
});

describe('the relay in use', () => {
  const using = (local: Members) => {
    const at = (t: number) => {
      const { stats } = sample(t, {}, [{ id: 'L', type: 'local-candidate', ...local }]);
      return { t, stats: stats.map((entry) => (entry.id === 'P1' ? { ...entry, localCandidateId: 'L' } : entry)) };
    };
    return rows([at(T), at(T + 1_000)]).connection_intervals[0];
  };

  it.each([
    ['turn:relay.example:3478?transport=udp', 'udp', 'relay.example'],
    ['turn:relay.example', 'udp', 'relay.example'],
    ['turn:198.51.100.7:3478?transport=tcp', 'tcp', '198.51.100.7'],
    ['turns:Relay.Example:5349?transport=tcp', 'tls', 'relay.example'],
    ['turn:[2001:db8::1]:3478', 'udp', '2001:db8::1'],
  ])('is read from %s', (url, protocol, host) => {
    expect(using({ candidateType: 'relay', url })).toMatchObject({ relay_protocol: protocol, relay_host: host });
  });

  it('is what the browser says, where it says both', () => {
    expect(using({ candidateType: 'relay', url: 'turn:r.example', relayProtocol: 'tls' })).toMatchObject({
      relay_protocol: 'tls',
    });
  });

  it('is there for a peer-reflexive address that was learnt over the relay, as Chromium reports it', () => {
    const local = { candidateType: 'prflx', relayProtocol: 'udp', url: 'turn:r.example:3478?transport=udp' };
    expect(using(local)).toMatchObject({
      local_candidate_type: 'prflx',
      relay_protocol: 'udp',
      relay_host: 'r.example',
    });
    expect(using({ candidateType: 'prflx', url: 'turn:r.example' })).toMatchObject({
      relay_protocol: null,
      relay_host: null,
    });
  });

  it('is none when the candidate is not relayed or the address is none', () => {
    expect(using({ candidateType: 'srflx', url: 'stun:r.example', relayProtocol: 'udp' })).toMatchObject({
      relay_protocol: null,
      relay_host: null,
    });
    expect(using({ candidateType: 'relay', url: `turn:${'a'.repeat(300)}` })).toMatchObject({ relay_host: null });
  });

  it('has no differences in the interval in which it changed', () => {
    const second = sample(T + 1_000, {}, [{ id: 'P2', type: 'candidate-pair', bytesSent: 5 }]);
    const moved = second.stats.map((entry) =>
      entry.id === 'T1' ? { ...entry, selectedCandidatePairId: 'P2' } : entry,
    );
    expect(rows([sample(T), { t: second.t, stats: moved }]).connection_intervals[0]).toMatchObject({
      bytes_sent: null,
      rtt_ms: null,
      dtls_state: 'connected',
    });
  });
});

describe('events', () => {
  it('are kept with their time, duration and details', () => {
    const events = [
      { t: T, type: 'setup', value: 'connected', ms: 312.46 },
      { t: T + 1, type: 'candidate_error', value: '701', detail: { host: 'r.example', code: 701 } },
    ];
    expect(rows([], { events, offset: 5 }).call_events).toMatchObject([
      { ts: T + 5, sample_index: 0, type: 'setup', value: 'connected', value_ms: 312.5, detail: '{}' },
      { ts: T + 6, sample_index: 1, value: '701', value_ms: null, detail: '{"host":"r.example","code":701}' },
    ]);
  });
});
