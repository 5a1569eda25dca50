import { afterEach, describe, expect, it, vi } from 'vitest';
import { Lifecycle, onStopSignal } from '../../kernel/lifecycle.ts';
import { silentLog } from '../../kernel/log.ts';

afterEach(() => vi.restoreAllMocks());

describe('a lifecycle', () => {
  it('closes what was opened last first, each once, whatever fails', async () => {
    const lifecycle = new Lifecycle(silentLog);
    const closed: string[] = [];
    lifecycle.onClose('store', () => void closed.push('store'));
    lifecycle.onClose('broken', () => {
      throw new Error('cannot close');
    });
    lifecycle.onClose('http', async () => void closed.push('http'));
    await Promise.all([lifecycle.close(), lifecycle.close()]);
    expect(closed).toEqual(['http', 'store']);
  });
  it('closes at once what is opened after the closing began', async () => {
    const lifecycle = new Lifecycle(silentLog);
    const closing = lifecycle.close();
    const closed: string[] = [];
    lifecycle.onClose('late', async () => void closed.push('late'));
    await closing;
    await lifecycle.close();
    expect(closed).toEqual(['late']);
  });
});

describe('a signal to stop', () => {
  it('is heard once when it comes twice at once, as Ctrl-C under npm does', () => {
    const kill = vi.spyOn(process, 'kill').mockReturnValue(true);
    const heard: string[] = [];
    let now = 0;
    const remove = onStopSignal(
      (signal) => heard.push(signal),
      () => now,
    );
    process.emit('SIGINT', 'SIGINT');
    now = 999;
    process.emit('SIGINT', 'SIGINT');
    expect(heard).toEqual(['SIGINT']);
    expect(kill).not.toHaveBeenCalled();
    remove();
  });
  it('ends the process when it is meant: asked again a second later', () => {
    const before = process.listenerCount('SIGTERM');
    const kill = vi.spyOn(process, 'kill').mockReturnValue(true);
    let now = 0;
    onStopSignal(
      () => undefined,
      () => now,
    );
    process.emit('SIGTERM', 'SIGTERM');
    now = 1_000;
    process.emit('SIGTERM', 'SIGTERM');
    expect(kill).toHaveBeenCalledExactlyOnceWith(process.pid, 'SIGTERM');
    expect(process.listenerCount('SIGTERM')).toBe(before);
  });
});
