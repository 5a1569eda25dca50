/** A LiveKit node from its metrics, its webhooks and its clients' reports to what each call used. */
import type { FastifyInstance } from 'fastify';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { statementFor } from '../../../billing/egress/statement.ts';
import { loadRateCard } from '../../../billing/egress/rate-card.ts';
import { callRoutes } from '../../../collector/calls/call-routes.ts';
import { usageOf } from '../../../collector/calls/usage.ts';
import type { CallDetail, UsageAnswer } from '../../../collector/contract.ts';
import { statsRoutes } from '../../../collector/intake/stats-routes.ts';
import { livekitRoutes } from '../../../collector/sources/livekit-routes.ts';
import { eventRow, livekitEvent } from '../../../collector/sources/livekit.ts';
import { Poller } from '../../../collector/sources/poller.ts';
import { SourceMetrics } from '../../../collector/sources/source-metrics.ts';
import { ManualClock } from '../../../kernel/clock.ts';
import { silentLog } from '../../../kernel/log.ts';
import { Metrics } from '../../../kernel/metrics.ts';
import { month } from '../../../kernel/period.ts';
import { systemSleep } from '../../../kernel/sleep.ts';
import { egressRow, streamRow } from '../../conformance/store.ts';
import { hasEmbeddedStore, keptOf, testDatabase } from '../../embedded-store.ts';
import type { TestDatabase } from '../../embedded-store.ts';
import { scoreInboundAudio } from '../normalise/scorer.ts';
import { reportToken, service } from '../service.ts';
import { API_KEY, API_SECRET, authorization, webhook } from './livekit-sender.ts';
import type { Said } from './livekit-sender.ts';

const at = (time: string) => Date.parse(`2026-11-20T${time}Z`);
const settings = {
  kind: 'livekit' as const,
  name: 'lk',
  app: 'demo',
  url: 'http://livekit.test:6789/metrics',
  intervalSeconds: 15,
  webhookKeys: { [API_KEY]: API_SECRET },
};

/** A page of LiveKit's metrics: what the node sent, first and again. */
function page(node: string, started: number, initial: number, again: number): string {
  const series = (direction: string, transmission: string, bytes: number) =>
    `livekit_packet_bytes{country="",direction="${direction}",node_id="${node}",node_type="SERVER",transmission="${transmission}"} ${bytes}`;
  return `# TYPE livekit_packet_bytes counter
${series('outgoing', 'initial', initial)}
${series('outgoing', 'retransmit', again)}
${series('incoming', 'initial', 77_000_000)}
process_start_time_seconds ${started}
`;
}

