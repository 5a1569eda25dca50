/** Rows that are acknowledged are in the store or on the disk, whatever the store does and whenever the process ends. */
import { setImmediate } from 'node:timers/promises';
import * as fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { DurableWriter } from '../../../collector/intake/durable-writer.ts';
import type { IntakeSpool } from '../../../collector/intake/intake-spool.ts';
import type { Row } from '../../../collector/store/store.ts';
import { ManualClock } from '../../../kernel/clock.ts';
import { TurnpikeError } from '../../../kernel/errors.ts';
import { silentLog } from '../../../kernel/log.ts';
import { Metrics } from '../../../kernel/metrics.ts';
import { FakeWriter } from '../service.ts';
import { temporarySpool, type TemporarySpool } from '../temporary-spool.ts';

const away = new TurnpikeError('TP_COLLECTOR_STORE_UNAVAILABLE');
const row = (id: number): Row => ({ call_id: `call-${id}` });

/** A writer whose pauses end when the test says so. */
class Scene {
  readonly store = new FakeWriter();
  readonly metrics = new Metrics();
  readonly writer: DurableWriter;
  readonly spool: IntakeSpool;
  readonly #pauses = new Map<() => void, number>();

  constructor(spool: IntakeSpool) {
    this.spool = spool;
    const sleep = (milliseconds: number, signal: AbortSignal) =>
      new Promise<void>((resolve) => {
        const end = () => {
          this.#pauses.delete(end);
          resolve();
        };
        if (signal.aborted) resolve();
        else this.#pauses.set(end, milliseconds);
        signal.addEventListener('abort', end, { once: true });
      });
    this.writer = new DurableWriter({ store: this.store, spool, log: silentLog, metrics: this.metrics, sleep });
  }

  /** All that wait for no more time than this to pass go on. */
  pass(most = 2_000): void {
    for (const [end, milliseconds] of this.#pauses) if (milliseconds <= most) end();
  }

  /** Until the store has everything. */
  async drained(): Promise<void> {
    while (!this.spool.isEmpty) {
      this.pass();
      await setImmediate();
    }
  }
}

const open: TemporarySpool[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.remove();
});

function scene(maxBytes?: number): Scene & { readonly temporary: TemporarySpool } {
  const temporary = temporarySpool(maxBytes);
  open.push(temporary);
  return Object.assign(new Scene(temporary.spool), { temporary });
}

/** From now on its inserts take until this is called. */
function slow(store: FakeWriter): () => void {
  let release: () => void = () => undefined;
  store.gate = new Promise((resolve) => {
    release = resolve;
  });
  return release;
}

/** Until so many rows are on the disk, and whoever waits for time to pass has. */
async function onDisk(all: Scene, rows: number): Promise<void> {
  await expect
    .poll(() => {
      all.pass();
      return all.spool.rows;
    })
    .toBe(rows);
  await setImmediate();
  all.pass();
}

const byName = (one: unknown, other: unknown) => String(one).localeCompare(String(other));
const ids = (rows: readonly Row[]) => rows.map(({ call_id: id }) => id);

