import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { loadRateCard } from '../../../billing/egress/rate-card.ts';
import { statementFor } from '../../../billing/egress/statement.ts';
import { fateOf } from '../../../collector/erasure/erasure.ts';
import { Erasures } from '../../../collector/erasure/erasures.ts';
import { DurableWriter } from '../../../collector/intake/durable-writer.ts';
import type { Row } from '../../../collector/store/store.ts';
import { tableNames, tables } from '../../../collector/store/tables.ts';
import { ManualClock } from '../../../kernel/clock.ts';
import { silentLog } from '../../../kernel/log.ts';
import { Metrics } from '../../../kernel/metrics.ts';
import { monthOf } from '../../../kernel/period.ts';
import { systemSleep } from '../../../kernel/sleep.ts';
import { egressRow, streamRow } from '../../conformance/store.ts';
import { hasEmbeddedStore, testDatabase } from '../../embedded-store.ts';
import type { TestDatabase } from '../../embedded-store.ts';
import { columnsWith } from '../../stored-text.ts';
import { temporarySpool } from '../temporary-spool.ts';

const MARK = 'maren-77aa';
/** The server stamps rows by its own clock. */
const NOW = Date.now();
const EARLIER = NOW - 60_000;
const GB = 1_000_000_000n;

describe('a table that names participants', () => {
  it('loses their rows, or keeps them for the bill', () => {
    const personal = tableNames.filter((name) =>
      tables[name].columns.some(({ name: column }) => column === 'participant_id'),
    );
    expect(Object.fromEntries(personal.map((name) => [name, fateOf(name)]))).toEqual({
      stream_intervals: 'removed',
      connection_intervals: 'removed',
      call_events: 'removed',
      egress_samples: 'renamed',
    });
  });
});

