/** A core that is written down and read back answers every further conversation as the one that was never stopped. */
import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ZodError } from 'zod';
import type { FiveTuple } from '../../../kernel/address.ts';
import { type Random, seededRandom } from '../../../kernel/random.ts';
import type { AllocationId, CloseReason, Command, PlaneEvent } from '../../../relay/planes/plane.ts';
import type { Instant } from '../../../relay/turn/authenticator.ts';
import { TurnCore } from '../../../relay/turn/core.ts';
import type { TurnOptions } from '../../../relay/turn/settings.ts';
import { endpoint } from '../turn-client.ts';
import { Bench, tuple } from './bench.ts';
import { Conversation, drain, type Step, steps } from './conversation.ts';

/** Randomness that two cores can go on with from the same place. */
class Tape implements Random {
  #position: number;
  constructor(position = 0) {
    this.#position = position;
  }
  bytes(length: number): Buffer {
    this.#position += 1;
    return seededRandom(`tape ${this.#position}`).bytes(length);
  }
  /** For a core that is about to be made: its first draw is for itself alone. */
  fork(): Tape {
    return new Tape(this.#position - 1);
  }
}

const written = (core: TurnCore, at: Instant): unknown => JSON.parse(JSON.stringify(core.snapshot(at)));

/** A core with a twin that was restored from it, on a monotonic clock of another beginning. What one commands, both must. */
class TwinCore extends TurnCore {
  readonly #options: TurnOptions;
  readonly #tape: Tape;
  #twin: { readonly core: TurnCore; readonly ahead: number } | undefined;

  constructor(options: TurnOptions, tape: Tape) {
    super({ ...options, random: tape });
    this.#options = options;
    this.#tape = tape;
  }

