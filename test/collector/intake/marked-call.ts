/**
 * A recorded call in which every place that can say something of a person says something that is found again: addresses, names
 * of devices, users and pages.
 */
import type { RtcStats } from '../../../collector/contract.ts';
import { recordedCall } from './encoders.ts';
import type { Call, Happened } from './encoders.ts';

const V4 = '203.0.113.177';
const V6 = '2001:db8:77aa::feed';
const MDNS = '7b1f5a3e-77aa-4d0e-9b5c-1f2e3d4c5b6a.local';
const RELATED = '192.168.77.177';
const LABEL = 'Maren’s AirPods (77aa:0001)';
const DEVICE_ID = '77aa'.repeat(16);
const USERNAME = '1795160000:maren';
const PAGE = 'https://maren.example/rooms/77aa';
const CANDIDATE = `candidate:1 1 udp 2122260223 ${V4} 54321 typ srflx raddr ${RELATED} rport 9 ufrag m77aa`;
const SDP = `v=0\r\no=maren 7167532146940152509 2 IN IP4 ${V4}\r\nc=IN IP6 ${V6}\r\na=${CANDIDATE}\r\na=candidate:2 1 udp 1 ${MDNS} 9 typ host\r\n`;

/** Text of which nothing may be kept. */
export const marks = [
  V4,
  V6,
  MDNS,
  RELATED,
  '203.0.113',
  '2001:db8',
  '192.168.77',
  'AirPods',
  '77aa',
  'maren',
  'raddr',
  'IN IP4',
];

const personal: Readonly<Record<string, string>> = {
  address: V4,
  ip: V6,
  ipAddress: MDNS,
  relatedAddress: RELATED,
  candidate: CANDIDATE,
  usernameFragment: 'm77aa',
  iceLocalUsernameFragment: 'm77aa',
  username: USERNAME,
  label: LABEL,
  deviceId: DEVICE_ID,
  groupId: DEVICE_ID,
  trackIdentifier: LABEL,
  sdp: SDP,
  sdpFmtpLine: SDP,
  userAgent: `Maren/77aa`,
  origin: PAGE,
};

/** Members whose words become columns, with words that are none of the field's. */
const misused: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  codec: { mimeType: `audio/${V4}` },
  'remote-candidate': { candidateType: V4, url: `turn:${USERNAME}@turn.example.org` },
  'local-candidate': {
    networkType: LABEL,
    relayProtocol: V4,
    url: `turn:${USERNAME}@turn.example.org:3478?transport=udp`,
  },
  transport: { dtlsState: USERNAME, iceState: MDNS },
  'outbound-rtp': { qualityLimitationReason: LABEL },
};

const error = {
  errorCode: 701,
  error_code: 701,
  errorText: `Unknown user ${USERNAME} at ${V4}`,
  error_text: `Unknown user ${USERNAME} at ${V4}`,
  url: `turn:${USERNAME}@turn.example.org:3478?transport=udp&user=maren`,
  address: V4,
  hostCandidate: `${RELATED}:54321`,
  host_candidate: `${RELATED}:54321`,
};

/** What recorders write down of a connection and its page. */
const happenings: readonly (readonly [name: string, value: unknown])[] = [
  ['icecandidateerror', error],
  [
    'icecandidateerror',
    `url: ${error.url}\nhost_candidate: ${error.hostCandidate}\nerror_text: ${error.errorText}\nerror_code: 401`,
  ],
  ['icecandidate', { candidate: CANDIDATE, sdpMid: '0', address: V4 }],
  ['addicecandidate', { candidate: CANDIDATE, relatedAddress: RELATED }],
  ['createofferonsuccess', { type: 'offer', sdp: SDP }],
  ['setlocaldescription', { type: 'offer', sdp: SDP }],
  ['setremotedescription', SDP],
  ['track', { kind: 'audio', label: LABEL, id: DEVICE_ID }],
  ['track', `audio:${LABEL} stream:${DEVICE_ID}`],
  ['addtrack', ['audio', LABEL, DEVICE_ID]],
  ['iceconnectionstatechange', V4],
  ['connectionstatechange', LABEL],
  ['signalingstatechange', CANDIDATE],
  ['icegatheringstatechange', { state: MDNS }],
  ['navigator.mediaDevices.getUserMedia', { audio: { deviceId: DEVICE_ID }, label: LABEL }],
  ['navigator.mediaDevices.getUserMediaOnSuccess', [['audio', DEVICE_ID, LABEL]]],
  ['navigator.mediaDevices.enumerateDevices', [{ label: LABEL, deviceId: DEVICE_ID }]],
  ['devicechange', { label: LABEL }],
  [USERNAME, V4],
];

/** With `isMisused` also words that are none of the field’s, in members whose words become columns. */
export function markedCall(recording: string, peer: 'a' | 'b', isMisused: boolean): Call {
  const { events, samples } = recordedCall(recording, peer);
  const marked = samples.map(({ t, stats }) => ({
    t,
    stats: stats.map((entry): RtcStats => ({ ...entry, ...personal, ...(isMisused ? misused[entry.type] : {}) })),
  }));
  const start = samples[0]?.t ?? 0;
  const more = happenings.map(([name, value], index): Happened => ({ t: start - 190 + index, name, value }));
  return { samples: marked, events: [...events, ...more] };
}

/** Events of our own format, of known and unknown types, with such text wherever there may be any. */
export function markedEvents(t: number) {
  const types = [
    'setup',
    'first_frame',
    'connection_state',
    'candidate_error',
    'track',
    'get_user_media',
    'device',
    'page',
    'cpu_pressure',
    'anything_else',
  ];
  const values = [V4, V6, MDNS, LABEL, USERNAME, CANDIDATE, PAGE, SDP.slice(0, 256)];
  const detail = {
    ...personal,
    ...Object.fromEntries(['side', 'scheme', 'transport', 'host', 'text'].map((name) => [name, `${USERNAME}@${V4}`])),
    [V4]: true,
    [LABEL]: 7,
  };
  return types.flatMap((type, row) =>
    values.map((value, index) => ({ t: t + row * values.length + index, type, value, detail })),
  );
}