describe.skipIf(!hasEmbeddedStore)('an erasure', () => {
  const opened: TestDatabase[] = [];
  let store: TestDatabase;
  let clock: ManualClock;
  const open = () =>
    new Erasures({ store, place: { database: store.endpoint.database }, clock, sleep: systemSleep, log: silentLog });

  beforeEach(async () => {
    store = await testDatabase();
    opened.push(store);
    clock = new ManualClock(NOW);
  });
  afterAll(async () => {
    for (const one of opened) {
      await one.drop();
      await one.close();
    }
  });

  const row = (participant: string, change: Record<string, Row[string]> = {}): Row => ({
    app_id: 'app',
    call_id: 'standup',
    participant_id: participant,
    connection_id: `connection-${change['call_id'] === undefined ? '' : '2'}${participant.length}`,
    ts: EARLIER,
    batch_seq: 0,
    sample_index: 0,
    ...change,
  });
  const streamOf = (participant: string, change = {}) => streamRow(row(participant, change));
  const connectionOf = (participant: string, change = {}): Row => ({ ...row(participant, change), interval_ms: 2_000 });
  const eventOf = (participant: string, change = {}): Row => ({
    ...row(participant, change),
    type: 'setup',
    value: 'connected',
    detail: '{}',
  });
  /** One that went through an SFU and then TURN, in two readings of each. */
  const metered = (participant: string, change: Record<string, Row[string]> = {}): Row[] =>
    [1, 2].flatMap((seq) => {
      const shared = {
        call_id: 'standup',
        participant_id: participant,
        custom_id: 'acme',
        seq,
        window_end: EARLIER + seq,
        ...change,
      };
      const bytes = BigInt(seq) * 700n * GB + BigInt(participant.length);
      return [
        egressRow({
          ...shared,
          object_id: `allocation-${participant.length}`,
          peer_class: 'sfu',
          client_tx_bytes: bytes,
        }),
        egressRow({
          ...shared,
          meter: 'sfu',
          source: 'janus',
          server_id: 'sfu-1',
          object_id: `handle-${participant.length}`,
          peer_class: 'none',
          client_tx_bytes: bytes - 5n,
        }),
      ];
    });
  const fill = async (participant: string, change = {}) => {
    await store.insert('stream_intervals', [streamOf(participant, change)]);
    await store.insert('connection_intervals', [connectionOf(participant, change)]);
    await store.insert('call_events', [eventOf(participant, change)]);
    await store.insert('egress_samples', metered(participant, change));
  };
  const bill = async () => {
    const card = loadRateCard('cloudflare-realtime');
    return JSON.stringify(await statementFor({ reader: store, period: monthOf(EARLIER), card }));
  };
  const all = [
    'call_events.participant_id',
    'connection_intervals.participant_id',
    'egress.participant_id',
    'egress_samples.participant_id',
    'stream_intervals.participant_id',
  ];

  it('leaves nothing of the participant, others as they were, and the bill as it was to the byte', async () => {
    await fill(MARK);
    await fill('ben');
    const before = await bill();
    expect(before).toMatch(/"overlapBytes":"[1-9]/);
    expect(await columnsWith(store, [MARK])).toEqual(all);
    const erased = await open().erase({ app: 'app', participant: MARK });
    expect(erased).toEqual([
      { table: 'stream_intervals', rows: 1, fate: 'removed' },
      { table: 'connection_intervals', rows: 1, fate: 'removed' },
      { table: 'call_events', rows: 1, fate: 'removed' },
      { table: 'egress_samples', rows: 4, fate: 'renamed' },
    ]);
    expect(await columnsWith(store, [MARK])).toEqual([]);
    expect(await columnsWith(store, ['ben'])).toEqual(all);
    expect(await bill()).toBe(before);
  });

  it('leaves the id in none of the server’s own lists', async () => {
    await fill(MARK);
    await open().erase({ app: 'app', participant: MARK });
    const found = await store.select(
      z.unknown(),
      `SELECT command FROM system.mutations WHERE position(command, {mark:String}) > 0`,
      { mark: MARK },
    );
    expect(found).toEqual([]);
  });

  it('may come twice, and finds nothing then', async () => {
    await fill(MARK);
    await open().erase({ app: 'app', participant: MARK });
    const again = await open().erase({ app: 'app', participant: MARK });
    expect(again.map(({ rows }) => rows)).toEqual([0, 0, 0, 0]);
  });

  it('only counts when asked to', async () => {
    await fill(MARK);
    expect((await open().count({ app: 'app', participant: MARK })).map(({ rows }) => rows)).toEqual([1, 1, 1, 4]);
    expect(await columnsWith(store, [MARK])).toEqual(all);
  });

  it('is of one app and, where that is asked for, of one call', async () => {
    await fill(MARK);
    await fill(MARK, { call_id: 'retro' });
    await open().erase({ app: 'other', participant: MARK });
    const erased = await open().erase({ app: 'app', participant: MARK, call: 'standup' });
    expect(erased.map(({ rows }) => rows)).toEqual([1, 1, 1, 4]);
    expect((await open().count({ app: 'app', participant: MARK })).map(({ rows }) => rows)).toEqual([1, 1, 1, 4]);
  });

  it('takes nothing that comes later and is of before, what is of afterwards, and meters both under one name', async () => {
    const before = open();
    await before.look();
    await open().erase({ app: 'app', participant: MARK });
    await before.look();
    for (const writer of [before, open()]) {
      await writer.look();
      await writer.insert('stream_intervals', [streamOf(MARK)]);
      await writer.insert('call_events', [eventOf(MARK)]);
      await writer.insert('egress_samples', metered(MARK));
      expect(await columnsWith(store, [MARK])).toEqual([]);
    }
    await before.insert('stream_intervals', [streamOf(MARK, { ts: NOW + 1 })]);
    await before.insert('egress_samples', metered(MARK, { window_end: NOW + 1 }));
    expect(await columnsWith(store, [MARK])).toEqual(['stream_intervals.participant_id']);
  });

  it('removes what a collector let in before it knew', async () => {
    const unaware = open();
    await unaware.look();
    await open().erase({ app: 'app', participant: MARK });
    await unaware.insert('call_events', [eventOf(MARK), eventOf(MARK, { ts: NOW + 1, sample_index: 1 })]);
    await unaware.insert('egress_samples', metered(MARK));
    await unaware.look();
    expect((await open().count({ app: 'app', participant: MARK })).map(({ rows }) => rows)).toEqual([0, 0, 1, 0]);
    await unaware.stop();
  });

  it('removes what was under way when it was decided', async () => {
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    const insert: typeof store.insert = async (table, rows) => {
      if (table !== 'control') await gate;
      await store.insert(table, rows);
    };
    const slow = { insert, select: store.select.bind(store), command: store.command.bind(store) };
    const erasures = new Erasures({
      store: slow,
      place: { database: store.endpoint.database },
      clock,
      sleep: systemSleep,
      log: silentLog,
    });
    const inserted = erasures.insert('call_events', [eventOf(MARK)]);
    const erased = erasures.erase({ app: 'app', participant: MARK });
    release();
    await inserted;
    expect((await erased).map(({ rows }) => rows)).toEqual([0, 0, 1, 0]);
    expect(await columnsWith(store, [MARK])).toEqual([]);
  });

  it('holds for rows that wait on the disk', async () => {
    const temporary = temporarySpool();
    await temporary.spool.append('call_events', [eventOf(MARK), eventOf('ben')]);
    await temporary.spool.append('egress_samples', metered(MARK));
    const erasures = open();
    await erasures.erase({ app: 'app', participant: MARK });
    const writer = new DurableWriter({
      store: erasures,
      spool: temporary.spool,
      log: silentLog,
      metrics: new Metrics(),
      sleep: systemSleep,
    });
    await expect.poll(() => temporary.spool.isEmpty, { timeout: 10_000 }).toBe(true);
    await writer.stop();
    await temporary.remove();
    expect(await columnsWith(store, [MARK])).toEqual([]);
    expect(await columnsWith(store, ['ben'])).toEqual(['call_events.participant_id']);
  });
});
