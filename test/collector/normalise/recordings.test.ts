import { describe, expect, it } from 'vitest';
import { normaliseReport } from '../../../collector/normalise/report.ts';
import type { AudioInterval, AudioScorer } from '../../../collector/contract.ts';
import type { Row } from '../../../collector/store/store.ts';
import { scoreInboundAudio } from './scorer.ts';
import { recordedSamples, reportOf } from '../recording.ts';

const reporter = { app: 'app', call: 'call', participant: 'b' };

function rowsOf(name: string, peer: 'a' | 'b', score: AudioScorer = scoreInboundAudio) {
  return normaliseReport(reportOf(recordedSamples(name, peer)), reporter, score);
}

const ofStream = (rows: readonly Row[], prefix: string) =>
  rows.filter((row) => String(row['stream']).startsWith(prefix));
const sum = (rows: readonly Row[], column: string) => rows.reduce((total, row) => total + Number(row[column] ?? 0), 0);

describe('a good call in Chromium 156', () => {
  const { stream_intervals: streams, connection_intervals: connections } = rowsOf('chromium-156-good', 'b');

  it('has a row for each of four streams in nearly every interval', () => {
    expect(new Set(streams.map((row) => row['stream'])).size).toBe(4);
    expect(streams.length).toBeGreaterThan(4 * 15);
    expect(streams.every((row) => Number(row['interval_ms']) > 900 && Number(row['interval_ms']) < 1_200)).toBe(true);
  });

  it('adds up to what the browser counted between its first and last sample', () => {
    const samples = recordedSamples('chromium-156-good', 'b');
    const bytesAt = (index: number) =>
      samples.at(index)?.stats.find((stats) => stats['ssrc'] === 369716969 && stats.type === 'inbound-rtp')?.[
        'bytesReceived'
      ];
    const first = samples.findIndex((sample) => sample.stats.some((stats) => stats['ssrc'] === 369716969));
    expect(sum(ofStream(streams, 'inbound/video'), 'bytes')).toBe(Number(bytesAt(-1)) - Number(bytesAt(first)));
  });

  it('sounds good: Opus, no loss, a MOS above 4 with its model', () => {
    const audio = ofStream(streams, 'inbound/audio').slice(2);
    expect(new Set(audio.map((row) => row['codec']))).toEqual(new Set(['opus']));
    expect(sum(audio, 'packets_lost')).toBe(0);
    expect(audio.length).toBeGreaterThan(12);
    for (const row of audio) {
      expect(row['mos']).toBeGreaterThan(4);
      expect(row['mos_model']).toBe('test');
      expect(row['jitter_buffer_ms']).toBeGreaterThan(10);
      expect(row['jitter_buffer_ms']).toBeLessThan(200);
    }
  });

  it('takes the pair that the transport names, not the other nominated one', () => {
    const last = connections.at(-1);
    expect(last).toMatchObject({
      local_candidate_type: 'relay',
      remote_candidate_type: 'relay',
      protocol: 'udp',
      relay_protocol: 'udp',
      relay_host: '127.0.0.1',
      network_type: 'ethernet',
      dtls_state: 'connected',
      ice_state: 'connected',
      pair_state: 'succeeded',
    });
    const roundTrips = connections.flatMap((row) => (row['rtt_ms'] === null ? [] : [Number(row['rtt_ms'])]));
    expect(roundTrips.length).toBeGreaterThan(4);
    expect(Math.max(...roundTrips.slice(1))).toBeLessThan(20);
    expect(last?.['bytes_sent']).toBeGreaterThan(10_000);
    expect(last?.['available_outgoing_bitrate']).toBeGreaterThan(100_000);
  });

  it('counts frames from differences, twenty a second', () => {
    const video = ofStream(streams, 'inbound/video').slice(3);
    const rates = video.map((row) => Number(row['frames_per_second']));
    expect(rates.every((rate) => rate > 14 && rate < 26)).toBe(true);
    expect(video.at(-1)).toMatchObject({
      codec: 'VP8',
      frame_width: 640,
      frame_height: 480,
      freeze_count: 0,
      mos: null,
    });
  });

  it('leaves audio members of video, and video members of audio, NULL', () => {
    const audio = ofStream(streams, 'inbound/audio').at(-1);
    expect(audio).toMatchObject({ frames: null, frames_per_second: null, freeze_ms: null, frame_width: null });
    const video = ofStream(streams, 'outbound/video').at(-1);
    expect(video).toMatchObject({ concealed_samples: null, audio_level: null, quality_limitation_reason: 'none' });
  });
});

describe('a good call in Firefox 153', () => {
  const { stream_intervals: streams, connection_intervals: connections } = rowsOf('firefox-153esr-good', 'b');

  it('scores its audio although it measures the round trip only every few seconds', () => {
    const audio = ofStream(streams, 'inbound/audio').slice(2);
    expect(audio.length).toBeGreaterThan(12);
    expect(audio.every((row) => Number(row['mos']) > 4)).toBe(true);
  });

  it('has NULL, never 0, for what Firefox does not deliver', () => {
    for (const row of ofStream(streams, 'outbound/video')) {
      expect(row).toMatchObject({ quality_limitation_reason: null, target_bitrate: null });
    }
    for (const row of ofStream(streams, 'outbound/audio')) expect(row['audio_level']).toBeNull();
    for (const row of ofStream(streams, 'inbound/')) expect(row['retransmitted_packets']).toBeNull();
    for (const row of connections) {
      expect(row).toMatchObject({ available_outgoing_bitrate: null, relay_host: null, network_type: null });
    }
  });

  it('knows the relay and its transport all the same', () => {
    expect(connections.at(-1)).toMatchObject({ local_candidate_type: 'relay', relay_protocol: 'udp', protocol: 'udp' });
  });
});

describe('a relay that stops answering', () => {
  it('is silence without loss: no packets, no MOS, no jitter', () => {
    const { stream_intervals: streams } = rowsOf('chromium-156-turn-stall', 'b');
    const silent = ofStream(streams, 'inbound/audio').filter((row) => row['packets'] === 0);
    expect(silent.length).toBeGreaterThan(4);
    for (const row of silent) expect(row).toMatchObject({ mos: null, jitter_ms: null, packets_lost: 0 });
    expect(sum(silent, 'concealed_samples')).toBeGreaterThan(48_000);
  });

  it('does not repeat an old round trip as a new one', () => {
    const { connection_intervals: connections } = rowsOf('chromium-156-turn-stall', 'b');
    const stalled = connections.filter((row) => row['pair_state'] === 'in-progress');
    expect(stalled.length).toBeGreaterThan(2);
    expect(stalled.filter((row) => row['packets_received'] === 0).every((row) => row['rtt_ms'] === null)).toBe(true);
  });

  it('still has a state when the browser gave up and deleted every pair', () => {
    const { connection_intervals: connections } = rowsOf('chromium-156-turn-killed', 'b');
    expect(connections.at(-1)).toMatchObject({ ice_state: 'failed', pair_state: null, rtt_ms: null, bytes_sent: null });
  });
});

describe('what the scorer is asked', () => {
  it('is the loss and the delay of the interval, and never a delay that nobody knows', () => {
    const asked: AudioInterval[] = [];
    rowsOf('chromium-156-good', 'b', (interval) => {
      asked.push(interval);
      return null;
    });
    expect(asked.length).toBeGreaterThan(12);
    for (const { codec, lossPercent, delayMs } of asked.slice(2)) {
      expect(codec).toBe('opus');
      expect(lossPercent).toBe(0);
      expect(delayMs).toBeGreaterThan(20);
      expect(delayMs).toBeLessThan(300);
    }
  });
});
