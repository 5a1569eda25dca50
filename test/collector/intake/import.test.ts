/** Recordings in the embedded store: there once, however often and in whatever form they come. */
import { randomUUID } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { audioScorer } from '../../../billing/quality/mos/scorer.ts';
import { findCalls } from '../../../collector/calls/summaries.ts';
import { storeDump } from '../../../collector/intake/dump.ts';
import { hasEmbeddedStore, testDatabase } from '../../embedded-store.ts';
import type { TestDatabase } from '../../embedded-store.ts';
import * as encode from './encoders.ts';

const DAY_MS = 86_400_000;
const recorded = encode.recordedCall('chromium-156-good', 'b');
/** An hour ago, so that the store keeps it. */
const now = Date.now();
const call = encode.recordedCall('chromium-156-good', 'b', Math.round(now - 3_600_000 - (recorded.samples[0]?.t ?? 0)));

describe.skipIf(!hasEmbeddedStore)('a recording in the store', () => {
  let store: TestDatabase;
  beforeAll(async () => {
    store = await testDatabase();
  });

  const stored = (input: Buffer | string, app: string) =>
    storeDump(toChunks(Buffer.from(input)), {
      app,
      score: audioScorer,
      now,
      keptMs: 30 * DAY_MS,
      async write(rows) {
        await store.insert('stream_intervals', rows.stream_intervals);
        await store.insert('connection_intervals', rows.connection_intervals);
        await store.insert('call_events', rows.call_events);
      },
    });
  const counts = async (app: string) => {
    const row = z.object({ streams: z.coerce.number(), connections: z.coerce.number(), events: z.coerce.number() });
    const count = (table: string) => `(SELECT count() FROM ${table} FINAL WHERE app_id = {app:String})`;
    const sql = `SELECT ${count('stream_intervals')} AS streams, ${count('connection_intervals')} AS connections, ${count('call_events')} AS events`;
    return (await store.select(row, sql, { app }))[0];
  };

  it.each([
    ['native', encode.asNative],
    ['rtcstats', encode.asChromeRtcstats],
    ['webrtc-internals', encode.asInternals],
    ['observertc', encode.asObserveRtc],
    ['peermetrics', encode.asPeermetrics],
    ['rtcstats-legacy', encode.asJitsi],
  ] as const)('of %s changes nothing when it comes again', async (format, encoded) => {
    const app = `app-${randomUUID()}`;
    const input = encoded(call);
    const answer = await stored(input, app);
    expect(answer.format).toBe(format);
    expect(await counts(app)).toEqual(answer.stored);
    expect(await stored(gzipSync(input), app)).toEqual(answer);
    expect(await counts(app)).toEqual(answer.stored);
  });

  it('is a call like any other, with its scores', async () => {
    const app = `app-${randomUUID()}`;
    const { calls } = await stored(encode.asInternals(call), app);
    const wanted = { app, call: calls[0] ?? '', limit: 1, before: now + DAY_MS, live: false };
    expect(await findCalls(store, wanted, now)).toMatchObject([
      {
        call: calls[0],
        live: false,
        participants: 1,
        connected: 1,
        failed: 0,
        lossRatio: 0,
        mosModel: 'g107.2',
        timeToFirstFrameMs: expect.closeTo(1_050, -2) as number,
      },
    ]);
  });
});

async function* toChunks(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
}
