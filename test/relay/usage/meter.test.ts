import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bigintAsString } from '../../../kernel/bytes.ts';
import { ManualClock } from '../../../kernel/clock.ts';
import { usageRecord } from '../../../relay/contract.ts';
import type { UsageRecord } from '../../../relay/contract.ts';
import {
  BOUNDARY_INTERVAL,
  CHECKPOINT_INTERVAL,
  isAtBoundary,
  Meter,
  RECORD_INTERVAL,
} from '../../../relay/usage/meter.ts';
import type { Entries } from '../../../relay/usage/meter.ts';
import { allocationId, counters, identity, metered, scaleOf } from './samples.ts';

const NOON = Date.UTC(2026, 10, 20, 12);

/** A meter over a plane that is a table of scales (test/relay/usage/samples.ts). */
function bench(start = NOON + 1_234) {
  const clock = new ManualClock(start);
  const meter = new Meter(identity, clock.now());
  const plane = new Map<string, bigint>();
  const at = () => ({ now: clock.now(), monotonic: clock.monotonic() });
  const read = (allocation: string) => {
    const scale = plane.get(allocation);
    return scale === undefined ? undefined : counters(scale);
  };
  const slice = () => meter.due(at(), read);
  /** All slices of this moment. */
  const due = (): Entries => {
    const slices = [slice()];
    while (meter.behind) slices.push(slice());
    return {
      records: slices.flatMap(({ records }) => records),
      checkpoints: slices.flatMap(({ checkpoints }) => checkpoints),
      ended: [],
    };
  };
  return {
    clock,
    meter,
    plane,
    slice,
    due,
    open: (index: number) => {
      plane.set(allocationId(index), 0n);
      meter.opened(metered(index), at());
    },
    count: (index: number, by: bigint) =>
      void plane.set(allocationId(index), (plane.get(allocationId(index)) ?? 0n) + by),
    close: (index: number) => {
      const scale = plane.get(allocationId(index)) ?? 0n;
      plane.delete(allocationId(index));
      return meter.closed(allocationId(index), counters(scale), at());
    },
  };
}

