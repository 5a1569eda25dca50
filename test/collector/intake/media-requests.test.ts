/** What became of requests for devices, as each recorder notes it: the same events from all of them. */
import { describe, expect, it } from 'vitest';
import { formatOf } from '../../../collector/intake/formats.ts';

const T = Date.UTC(2026, 10, 20, 18);
const constraints = { audio: true, video: { deviceId: 'secret-device' } };

const ask = 'navigator.mediaDevices.getUserMedia';
const recordings: Readonly<Record<string, readonly unknown[]>> = {
  'an rtcstats stream': [
    [60, null, { ...constraints, video: true }, '60-0', T],
    [60, null, { audio: true }, '60-1', 50],
    [65, null, 'NotFoundError: Requested device not found', '60-1', 50],
    [65, null, 'NotAllowedError: Permission denied', '60-0', 1_100],
    [67, null, null, 800],
    ['navigator.mediaDevices.getDisplayMediaOnFailure', null, 'AbortError: x', '63-0', 0],
  ],
  'Chrome’s rtcstats': [
    'RTCStatsDump',
    { fileFormat: 3 },
    [ask, '6-0', { audio: true, video: '{"deviceId": "secret-device"}' }, 'getUserMedia-6-1-0', 'http://x/', T],
    [ask, '6-0', { audio: true }, 'getUserMedia-6-1-1', 'http://x/', 50],
    [`${ask}OnFailure`, '6-0', { error: 'NotFoundError', error_message: 'x' }, 'getUserMedia-6-1-1', 50],
    [`${ask}OnFailure`, '6-0', 'NotAllowedError', 'getUserMedia-6-1-0', 1_100],
    ['navigator.mediaDevices.ondevicechange', '6-0', null, 800],
    ['navigator.mediaDevices.getDisplayMediaOnFailure', '6-0', 'AbortError', 'x', 0],
  ],
  'a dump of webrtc-internals': [
    {
      getUserMedia: [
        { rid: 6, request_id: 0, request_type: 'getUserMedia', audio: '', video: '{"deviceId": "x"}', timestamp: T },
        { rid: 6, request_id: 1, request_type: 'getUserMedia', audio: '', timestamp: T + 50 },
        { rid: 6, request_id: 1, error: 'NotFoundError', error_message: 'x', timestamp: T + 100 },
        { rid: 6, request_id: 0, error: 'NotAllowedError', error_message: 'Permission denied', timestamp: T + 1_200 },
      ],
      PeerConnections: {},
    },
  ],
  'Jitsi’s rtcstats': [
    { statsSessionId: 's', type: 'stats-entry', data: JSON.stringify([ask, null, constraints, T, 1]) },
    {
      statsSessionId: 's',
      type: 'stats-entry',
      data: JSON.stringify([`${ask}OnFailure`, null, 'NotAllowedError', T + 1_200, 2]),
    },
  ],
};

describe.each(Object.entries(recordings))('%s', (name, records) => {
  const reader = formatOf(records[0]).open();
  const said = records.flatMap((record) => [...reader.read(record, '')]);
  const events = said.flatMap((one) => ('event' in one ? [one.event as Record<string, unknown>] : []));

  it('tells which requests for devices failed, why, after how long, and what was asked for', () => {
    const failed = {
      t: T + 1_200,
      type: 'get_user_media',
      value: 'NotAllowedError',
      ms: 1_200,
      detail: { audio: true, video: true },
    };
    expect(events).toContainEqual(failed);
    if (name.startsWith('Jitsi')) return; // it does not number requests
    const other = {
      t: T + 100,
      type: 'get_user_media',
      value: 'NotFoundError',
      ms: 50,
      detail: { audio: true, video: false },
    };
    expect(events).toContainEqual(other);
  });

  it('is of the page, not of a connection, and says no device', () => {
    const origins = said.flatMap((one) => ('origin' in one ? [one.origin] : []));
    expect(origins.length).toBe(events.length);
    for (const origin of origins) expect(origin).toEqual({ connection: '' });
    expect(JSON.stringify(said)).not.toContain('secret-device');
    expect(JSON.stringify(said)).not.toContain('denied');
  });

  it.runIf(name.includes('rtcstats') && !name.startsWith('Jitsi'))(
    'tells that devices changed, and of a screen that was not shared',
    () => {
      expect(events).toContainEqual({ t: T + 2_000, type: 'device', value: 'changed' });
      expect(events).toContainEqual({ t: T + 2_000, type: 'get_display_media', value: 'AbortError' });
    },
  );
});
