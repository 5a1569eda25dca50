/** The same call in every format gives the same rows. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { storeDump } from '../../../collector/intake/dump.ts';
import { measured } from '../../../collector/normalise/measured.ts';
import { members } from '../../../collector/intake/formats/rtcstats-names.ts';
import type { DumpAnswer } from '../../../collector/contract.ts';
import type { Row } from '../../../collector/store/store.ts';
import { scoreInboundAudio } from '../normalise/scorer.ts';
import * as encode from './encoders.ts';

const DAY_MS = 86_400_000;
/** Shortly after the recordings were made. */
const NOW = Date.UTC(2026, 10, 21);

interface Imported {
  readonly answer: DumpAnswer;
  readonly streams: Row[];
  readonly connections: Row[];
  readonly events: Row[];
}

async function imported(
  input: string | Buffer,
  names: { call?: string; participant?: string } = {},
): Promise<Imported> {
  const streams: Row[] = [];
  const connections: Row[] = [];
  const events: Row[] = [];
  const bytes = Buffer.from(input);
  const chunks = async function* () {
    for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
  };
  const answer = await storeDump(chunks(), {
    app: 'demo',
    ...names,
    score: scoreInboundAudio,
    now: NOW,
    keptMs: 30 * DAY_MS,
    write: async (rows) => {
      streams.push(...rows.stream_intervals);
      connections.push(...rows.connection_intervals);
      events.push(...rows.call_events);
    },
  });
  return { answer, streams, connections, events };
}

/** Rows without what tells whose and which they are. */
function plain(rows: readonly Row[]): Row[] {
  const identity = new Set(['call_id', 'participant_id', 'connection_id', 'batch_seq', 'sample_index']);
  const key = (row: Row) => `${String(row['ts'])}/${String(row['stream'] ?? row['type'])}`;
  return rows
    .map((row) => Object.fromEntries(Object.entries(row).filter(([column]) => !identity.has(column))))
    .toSorted((one, other) => key(one).localeCompare(key(other)));
}

const identityOf = (row: Row) =>
  [row['connection_id'], row['stream'] ?? '', row['ts'], row['batch_seq'], row['sample_index']].join('/');

const calls = {
  'a good call in Chromium': encode.recordedCall('chromium-156-good', 'b'),
  'a call in Chromium whose relay is killed': encode.recordedCall('chromium-156-turn-killed', 'b'),
  'a call in Chromium whose relay stalls': encode.recordedCall('chromium-156-turn-stall', 'a'),
  'a good call in Firefox': encode.recordedCall('firefox-153esr-good', 'b'),
};

const formats = {
  'rtcstats as Chrome writes it': encode.asChromeRtcstats,
  'an rtcstats stream, numbers and differences': encode.asRtcstatsStream,
  'Jitsi’s rtcstats': encode.asJitsi,
  'ObserveRTC’s ClientSamples': encode.asObserveRtc,
  'ObserveRTC’s ClientSamples with differences': encode.asObserveRtcDelta,
  'a dump of webrtc-internals': encode.asInternals,
} as const;

describe.each(Object.entries(calls))('%s', (name, call) => {
  const isFirefox = name.includes('Firefox');
  const whole = imported(encode.asNative(call));

  it('has rows of every kind in our own format, and no fault', async () => {
    const { answer, streams, connections, events } = await whole;
    expect(answer).toMatchObject({ format: 'native', calls: ['recording-connection-1'], connections: 1 });
    expect(answer.rejected).toBeUndefined();
    expect(streams.length).toBeGreaterThan(60);
    expect(connections.length).toBeGreaterThan(12);
    expect(events.map((row) => row['type'])).toEqual([
      'signaling_state',
      'candidate_error',
      'ice_state',
      'connection_state',
      'setup',
      'first_frame',
    ]);
  });

  it.each(Object.entries(formats).filter(([format]) => !isFirefox || !format.includes('internals')))(
    'gives the same rows from %s',
    async (_format, encoded) => {
      const expected = await whole;
      const { answer, streams, connections, events } = await imported(encoded(call));
      expect(answer.rejected).toBeUndefined();
      expect(plain(streams)).toEqual(plain(expected.streams));
      expect(plain(connections)).toEqual(plain(expected.connections));
      expect(plain(events)).toEqual(plain(expected.events));
      expect(answer.stored).toEqual({
        streams: streams.length,
        connections: connections.length,
        events: events.length,
      });
      const identities = [...streams, ...connections, ...events].map(identityOf);
      expect(new Set(identities).size).toBe(identities.length);
    },
  );
});

