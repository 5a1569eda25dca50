/** Judges the core's commands by what its earlier ones imply, without looking into it. Throws AssertionError at the first that is wrong. */
import assert from 'node:assert/strict';
import type { Family, FiveTuple } from '../../../kernel/address.ts';
import type { Command } from '../../../relay/planes/plane.ts';

export const MAX_LIFETIME = 3_600_000;

export class Ledger {
  /** Opening and live, with the deadline last commanded. */
  readonly alive = new Map<string, { from: FiveTuple; family: Family; deadline: number }>();
  readonly gone = new Set<string>();
  /** Of what lives: permissions and channels with their deadlines. */
  readonly #permissions = new Map<string, Map<string, number>>();
  readonly #channels = new Map<string, Map<number, { peer: string; deadline: number }>>();
  readonly #most: number;
  draining = false;

  /** `most`: permissions, and channels, that an allocation may have. */
  constructor(most: number) {
    this.#most = most;
  }

  judge(commands: readonly Command[], now: number): void {
    for (const command of commands) this.#judge(command, now);
  }

  #judge(command: Command, now: number): void {
    const { allocation } = command;
    assert(allocation === undefined || !this.gone.has(allocation), 'nothing is said of an allocation that is gone');
    switch (command.type) {
      case 'open':
        return this.#opens(command, now);
      case 'close':
        assert(this.alive.has(command.allocation), 'only what is alive is closed');
        return this.end(command.allocation);
      case 'send':
        if (allocation !== undefined) this.#usable(allocation, now);
        return;
      case 'extend':
        assert(
          command.deadline > now && command.deadline <= now + MAX_LIFETIME,
          'extended within the longest lifetime',
        );
        this.#usable(command.allocation, now).deadline = command.deadline;
        return;
      case 'permit':
        assert.equal(command.deadline, now + 300_000, 'a permission lives 300 s');
        assert(!command.peer.startsWith('10.'), 'no denied peer is permitted');
        this.#permits(command, now);
        break;
      case 'bind':
        assert.equal(command.deadline, now + 600_000, 'a channel lives 600 s');
        assert(command.channel >= 0x4000 && command.channel <= 0x4fff, 'channel numbers are in range');
        this.#binds(command, now);
        break;
      case 'unbind':
        this.#channels.get(command.allocation)?.delete(command.channel);
        break;
      default:
    }
    this.#usable(command.allocation, now);
  }

  #permits({ allocation, peer, deadline }: Extract<Command, { type: 'permit' }>, now: number): void {
    const permissions = this.#permissions.get(allocation) ?? new Map<string, number>();
    this.#permissions.set(allocation, permissions.set(peer, deadline));
    const alive = [...permissions.values()].filter((until) => until > now);
    assert(alive.length <= this.#most, 'no more permissions than an allocation may have');
  }

  #binds({ allocation, channel, peer, deadline }: Extract<Command, { type: 'bind' }>, now: number): void {
    const channels = this.#channels.get(allocation) ?? new Map<number, { peer: string; deadline: number }>();
    const key = `${peer.address} ${peer.port}`;
    for (const [number, held] of channels) {
      const same = [number === channel, held.peer === key];
      assert(
        same[0] === same[1] || held.deadline + 300_000 <= now,
        'number and peer are one to one, and rest for 300 s',
      );
    }
    const from = this.alive.get(allocation)?.from;
    for (const [other, { from: tuple }] of this.alive) {
      const held = other === allocation || tuple !== from ? undefined : this.#channels.get(other)?.get(channel);
      assert(held === undefined || held.deadline + 300_000 <= now, 'a number is bound once for each five-tuple');
    }
    this.#channels.set(allocation, channels.set(channel, { peer: key, deadline }));
    const held = [...channels.values()].filter((other) => other.deadline + 300_000 > now);
    assert(held.length <= this.#most, 'no more channels than an allocation may have');
    const permitted = this.#permissions.get(allocation)?.get(peer.address);
    assert.equal(permitted, now + 300_000, 'a channel comes with its permission');
  }

  #opens(command: Extract<Command, { type: 'open' }>, now: number): void {
    for (const [id, { from, family }] of this.alive) {
      const isAnother = id === command.allocation || from !== command.client || family !== command.family;
      assert(isAnother, 'one allocation of each family for each five-tuple');
    }
    assert(!this.draining || this.alive.has(command.allocation), 'nothing new is opened while draining');
    assert(command.deadline > now && command.deadline <= now + MAX_LIFETIME, 'opened within the longest lifetime');
    assert(command.port >= 49152 && command.port <= 65535, 'ports are in range');
    if (command.holdNext !== undefined) {
      assert(command.port % 2 === 0 && command.port < 65535, 'of a pair the lower port is even');
      assert(command.holdNext > now, 'a port is held for a while');
    }
    const { client: from, family, deadline } = command;
    this.alive.set(command.allocation, { from, family, deadline });
  }

  #usable(id: string, now: number): { deadline: number } {
    const found = this.alive.get(id);
    assert(found !== undefined && found.deadline > now, 'nothing is granted to what is past its deadline');
    return found;
  }

  end(id: string): void {
    this.alive.delete(id);
    this.#permissions.delete(id);
    this.#channels.delete(id);
    this.gone.add(id);
  }
}
