import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Deadline, ExpiryWheel } from '../../../../relay/planes/dgram/expiry-wheel.ts';

/** What the wheel stands for: a list that is looked through whole. */
class Model {
  readonly deadlines = new Map<number, number>();

  advance(now: number): number[] {
    const due = [...this.deadlines].filter(([, at]) => at <= now).map(([entry]) => entry);
    for (const entry of due) this.deadlines.delete(entry);
    return due;
  }
}

const entry = fc.integer({ min: 0, max: 19 });
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ type: fc.constant('set'), entry, in: fc.integer({ min: -5000, max: 4_000_000 }) }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('cancel'), entry }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('advance'), by: fc.integer({ min: 0, max: 2_000_000 }) }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('advance'), by: fc.integer({ min: 0, max: 1500 }) }) },
);

describe('the expiry wheel', () => {
  it('calls exactly what is due, as a list looked through whole would', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e9, noNaN: true }), fc.array(step, { maxLength: 60 }), (start, steps) => {
        const passed: number[] = [];
        const wheel = new ExpiryWheel(start);
        const model = new Model();
        const deadlines = Array.from({ length: 20 }, (_, index) => new Deadline(() => passed.push(index)));
        let now = start;
        for (const each of steps) {
          if (each.type === 'advance' && 'by' in each) {
            now += each.by;
            passed.length = 0;
            wheel.advance(now);
            expect(passed.toSorted((a, b) => a - b)).toEqual(model.advance(now).toSorted((a, b) => a - b));
          } else if (each.type === 'set' && 'in' in each) {
            wheel.set(deadlines[each.entry]!, now + each.in);
            model.deadlines.set(each.entry, now + each.in);
          } else if ('entry' in each) {
            wheel.cancel(deadlines[each.entry]!);
            model.deadlines.delete(each.entry);
          }
        }
      }),
    );
  });

  it('reaches a deadline at its very millisecond', () => {
    const wheel = new ExpiryWheel(0);
    let passed = 0;
    const deadline = new Deadline(() => {
      passed += 1;
    });
    wheel.set(deadline, 300_000);
    wheel.advance(299_999);
    expect(passed).toBe(0);
    wheel.advance(300_000);
    expect(passed).toBe(1);
    wheel.advance(900_000);
    expect(passed).toBe(1);
  });

  it('does not call what another one cancelled or moved while it passed', () => {
    const wheel = new ExpiryWheel(0);
    const passed: string[] = [];
    const cancelled = new Deadline(() => passed.push('cancelled'));
    const moved = new Deadline(() => passed.push('moved'));
    const first = new Deadline(() => {
      passed.push('first');
      wheel.cancel(cancelled);
      wheel.set(moved, 5000);
    });
    for (const deadline of [first, cancelled, moved]) wheel.set(deadline, 1000);
    wheel.advance(1000);
    expect(passed).toEqual(['first']);
    wheel.advance(5000);
    expect(passed).toEqual(['first', 'moved']);
  });

  it('never reaches an infinite deadline', () => {
    const wheel = new ExpiryWheel(0);
    const deadline = new Deadline(() => expect.unreachable());
    wheel.set(deadline, Number.POSITIVE_INFINITY);
    wheel.advance(Number.MAX_SAFE_INTEGER);
    expect(deadline.at).toBe(Number.POSITIVE_INFINITY);
  });
});