describe('the two files that one internals page saved of one call', () => {
  const file = (name: string) => readFileSync(new URL(`../../vectors/${name}.gz`, import.meta.url));
  const dumps = ['chromium-156-internals.webrtc_internals_dump', 'chromium-156-internals.rtcstats_dump'].map(file);

  it('give the same rows, of the same call and connections, with the same identities', async () => {
    const [internals, trace] = await Promise.all(dumps.map((dump) => imported(dump)));
    expect(internals?.answer).toMatchObject({ format: 'webrtc-internals', connections: 2 });
    expect(trace?.answer).toMatchObject({ format: 'rtcstats', connections: 2 });
    expect(internals?.answer.rejected).toBeUndefined();
    expect(trace?.answer.rejected).toBeUndefined();
    const ordered = (rows: readonly Row[] = []) =>
      rows.toSorted((one, other) =>
        (identityOf(one) + String(one['type'])).localeCompare(identityOf(other) + String(other['type'])),
      );
    expect(ordered(internals?.streams)).toEqual(ordered(trace?.streams));
    expect(ordered(internals?.connections)).toEqual(ordered(trace?.connections));
    expect(ordered(internals?.events)).toEqual(ordered(trace?.events));
    const told = (type: string) =>
      trace?.events.filter((row) => row['type'] === type).map(({ value, value_ms: ms, detail }) => [value, ms, detail]);
    expect(told('setup')).toEqual([
      ['connected', 172, '{}'],
      ['connected', 164, '{}'],
    ]);
    expect(told('get_user_media')).toEqual([
      ['granted', 192, '{"audio":true,"video":true}'],
      ['granted', 3, '{"audio":true,"video":true}'],
    ]);
    for (const [value, ms] of told('first_frame') ?? []) {
      expect(value).toBe('video');
      expect(Number(ms)).toBeGreaterThan(172);
      expect(Number(ms)).toBeLessThan(1_000);
    }
    expect(told('first_frame')).toHaveLength(2);
    expect(trace?.streams.length).toBe(2 * 4 * 18);
    expect(trace?.streams.filter((row) => row['mos'] !== null).length).toBeGreaterThan(20);
  });

  it('never let an address, a label or a description through', async () => {
    for (const dump of dumps) {
      const { streams, connections, events } = await imported(dump);
      const text = JSON.stringify([streams, connections, events]);
      for (const secret of ['Fake', 'a=ice', 'v=0', '49247', 'fake_device']) expect(text).not.toContain(secret);
    }
  });
});

describe('a dump of webrtc-internals', () => {
  const call = calls['a call in Chromium whose relay is killed'];
  const even = {
    ...call,
    samples: call.samples.map(({ stats }, index) => ({
      t: Math.floor(call.samples[0]?.t ?? 0) + index * 1_000,
      stats,
    })),
  };
  const timed = {
    ...even,
    samples: even.samples.map(({ t, stats }) => ({
      t,
      stats: stats.map((entry) => (/^remote-.*-rtp$/.test(entry.type) ? entry : { ...entry, timestamp: t })),
    })),
  };

  it('of before Chrome 117 gives the same intervals, and says that their times are approximate', async () => {
    const old = await imported(encode.asInternals(timed, { old: true }));
    const expected = await imported(encode.asNative(timed));
    expect(old.answer.notes).toEqual([
      'The times of samples are approximate: the dump is older than Chrome 117.',
      'The times of events are approximate: the dump has them in local time.',
    ]);
    const own = (rows: readonly Row[]) =>
      plain(rows).map(({ stream, ts, packets, bytes, frames, interval_ms: ms }) => ({
        stream,
        ts,
        packets,
        bytes,
        frames,
        ms,
      }));
    expect(own(old.streams)).toEqual(own(expected.streams));
    expect(old.events.map(({ type, value }) => [type, value])).toEqual(
      expected.events.map(({ type, value }) => [type, value]),
    );
    const [first] = old.events;
    expect(Math.abs(Number(first?.['ts']) - (call.samples[0]?.t ?? 0))).toBeLessThan(900_000);
  });

  it('leaves out a member with holes, unless it never changed, and invents nothing', async () => {
    const dump = JSON.parse(encode.asInternals(timed)) as {
      PeerConnections: Record<string, { stats: Record<string, { values: string }> }>;
    };
    const stats = dump.PeerConnections['6-1']?.stats ?? {};
    const withHoles = (key: string) => {
      const column = stats[key];
      if (column === undefined) throw new Error(key);
      column.values = JSON.stringify((JSON.parse(column.values) as unknown[]).toSpliced(5, 2));
    };
    const inbound = Object.keys(stats).find((key) => /^IT.*A.*-bytesReceived$/.test(key)) ?? '';
    withHoles(inbound);
    withHoles(inbound.replace('bytesReceived', 'codecId'));
    const { streams } = await imported(JSON.stringify(dump));
    const audio = streams.filter((row) => String(row['stream']).startsWith('inbound/audio'));
    expect(new Set(audio.map((row) => row['bytes']))).toEqual(new Set([null]));
    expect(audio.every((row) => row['codec'] === 'opus' && Number(row['packets']) >= 0)).toBe(true);
  });
});

