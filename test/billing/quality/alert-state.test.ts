import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { remove, step, unasked } from '../../../billing/quality/alerts/alert-state.ts';
import type { AlertState, Measurement, Transition } from '../../../billing/quality/alerts/alert-state.ts';

const loss = {
  breach: 'above',
  threshold: 5,
  resolveAt: 2.5,
  forSeconds: 60,
  staleSeconds: 900,
  minSamples: 24,
} as const;
const mos = { ...loss, breach: 'below', threshold: 3.5, resolveAt: 3.7 } as const;
const of = (value: number, samples = 100): Measurement => ({ value, samples });

/** Feeds one measurement every 30 s and tells each change as `from→to:reason`. */
function told(rule: typeof loss | typeof mos, measured: readonly (Measurement | undefined)[]): string[] {
  let state: AlertState | undefined;
  return measured.map((figure, index) => {
    const next = step(rule, state, figure, index * 30_000);
    state = next.state;
    const { transition } = next;
    return transition === undefined ? '' : `${transition.from}→${transition.to}:${transition.reason}`;
  });
}

describe('an alert', () => {
  it('is pending at once, and fires when the breach has held for the whole `for`', () => {
    expect(told(loss, [of(1), of(6), of(7), of(6), of(8)])).toEqual([
      '',
      'inactive→pending:breached',
      '',
      'pending→firing:held',
      '',
    ]);
  });
  it('is judged from exactly the samples that its rule asks for, and not from one less', () => {
    expect(told(loss, [of(6, 23)])).toEqual(['']);
    expect(told(loss, [of(6, 24)])).toEqual(['inactive→pending:breached']);
  });
  it('does not fire for a breach that passes', () => {
    expect(told(loss, [of(6), of(4.9), of(6), of(6), of(6)])).toEqual([
      'inactive→pending:breached',
      'pending→resolved:passed',
      'inactive→pending:breached',
      '',
      'pending→firing:held',
    ]);
  });
  it('keeps firing between threshold and resolveAt, and resolves only beyond', () => {
    expect(told(loss, [of(6), of(6), of(6), of(4), of(2.6), of(2.5), of(4)])).toEqual([
      'inactive→pending:breached',
      '',
      'pending→firing:held',
      '',
      '',
      'firing→resolved:recovered',
      '',
    ]);
  });
  it('works downward as well', () => {
    expect(told(mos, [of(3.5), of(3.4), of(3.2), of(3.4), of(3.6), of(3.7)])).toEqual([
      '',
      'inactive→pending:breached',
      '',
      'pending→firing:held',
      '',
      'firing→resolved:recovered',
    ]);
  });
  it('fires at once where `for` is nothing', () => {
    const { transition, state } = step({ ...loss, forSeconds: 0 }, undefined, of(9), 1_000);
    expect(transition).toMatchObject({ from: 'inactive', to: 'firing', at: 1_000 });
    expect(state).toMatchObject({ phase: 'firing', since: 1_000 });
  });
  it('says nothing on too few samples: they neither raise nor resolve it', () => {
    expect(told(loss, [of(50, 23), of(50, 23), of(50, 23)])).toEqual(['', '', '']);
    expect(told(loss, [of(6), of(6), of(6), of(0, 23), of(6)]).slice(3)).toEqual(['', '']);
  });
  it('that is pending does not outlive `for` without a measurement', () => {
    expect(told(loss, [of(6), undefined, undefined, of(6)])).toEqual([
      'inactive→pending:breached',
      '',
      'pending→resolved:stale',
      'inactive→pending:breached',
    ]);
  });
  it('that fires grows stale after 15 minutes without a measurement, and says when it had begun', () => {
    const firing: AlertState = { phase: 'firing', since: 5_000, seenAt: 100_000, last: of(9) };
    expect(step(loss, firing, undefined, 999_999)).toEqual({ state: firing });
    expect(step(loss, firing, undefined, 1_000_000)).toEqual({
      state: undefined,
      transition: {
        from: 'firing',
        to: 'resolved',
        reason: 'stale',
        at: 1_000_000,
        measured: of(9),
        startedAt: 5_000,
      },
    });
  });
  it('does not grow stale while the store cannot be asked', () => {
    const firing: AlertState = { phase: 'firing', since: 0, seenAt: 0, last: of(9) };
    expect(step(loss, unasked(firing, 899_000), undefined, 1_700_000).state).toMatchObject({ phase: 'firing' });
  });
  it('ends with its rule', () => {
    const firing: AlertState = { phase: 'firing', since: 0, seenAt: 0, last: of(9) };
    expect(remove(firing, 7).transition).toMatchObject({ to: 'resolved', reason: 'removed', at: 7 });
  });
});

it('for any figures, changes are a walk inactive → pending → firing → resolved, and firing needs the whole `for`', () => {
  const figure = fc.option(
    fc.record({ value: fc.double({ min: 0, max: 10, noNaN: true }), samples: fc.nat({ max: 50 }) }),
    { nil: undefined },
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(figure, fc.nat({ max: 120_000 }))), (run) => {
      let state: AlertState | undefined;
      let now = 0;
      let last: Transition | undefined;
      for (const [measured, elapsed] of run) {
        now += elapsed;
        const { state: next, transition } = step(loss, state, measured, now);
        if (transition !== undefined) {
          expect(transition.from).toBe(state?.phase ?? 'inactive');
          expect(transition.to).toBe(next?.phase ?? 'resolved');
          if (transition.to === 'firing') {
            expect(last?.to).toBe('pending');
            expect(now - (last?.at ?? now)).toBeGreaterThanOrEqual(60_000);
            expect(measured?.value).toBeGreaterThan(5);
          }
          last = transition;
        } else {
          expect(next?.phase).toBe(state?.phase);
        }
        state = next;
      }
    }),
  );
});
