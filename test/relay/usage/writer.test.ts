import { describe, expect, it } from 'vitest';
import { silentLog } from '../../../kernel/log.ts';
import { Metrics } from '../../../kernel/metrics.ts';
import type { UsageRecord } from '../../../relay/contract.ts';
import { BOUNDARY_INTERVAL } from '../../../relay/usage/meter.ts';
import type { Entries } from '../../../relay/usage/meter.ts';
import { recordOf, totalsOf } from '../../../relay/usage/reading.ts';
import { UsageWriter } from '../../../relay/usage/writer.ts';
import { allocationId, counters, gate, identity, metered } from './samples.ts';

const NOON = Date.UTC(2026, 10, 20, 12);

function reading(index: number, seq: number, windowEnd = NOON + seq + 1, final = false): UsageRecord {
  return recordOf(identity, metered(index), { seq, windowEnd, final, totals: totalsOf(counters(BigInt(seq))) });
}
const entries = (parts: Partial<Entries>): Entries => ({
  records: [],
  checkpoints: [],
  states: [],
  ended: [],
  ...parts,
});
const briefly = (records: readonly UsageRecord[]) => records.map((each) => `${each.participant_id}#${each.seq}`);

/** A writer onto a disk that can be full, and whose writes can be held up. */
function bench() {
  const disk: Entries[] = [];
  const state = { full: false, told: 0, hold: Promise.resolve() };
  const metrics = new Metrics();
  const writer = new UsageWriter({
    spool: {
      write: async (written) => {
        await state.hold;
        if (state.full) throw new Error('no space left on device');
        disk.push(written);
      },
    },
    onRecords: () => (state.told += 1),
    log: silentLog,
    metrics,
  });
  return { disk, state, writer, metrics };
}

describe('the usage writer', () => {
  it('writes entries in order, together what came while it was writing, and tells of records only', async () => {
    const { disk, state, writer, metrics } = bench();
    const held = gate();
    state.hold = held.promise;
    writer.write(entries({ checkpoints: [reading(1, 0)] }));
    writer.write(entries({ records: [reading(1, 0)], checkpoints: [reading(1, 1)] }));
    writer.write(entries({ records: [reading(2, 0)], checkpoints: [reading(1, 2)] }));
    held.open();
    await writer.settled();
    expect(disk.map((each) => [briefly(each.records), briefly(each.checkpoints)])).toEqual([
      [[], ['p1#0']],
      [['p1#0', 'p2#0'], ['p1#2']],
    ]);
    expect(state.told).toBe(1);
    const { values } = await metrics.counter('turnpike_relay_usage_records_total').get();
    expect(values).toEqual([{ labels: { result: 'written' }, value: 2 }]);
  });

  it('writes the newest state of an allocation, and none of one that has ended', async () => {
    const { disk, state, writer } = bench();
    const held = gate();
    state.hold = held.promise;
    writer.write(entries({ checkpoints: [reading(1, 0)] }));
    const states = (...texts: string[]) => texts.map((text, index) => ({ allocation: allocationId(index + 1), text }));
    writer.write(entries({ states: states('old', 'old') }));
    writer.write(entries({ states: states('new', 'new') }));
    writer.write(entries({ records: [reading(2, 0, NOON, true)], ended: [allocationId(2)] }));
    held.open();
    await writer.settled();
    expect(disk.map((each) => each.states)).toEqual([[], states('new')]);
    expect(disk[1]?.ended).toEqual([allocationId(2)]);
  });

  it('writes no more at once than the event loop bears, each allocation whole', async () => {
    const { disk, state, writer } = bench();
    const held = gate();
    state.hold = held.promise;
    for (let index = 0; index < 1_000; index += 1) {
      writer.write(entries({ records: [reading(index, 0)], checkpoints: [reading(index, 1)] }));
    }
    held.open();
    await writer.settled();
    expect(disk.length).toBeGreaterThan(5);
    for (const { records, checkpoints } of disk) {
      expect(records.length + checkpoints.length).toBeLessThanOrEqual(260);
      expect(records.map((record) => record.allocation_id)).toEqual(checkpoints.map((each) => each.allocation_id));
    }
    expect(disk.flatMap((each) => each.records)).toHaveLength(1_000);
  });

  it('never brings back the checkpoint of an allocation that has ended', async () => {
    const { disk, state, writer } = bench();
    state.full = true;
    writer.write(entries({ checkpoints: [reading(1, 0)] }));
    await writer.settled();
    writer.write(entries({ records: [reading(1, 0, NOON, true)], ended: [allocationId(1)] }));
    await writer.settled();
    state.full = false;
    await writer.settled();
    expect(disk).toEqual([entries({ records: [reading(1, 0, NOON, true)], ended: [allocationId(1)] })]);
  });

  it('keeps what a full disk does not take, says why, and writes it once there is room', async () => {
    const { disk, state, writer } = bench();
    state.full = true;
    writer.write(entries({ records: [reading(1, 0)] }));
    await writer.settled();
    expect(writer.failure).toBe('no space left on device');
    state.full = false;
    writer.write(entries({ records: [reading(1, 1)] }));
    await writer.settled();
    expect(writer.failure).toBeUndefined();
    expect(disk.flatMap((each) => briefly(each.records))).toContain('p1#1');
  });

  it('holds, while the disk is away, no more than the newest of each allocation, its quarter hours and its end', async () => {
    const { disk, state, writer } = bench();
    state.full = true;
    for (let seq = 0; seq < 500; seq += 1) {
      writer.write(entries({ records: [reading(1, seq, seq === 100 ? NOON + BOUNDARY_INTERVAL : NOON + seq + 1)] }));
      await writer.settled();
    }
    writer.write(entries({ records: [reading(2, 0, NOON + 7, true)], ended: [allocationId(2)] }));
    await writer.settled();
    state.full = false;
    await writer.settled();
    expect(disk.flatMap((each) => briefly(each.records))).toEqual(['p1#100', 'p1#499', 'p2#0']);
  });
});
