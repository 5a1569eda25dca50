import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../kernel/clock.ts';
import { silentLog } from '../../../kernel/log.ts';
import { seededRandom } from '../../../kernel/random.ts';
import type { ControlAnswer } from '../../../relay/contract.ts';
import { ControlLink } from '../../../relay/control/control-link.ts';

/** A link to a collector that plays a script: each step is an answer, or what goes wrong. */
function linked(script: readonly (ControlAnswer | Error)[], heldFor = 0) {
  const clock = new ManualClock(Date.UTC(2026, 10, 20, 12));
  const cursors: (string | undefined)[] = [];
  const pauses: number[] = [];
  const heard: string[] = [];
  const over = new AbortController();
  const link = new ControlLink({
    ask: async (cursor, signal) => {
      cursors.push(cursor);
      const step = script[cursors.length - 1];
      if (step === undefined) {
        over.abort();
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
        throw new Error('aborted');
      }
      clock.advance(heldFor);
      if (step instanceof Error) throw step;
      return step;
    },
    onAnswer: ({ revocations }) => {
      heard.push(...revocations.map(({ username }) => username));
      return revocations.length > 0;
    },
    sleep: async (milliseconds) => {
      pauses.push(milliseconds);
      clock.advance(milliseconds);
    },
    clock,
    random: seededRandom('link'),
    log: silentLog,
  });
  const played = new Promise((resolve) => over.signal.addEventListener('abort', resolve, { once: true }));
  return { link, clock, cursors, pauses, heard, played };
}

const answer = (cursor: string, ...usernames: string[]): ControlAnswer => ({
  cursor,
  revocations: usernames.map((username) => ({ username, until: 1 })),
});

describe('a relay that asks for revocations', () => {
  it('sends back the cursor of the last answer, at once while there is news', async () => {
    const { link, cursors, pauses, heard, played } = linked([answer('1', 'a'), answer('2', 'b'), answer('3')]);
    link.start();
    await played;
    await link.stop();
    expect(cursors).toEqual([undefined, '1', '2', '3']);
    expect(heard).toEqual(['a', 'b']);
    expect(pauses).toEqual([]);
  });

  it('asks at once again after a question that was held without news', async () => {
    const { link, cursors, pauses, played } = linked([answer('1'), answer('1'), answer('1')], 25_000);
    link.start();
    await played;
    await link.stop();
    expect(cursors).toHaveLength(4);
    expect(pauses).toEqual([]);
  });

  it('does not hurry a collector that holds no question', async () => {
    const { link, pauses, played } = linked([answer('1'), answer('2'), answer('3'), answer('4', 'a'), answer('5')]);
    link.start();
    await played;
    await link.stop();
    expect(pauses).toEqual([1_000, 1_000]);
  });

  it('tries again within two seconds, with the cursor it had, when no answer comes', async () => {
    const away = Array.from({ length: 12 }, () => new Error('connection refused'));
    const { link, clock, cursors, pauses, played } = linked([answer('1', 'a'), ...away, answer('2', 'b')]);
    const before = clock.monotonic();
    link.start();
    await played;
    expect(cursors).toEqual([undefined, ...Array.from({ length: 13 }, () => '1'), '2']);
    expect(pauses).toHaveLength(12);
    expect(pauses[0]).toBeLessThanOrEqual(200);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(2_000);
    expect(Math.max(...pauses)).toBeGreaterThan(200);
    expect(link.age).toBe(0);
    expect(clock.monotonic()).toBeGreaterThan(before);
    await link.stop();
  });

  it('says for how long it has not been answered, and why', async () => {
    const { link, clock, played } = linked([new Error('connection refused')]);
    link.start();
    await played;
    clock.advance(5_000);
    expect(link.failure).toBe('connection refused');
    expect(link.age).toBeGreaterThanOrEqual(5_000);
    await link.stop();
  });
});
