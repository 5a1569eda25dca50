import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../kernel/clock.ts';
import { AppCaps } from '../../../relay/control/app-caps.ts';

const START = Date.UTC(2026, 10, 20, 12);
const TIMEOUT = 60_000;

/** A relay whose collector has answered at the start, and then no more. */
function lonely(closed: string[], named: string[] = []) {
  const clock = new ManualClock(START);
  let heardAt = clock.monotonic();
  const caps = new AppCaps({
    named: { isCapped: (app) => named.includes(app) },
    silence: () => clock.monotonic() - heardAt,
    timeout: TIMEOUT,
    closed: new Set(closed),
  });
  return {
    caps,
    clock,
    hear: () => {
      heardAt = clock.monotonic();
    },
  };
}

describe('apps with a cap, while the collector is silent', () => {
  it('go on until the timeout, and from that millisecond on not those that fail closed', () => {
    const { caps, clock } = lonely(['closed']);
    clock.advance(TIMEOUT - 1);
    expect([caps.has('closed', clock.now()), caps.lost()]).toEqual([false, []]);
    clock.advance(1);
    expect([caps.has('closed', clock.now()), caps.has('open', clock.now())]).toEqual([true, false]);
  });

  it('are named once for what they have to be ended, each time the collector is lost', () => {
    const { caps, clock, hear } = lonely(['a', 'b']);
    clock.advance(TIMEOUT);
    expect([caps.lost(), caps.lost()]).toEqual([['a', 'b'], []]);
    hear();
    expect([caps.lost(), caps.has('a', clock.now())]).toEqual([[], false]);
    clock.advance(TIMEOUT);
    expect(caps.lost()).toEqual(['a', 'b']);
  });

  it('stay capped whose cap the collector named, whatever they do on its loss', () => {
    const { caps, clock } = lonely([], ['spent']);
    expect(caps.has('spent', clock.now())).toBe(true);
    clock.advance(10 * TIMEOUT);
    expect([caps.has('spent', clock.now()), caps.has('other', clock.now())]).toEqual([true, false]);
  });
});
