import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it } from 'vitest';
import { standardRules } from '../../../billing/quality/alerts/alert-rules.ts';
import type { AlertRule } from '../../../billing/quality/alerts/alert-rules.ts';
import { summaryOf } from '../../../billing/quality/alerts/alert-summary.ts';
import { measure } from '../../../billing/quality/alerts/measurement.ts';
import { hasEmbeddedStore, testDatabase } from '../../embedded-store.ts';
import type { TestDatabase } from '../../embedded-store.ts';
import { callEvent, every5s, streamInterval } from './interval-rows.ts';

function rule(name: string): AlertRule {
  const found = standardRules.find((candidate) => candidate.name === `Turnpike${name}`);
  if (found === undefined) throw new Error(`no rule ${name}`);
  return found;
}

describe('the standard rules', () => {
  it('are the five: loss > 5 %, jitter > 100 ms, MOS < 3.5, connection success < 95 %, first frame > 3 s', () => {
    expect(standardRules.map(({ name, breach, threshold, unit }) => `${name} ${breach} ${threshold} ${unit}`)).toEqual([
      'TurnpikePacketLossHigh above 5 %',
      'TurnpikeJitterHigh above 100 ms',
      'TurnpikeMosLow below 3.5 ',
      'TurnpikeConnectionSuccessLow below 95 %',
      'TurnpikeTimeToFirstFrameHigh above 3 s',
    ]);
  });
  it('resolve on the good side of their threshold, and outlive neither their `for` nor their window too soon', () => {
    for (const { breach, threshold, resolveAt, forSeconds, staleSeconds, windowSeconds } of standardRules) {
      expect(breach === 'above' ? resolveAt < threshold : resolveAt > threshold).toBe(true);
      expect(staleSeconds).toBeGreaterThan(windowSeconds);
      expect(staleSeconds).toBeGreaterThan(forSeconds);
    }
  });
  it('ask the store exactly this', async () => {
    const text = standardRules.map(({ name, sql }) => `-- ${name}\n${sql};\n`).join('\n');
    await expect(text).toMatchFileSnapshot(fileURLToPath(new URL('../../golden/alert-rules.sql', import.meta.url)));
  });
  it('say what is wrong in one sentence', () => {
    const said = (reason: 'held' | 'recovered' | 'stale') =>
      summaryOf(rule('PacketLossHigh'), 'demo', {
        to: reason === 'held' ? 'firing' : 'resolved',
        reason,
        measured: { value: 6.254, samples: 99 },
      });
    expect(said('held')).toBe('Packet loss of app demo is 6.25 % over 5 min, above 5 %.');
    expect(said('recovered')).toBe('Packet loss of app demo is back to 6.25 % over 5 min.');
    expect(said('stale')).toBe('Packet loss of app demo was last 6.25 %; nothing has been measured for 15 min.');
  });
});

describe.skipIf(!hasEmbeddedStore)('measured on the store', () => {
  const now = Date.UTC(2026, 10, 20, 12);
  let store: TestDatabase;
  beforeEach(async () => {
    store = await testDatabase();
  });
  const measured = async (name: string) => Object.fromEntries(await measure(store, rule(name), now));

  it('loss is lost packets among those expected, of inbound streams in the window only', async () => {
    await store.insert('stream_intervals', [
      ...every5s(now, 40, (ts) => streamInterval({ ts, packets: 90, packets_lost: 10 })),
      streamInterval({ ts: now - 300_000, packets: 1, packets_lost: 9_999 }),
      streamInterval({ ts: now + 1, packets: 1, packets_lost: 9_999 }),
      streamInterval({ ts: now, stream: 'outbound/audio/1', direction: 'outbound', packets: 1, packets_lost: 9_999 }),
      streamInterval({ ts: now, stream: 'inbound/audio/2', packets: 500, packets_lost: null }),
      ...every5s(now, 3, (ts) => streamInterval({ app_id: 'quiet', ts, packets: 30, packets_lost: 3 })),
    ]);
    expect(await measured('PacketLossHigh')).toEqual({ demo: { value: 10, samples: 40 } });
  });

  it('late packets take back what was counted as lost before, and never below nothing', async () => {
    await store.insert('stream_intervals', [
      streamInterval({ ts: now - 5_000, packets: 150, packets_lost: 50 }),
      streamInterval({ ts: now, packets: 250, packets_lost: -50 }),
      streamInterval({ app_id: 'late', ts: now, packets: 400, packets_lost: -50 }),
    ]);
    expect(await measured('PacketLossHigh')).toEqual({
      demo: { value: 0, samples: 2 },
      late: { value: 0, samples: 1 },
    });
  });

  it('a batch that was sent twice counts once', async () => {
    const rows = every5s(now, 30, (ts, index) => streamInterval({ ts, sample_index: index, jitter_ms: 120 }));
    await store.insert('stream_intervals', rows);
    await store.insert('stream_intervals', rows);
    expect(await measured('JitterHigh')).toEqual({ demo: { value: 120, samples: 30 } });
  });

  it('jitter is what the worse quarter of intervals exceeds', async () => {
    const of = (bad: number) =>
      every5s(now, 40, (ts, index) => streamInterval({ app_id: `bad${bad}`, ts, jitter_ms: index < bad ? 150 : 10 }));
    await store.insert('stream_intervals', [...of(8), ...of(12)]);
    expect(await measured('JitterHigh')).toEqual({
      bad12: { value: 150, samples: 40 },
      bad8: { value: 10, samples: 40 },
    });
  });

  it('MOS is of the worse quarter of scored audio, and never mixes models', async () => {
    const scored = (app_id: string, ssrc: number, count: number, mos: number, mos_model: string) =>
      every5s(now, count, (ts) =>
        streamInterval({ app_id, ts, ssrc, stream: `inbound/audio/${ssrc}`, mos, mos_model }),
      );
    await store.insert('stream_intervals', [
      ...scored('demo', 1, 30, 4.3, 'g107.2'),
      ...scored('demo', 2, 15, 2.1, 'g107.2'),
      ...scored('demo', 3, 20, 1.2, 'g107'),
      ...scored('fine', 1, 30, 4.3, 'g107.2'),
    ]);
    expect(await measured('MosLow')).toEqual({
      demo: { value: 2.1, samples: 45 },
      fine: { value: 4.3, samples: 30 },
    });
  });

  it('connection success is the share of set-ups that reached connected', async () => {
    const setup = (index: number, value: string) =>
      callEvent({ ts: now - index, connection_id: `connection-${index}`, type: 'setup', value, value_ms: 400 });
    await store.insert('call_events', [
      ...Array.from({ length: 18 }, (_, index) => setup(index, 'connected')),
      setup(18, 'failed'),
      setup(19, 'failed'),
      callEvent({ ts: now, type: 'connection_state', value: 'failed' }),
    ]);
    expect(await measured('ConnectionSuccessLow')).toEqual({ demo: { value: 90, samples: 20 } });
  });

  it('time to first frame is in seconds, and a frame without a time is no measurement', async () => {
    const frame = (index: number, value_ms: number | null) =>
      callEvent({
        ts: now - index,
        connection_id: `connection-${index}`,
        type: 'first_frame',
        value: 'video',
        value_ms,
      });
    await store.insert('call_events', [frame(0, 500), frame(1, 600), frame(2, 4_250), frame(3, 5_000), frame(4, null)]);
    expect(await measured('TimeToFirstFrameHigh')).toEqual({ demo: { value: 5, samples: 4 } });
  });
});
