import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import * as fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { meteredUsage } from '../../../billing/egress/metered-usage.ts';
import { cloudflareClient, type Ask } from '../../../collector/sources/cloudflare-client.ts';
import { CloudflarePoller } from '../../../collector/sources/cloudflare-poller.ts';
import { SourceMetrics } from '../../../collector/sources/source-metrics.ts';
import type { CloudflareSettings } from '../../../collector/sources/source-settings.ts';
import type { StoreReader, StoreWriter } from '../../../collector/store/store.ts';
import { ManualClock } from '../../../kernel/clock.ts';
import { silentLog } from '../../../kernel/log.ts';
import { Metrics } from '../../../kernel/metrics.ts';
import { month } from '../../../kernel/period.ts';
import { hasEmbeddedStore, testDatabase } from '../../embedded-store.ts';
import type { TestDatabase } from '../../embedded-store.ts';
import { FakeWriter } from '../service.ts';
import { ACCOUNT, FakeCloudflare, TOKEN } from './fake-cloudflare.ts';

const START = Date.UTC(2026, 10, 20, 12, 7);
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

type Settings = CloudflareSettings & { readonly app: string };

describe('what Cloudflare sent', () => {
  let cloudflare: FakeCloudflare;
  let clock: ManualClock;
  let metrics: Metrics;
  beforeEach(async () => {
    cloudflare = await FakeCloudflare.open();
    clock = new ManualClock(START);
    metrics = new Metrics();
  });
  afterEach(() => cloudflare.close());

  const poller = (
    store: { reader: StoreReader; writer: StoreWriter },
    change: Partial<Settings> = {},
    ask: Ask = cloudflareClient(change.url ?? cloudflare.url, change.token ?? TOKEN),
  ) => {
    const settings: Settings = {
      name: 'cloudflare-turn',
      kind: 'cloudflare',
      dataset: 'turn',
      account: ACCOUNT,
      token: TOKEN,
      settleSeconds: 600,
      url: cloudflare.url,
      app: 'demo',
      ...change,
    };
    return new CloudflarePoller({
      ...store,
      settings,
      ask,
      sleep: async () => undefined,
      clock,
      log: silentLog,
      metrics: new SourceMetrics(metrics, clock),
    });
  };
  /** Looks as often as the poller wants to, for so long. */
  const runFor = async (polled: CloudflarePoller, milliseconds: number) => {
    const until = clock.now() + milliseconds;
    while (clock.now() < until) clock.advance(Math.min(await polled.tick(), until - clock.now()));
  };
  const carry = (at: number, bytes: bigint, party = 'alice', owner = 'k1') =>
    cloudflare.sent.push({ dataset: 'turn', owner, party, at, bytes });
  const value = async (
    name: 'turnpike_source_up' | 'turnpike_source_lost_seconds_total' | 'turnpike_source_readings_total',
  ) => {
    const found = (await metrics.registry.getSingleMetric(name)?.get())?.values ?? [];
    return found.find(({ labels }) => labels['source'] === 'cloudflare-turn')?.value;
  };

  describe.skipIf(!hasEmbeddedStore)('is in the store', () => {
    let store: TestDatabase;
    beforeAll(async () => {
      store = await testDatabase();
    });
    beforeEach(() => store.command('TRUNCATE TABLE egress_samples'));
    afterAll(() => store.close());

    const here = () => ({ reader: store, writer: store });
    const billed = async (name = '2026-11') =>
      Object.fromEntries(
        (await meteredUsage(store, month(name))).usage.map(({ bytes, customId }) => [customId, bytes]),
      );

    it('under each customer, and those without a name under none', async () => {
      carry(START + 20 * MINUTE, 500n);
      carry(START + 50 * MINUTE, 70n);
      carry(START + 21 * MINUTE, 9n, '');
      carry(START + 22 * MINUTE, 1n, 'alice', 'k2');
      carry(START + 22 * MINUTE, 13n, 'bob');
      await runFor(poller(here()), 2 * HOUR);
      expect(await billed()).toEqual({ alice: 571n, bob: 13n, '': 9n });
    });

    it('of its TURN as TURN, and of its SFU as an SFU, each session by itself', async () => {
      carry(START + 20 * MINUTE, 500n);
      cloudflare.sent.push({ dataset: 'sfu', owner: 'a', party: 'session-1', at: START + 20 * MINUTE, bytes: 40n });
      await runFor(poller(here()), HOUR);
      clock = new ManualClock(START);
      await runFor(poller(here(), { dataset: 'sfu', name: 'cloudflare-sfu' }), HOUR);
      const { usage } = await meteredUsage(store, month('2026-11'));
      const shown = usage.filter(({ bytes }) => bytes > 0n);
      expect(shown.map(({ bytes, customId, meter, participant }) => ({ bytes, customId, meter, participant }))).toEqual(
        [
          { bytes: 40n, customId: '', meter: 'sfu', participant: 'session-1' },
          { bytes: 500n, customId: 'alice', meter: 'turn', participant: '' },
        ],
      );
    });

    it('in the month in which it was sent: the last millisecond of it, and the first of the next', async () => {
      const { end } = month('2026-11');
      clock = new ManualClock(end - HOUR);
      carry(end - 1, 300n);
      carry(end, 4n);
      await runFor(poller(here()), 2 * HOUR);
      expect([await billed('2026-11'), await billed('2026-12')]).toEqual([
        { alice: 300n, '': 0n },
        { alice: 4n, '': 0n },
      ]);
    });

    it('from where the last collector had come, with every window once', async () => {
      for (let at = START; at < START + 6 * HOUR; at += 5 * MINUTE) carry(at, 10n);
      await runFor(poller(here()), 70 * MINUTE);
      clock.advance(2 * HOUR);
      await runFor(poller(here()), 3 * HOUR);
      const { asked } = cloudflare;
      expect(new Set(asked).size).toBe(asked.length);
      expect(asked.slice(1).map((each) => each.split('/')[0])).toEqual(
        asked.slice(0, -1).map((each) => each.split('/')[1]),
      );
      // Windows that had ended ten minutes ago at 18:17 reach to 18:00.
      expect(await billed()).toEqual({
        alice: 10n * BigInt(Math.ceil((6 * HOUR - 7 * MINUTE) / (5 * MINUTE))),
        '': 0n,
      });
    });

    it('once, also where two collectors ask', async () => {
      carry(START + 20 * MINUTE, 500n);
      const [one, other] = [poller(here()), poller(here())];
      await runFor(one, HOUR);
      clock = new ManualClock(START);
      await runFor(other, HOUR + MINUTE);
      expect(await billed()).toEqual({ alice: 500n, '': 0n });
    });

    it('from when it is first asked on: what was before is nobody’s bill', async () => {
      carry(START - 8 * MINUTE, 500n);
      carry(START - 6 * MINUTE, 7n);
      await runFor(poller(here()), HOUR);
      expect(await billed()).toEqual({ alice: 7n, '': 0n });
    });
  });

  describe('is asked for', () => {
    let writer: FakeWriter;
    beforeEach(() => {
      writer = new FakeWriter();
    });
    /** The highest reading of each run of each object, as a statement sees them. */
    const counted = (): Record<string, bigint> => {
      const highest = new Map<string, { customId: string; bytes: bigint }>();
      for (const row of writer.rowsOf('egress_samples')) {
        const key = JSON.stringify([row['boot_id'], row['object_id']]);
        const bytes = BigInt(String(row['client_tx_bytes']));
        if (bytes >= (highest.get(key)?.bytes ?? 0n)) highest.set(key, { customId: String(row['custom_id']), bytes });
      }
      const sums: Record<string, bigint> = {};
      for (const { bytes, customId } of highest.values()) sums[customId] = (sums[customId] ?? 0n) + bytes;
      return sums;
    };
    const reader: StoreReader = {
      async select<S extends z.ZodType>(row: S, _sql: string, parameters: Record<string, unknown> = {}) {
        const found = writer.rowsOf('egress_samples').filter((one) => one['object_id'] === parameters['object']);
        return [
          row.parse({
            windows: String(found.length),
            at: String(Math.max(0, ...found.map((one) => Number(one['window_end'])))),
          }),
        ];
      },
    };
    const here = () => ({ reader, writer });

    it('when a quarter of an hour has ended and settled, and not before', async () => {
      const polled = poller(here());
      // 12:07: the window of 12:00 ends at 12:15 and is asked for at 12:25.
      await runFor(polled, 18 * MINUTE);
      expect([clock.now(), cloudflare.asked]).toEqual([START + 18 * MINUTE, []]);
      await polled.tick();
      expect(cloudflare.asked).toEqual(['2026-11-20T12:00:00Z/2026-11-20T12:15:00Z']);
    });

    it('whether it is there, also while no window is due: a token that was revoked shows within minutes', async () => {
      const polled = poller(here());
      expect(await polled.tick()).toBe(5 * MINUTE);
      cloudflare.instead = () => ({ status: 403, body: '' });
      await polled.tick();
      expect([await value('turnpike_source_up'), cloudflare.asked]).toEqual([0, []]);
    });

    it('when Cloudflare says, where it says that there were too many questions', async () => {
      const polled = poller(here());
      cloudflare.instead = () => ({ status: 429, body: '', headers: { 'retry-after': '120' } });
      expect(await polled.tick()).toBe(2 * MINUTE);
      cloudflare.instead = () => ({ status: 429, body: '' });
      expect(await polled.tick()).toBe(5 * MINUTE);
      cloudflare.instead = () => ({ status: 429, body: '', headers: { 'retry-after': '999999' } });
      expect(await polled.tick()).toBe(HOUR);
    });

    it('more and more seldom while it fails, and with its pace again once it does not', async () => {
      const polled = poller(here());
      cloudflare.instead = () => ({ status: 500, body: '' });
      const waits: number[] = [];
      for (let failures = 0; failures < 8; failures += 1) waits.push(await polled.tick());
      expect(waits.map((wait) => wait / 1_000)).toEqual([15, 30, 60, 120, 240, 480, 900, 900]);
      cloudflare.instead = () => undefined;
      clock.advance(HOUR);
      expect(await polled.tick()).toBe(1_500);
    });

    it('slowly enough for the quota while there is much to catch up', async () => {
      const polled = poller(here());
      await polled.tick();
      clock.advance(20 * 24 * HOUR);
      const from = clock.now();
      await runFor(polled, 5 * MINUTE);
      expect(clock.now() - from).toBe(5 * MINUTE);
      expect(cloudflare.asked).toHaveLength(200);
    });

    it('no further back than Cloudflare knows, and what is lost is told', async () => {
      const polled = poller(here());
      await polled.tick();
      clock.advance(33 * 24 * HOUR);
      await polled.tick();
      const oldest = Date.parse(String(cloudflare.asked[0]?.split('/')[0]));
      expect(oldest - (clock.now() - cloudflare.settings.notOlderThan * 1_000)).toBeGreaterThan(0);
      expect(await value('turnpike_source_lost_seconds_total')).toBe((oldest - Date.UTC(2026, 10, 20, 12)) / 1_000);
    });

    it('again when its rows could not be stored', async () => {
      const polled = poller(here());
      carry(START + MINUTE, 500n);
      await polled.tick();
      clock.advance(30 * MINUTE);
      writer.fault = () => new Error('no room');
      expect(await polled.tick()).toBe(15_000);
      expect(await value('turnpike_source_up')).toBe(0);
      writer.fault = () => undefined;
      await runFor(polled, MINUTE);
      expect(counted()['alice']).toBe(500n);
    });

    it('of one TURN key alone, where one is named', async () => {
      carry(START + MINUTE, 500n, 'alice', 'k1');
      carry(START + MINUTE, 40n, 'bob', 'k2');
      await runFor(poller(here(), { owner: 'k2' }), HOUR);
      expect(counted()).toEqual({ bob: 40n, '': 0n });
    });

    it('not at all with a token that may not, or of a dataset that the account has not', async () => {
      await poller(here(), { token: 'another' }).tick();
      cloudflare.settings = { ...cloudflare.settings, enabled: false };
      await poller(here()).tick();
      cloudflare.settings = { ...cloudflare.settings, enabled: true, maxDuration: 600 };
      await poller(here()).tick();
      clock.advance(HOUR);
      expect(cloudflare.asked).toEqual([]);
      expect(await value('turnpike_source_up')).toBe(0);
    });

    it('with what its groups leave out told as a rest, whether sampled away or too many for one answer', async () => {
      cloudflare.sampledAway = 5n;
      cloudflare.settings = { ...cloudflare.settings, maxPageSize: 2 };
      carry(START + MINUTE, 100n, 'alice');
      carry(START + MINUTE, 80n, 'bob');
      carry(START + MINUTE, 30n, 'carol');
      await runFor(poller(here()), HOUR);
      expect(counted()).toEqual({ alice: 95n, bob: 75n, '': 5n + 5n + 30n });
    });

    it.each(['__proto__', 'constructor', 'a/b', 'k1/', 'müller', 'x'.repeat(64)])(
      'with customers of any name: %s',
      async (name) => {
        carry(START + MINUTE, 500n, name);
        carry(START + MINUTE, 2n, 'rest');
        await runFor(poller(here()), 20 * MINUTE);
        const rows = writer.rowsOf('egress_samples').filter((row) => row['client_tx_bytes'] !== 0n);
        expect(new Map(rows.map((row) => [row['custom_id'], row['client_tx_bytes']]))).toEqual(
          new Map([
            [name, 500n],
            ['rest', 2n],
          ]),
        );
        expect(rows.every((row) => String(row['object_id']).length <= 128)).toBe(true);
      },
    );

    it.each(['y'.repeat(5_000), 'a\u0000b', '\u001b[31m'])(
      'with a name that is none told as nobody’s, and its bytes all the same',
      async (name) => {
        carry(START + MINUTE, 500n, name);
        await runFor(poller(here()), 20 * MINUTE);
        expect(counted()).toEqual({ '': 500n });
      },
    );

    it.each([
      ['is no JSON', { status: 200, body: '<html>' }],
      ['breaks off', { status: 200, body: '{"data":{"viewer"' }],
      ['is empty', { status: 200, body: '' }],
      ['does not end', { status: 200, body: ' '.repeat(17 * 1_048_576) }],
      ['is deep', { status: 200, body: '['.repeat(100_000) + ']'.repeat(100_000) }],
      ['is null', { status: 200, body: 'null' }],
    ])('again when an answer %s, and nothing is stored of it', async (_, answer) => {
      const polled = poller(here());
      await polled.tick();
      clock.advance(HOUR);
      cloudflare.instead = () => answer;
      expect(await polled.tick()).toBe(15_000);
      expect(writer.inserts).toEqual([]);
      cloudflare.instead = () => undefined;
      await polled.tick();
      expect(writer.inserts).toHaveLength(1);
    });

    it('nowhere else than configured: a redirection gets no token', async () => {
      const heard: unknown[] = [];
      const elsewhere = createServer((request, response) => {
        heard.push(request.headers);
        response.end('{}');
      }).listen(0, '127.0.0.1');
      await once(elsewhere, 'listening');
      const location = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/`;
      cloudflare.instead = () => ({ status: 307, body: '', headers: { location } });
      await poller(here()).tick();
      elsewhere.close();
      expect(heard).toEqual([]);
      expect(await value('turnpike_source_up')).toBe(0);
    });

    it('no more once it is stopped, also while an answer is awaited', async () => {
      let asked: (() => void) | undefined;
      const isAsked = new Promise<void>((resolve) => (asked = resolve));
      const silent = createServer(() => asked?.()).listen(0, '127.0.0.1');
      await once(silent, 'listening');
      const polled = poller(here(), { url: `http://127.0.0.1:${(silent.address() as AddressInfo).port}/` });
      polled.start();
      await isAsked;
      await polled.stop();
      silent.closeAllConnections();
      silent.close();
      expect(writer.inserts).toEqual([]);
    });

    it('until all of it is stored once, whatever fails, restarts and runs twice', async () => {
      const step = fc.oneof(
        fc.record({ does: fc.constant('run' as const), minutes: fc.integer({ min: 1, max: 90 }) }),
        fc.record({ does: fc.constant('away' as const), minutes: fc.integer({ min: 1, max: 90 }) }),
        fc.record({ does: fc.constant('restart' as const), minutes: fc.constant(0) }),
        fc.record({ does: fc.constant('storeLost' as const), minutes: fc.integer({ min: 1, max: 40 }) }),
        fc.record({ does: fc.constant('twice' as const), minutes: fc.integer({ min: 1, max: 40 }) }),
      );
      const sent = fc.array(
        fc.record({
          after: fc.nat(12 * HOUR),
          bytes: fc.bigInt(0n, 10n ** 12n),
          party: fc.constantFrom('alice', 'bob', ''),
        }),
        { maxLength: 40 },
      );
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 12 }), sent, async (steps, packets) => {
          clock = new ManualClock(START);
          writer = new FakeWriter();
          cloudflare.sent.length = 0;
          for (const { after, bytes, party } of packets) carry(START + after, bytes, party);
          let polled = poller(here(), {}, cloudflare.ask);
          await polled.tick();
          // The first window leaves its mark before anything happens.
          await runFor(polled, 20 * MINUTE);
          for (const { does, minutes } of steps) {
            if (does === 'restart') polled = poller(here(), {}, cloudflare.ask);
            if (does === 'away') cloudflare.instead = () => ({ status: 502, body: '' });
            if (does === 'storeLost') writer.fault = () => new Error('away');
            if (does === 'twice') {
              const now = clock.now();
              await runFor(poller(here(), {}, cloudflare.ask), minutes * MINUTE);
              clock = new ManualClock(now);
              polled = poller(here(), {}, cloudflare.ask);
            }
            await runFor(polled, minutes * MINUTE);
            cloudflare.instead = () => undefined;
            writer.fault = () => undefined;
          }
          await runFor(polled, 24 * HOUR);
          const expected: Record<string, bigint> = { '': 0n };
          for (const { bytes, party } of packets) expected[party] = (expected[party] ?? 0n) + bytes;
          expect(counted()).toEqual(expected);
        }),
        { numRuns: 40 },
      );
    });
  });
});