describe('peermetrics’ requests', () => {
  it('give what they carry of the call: the pair without its transport, streams without the microphone', async () => {
    const expected = await imported(encode.asNative(calls['a good call in Chromium']));
    const { answer, streams, connections } = await imported(encode.asPeermetrics(calls['a good call in Chromium']));
    expect(answer).toMatchObject({ format: 'peermetrics', connections: 1 });
    const without = (rows: readonly Row[], columns: readonly string[]) =>
      plain(rows).map((row) => Object.fromEntries(Object.entries(row).filter(([column]) => !columns.includes(column))));
    const score = ['mos', 'r_factor', 'mos_model']; // the playout's delay is in none of them
    const lost = [...score, 'audio_level'];
    expect(without(streams, lost)).toEqual(without(expected.streams, lost));
    const transport = ['dtls_state', 'ice_state'];
    expect(without(connections, transport)).toEqual(without(expected.connections, transport));
  });
});

describe('what a recording is called', () => {
  const call = calls['a good call in Firefox'];
  it('is what the request says, else what the recording says, else made of what is in it', async () => {
    const names = async (text: string, given = {}) => {
      const { answer, connections } = await imported(text, given);
      return [answer.calls, connections[0]?.['participant_id']];
    };
    expect(await names(encode.asObserveRtc(call))).toEqual([['standup'], 'ann']);
    expect(await names(encode.asObserveRtc(call), { call: 'retro', participant: 'bob' })).toEqual([['retro'], 'bob']);
    expect(await names(encode.asJitsi(call))).toEqual([['standup'], '']);
    const [first] = await names(encode.asChromeRtcstats(call));
    expect(first).toEqual([expect.stringMatching(/^recording-[\w-]{22}$/)]);
    expect((await names(encode.asChromeRtcstats(call)))[0]).toEqual(first);
    expect((await names(encode.asChromeRtcstats(calls['a good call in Chromium'])))[0]).not.toEqual(first);
  });

  it('stays the same, and so do its rows, when the recording went on for longer', async () => {
    const half = { ...call, samples: call.samples.slice(0, 9) };
    for (const encoded of [encode.asChromeRtcstats, encode.asInternals, encode.asObserveRtc]) {
      const [shorter, longer] = [await imported(encoded(half)), await imported(encoded(call))];
      expect(shorter.answer.calls).toEqual(longer.answer.calls);
      const known = new Map(longer.connections.map((row) => [identityOf(row), row]));
      expect(shorter.connections.length).toBe(8);
      for (const row of shorter.connections) expect(known.get(identityOf(row))).toEqual(row);
    }
  });
});

describe('the numbers of rtcstats', () => {
  it('name every member that is measured or refers to another entry', () => {
    const names = new Set(members.values());
    const needed = [...measured.values()].flatMap((measures) => [...measures.keys()]);
    expect(needed.length).toBeGreaterThan(40);
    expect(needed.filter((name) => !names.has(name))).toEqual([]);
    expect(new Set(members.keys()).size).toBe(names.size);
  });
});

