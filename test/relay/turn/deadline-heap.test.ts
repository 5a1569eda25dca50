import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DeadlineHeap, type Timed } from '../../../relay/turn/deadline-heap.ts';

describe('the deadline heap', () => {
  it('always knows the soonest, whatever is added, moved and removed', () => {
    const step = fc.tuple(fc.constantFrom('add', 'move', 'remove'), fc.nat(1000), fc.nat(50));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const heap = new DeadlineHeap<Timed>();
        const items: Timed[] = [];
        for (const [verb, deadline, pick] of steps) {
          const item = items[pick % Math.max(1, items.length)];
          if (verb === 'add' || item === undefined) {
            const made = { deadline, slot: -1 };
            items.push(made);
            heap.add(made);
          } else if (verb === 'move') heap.move(item, deadline);
          else {
            heap.remove(item);
            heap.remove(item);
            items.splice(items.indexOf(item), 1);
          }
          expect(heap.size).toBe(items.length);
          expect(heap.first()?.deadline).toBe(
            items.length === 0 ? undefined : Math.min(...items.map((each) => each.deadline)),
          );
        }
        const drained: number[] = [];
        for (let first = heap.first(); first !== undefined; first = heap.first()) {
          drained.push(first.deadline);
          heap.remove(first);
        }
        expect(drained).toEqual(items.map((each) => each.deadline).sort((a, b) => a - b));
      }),
    );
  });
});
