import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Supervisor } from '../../cli/supervisor.ts';
import type { Run, SupervisedPart } from '../../cli/supervisor.ts';
import { silentLog } from '../../kernel/log.ts';

/** A part whose runs a test ends by hand. */
class FakePart implements SupervisedPart {
  readonly name = 'fake';
  readonly runs: { end: (how: string) => void; stopped: boolean }[] = [];
  failures = 0;

  async start(): Promise<Run> {
    if (this.failures > 0) {
      this.failures -= 1;
      throw new Error('cannot start');
    }
    let end: (how: string) => void = () => {};
    const ended = new Promise<string>((resolve) => (end = resolve));
    const run = { end, stopped: false };
    this.runs.push(run);
    return {
      ended,
      async stop() {
        run.stopped = true;
        end('stopped');
      },
    };
  }
}

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** A part that takes as long to start as a test likes, unless it is asked to give up. */
class SlowPart implements SupervisedPart {
  readonly name = 'slow';
  asked = 0;
  stopped = 0;
  ready: () => void = () => {};
  end: (how: string) => void = () => {};
  givesUp = false;

  start(abort: AbortSignal): Promise<Run> {
    this.asked += 1;
    return new Promise((resolve, reject) => {
      const ended = new Promise<string>((settle) => (this.end = settle));
      const stop = async () => {
        this.stopped += 1;
        this.end('stopped');
      };
      this.ready = () => resolve({ ended, stop });
      abort.addEventListener('abort', () => {
        if (this.givesUp) reject(new Error('gave up'));
      });
    });
  }
}

describe('a part that is stopped while it starts', () => {
  it('does not stay behind when it gets ready after all', async () => {
    const part = new SlowPart();
    const supervisor = new Supervisor(part, silentLog);
    const started = supervisor.start();
    const stopped = supervisor.stop();
    part.ready();
    await Promise.all([started, stopped]);
    expect([part.asked, part.stopped]).toEqual([1, 1]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(part.asked).toBe(1);
  });
  it('is asked to give up, and is not waited for for ever', async () => {
    const part = new SlowPart();
    part.givesUp = true;
    const supervisor = new Supervisor(part, silentLog);
    const started = supervisor.start();
    const stopped = supervisor.stop();
    await expect(started).rejects.toThrow('gave up');
    await stopped;
  });
  it('is asked to give up in a restart too', async () => {
    const part = new SlowPart();
    part.givesUp = true;
    const supervisor = new Supervisor(part, silentLog);
    const started = supervisor.start();
    part.ready();
    await started;
    part.end('crash');
    await vi.advanceTimersByTimeAsync(100);
    expect(part.asked).toBe(2);
    await supervisor.stop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(part.asked).toBe(2);
  });
});

describe('a supervised part', () => {
  it('is started again when it ends', async () => {
    const part = new FakePart();
    const supervisor = new Supervisor(part, silentLog);
    await supervisor.start();
    part.runs[0]?.end('SIGKILL');
    await vi.advanceTimersByTimeAsync(100);
    expect(part.runs).toHaveLength(2);
    await supervisor.stop();
    expect(part.runs[1]?.stopped).toBe(true);
  });
  it('fails loudly when it cannot start the first time', async () => {
    const part = new FakePart();
    part.failures = 1;
    await expect(new Supervisor(part, silentLog).start()).rejects.toThrow('cannot start');
  });
  it('waits twice as long after each failure, and at most five seconds', async () => {
    const part = new FakePart();
    const supervisor = new Supervisor(part, silentLog);
    await supervisor.start();
    part.failures = 20;
    part.runs[0]?.end('crash');
    const pauses = [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000];
    for (const [index, pause] of pauses.entries()) {
      await vi.advanceTimersByTimeAsync(pause - 1);
      expect(part.failures).toBe(20 - index);
      await vi.advanceTimersByTimeAsync(1);
      expect(part.failures).toBe(19 - index);
    }
    await supervisor.stop();
  });
  it('stays down once it was stopped, also in the middle of a pause', async () => {
    const part = new FakePart();
    const supervisor = new Supervisor(part, silentLog);
    await supervisor.start();
    part.runs[0]?.end('crash');
    await vi.advanceTimersByTimeAsync(50);
    await supervisor.stop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(part.runs).toHaveLength(1);
  });
});
