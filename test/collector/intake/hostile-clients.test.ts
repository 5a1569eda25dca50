/** What a call's rows are does not depend on how its reports travel, on what the store does, nor on what others send. */
import fc from 'fast-check';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { ReportSample } from '../../../collector/contract.ts';
import { DurableWriter } from '../../../collector/intake/durable-writer.ts';
import { statsRoutes } from '../../../collector/intake/stats-routes.ts';
import type { Row, StoreWriter } from '../../../collector/store/store.ts';
import type { TableName } from '../../../collector/store/tables.ts';
import { systemClock } from '../../../kernel/clock.ts';
import { TurnpikeError } from '../../../kernel/errors.ts';
import { silentLog } from '../../../kernel/log.ts';
import { Metrics } from '../../../kernel/metrics.ts';
import { systemSleep } from '../../../kernel/sleep.ts';
import { hasEmbeddedStore, testDatabase } from '../../embedded-store.ts';
import type { TestDatabase } from '../../embedded-store.ts';
import { scoreInboundAudio } from '../normalise/scorer.ts';
import { recordedSamples } from '../recording.ts';
import { reportToken, service } from '../service.ts';
import { temporarySpool } from '../temporary-spool.ts';
import type { TemporarySpool } from '../temporary-spool.ts';

/** `lost`: the rows arrive, the answer does not. */
type Fate = 'arrives' | 'away' | 'lost';

class FatefulStore implements StoreWriter {
  readonly #store: StoreWriter;
  fates: Fate[] = [];

  constructor(store: StoreWriter) {
    this.#store = store;
  }

  async insert(table: TableName, rows: readonly Row[]): Promise<void> {
    const fate = this.fates.shift() ?? 'arrives';
    if (fate !== 'away') await this.#store.insert(table, rows);
    if (fate !== 'arrives') throw new TurnpikeError('TP_COLLECTOR_STORE_UNAVAILABLE');
  }
}

/** The batch with a member that cannot be. */
const BROKEN = 1;

/** A call of six batches, in which a stream begins anew, a sample is missing and a member is none. */
function batchesOf(samples: readonly ReportSample[]): ReportSample[][] {
  const restarted = (member: unknown) => (typeof member === 'number' ? Math.max(0, member - 100) : member);
  const broken = samples.map(({ t, stats }, index) => ({
    t,
    stats: stats.map((entry) => {
      if (entry.type !== 'inbound-rtp') return entry;
      if (index === 4) return { ...entry, jitter: 1e308, packetsLost: 'none' };
      return index < 9 ? entry : { ...entry, packetsReceived: restarted(entry['packetsReceived']) };
    }),
  }));
  const whole = broken.filter((_, index) => index !== 12);
  return [0, 3, 6, 9, 12, 15].map((first) => whole.slice(first, first + 4));
}

const delivery = fc.record({
  /** Which batches arrive in which order; each of them at least once. */
  order: fc
    .array(fc.integer({ min: 0, max: 5 }), { maxLength: 8 })
    .chain((again) => fc.shuffledSubarray([0, 1, 2, 3, 4, 5, ...again], { minLength: 6 + again.length })),
  together: fc.integer({ min: 1, max: 4 }),
  fates: fc.array(fc.constantFrom<Fate>('arrives', 'away', 'lost'), { maxLength: 12 }),
});

describe.skipIf(!hasEmbeddedStore)('the rows of a call', () => {
  const samples = recordedSamples('chromium-156-good', 'b');
  const batches = batchesOf(samples);
  const offset = Date.now() - 60_000 - (samples.at(-1)?.t ?? 0);
  let database: TestDatabase;
  let store: FatefulStore;
  let temporary: TemporarySpool;
  let writer: DurableWriter;
  let http: FastifyInstance;
  let calls = 0;

  beforeAll(async () => {
    database = await testDatabase();
    store = new FatefulStore(database);
    temporary = temporarySpool(100_000_000);
    const metrics = new Metrics();
    // Patience of a hundredth: some inserts are slow then, and go to the disk as well.
    const sleep = (milliseconds: number, signal: AbortSignal) => systemSleep(milliseconds / 100, signal);
    writer = new DurableWriter({ store, spool: temporary.spool, log: silentLog, metrics, sleep });
    const made = service(systemClock);
    http = made.http;
    await http.register(statsRoutes, {
      writer,
      authority: made.authority,
      score: scoreInboundAudio,
      clock: systemClock,
      metrics,
      log: silentLog,
      allowance: { burst: 1_000_000 },
      maxWaitMs: 1,
    });
  });
  afterAll(async () => {
    await http.close();
    await writer.stop();
    await temporary.remove();
  });

  const post = (app: 'demo' | 'shop', call: string, payload: object | string) =>
    http.inject({
      method: 'POST',
      url: '/v1/stats',
      headers: {
        authorization: `Bearer ${reportToken(app, Date.now(), { call, maxConnections: 1_000 })}`,
        'content-type': 'application/json',
      },
      payload,
    });
  const reportOf = (seq: number, connection: string, change: object = {}) => ({
    v: 1,
    connection,
    seq,
    offset,
    samples: batches[seq] ?? [],
    events: [{ t: batches[seq]?.[0]?.t ?? 0, type: 'ice_state', value: `state-${seq}` }],
    ...change,
  });
  /** Every row of a call, less what names it. */
  const rowsOf = async (app: string, call: string) => {
    const tables = ['stream_intervals', 'connection_intervals', 'call_events'];
    const all = tables.map((table) =>
      database.select(
        z.looseObject({}),
        `SELECT * EXCEPT (call_id, connection_id) FROM ${table} FINAL
         WHERE app_id = {app:String} AND call_id = {call:String} ORDER BY ALL`,
        { app, call },
      ),
    );
    return Promise.all(all);
  };
  const drained = async () => {
    await expect.poll(() => temporary.spool.isEmpty, { interval: 5, timeout: 60_000 }).toBe(true);
  };

  it(
    'are those of one good delivery, however they come, whatever the store does and whoever names them too',
    { timeout: 180_000 },
    async () => {
      for (const seq of batches.keys()) await post('demo', 'good', reportOf(seq, 'connection-good'));
      await drained();
      const good = await rowsOf('demo', 'good');
      expect(good.map((rows) => rows.length > 3)).toEqual([true, true, true]);
      await fc.assert(
        fc.asyncProperty(delivery, async ({ order, together, fates }) => {
          calls += 1;
          const call = `bad-${calls}`;
          const connection = `connection-bad-${calls}`;
          store.fates = [...fates];
          const waiting = [...order];
          const line = async () => {
            for (let seq = waiting.shift(); seq !== undefined; seq = waiting.shift()) {
              const [own, cut, shapeless, stranger] = await Promise.all([
                post('demo', call, reportOf(seq, connection)),
                post('demo', call, `{"v":1,"connection":"${connection}","seq":${seq},"samples":[{"t":`),
                post('demo', call, reportOf(seq, connection, { samples: 'all of them' })),
                // The same names in another app, with other numbers.
                post('shop', call, reportOf(seq, connection, { samples: batches[0] })),
              ]);
              expect(own.statusCode).toBe(seq === BROKEN ? 207 : 200);
              expect([cut.statusCode, shapeless.statusCode, stranger.statusCode]).toEqual([400, 400, 200]);
            }
          };
          await Promise.all(Array.from({ length: together }, line));
          await drained();
          expect(await rowsOf('demo', call)).toEqual(good);
        }),
        { numRuns: 10 },
      );
    },
  );
});