describe('rows on their way to the store', () => {
  it('go there and nowhere else while it takes them', async () => {
    const { spool, store, writer } = scene();
    await writer.insert('call_events', [row(1)]);
    expect(store.rowsOf('call_events')).toEqual([row(1)]);
    expect([spool.isEmpty, spool.bytes, spool.age]).toEqual([true, 0, 0]);
    await writer.stop();
  });

  it('go to the disk while it is away, later ones behind them, and follow table by table when it is back', async () => {
    const all = scene();
    const { spool, store, writer } = all;
    store.fault = () => away;
    await writer.insert('call_events', [row(1), row(2)]);
    await writer.insert('call_events', [row(3)]);
    await writer.insert('stream_intervals', [row(4)]);
    expect([spool.rows, store.inserts.length]).toEqual([4, 0]);
    expect(spool.bytes).toBeGreaterThan(0);
    store.fault = () => undefined;
    await writer.insert('call_events', [row(5)]);
    await all.drained();
    expect(store.inserts.map(({ table, rows }) => [table, ids(rows)])).toEqual([
      ['call_events', ['call-1', 'call-2', 'call-3', 'call-5']],
      ['stream_intervals', ['call-4']],
    ]);
    await writer.insert('call_events', [row(6)]);
    expect(ids(store.rowsOf('call_events'))).toContain('call-6');
    await writer.stop();
  });

  it('go to the disk when it is slow, and are forgotten there when it has taken them after all', async () => {
    const all = scene();
    const { store, writer } = all;
    const release = slow(store);
    const written = writer.insert('call_events', [row(1)]);
    await onDisk(all, 1);
    await written;
    release();
    await all.drained();
    expect(ids(store.rowsOf('call_events'))).toEqual(['call-1']);
    await writer.stop();
  });

  it('are brought a second time to a store that was slow and does not answer, which knows them', async () => {
    const all = scene();
    const { store, writer } = all;
    const release = slow(store);
    await Promise.all([writer.insert('call_events', [row(1)]), onDisk(all, 1)]);
    store.gate = Promise.resolve();
    all.pass(30_000);
    await all.drained();
    release();
    await setImmediate();
    expect(ids(store.rowsOf('call_events'))).toEqual(['call-1', 'call-1']);
    expect([all.spool.rows, all.spool.bytes]).toEqual([0, 0]);
    await writer.stop();
  });

  it('are acknowledged when twice as many have left the disk, from half of it on', async () => {
    const all = scene(80);
    const { store, writer } = all;
    const release = slow(store);
    await Promise.all([writer.insert('call_events', [row(1)]), onDisk(all, 1)]);
    const acknowledged: number[] = [];
    const writing = [4, 5].map(async (id) => {
      await writer.insert('stream_intervals', [row(id)]);
      acknowledged.push(id);
    });
    await expect.poll(() => all.spool.rows).toBe(3);
    expect(acknowledged).toEqual([]);
    release();
    await Promise.all(writing);
    expect(all.spool.isEmpty).toBe(true);
    await writer.stop();
  });

  it('are acknowledged at once while it is away, and before long when it hangs', async () => {
    const all = scene();
    const { store, writer } = all;
    store.fault = () => away;
    await writer.insert('call_events', [row(1)]);
    await writer.insert('call_events', [row(2)]);
    const release = slow(store);
    store.fault = () => undefined;
    await Promise.all([writer.insert('call_events', [row(3)]), onDisk(all, 3)]);
    expect(store.inserts).toEqual([]);
    release();
    await all.drained();
    expect(ids(store.rowsOf('call_events'))).toEqual(['call-1', 'call-2', 'call-3']);
    await writer.stop();
  });

  it('are refused when neither has room, with nothing of them kept', async () => {
    const all = scene(100);
    const { spool, store, writer } = all;
    store.fault = () => away;
    await writer.insert('call_events', [row(1), row(2)]);
    expect(spool.hasRoom).toBe(true);
    const refusal = writer.insert('call_events', [row(3), row(4), row(5)]);
    await expect(refusal).rejects.toMatchObject({ code: 'TP_COLLECTOR_SPOOL_FULL', status: 503 });
    expect(spool.rows).toBe(2);
    store.fault = () => undefined;
    await all.drained();
    await writer.insert('call_events', [row(3), row(4), row(5)]);
    expect(store.rowsOf('call_events')).toHaveLength(5);
    await writer.stop();
  });

  it('are the sender\u2019s fault when the store refuses them at once for what they are', async () => {
    const { spool, store, writer } = scene();
    store.fault = () => new Error('cannot parse');
    await expect(writer.insert('call_events', [row(1)])).rejects.toThrow('cannot parse');
    expect(spool.isEmpty).toBe(true);
    await writer.stop();
  });

  it('are set aside, alone, when the store refuses them after they were acknowledged', async () => {
    const all = scene();
    const { spool, store, writer } = all;
    store.fault = () => away;
    for (const id of [1, 2, 3]) await writer.insert('call_events', [row(id)]);
    store.fault = (_table, rows) => (ids(rows).includes('call-2') ? new Error('cannot parse') : undefined);
    await all.drained();
    expect(ids(store.rowsOf('call_events'))).toEqual(['call-1', 'call-3']);
    expect(spool.refused).toBe(1);
    await writer.stop();
  });

  it('carry 64-bit counts and missing values through the disk unchanged', async () => {
    const all = scene();
    const { store, writer } = all;
    const rows: Row[] = [
      { client_tx_bytes: 2n ** 64n - 1n, custom_id: 'caf\u00e9 \ud83d\ude00', mos: null, final: true, t: 1.5 },
    ];
    store.fault = () => away;
    await writer.insert('egress_samples', rows);
    store.fault = () => undefined;
    await all.drained();
    expect(store.rowsOf('egress_samples')).toEqual([{ ...rows[0], client_tx_bytes: '18446744073709551615' }]);
    await writer.stop();
  });

  it('wait for the next process when this one stops, and go before what that one is given', async () => {
    const first = scene();
    first.store.fault = () => away;
    await first.writer.insert('call_events', [row(1)]);
    await first.writer.stop();
    await first.spool.close();
    const second = new Scene(first.temporary.reopened());
    expect(second.spool.rows).toBe(1);
    await second.writer.insert('call_events', [row(2)]);
    await second.drained();
    expect(ids(second.store.rowsOf('call_events'))).toEqual(['call-1', 'call-2']);
    await second.writer.stop();
  });

  it('tell how long they have waited', async () => {
    const clock = new ManualClock(Date.UTC(2026, 10, 21));
    const temporary = temporarySpool(1_000, clock);
    open.push(temporary);
    await temporary.spool.append('call_events', [row(1)]);
    clock.advance(5_000);
    await temporary.spool.append('call_events', [row(2)]);
    expect(temporary.spool.age).toBe(5_000);
    await temporary.spool.settle(temporary.spool.oldest(1));
    expect(temporary.spool.age).toBe(0);
  });

  it(
    'arrive at least once and in no case go missing, whatever the store does and whenever the process ends',
    { timeout: 60_000 },
    async () => {
      const moves = fc.array(
        fc.oneof(
          { weight: 5, arbitrary: fc.constant('write' as const) },
          { weight: 2, arbitrary: fc.constantFrom('away' as const, 'back' as const) },
          { weight: 1, arbitrary: fc.constantFrom('restart' as const, 'pass' as const) },
        ),
        { minLength: 1, maxLength: 30 },
      );
      await fc.assert(
        fc.asyncProperty(moves, async (list) => {
          const temporary = temporarySpool();
          let now = new Scene(temporary.spool);
          const stores = [now.store];
          const acknowledged: string[] = [];
          let isAway = false;
          for (const [index, move] of list.entries()) {
            now.store.fault = () => (isAway ? away : undefined);
            if (move === 'write') {
              await now.writer.insert('call_events', [row(index)]);
              acknowledged.push(`call-${index}`);
            } else if (move === 'restart') {
              await now.writer.stop();
              await now.spool.close();
              now = new Scene(temporary.reopened());
              now.store.fault = () => (isAway ? away : undefined);
              stores.push(now.store);
            } else if (move === 'pass') now.pass();
            else isAway = move === 'away';
          }
          now.store.fault = () => undefined;
          await now.drained();
          const stored = stores.flatMap((store) => ids(store.rowsOf('call_events')));
          expect(new Set(stored)).toEqual(new Set(acknowledged));
          expect(stored.toSorted(byName)).toEqual(acknowledged.toSorted(byName));
          await now.writer.stop();
          await temporary.remove();
        }),
        { numRuns: 60 },
      );
    },
  );
});