describe.skipIf(!hasEmbeddedStore)('what each call of a LiveKit used', () => {
  let store: TestDatabase;
  let http: FastifyInstance;
  let poller: Poller;
  const clock = new ManualClock(at('18:50:00'));
  let shown = '';

  beforeAll(async () => {
    store = await testDatabase();
    const metrics = new SourceMetrics(new Metrics(), clock);
    const made = service(clock);
    http = made.http;
    await http.register(livekitRoutes, { sources: [settings], writer: store, clock, log: silentLog, metrics });
    await http.register(statsRoutes, {
      writer: store,
      authority: made.authority,
      score: scoreInboundAudio,
      clock,
      metrics: new Metrics(),
      log: silentLog,
    });
    await http.register(callRoutes, { reader: store, keptOf, clock });
    const fetch = async () => shown;
    const parts = { reader: store, writer: store, sleep: systemSleep, log: silentLog };
    poller = new Poller({ ...parts, settings, fetch, clock, metrics });
    await threeHours();
  });
  afterAll(async () => {
    await http.close();
    await store.close();
  });

  const reach = (time: string) => {
    clock.advance(at(time) - clock.now());
  };
  const look = async (time: string, text: string) => {
    reach(time);
    shown = text;
    await poller.tick();
  };
  const says = async (said: Omit<Said, 'at'> & { readonly time: string }) => {
    const body = webhook({ ...said, at: at(said.time) / 1000 });
    const headers = { authorization: authorization(body, clock.now()), 'content-type': 'application/webhook+json' };
    const answer = await http.inject({ method: 'POST', url: '/v1/sfu/livekit', headers, payload: body });
    expect(answer.json()).toEqual({ stored: true });
  };
  /** A client's report of a stream over five seconds: RTP of so many bytes, a tenth of them headers. */
  const receives = async (time: string, call: string, participant: string, bytes: number) => {
    reach(time);
    const sample = (t: number, share: number) => ({
      t,
      stats: [
        {
          id: 'IT01V',
          type: 'inbound-rtp',
          kind: 'video',
          ssrc: 1,
          timestamp: t,
          bytesReceived: share * 0.9 * bytes,
          headerBytesReceived: share * 0.1 * bytes,
        },
      ],
    });
    const samples = [sample(clock.now() - 5_000, 0), sample(clock.now(), 1)];
    const connection = `${participant}-${time.replaceAll(':', '-')}`;
    const token = reportToken('demo', clock.now(), { call, participant });
    const payload = { v: 1, connection, seq: 0, offset: 0, samples, events: [] };
    const headers = { authorization: `Bearer ${token}` };
    const answer = await http.inject({ method: 'POST', url: '/v1/stats', headers, payload });
    expect(answer.json()).toMatchObject({ stored: { streams: 1 } });
  };

  async function threeHours(): Promise<void> {
    await look('18:50:00', page('ND_1', 1, 1_000_000, 5_000));
    const join = { event: 'participant_joined', time: '18:51:00' };
    await says({ event: 'room_started', room: 'standup', time: '18:51:00' });
    await says({ ...join, room: 'standup', identity: 'ann' });
    await says({ ...join, room: 'standup', identity: 'ben', id: 'EV_ben' });
    await says({ ...join, room: 'standup', identity: 'ben', id: 'EV_ben' });
    await says({ ...join, room: 'retro', identity: 'dan' });
    await receives('18:55:00', 'standup', 'ann', 200_000);
    await receives('18:55:00', 'standup', 'ben', 100_000);
    await receives('18:55:00', 'retro', 'cat', 150_000);
    // Not of this SFU.
    await receives('18:55:00', 'mesh', 'eve', 1_000_000);
    // Late, after her reports; and dan, who has no SDK.
    await says({ ...join, room: 'retro', identity: 'cat' });
    await look('18:59:50', page('ND_1', 1, 1_580_000, 25_000));

    // The node dies, and nobody leaves by word; on the next one all are back under new ids.
    const back = { event: 'participant_joined', time: '19:05:00' };
    reach('19:05:00');
    await says({ ...back, room: 'standup', identity: 'ann', sid: 'PA_ann2' });
    await says({ ...back, room: 'retro', identity: 'cat', sid: 'PA_cat2' });
    await receives('19:10:00', 'standup', 'ann', 100_000);
    await receives('19:20:00', 'retro', 'cat', 50_000);
    await look('19:30:00', page('ND_2', 2, 390_000, 10_000));

    // More is claimed than was sent.
    await receives('20:10:00', 'standup', 'ann', 150_000);
    await receives('20:10:00', 'retro', 'cat', 50_000);
    // Ann leaves, and goes on in the call by another way.
    reach('20:20:00');
    await says({
      event: 'participant_left',
      room: 'standup',
      identity: 'ann',
      sid: 'PA_ann2',
      time: '20:20:00',
      joinedAt: at('19:05:00') / 1000,
    });
    await receives('20:25:00', 'standup', 'ann', 500_000);
    await look('20:30:00', page('ND_2', 2, 490_000, 10_000));
  }

  const usage = async (from: string, to: string, group = 'call') => {
    const url = `/v1/usage?from=2026-11-20T${from}Z&to=2026-11-20T${to}Z&group=${group}`;
    const answer = await http.inject({ url, headers: { authorization: 'Bearer operator-token' } });
    return answer.json<UsageAnswer>().usage;
  };
  const split = { app: 'demo', turnBytes: '0', source: 'lk' };

  it('is what its clients received, and the rest is shown beside it', async () => {
    expect(await usage('18:00:00', '19:00:00')).toEqual([
      { ...split, key: '', sfuBytes: '150000', grade: 'residual' },
      { ...split, key: 'retro', sfuBytes: '150000', grade: 'split_by_clients', claimedBytes: '150000', scaled: false },
      {
        ...split,
        key: 'standup',
        sfuBytes: '300000',
        grade: 'split_by_clients',
        claimedBytes: '300000',
        scaled: false,
      },
    ]);
  });

  it('goes on when the node begins anew', async () => {
    expect(await usage('19:00:00', '20:00:00')).toMatchObject([
      { key: '', sfuBytes: '250000', grade: 'residual' },
      { key: 'retro', sfuBytes: '50000', scaled: false },
      { key: 'standup', sfuBytes: '100000', scaled: false },
    ]);
  });

  it('is scaled to what was sent where clients claim more, and says so', async () => {
    expect(await usage('20:00:00', '21:00:00')).toMatchObject([
      { key: '', sfuBytes: '0', grade: 'residual' },
      { key: 'retro', sfuBytes: '25000', claimedBytes: '50000', scaled: true },
      { key: 'standup', sfuBytes: '75000', claimedBytes: '150000', scaled: true },
    ]);
  });

  it('comes to what was metered, in one span or in several', async () => {
    const sums = (lines: UsageAnswer['usage']) =>
      lines.reduce(
        (all, { key, sfuBytes }) => {
          return { ...all, [key]: (all[key] ?? 0) + Number(sfuBytes) };
        },
        {} as Record<string, number>,
      );
    const whole = await usage('18:00:00', '21:00:00');
    const parts = [
      ...(await usage('18:00:00', '19:00:00')),
      ...(await usage('19:00:00', '20:15:00')),
      ...(await usage('20:15:00', '21:00:00')),
    ];
    expect(sums(whole)).toEqual({ '': 400_000, retro: 225_000, standup: 475_000 });
    const total = (lines: UsageAnswer['usage']) => lines.reduce((sum, line) => sum + Number(line.sfuBytes), 0);
    expect([total(whole), total(parts)]).toEqual([1_100_000, 1_100_000]);
    expect(await usage('18:00:00', '21:00:00', 'app')).toEqual([
      { app: 'demo', key: '', turnBytes: '0', sfuBytes: '1100000', grade: 'metered' },
    ]);
  });

  it('changes nothing of the bill', async () => {
    const card = loadRateCard('cloudflare-realtime');
    const { lines, totals } = await statementFor({ reader: store, period: month('2026-11'), card });
    expect(lines).toMatchObject([{ app: 'demo', customId: '', meter: 'sfu', bytes: '1100000' }]);
    expect(totals.bytes).toBe('1100000');
  });

  it('tells in the call who was there when, and on which source', async () => {
    const answer = await http.inject({ url: '/v1/calls/standup', headers: { authorization: 'Bearer operator-token' } });
    const { events, participants } = answer.json<CallDetail>();
    expect(participants).toBe(2);
    expect(events.map(({ participant, type, value }) => [participant, type, value])).toEqual([
      ['', 'room_started', 'lk'],
      ['ann', 'participant_joined', 'lk'],
      ['ben', 'participant_joined', 'lk'],
      ['ann', 'participant_joined', 'lk'],
      ['ann', 'participant_left', 'lk'],
    ]);
    expect(events.at(-1)?.ms).toBe(75 * 60_000);
  });

  it('is known of a participant of whom only the end was told', async () => {
    await receives('21:05:00', 'lost', 'fay', 1_000);
    reach('21:10:00');
    const left = { event: 'participant_left', room: 'lost', identity: 'fay', joinedAt: at('21:00:00') / 1000 };
    await says({ ...left, time: '21:10:00' });
    await look('21:20:00', page('ND_2', 2, 495_000, 10_000));
    expect(await usage('21:00:00', '22:00:00')).toMatchObject([
      { key: '', sfuBytes: '4000', grade: 'residual' },
      { key: 'lost', sfuBytes: '1000' },
    ]);
  });

  it('is the same in whatever order webhooks come, and however often', async () => {
    const [joined, moved] = [at('22:00:10') / 1000, at('22:20:00') / 1000];
    const told: Said[] = [
      { event: 'room_started', room: 'sync', at: joined },
      { event: 'participant_joined', room: 'sync', identity: 'gus', sid: 'PA_1', at: joined },
      { event: 'track_published', room: 'sync', identity: 'gus', sid: 'PA_1', at: joined, track: 'AUDIO' },
      { event: 'track_published', room: 'sync', identity: 'gus', sid: 'PA_1', at: joined, track: 'VIDEO' },
      { event: 'participant_left', room: 'sync', identity: 'gus', sid: 'PA_1', at: moved, joinedAt: joined },
      { event: 'participant_joined', room: 'sync', identity: 'gus', sid: 'PA_2', at: moved + 60 },
    ];
    const bodies = told.map((said, index) => webhook({ ...said, id: `EV_sync${index}` }));
    const events = bodies.map((body) => livekitEvent.parse(JSON.parse(body)));
    const received = ['22:10:00', '22:20:30', '22:30:00'].map((time) => ({ ts: at(time), bytes: 1_000 }));
    let run = 0;
    const deliveries = fc
      .array(fc.nat(events.length - 1), { maxLength: 6 })
      .chain((again) => fc.shuffledSubarray([...events.keys(), ...again], { minLength: events.length + again.length }));
    await fc.assert(
      fc.asyncProperty(deliveries, async (order) => {
        run += 1;
        const app = `run-${run}`;
        for (const index of order) {
          const event = events[index];
          const row = event === undefined ? undefined : eventRow({ name: 'lk', app }, event);
          if (row !== undefined) await store.insert('call_events', [row]);
        }
        const reading = { app_id: app, meter: 'sfu', source: 'lk', object_id: app, peer_class: 'none' };
        await store.insert('egress_samples', [
          egressRow({ ...reading, window_end: at('22:00:00'), client_tx_bytes: 0n }),
          egressRow({ ...reading, seq: 2, window_end: at('22:40:00'), client_tx_bytes: 5_000n }),
        ]);
        const interval = { app_id: app, call_id: 'sync', participant_id: 'gus', connection_id: 'gus-1' };
        const rows = received.map((change) => streamRow({ ...interval, ...change }));
        await store.insert('stream_intervals', rows);
        const found = await usageOf(
          { reader: store, keptOf },
          { app, from: at('22:00:00'), to: at('23:00:00'), group: 'call' },
        );
        // What came between the two stays is not the source's.
        expect(found.usage).toMatchObject([
          { key: '', sfuBytes: '3000' },
          { key: 'sync', sfuBytes: '2000' },
        ]);
      }),
      { numRuns: 8 },
    );
  });

  it('is nobody’s where no webhook tells who was there', async () => {
    const reading = {
      app_id: 'demo',
      meter: 'sfu',
      source: 'silent',
      server_id: 's',
      boot_id: '1.0',
      object_id: 'all',
      peer_class: 'none',
      seq: 1,
      window_end: at('17:30:00'),
      client_tx_bytes: 9_000n,
    };
    await store.insert('egress_samples', [reading]);
    expect(await usage('17:00:00', '18:00:00')).toEqual([
      { app: 'demo', key: '', turnBytes: '0', sfuBytes: '9000', grade: 'metered' },
    ]);
  });
});
