import { describe, expect, it } from 'vitest';
import { Turnstile } from '../../../collector/reader/turnstile.ts';

/** Somebody at the turnstile: `in` says whether they are through. */
function visitor(turnstile: Turnstile) {
  const control = new AbortController();
  const state = { in: false, leave: () => control.abort(), turn: Promise.resolve<unknown>(undefined) };
  state.turn = turnstile.enter(control.signal).then(
    () => (state.in = true),
    (error: unknown) => error,
  );
  return state;
}
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('the turnstile', () => {
  it('lets so many in at a time, and the others in the order in which they came', async () => {
    const turnstile = new Turnstile({ width: 2, maxWaiting: 10 });
    const visitors = [1, 2, 3, 4, 5].map(() => visitor(turnstile));
    const inside = () => visitors.map((each) => each.in);
    await settled();
    expect(inside()).toEqual([true, true, false, false, false]);
    visitors[1]?.leave();
    await settled();
    expect(inside()).toEqual([true, true, true, false, false]);
    visitors[0]?.leave();
    visitors[2]?.leave();
    await settled();
    expect(inside()).toEqual([true, true, true, true, true]);
  });

  it('turns away who finds the queue full', async () => {
    const turnstile = new Turnstile({ width: 1, maxWaiting: 1 });
    const [, , third] = [visitor(turnstile), visitor(turnstile), visitor(turnstile)];
    expect(await third?.turn).toMatchObject({ code: 'TP_KERNEL_RATE_LIMITED' });
  });

  it('gives nobody’s place away twice, and keeps none for who went before their turn', async () => {
    const turnstile = new Turnstile({ width: 1, maxWaiting: 10 });
    const [first, second, third, fourth] = [1, 2, 3, 4].map(() => visitor(turnstile));
    await settled();
    second?.leave(); // while waiting
    first?.leave();
    third?.leave(); // it was let in at this very moment
    await settled();
    expect([second?.in, fourth?.in]).toEqual([false, true]);
    const fifth = visitor(turnstile);
    await settled();
    expect(fifth.in).toBe(false);
    fourth?.leave();
    await settled();
    expect(fifth.in).toBe(true);
  });

  it('does not let in who is gone already', async () => {
    const turnstile = new Turnstile({ width: 1, maxWaiting: 1 });
    await expect(turnstile.enter(AbortSignal.abort())).rejects.toThrow(/abort/i);
    const next = visitor(turnstile);
    await settled();
    expect(next.in).toBe(true);
  });
});
