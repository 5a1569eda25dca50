/** A coturn that publishes what it counts in a Redis, for the conformance suite. */
import { setMaxListeners } from 'node:events';
import { gradeOf, sourceSettings } from '../../../collector/sources/source-settings.ts';
import { RedisListener } from '../../../collector/sources/redis-listener.ts';
import type { Subscriber } from '../../../collector/sources/redis-listener.ts';
import { silentLog } from '../../../kernel/log.ts';
import type { SourceParts, SourceScene, SourceUnderTest } from '../../conformance/source.ts';

const GATHER = 1_000;

export const coturnRedisSource: SourceUnderTest = {
  kind: 'coturn-redis',
  grade: gradeOf(sourceSettings.parse({ kind: 'coturn-redis', name: 'any', url: 'redis://redis.test' })),
  names: { customId: 'alice' },
  isAsked: false,
  open: sceneOf,
};

/** A Redis that tells its subscriber what a test publishes, and may be away. */
class FakeRedis {
  isAway = false;
  #tell: ((message: string, channel: string) => void) | undefined;
  #fail: ((error: Error) => void) | undefined;

  client(): Subscriber {
    return {
      on: (_, listener) => (this.#fail = listener),
      connect: async () => {
        if (this.isAway) throw new Error('ECONNREFUSED');
      },
      pSubscribe: async (_, listener) => {
        this.#tell = listener;
      },
      destroy: () => {
        this.#tell = undefined;
      },
    };
  }

  publish(channel: string, message: string): void {
    this.#tell?.(message, channel);
  }

  end(): void {
    this.isAway = true;
    this.#fail?.(new Error('the socket was closed'));
  }
}

async function sceneOf({ clock, metrics, name, store }: SourceParts): Promise<SourceScene> {
  const redis = new FakeRedis();
  /** The listener's waits: each is over when the scene says so, and the next one says that it did what it had to. */
  let asleep: (() => void) | undefined;
  let onSleep: (() => void) | undefined;
  const isAsleep = () =>
    new Promise<void>((resolve) => {
      if (asleep !== undefined) resolve();
      else onSleep = resolve;
    });
  const wake = () => {
    const waking = asleep;
    asleep = undefined;
    waking?.();
  };
  const begin = () => {
    const listener = new RedisListener({
      settings: { name, app: 'demo', url: 'redis://redis.test' },
      reader: store,
      writer: store,
      clock,
      log: silentLog,
      metrics,
      client: () => redis.client(),
      sleep: (_, signal) =>
        new Promise<void>((resolve) => {
          if (signal.aborted) resolve();
          signal.addEventListener('abort', () => resolve(), { once: true });
          setMaxListeners(0, signal);
          asleep = resolve;
          onSleep?.();
          onSleep = undefined;
        }),
    });
    listener.start();
    return listener;
  };
  let listener = begin();
  await isAsleep();

  const channel = (kind: string) => `turn/realm/r/user/1795220169:alice/allocation/001/${kind}`;
  const traffic = (bytes: number | string) => `rcvp=1, rcvb=1, sentp=1, sentb=${bytes}`;
  let inAllocation = 0;
  const beginAllocation = () => {
    inAllocation = 0;
    redis.publish(channel('status'), 'new lifetime=600, type=UDP');
  };
  beginAllocation();
  /** Once round: what was published is stored. */
  const gather = async () => {
    wake();
    await isAsleep();
  };
  const carry = async () => {
    clock.advance(GATHER);
    const bytes = 5_000 + (clock.now() % 997);
    inAllocation += bytes;
    redis.publish(channel('traffic'), traffic(bytes));
    await gather();
    return BigInt(bytes);
  };
  const nonsense = (kind: string, payload: string) => async () => {
    redis.publish(channel(kind), payload);
    await gather();
  };
  return {
    carry,
    // Ids of allocations begin anew with the process.
    restart: async () => beginAllocation(),
    disappear: async () => {
      redis.end();
      asleep = undefined;
      await isAsleep();
      redis.publish(channel('traffic'), traffic(7_000));
    },
    // What is published while nobody listens is gone.
    appear: async () => {
      redis.isAway = false;
      await gather();
      return carry();
    },
    // The sum at an allocation's end has in it what was told before.
    repeat: async () => {
      redis.publish(channel('total_traffic'), traffic(inAllocation));
      beginAllocation();
      await gather();
    },
    nonsense: {
      'nothing at all': nonsense('traffic', ''),
      'no number': nonsense('traffic', traffic('many')),
      'a negative number': nonsense('traffic', traffic(-1)),
      'another channel': nonsense('weather', traffic(9_000)),
      'the side of the peers': nonsense('traffic/peer', traffic(9_000)),
    },
    restartCollector: async () => {
      await listener.stop();
      asleep = undefined;
      listener = begin();
      await isAsleep();
    },
    close: () => listener.stop(),
  };
}