  writtenAndReadBack(at: Instant, ahead: number): void {
    const { nonceKey: _, observer: _observer, ...options } = this.#options;
    const later = { now: at.now, monotonic: at.monotonic + ahead };
    const core = TurnCore.restore({ ...options, random: this.#tape.fork() }, written(this, at), later);
    this.#twin = { core, ahead };
    assert.deepEqual(core.entries, this.entries);
    assert.deepEqual(core.snapshot(later), this.snapshot(at));
  }

  override handleControl(bytes: Uint8Array, from: FiveTuple, at: Instant): readonly Command[] {
    return this.#both(super.handleControl(bytes, from, at), at, (core, then) => core.handleControl(bytes, from, then));
  }
  override handleEvent(event: PlaneEvent, at: Instant): readonly Command[] {
    // Control comes back through handleControl.
    if (event.type === 'control') return super.handleEvent(event, at);
    return this.#both(super.handleEvent(event, at), at, (core, then) => core.handleEvent(event, then));
  }
  override expire(at: Instant): readonly Command[] {
    return this.#both(super.expire(at), at, (core, then) => core.expire(then));
  }
  override close(id: AllocationId, reason: CloseReason): readonly Command[] {
    return this.#both(super.close(id, reason), undefined, (core) => core.close(id, reason));
  }
  override drain(): void {
    super.drain();
    this.#twin?.core.drain();
  }

  #both(
    mine: readonly Command[],
    at: Instant | undefined,
    ask: (core: TurnCore, then: Instant) => readonly Command[],
  ): readonly Command[] {
    if (this.#twin === undefined) return mine;
    const { core, ahead } = this.#twin;
    const theirs = ask(core, { now: at?.now ?? 0, monotonic: (at?.monotonic ?? 0) + ahead });
    const back = theirs.map((command) => ({
      ...command,
      ...('deadline' in command ? { deadline: command.deadline - ahead } : {}),
      ...('holdNext' in command ? { holdNext: command.holdNext - ahead } : {}),
    }));
    assert.deepEqual(sorted(back), sorted(mine));
    assert.deepEqual(core.entries, this.entries);
    return mine;
  }
}

/** Allocations that come due at one moment are ended in no particular order. */
function sorted(commands: readonly Command[]): Command[] {
  if (!commands.every(({ type }) => type === 'close')) return [...commands];
  return commands.toSorted((one, other) => String(one.allocation).localeCompare(String(other.allocation)));
}

const readBack = (ahead: number): Step => {
  return (talk) => {
    if (talk.bench.core instanceof TwinCore) talk.bench.core.writtenAndReadBack(talk.bench.at(), ahead);
  };
};

describe('the state of a core, written down and read back', () => {
  it('decides what every further conversation decides', () => {
    const conversation = fc.array(fc.oneof(...steps), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(
        conversation,
        conversation,
        fc.constantFrom(0, 1_000, -5_000, 1e9),
        fc.constantFrom<'keep' | 'disconnect'>('keep', 'disconnect'),
        fc.boolean(),
        (before, after, ahead, onExpiry, draining) => {
          const talk = new Conversation({ onExpiry }, (options) => new TwinCore(options, new Tape()));
          for (const step of before) step(talk);
          if (draining) drain(talk);
          readBack(ahead)(talk);
          for (const step of after) step(talk);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('ends what came due while nobody ran, and keeps the rest to the second', () => {
    const bench = new Bench();
    bench.allocated('alice', tuple('198.51.100.7:1'));
    const { client, id } = bench.allocated('bob', tuple('198.51.100.7:2'));
    bench.send(client.refresh(3600), tuple('198.51.100.7:2'));
    const snapshot = written(bench.core, bench.at());
    bench.clock.advance(600_000);
    const at = { now: bench.clock.now(), monotonic: 17 };
    const restored = TurnCore.restore(bench.options, snapshot, at);
    expect(restored.expire(at)).toMatchObject([{ type: 'close', reason: 'expired' }]);
    expect([...restored.allocations()].map((allocation) => allocation.id)).toEqual([id]);
    expect(restored.nextDeadline()).toBe(17 + 3_000_000);
  });

  it('does not live longer for a wall clock that was put back', () => {
    const bench = new Bench();
    bench.allocated();
    const snapshot = written(bench.core, bench.at());
    const at = { now: bench.clock.now() - 86_400_000, monotonic: 5 };
    expect(TurnCore.restore(bench.options, snapshot, at).nextDeadline()).toBe(5 + 600_000);
  });

  it('lets a new allocation have peers at once, on a clock that begins below zero', () => {
    const bench = new Bench();
    const snapshot = written(bench.core, bench.at());
    const at = { now: bench.clock.now(), monotonic: -5_000 };
    const restored = TurnCore.restore(bench.options, snapshot, at);
    const client = bench.client('alice');
    const [open] = restored.handleControl(client.allocate(), tuple(), at);
    if (open?.type !== 'open') throw new Error('no allocation');
    restored.handleEvent({ type: 'opened', allocation: open.allocation, relayed: endpoint('192.0.2.1:50000') }, at);
    const commands = restored.handleControl(client.channelBind(0x4003, endpoint('203.0.113.9:5000')), tuple(), at);
    expect(commands.map(({ type }) => type)).toEqual(['permit', 'bind', 'send']);
  });

  it('has keys but no password in it, and nonces that are still good', () => {
    const bench = new Bench();
    bench.accounts.set('alice', { passwords: ['a password to look for'], limits: { bytes: 2n ** 63n } });
    const { client, id } = bench.allocated();
    bench.send(client.channelBind(0x4000, endpoint('203.0.113.9:5000')));
    const snapshot = written(bench.core, bench.at());
    expect(JSON.stringify(snapshot)).not.toContain('look for');
    const restored = TurnCore.restore(bench.options, snapshot, bench.at());
    expect(restored.allocation(id)?.claims.limits.bytes).toBe(2n ** 63n);
    const [answer] = restored.handleControl(client.createPermission([endpoint('203.0.113.9:1')]), tuple(), bench.at());
    expect(answer?.type).toBe('permit');
  });

  it('is refused when it has not the shape of one', () => {
    const bench = new Bench();
    const snapshot = bench.core.snapshot(bench.at());
    for (const wrong of [{}, undefined, { ...snapshot, version: 1 }, { ...snapshot, more: 1 }]) {
      expect(() => TurnCore.restore(bench.options, wrong, bench.at())).toThrow(ZodError);
    }
  });
});