describe('the rest of a recording stands', () => {
  const call = calls['a good call in Chromium'];
  it('when a line is broken, a sample has no time or a member cannot be, and each is named', async () => {
    const lines = encode.asNative(call).split('\n');
    const broken = lines.map((line, index) => (index === 1 ? line.slice(0, -9) : line)).join('\n');
    const { answer, streams } = await imported(broken);
    expect(answer.rejected).toEqual([{ path: 'line 2', message: 'is no JSON' }]);
    expect(streams.length).toBeGreaterThan(30);

    const samples = clone(encode.clientSamples(call));
    const inbound = (index: number) =>
      (samples[index]?.['peerConnections'] as { inboundRtps: Record<string, unknown>[] }[] | undefined)?.[0]
        ?.inboundRtps[0] ?? {};
    inbound(4)['packetsReceived'] = 1e308;
    inbound(6)['jitter'] = 'NaN';
    inbound(7)['id'] = 7;
    if (samples[9] !== undefined) samples[9]['timestamp'] = null;
    const again = await imported(JSON.stringify(samples));
    expect(again.answer.rejected?.map(({ path }) => path)).toEqual([
      expect.stringMatching(/^4\.peerConnections\.0\.stats\.\d+\.packetsReceived$/),
      expect.stringMatching(/^6\.peerConnections\.0\.stats\.\d+\.jitter$/),
      expect.stringMatching(/^7\.peerConnections\.0\.stats\.\d+\.id$/),
      '9.timestamp',
    ]);
    expect(again.streams.length).toBeGreaterThan(40);
    for (const row of again.streams) expect(Number(row['packets'] ?? 0)).toBeLessThan(1e9);
  });

  it('when names in it are those that objects are born with', async () => {
    const lines = encode.asRtcstatsStream(call).split('\n');
    const hostile = lines.map((line) =>
      line.startsWith('["g"')
        ? line.replace('{', '{"__proto__":{"10":1,"type":1,"__proto__":{"polluted":1}},"constructor":{"toString":1},')
        : line,
    );
    const expected = await imported(encode.asNative(call));
    const { answer, streams } = await imported(hostile.join('\n'));
    expect(plain(streams)).toEqual(plain(expected.streams));
    expect(answer.rejected?.[0]?.path).toMatch(/^line \d+\.constructor\.type$/);
    expect(Object.keys({})).toEqual([]);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it('when differences continue nothing, from the next whole sample on', async () => {
    const messages = encode.asObserveRtcDelta(call).split('\n');
    const again = encode.clientSamples(call).map((sample) => JSON.stringify(sample));
    const { answer, connections } = await imported([...messages.slice(3, 5), ...again.slice(5)].join('\n'));
    expect(answer.rejected).toEqual([
      { path: expect.stringMatching(/^line 1\.peerConnections\.0\./) as string, message: 'was never sent' },
      { path: expect.stringMatching(/^line 2\.peerConnections\.0\./) as string, message: 'was never sent' },
    ]);
    expect(connections.length).toBe(again.length - 6);
  });

  it('when samples come twice or out of order', async () => {
    const samples = encode.clientSamples(call);
    const [one, two, three, ...rest] = samples;
    const { answer, connections } = await imported(JSON.stringify([one, three, two, three, ...rest]));
    expect(answer.rejected?.map(({ path }) => path)).toEqual(['2.peerConnections.0.t', '3.peerConnections.0.t']);
    expect(connections.length).toBe(samples.length - 2);
    expect(connections.every((row) => Number(row['interval_ms']) > 0)).toBe(true);
  });
});

const clone = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

describe('refuses', () => {
  const call = calls['a good call in Chromium'];
  it.each([
    ['nothing', '', 'TP_KERNEL_BAD_JSON'],
    ['blank lines', ' \n\n', 'TP_KERNEL_BAD_JSON'],
    ['what is no JSON', '<html>', 'TP_KERNEL_BAD_JSON'],
    ['JSON that is no recording', '{"hello":"world"}', 'TP_COLLECTOR_FORMAT'],
    ['a number', '7', 'TP_COLLECTOR_FORMAT'],
    ['null', 'null', 'TP_COLLECTOR_FORMAT'],
    ['a list of nothing', '[]', 'TP_COLLECTOR_FORMAT'],
    [
      'a dump without a connection',
      '{"getUserMedia":[],"PeerConnections":{},"UserAgent":"Chrome"}',
      'TP_COLLECTOR_EMPTY',
    ],
    [
      'a trace without a connection',
      'RTCStatsDump\n{"fileFormat":3}\n["create",null,{},1795216444526]',
      'TP_COLLECTOR_EMPTY',
    ],
    ['differences to nothing', encode.asObserveRtcDelta(call).split('\n').slice(3).join('\n'), 'TP_COLLECTOR_DESYNC'],
    [
      'samples that are none',
      '{"v":1,"connection":"connection-1","seq":0,"offset":0,"samples":[7],"events":[]}',
      'TP_KERNEL_INVALID',
    ],
  ])('%s', async (_what, input, code) => {
    await expect(imported(input)).rejects.toMatchObject({ code });
  });

  it('a call of which the store would keep nothing, and one of the future', async () => {
    for (const shift of [-60 * DAY_MS, 60 * DAY_MS]) {
      const shifted = encode.recordedCall('chromium-156-good', 'b', shift);
      const refusal = imported(encode.asObserveRtc(shifted));
      await expect(refusal).rejects.toMatchObject({ code: 'TP_COLLECTOR_RETENTION' });
      await expect(refusal).rejects.toMatchObject({ issues: { length: 21 } });
    }
  });
});

describe('a page that was not given its camera', () => {
  it('is a call of its own, with no connection, and the same however often it comes', async () => {
    const t = NOW - DAY_MS;
    const lines = [
      [39, null, {}, t],
      [60, null, { video: true }, '60-0', 100],
      [65, null, 'NotAllowedError: Permission denied', '60-0', 900],
    ];
    const page = () => imported(lines.map((line) => JSON.stringify(line)).join('\n'));
    const { answer, events } = await page();
    expect(answer).toMatchObject({ connections: 0, calls: [expect.stringMatching(/^recording-[\w-]{22}$/)] });
    expect(events).toMatchObject([
      { connection_id: '', ts: t + 1_000, type: 'get_user_media', value: 'NotAllowedError', value_ms: 900 },
    ]);
    expect(await page()).toEqual({ answer, events, streams: [], connections: [] });
  });
});
