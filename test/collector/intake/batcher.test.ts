import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Batcher } from '../../../collector/intake/batcher.ts';
import { TurnpikeError } from '../../../kernel/errors.ts';
import { silentLog } from '../../../kernel/log.ts';
import { FakeWriter } from '../service.ts';

const log = silentLog;
const row = (id: number) => ({ call_id: `call-${id}` });

describe('group commit', () => {
  let writer: FakeWriter;
  beforeEach(() => {
    vi.useFakeTimers();
    writer = new FakeWriter();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('puts requests that arrive together into one insert a table', async () => {
    const batcher = new Batcher({ writer, log });
    const writes = [1, 2, 3].map((id) => batcher.write({ stream_intervals: [row(id)], call_events: [row(id)] }));
    expect(writer.inserts).toEqual([]);
    await vi.advanceTimersByTimeAsync(200);
    await Promise.all(writes);
    expect(writer.inserts.map(({ table, rows }) => [table, rows.length])).toEqual([
      ['stream_intervals', 3],
      ['call_events', 3],
    ]);
  });

  it('does not wait when the group is full', async () => {
    const batcher = new Batcher({ writer, log, enoughRows: 4 });
    const writes = [1, 2].map((id) => batcher.write({ stream_intervals: [row(id), row(id)] }));
    await Promise.all(writes);
    expect(writer.inserts).toHaveLength(1);
  });

  it('takes together what came in while the store was slow, but not without bound', async () => {
    let open = () => {};
    writer.gate = new Promise((resolve) => {
      open = resolve;
    });
    const batcher = new Batcher({ writer, log, enoughRows: 2, maxRows: 6 });
    const write = (id: number) => batcher.write({ stream_intervals: [row(id), row(id)] });
    const writes = [1, 2, 3, 4, 5].map(write);
    open();
    await Promise.all(writes);
    expect(writer.inserts.map(({ rows }) => rows.length)).toEqual([2, 6, 2]);
    const large = batcher.write({ stream_intervals: Array.from({ length: 9 }, () => row(6)) });
    await large;
    expect(writer.inserts.at(-1)?.rows).toHaveLength(9);
  });

  it('answers nobody before the insert is through, and gathers the next group meanwhile', async () => {
    let open = () => {};
    writer.gate = new Promise((resolve) => {
      open = resolve;
    });
    const batcher = new Batcher({ writer, log });
    const answered: number[] = [];
    const write = (id: number) => batcher.write({ stream_intervals: [row(id)] }).then(() => answered.push(id));
    const first = write(1);
    await vi.advanceTimersByTimeAsync(200);
    const others = [write(2), write(3)];
    await vi.advanceTimersByTimeAsync(5_000);
    expect(answered).toEqual([]);
    open();
    await Promise.all([first, ...others]);
    expect(writer.inserts.map(({ rows }) => rows.length)).toEqual([1, 2]);
  });

  it('fails every request of a group that the store did not take', async () => {
    writer.fault = () => new TurnpikeError('TP_COLLECTOR_STORE_UNAVAILABLE');
    const batcher = new Batcher({ writer, log });
    const writes = [1, 2].map((id) => batcher.write({ stream_intervals: [row(id)] }));
    const settled = Promise.allSettled(writes);
    await vi.advanceTimersByTimeAsync(200);
    for (const result of await settled) {
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'TP_COLLECTOR_STORE_UNAVAILABLE' } });
    }
  });

  it('lets one request’s bad rows cost only that request', async () => {
    writer.fault = (_table, rows) =>
      rows.some((found) => found['call_id'] === 'call-2') ? new Error('cannot parse') : undefined;
    const batcher = new Batcher({ writer, log });
    const settled = Promise.allSettled([1, 2, 3].map((id) => batcher.write({ stream_intervals: [row(id)] })));
    await vi.advanceTimersByTimeAsync(200);
    expect((await settled).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(writer.rowsOf('stream_intervals')).toEqual([row(1), row(3)]);
  });

  it('turns requests away while too many rows wait, and takes them again afterwards', async () => {
    const batcher = new Batcher({ writer, log, maxPendingRows: 3 });
    const taken = batcher.write({ stream_intervals: [row(1), row(2)] });
    await expect(batcher.write({ stream_intervals: [row(3), row(4)] })).rejects.toMatchObject({
      code: 'TP_COLLECTOR_STORE_UNAVAILABLE',
      status: 503,
    });
    await vi.advanceTimersByTimeAsync(200);
    await taken;
    const later = batcher.write({ stream_intervals: [row(3), row(4)] });
    await vi.advanceTimersByTimeAsync(200);
    await later;
    expect(writer.rowsOf('stream_intervals')).toHaveLength(4);
  });

  it('has nothing to wait for when there are no rows', async () => {
    await new Batcher({ writer, log }).write({ stream_intervals: [], call_events: [] });
    expect(writer.inserts).toEqual([]);
  });

  it('stores what it has taken before it closes, and takes nothing more', async () => {
    const batcher = new Batcher({ writer, log, maxRows: 1 });
    const writes = [1, 2, 3].map((id) => batcher.write({ stream_intervals: [row(id)] }));
    const closed = batcher.close();
    await expect(batcher.write({ stream_intervals: [row(4)] })).rejects.toMatchObject({ status: 503 });
    await closed;
    await Promise.all(writes);
    expect(writer.rowsOf('stream_intervals')).toEqual([row(1), row(2), row(3)]);
  });
});
