import { describe, expect, it } from 'vitest';
import { pickStats } from '../../../collector/client/members.ts';
import type { Stats } from '../../../collector/client/members.ts';

const pair = (id: string, more: object = {}): Stats => ({
  id,
  type: 'candidate-pair',
  localCandidateId: `local-${id}`,
  remoteCandidateId: `remote-${id}`,
  state: 'succeeded',
  bytesSent: 9_007_199_254_740_991,
  ...more,
});
const ends = (id: string): Stats[] => [
  {
    id: `local-${id}`,
    type: 'local-candidate',
    candidateType: 'relay',
    address: '203.0.113.7',
    ip: '203.0.113.7',
    port: 50_000,
    relatedAddress: '10.0.0.4',
    usernameFragment: 'abcd',
    url: 'turn:relay.example:3478?transport=udp',
    relayProtocol: 'udp',
  },
  { id: `remote-${id}`, type: 'remote-candidate', candidateType: 'host', address: '198.51.100.3', protocol: 'udp' },
];

describe('the members that are sent', () => {
  it('keeps the pair that the transport selected, and its two candidates, and no other', () => {
    const report = [
      { id: 'T', type: 'transport', selectedCandidatePairId: 'P2', dtlsState: 'connected', localCertificateId: 'C' },
      pair('P1', { nominated: true }),
      ...ends('P1'),
      pair('P2'),
      ...ends('P2'),
      { id: 'C', type: 'certificate', fingerprint: 'AA:BB' },
    ];
    expect(pickStats(report).map(({ id }) => id)).toEqual(['T', 'P2', 'local-P2', 'remote-P2']);
  });

  it('falls back to the selected, then to the nominated pair where transports are not reported', () => {
    expect(pickStats([pair('P1'), pair('P2', { selected: true })]).map(({ id }) => id)).toEqual(['P2']);
    expect(pickStats([pair('P1'), pair('P2', { nominated: true })]).map(({ id }) => id)).toEqual(['P2']);
    expect(pickStats([pair('P1', { state: 'waiting', nominated: true })])).toEqual([]);
  });

  it('sends no address, port or name of anybody', () => {
    const text = JSON.stringify(pickStats([pair('P', { selected: true }), ...ends('P')]));
    for (const secret of ['203.0.113.7', '198.51.100.3', '10.0.0.4', 'abcd', '50000'])
      expect(text).not.toContain(secret);
    expect(text).toContain('turn:relay.example:3478');
  });

  it('keeps only codecs that a stream uses', () => {
    const picked = pickStats([
      { id: 'opus', type: 'codec', mimeType: 'audio/opus', sdpFmtpLine: 'minptime=10' },
      { id: 'vp9', type: 'codec', mimeType: 'video/VP9' },
      { id: 'in', type: 'inbound-rtp', kind: 'audio', ssrc: 7, codecId: 'opus', packetsReceived: 3 },
    ]);
    expect(picked).toEqual([
      { id: 'opus', type: 'codec', mimeType: 'audio/opus' },
      { id: 'in', type: 'inbound-rtp', kind: 'audio', ssrc: 7, codecId: 'opus', packetsReceived: 3 },
    ]);
  });

  it('leaves counters exact, shortens fractions, and leaves out what was not delivered', () => {
    const [inbound] = pickStats([
      {
        id: 'in',
        type: 'inbound-rtp',
        bytesReceived: 9_007_199_254_740_991,
        jitter: 0.001_000_000_047_497_451_3,
        totalAudioEnergy: Number.NaN,
        decoderImplementation: 'libvpx',
      },
    ]);
    expect(inbound).toEqual({
      id: 'in',
      type: 'inbound-rtp',
      bytesReceived: 9_007_199_254_740_991,
      jitter: 0.001_000_000_047,
    });
  });
});
