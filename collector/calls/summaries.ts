/** Calls as a list of figures: which ones there are, and what the store says of each. */
import type { z } from 'zod';
import type { CallSummary } from '../contract.ts';
import type { StoreReader } from '../store/store.ts';
import {
  carriedRow,
  carriedSql,
  mediaRow,
  mediaSql,
  mosRow,
  mosSql,
  pageRow,
  pageSql,
  participantsRow,
  participantsSql,
  roundTripRow,
  roundTripSql,
  setupRow,
  setupSql,
  SPAN_MS,
} from './queries.ts';

/** A call is live when something was heard of it within this time. */
export const LIVE_MS = 20_000;
/** How far back calls are looked for: first here, then everywhere. */
const RECENT_MS = 86_400_000;

export interface CallsWanted {
  /** Only this app's; empty for all. */
  readonly app: string;
  /** Only this call; empty for all. */
  readonly call: string;
  readonly limit: number;
  /** Unix milliseconds: only calls last seen before. */
  readonly before: number;
  readonly live: boolean;
}

/** Newest first. */
export async function findCalls(reader: StoreReader, wanted: CallsWanted, now: number): Promise<CallSummary[]> {
  const { app, call, limit, before, live } = wanted;
  const page = (from: number) =>
    reader.select(pageRow, pageSql, { app, call, limit, before, from, after: live ? now - LIVE_MS : 0 });
  const recent = Math.min(now, before) - RECENT_MS;
  let found = await page(recent);
  if (found.length < limit && !live) found = await page(0);
  if (found.length === 0) return [];
  return summarise(reader, found, now);
}

type Page = readonly z.output<typeof pageRow>[];

async function summarise(reader: StoreReader, page: Page, now: number): Promise<CallSummary[]> {
  const starts = page.map((row) => Date.parse(row.last_seen) - SPAN_MS);
  const parameters = {
    apps: [...new Set(page.map((row) => row.app_id))],
    calls: [...new Set(page.map((row) => row.call_id))],
    names: page.map((row) => `${row.app_id}/${row.call_id}`),
    starts,
    from: Math.min(...starts),
  };
  const ask = async <S extends z.ZodType<Named>>(row: S, sql: string) =>
    byCall(await reader.select(row, sql, parameters));
  const [media, mos, roundTrips, setups, participants, carried] = await Promise.all([
    ask(mediaRow, mediaSql),
    ask(mosRow, mosSql),
    ask(roundTripRow, roundTripSql),
    ask(setupRow, setupSql),
    ask(participantsRow, participantsSql),
    ask(carriedRow, carriedSql),
  ]);
  return page.map((row): CallSummary => {
    const name = nameOf(row);
    const [heard, score, trip] = [media.get(name), mos.get(name), roundTrips.get(name)];
    const [setup, people, bytes] = [setups.get(name), participants.get(name), carried.get(name)];
    const begun = [heard, trip, setup, bytes].flatMap((part) => (part === undefined ? [] : [part.started]));
    return {
      app: row.app_id,
      call: row.call_id,
      live: Date.parse(row.last_seen) >= now - LIVE_MS,
      startedAt: begun.sort()[0] ?? row.last_seen,
      lastSeenAt: row.last_seen,
      participants: people === undefined ? 0 : people.named > 0 ? people.named : people.connections,
      mos: rounded(score?.median, 3),
      mosP5: rounded(score?.p5, 3),
      mosModel: score?.model ?? null,
      lossRatio: rounded(heard?.loss, 5),
      jitterMs: rounded(heard?.jitter, 2),
      rttMs: rounded(trip?.rtt, 2),
      bitrateBps: rounded(heard?.bitrate, 0),
      timeToFirstFrameMs: rounded(setup?.first_frame_ms, 1),
      connected: setup?.connected ?? 0,
      failed: setup?.failed ?? 0,
      relayedBytes: bytes?.relayed ?? '0',
      sfuBytes: bytes?.sfu ?? '0',
    };
  });
}

interface Named {
  readonly app_id: string;
  readonly call_id: string;
}

const nameOf = ({ app_id: app, call_id: call }: Named) => JSON.stringify([app, call]);

function byCall<R extends Named>(rows: readonly R[]): Map<string, R> {
  return new Map(rows.map((row) => [nameOf(row), row]));
}

export function rounded(value: number | null | undefined, digits: number): number | null {
  if (value === null || value === undefined || !Number.isFinite(value)) return null;
  return Math.round(value * 10 ** digits) / 10 ** digits;
}
