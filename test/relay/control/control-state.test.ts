import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ControlState } from '../../../relay/control/control-state.ts';

const NOW = Date.UTC(2026, 10, 20, 12);
const answer = (revocations: Record<string, number>) => ({
  cursor: 'c',
  revocations: Object.entries(revocations).map(([username, until]) => ({ username, until })),
});

describe('what the collector has told a relay', () => {
  let directory: string;
  let state: ControlState;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'turnpike-control-'));
    state = new ControlState(directory);
  });
  afterEach(async () => {
    await state.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const restart = async () => {
    await state.close();
    state = new ControlState(directory);
  };

  it('stands from the moment it is heard, and names only what is new', async () => {
    const first = state.take(answer({ a: NOW + 1, b: NOW + 1 }));
    expect(first.revoked).toEqual(['a', 'b']);
    expect([state.has('a'), state.has('b'), state.has('c')]).toEqual([true, true, false]);
    const second = state.take(answer({ b: NOW + 1, c: NOW + 1 }));
    expect(second.revoked).toEqual(['c']);
    await Promise.all([first.kept, second.kept]);
  });

  it('is there after a restart, and any username can be in it', async () => {
    const longest = `1795000000:${'é'.repeat(248)}`;
    await state.take(answer({ [longest]: NOW + 7, 'with\u0007bell': NOW + 7 })).kept;
    await restart();
    expect([...state.usernames()].toSorted()).toEqual([longest, 'with\u0007bell'].toSorted());
  });

  it('is forgotten once its time is past and nothing of it lives, on disk too', async () => {
    await state.take(answer({ past: NOW, alive: NOW, later: NOW + 1 })).kept;
    await state.forget(NOW, (username) => username === 'alive');
    expect([...state.usernames()]).toEqual(['alive', 'later']);
    await restart();
    expect([...state.usernames()].toSorted()).toEqual(['alive', 'later']);
    await state.forget(NOW + 1, () => false);
    await restart();
    expect(state.size).toBe(0);
  });

  it('lasts as long as the newest word on it says', async () => {
    await state.take(answer({ a: NOW })).kept;
    expect(state.take(answer({ a: NOW + 10 })).revoked).toEqual([]);
    await state.forget(NOW + 5, () => false);
    expect(state.has('a')).toBe(true);
  });

  it('has the caps of the last answer that told any, and names those that are new', async () => {
    const caps = (list: Record<string, number>) => ({
      ...answer({}),
      caps: Object.entries(list).map(([app, until]) => ({ app, until })),
    });
    const first = state.takeCaps(caps({ shop: NOW + 10, bank: NOW + 10 }));
    expect([first.capped, first.changed]).toEqual([['shop', 'bank'], true]);
    await first.kept;
    // A collector that does not know yet lifts nothing.
    expect(state.takeCaps(answer({}))).toMatchObject({ capped: [], changed: false });
    expect([state.isCapped('shop', NOW + 9), state.isCapped('shop', NOW + 10)]).toEqual([true, false]);
    await restart();
    expect(state.isCapped('shop', NOW)).toBe(true);
    expect(state.takeCaps(caps({ bank: NOW + 10, shop: NOW + 10 })).changed).toBe(false);

    const raised = state.takeCaps(caps({ bank: NOW + 20 }));
    expect([raised.capped, raised.changed]).toEqual([['bank'], true]);
    await raised.kept;
    await restart();
    expect([state.isCapped('shop', NOW), state.isCapped('bank', NOW + 19)]).toEqual([false, true]);
  });
});