describe('the meter', () => {
  it('says every counter of an allocation in a record that the contract accepts', () => {
    const { clock, open, count, due } = bench();
    open(1);
    count(1, 3n);
    clock.advance(RECORD_INTERVAL);
    const [record] = due().records;
    const wire: unknown = JSON.parse(JSON.stringify(record, bigintAsString));
    expect(usageRecord.parse(wire)).toEqual(record);
    expect(record).toMatchObject({
      server_id: 'relay-1',
      boot_id: identity.bootId,
      allocation_id: allocationId(1),
      seq: 0,
      window_end: clock.now(),
      app_id: 'shop',
      key_id: 'main',
      custom_id: 'customer',
      call_id: 'room',
      participant_id: 'p1',
      transport: 'udp',
      client_family: 4,
      relay_family: 4,
      final: false,
      client_control_tx_bytes: 300n,
    });
    expect(record?.classes).toEqual({
      internet: expect.objectContaining({ client_rx_bytes: 3n, peer_tx_bytes: 12n, client_tx_packets: 18n }),
      own_relay: expect.objectContaining({ client_rx_bytes: 33n, peer_tx_bytes: 42n, client_tx_packets: 48n }),
      sfu: expect.objectContaining({ client_rx_bytes: 63n, peer_tx_bytes: 72n, client_tx_packets: 78n }),
    });
  });

  it("makes a record each ten seconds of each allocation's own life, numbered from 0", () => {
    const { clock, open, due } = bench();
    open(1);
    clock.advance(4_000);
    open(2);
    const seen: [string, number, number][] = [];
    for (let step = 0; step < 300; step += 1) {
      clock.advance(100);
      for (const record of due().records) seen.push([record.participant_id, record.seq, clock.monotonic()]);
    }
    expect(seen).toEqual([
      ['p1', 0, 10_000],
      ['p2', 0, 14_000],
      ['p1', 1, 20_000],
      ['p2', 1, 24_000],
      ['p1', 2, 30_000],
      ['p2', 2, 34_000],
    ]);
  });

  it('catches up with one record, not several, after a stall', () => {
    const { clock, open, due } = bench();
    open(1);
    clock.advance(35_000);
    expect(due().records).toHaveLength(1);
    clock.advance(5_000);
    expect(due().records).toMatchObject([{ seq: 1 }]);
  });

  it('makes a record of every live allocation at each UTC quarter hour, stamped with its very millisecond', () => {
    const quarter = NOON + BOUNDARY_INTERVAL;
    const { clock, open, count, due } = bench(quarter - 3_000);
    open(1);
    open(2);
    count(2, 5n);
    clock.advance(3_080);
    const { records } = due();
    expect(records.map((record) => [record.participant_id, record.window_end, scaleOf(record)])).toEqual([
      ['p1', quarter, 0n],
      ['p2', quarter, 5n],
    ]);
    expect(due().records).toEqual([]);
  });

  it('says what was counted before a suspended machine slept under the first quarter hour it missed', () => {
    const quarter = NOON + BOUNDARY_INTERVAL;
    const { clock, open, count, due } = bench(quarter - 3_000);
    open(1);
    count(1, 7n);
    clock.advance(3_000 + 5 * BOUNDARY_INTERVAL);
    expect(due().records).toMatchObject([{ window_end: quarter }]);
    clock.advance(BOUNDARY_INTERVAL);
    expect(due().records).toMatchObject([{ window_end: quarter + 6 * BOUNDARY_INTERVAL }]);
  });

  it('reads every counter at the quarter hour in one go, and makes the records of those readings in slices', () => {
    const quarter = NOON + BOUNDARY_INTERVAL;
    const { clock, meter, open, count, slice } = bench(quarter - 3_000);
    const indices = Array.from({ length: 1_000 }, (_, index) => index);
    for (const index of indices) open(index);
    for (const index of indices) count(index, BigInt(index));
    clock.advance(3_000);
    expect(slice()).toEqual({ records: [], checkpoints: [], ended: [] });
    const slices: Entries[] = [];
    while (meter.behind) {
      clock.advance(5);
      for (const index of indices) count(index, 1n);
      slices.push(slice());
    }
    expect(slices.length).toBeGreaterThan(5);
    const sizes = slices.map(({ records, checkpoints }) => records.length + checkpoints.length);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(220);
    const records = slices.flatMap((each) => each.records);
    expect(records.map((record) => [record.participant_id, record.window_end, scaleOf(record)])).toEqual(
      indices.map((index) => [`p${index}`, quarter, BigInt(index)]),
    );
    for (const [passed, { checkpoints }] of slices.entries()) {
      for (const checkpoint of checkpoints) {
        const index = BigInt(checkpoint.participant_id.slice(1));
        expect([checkpoint.seq, scaleOf(checkpoint)]).toEqual([1, index + BigInt(passed + 1)]);
      }
    }
  });

  it('keeps to what it read at the quarter hour when the allocation ends before its record was made', () => {
    const quarter = NOON + BOUNDARY_INTERVAL;
    const { clock, open, count, slice, close } = bench(quarter - 3_000);
    open(1);
    count(1, 7n);
    clock.advance(3_000);
    slice();
    count(1, 4n);
    clock.advance(1);
    expect(close(1).records.map((record) => [record.window_end, record.final, scaleOf(record)])).toEqual([
      [quarter, false, 7n],
      [quarter + 1, true, 11n],
    ]);
  });

  it('takes the last counters for the quarter hour of an allocation that was just closing', () => {
    const quarter = NOON + BOUNDARY_INTERVAL;
    const meter = new Meter(identity, quarter - 3_000);
    meter.opened(metered(1), { now: quarter - 3_000, monotonic: 0 });
    meter.due({ now: quarter, monotonic: 3_000 }, () => undefined);
    const { records } = meter.closed(allocationId(1), counters(7n), { now: quarter + 1, monotonic: 3_001 });
    expect(records.map((record) => [record.window_end, scaleOf(record)])).toEqual([
      [quarter, 7n],
      [quarter + 1, 7n],
    ]);
  });

  it('does in slices, longest waiting first, whatever else falls due at once', () => {
    const { clock, open, count, slice } = bench();
    const indices = Array.from({ length: 500 }, (_, index) => index);
    for (const index of indices) open(index);
    const seen: string[] = [];
    for (let round = 0; round < 8; round += 1) {
      for (const index of indices) count(index, 1n);
      const { checkpoints } = slice();
      expect(checkpoints.length).toBeLessThanOrEqual(220);
      seen.push(...checkpoints.map((checkpoint) => checkpoint.participant_id));
      clock.advance(CHECKPOINT_INTERVAL / 4);
    }
    expect(new Set(seen.slice(0, 500)).size).toBe(500);
  });

  it('closes a quarter hour before the end of an allocation that ends just after it', () => {
    const quarter = NOON + BOUNDARY_INTERVAL;
    const { clock, open, count, close } = bench(quarter - 3_000);
    open(1);
    count(1, 7n);
    clock.advance(3_050);
    expect(close(1).records).toMatchObject([
      { seq: 0, window_end: quarter, final: false },
      { seq: 1, window_end: quarter + 50, final: true },
    ]);
  });

  it('ends an allocation with its final counters, whatever was last read, and speaks of it no more', () => {
    const { clock, meter, open, count, due, close } = bench();
    open(1);
    count(1, 2n);
    clock.advance(100);
    due();
    count(1, 9n);
    const ended = close(1);
    expect(ended.records.map((record) => [record.seq, record.final, scaleOf(record)])).toEqual([[0, true, 11n]]);
    expect(ended.ended).toEqual([allocationId(1)]);
    expect(meter.live()).toEqual([]);
    clock.advance(RECORD_INTERVAL);
    const nothing = { records: [], checkpoints: [], ended: [] };
    expect(due()).toEqual(nothing);
    expect(close(1)).toEqual(nothing);
  });

  it('checkpoints what has changed twice a second, and leaves alone what has not', () => {
    const { clock, open, count, due } = bench();
    open(1);
    open(2);
    count(1, 1n);
    expect(due().checkpoints.map(scaleOf)).toEqual([1n]);
    count(1, 1n);
    clock.advance(CHECKPOINT_INTERVAL - 1);
    expect(due().checkpoints).toEqual([]);
    clock.advance(1);
    expect(due().checkpoints.map((record) => [record.participant_id, scaleOf(record)])).toEqual([['p1', 2n]]);
    clock.advance(CHECKPOINT_INTERVAL);
    expect(due().checkpoints).toEqual([]);
  });

  it('leaves with each checkpoint the final record that a crash would make of it, under the next seq', () => {
    const { clock, open, count, due } = bench();
    open(1);
    clock.advance(RECORD_INTERVAL);
    const { records, checkpoints } = due();
    expect(records).toMatchObject([{ seq: 0, final: false }]);
    expect(checkpoints).toMatchObject([{ seq: 1, final: true, window_end: clock.now() }]);
    count(1, 1n);
    clock.advance(CHECKPOINT_INTERVAL);
    expect(due().checkpoints).toMatchObject([{ seq: 1, final: true }]);
  });

  it('never dates a record before the one that precedes it, though the clock be set back', () => {
    const meter = new Meter(identity, NOON + 50_000);
    meter.opened(metered(1), { now: NOON + 50_000, monotonic: 0 });
    const read = () => counters(1n);
    const [first] = meter.due({ now: NOON + 60_000, monotonic: 10_000 }, read).records;
    const [second] = meter.due({ now: NOON - 3 * BOUNDARY_INTERVAL, monotonic: 20_000 }, read).records;
    expect(second?.window_end).toBe(first?.window_end);
    expect(meter.boundary).toBe(NOON - 2 * BOUNDARY_INTERVAL);
  });

  it('tells, whatever happens when, growing totals in order and each end exactly once', () => {
    const step = fc.oneof(
      fc.record({ what: fc.constant('advance' as const), by: fc.integer({ min: 1, max: 400_000 }) }),
      fc.record({ what: fc.constant('advance' as const), by: fc.integer({ min: 1, max: 900 }) }),
      fc.record({ what: fc.constantFrom('open' as const, 'close' as const), by: fc.nat(3) }),
      fc.record({ what: fc.constant('count' as const), by: fc.nat(3) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const { clock, plane, open, count, due, close } = bench();
        const records: UsageRecord[] = [];
        const final = new Map<string, bigint>();
        let opened = 0;
        for (const { what, by } of steps) {
          const chosen = [...plane.keys()].map((id) => Number.parseInt(id.slice(-12), 16))[by];
          if (what === 'advance') clock.advance(by);
          else if (what === 'open') open((opened += 1));
          else if (chosen !== undefined && what === 'count') count(chosen, 1n);
          else if (chosen !== undefined) {
            final.set(allocationId(chosen), plane.get(allocationId(chosen)) ?? 0n);
            records.push(...close(chosen).records);
          }
          records.push(...due().records);
        }
        for (let index = 1; index <= opened; index += 1) {
          const own = records.filter((record) => record.allocation_id === allocationId(index));
          expect(own.map((record) => record.seq)).toEqual(own.map((_record, seq) => seq));
          const totals = own.map(scaleOf);
          expect(totals).toEqual(totals.toSorted((a, b) => (a < b ? -1 : 1)));
          const ends = own.map((record) => record.window_end);
          expect(ends).toEqual(ends.toSorted((a, b) => a - b));
          const last = final.get(allocationId(index));
          expect(own.filter((record) => record.final).map(scaleOf)).toEqual(last === undefined ? [] : [last]);
        }
        const quarters = records.filter(isAtBoundary).map((record) => `${record.allocation_id} ${record.window_end}`);
        expect(new Set(quarters).size).toBe(quarters.length);
      }),
    );
  });
});
