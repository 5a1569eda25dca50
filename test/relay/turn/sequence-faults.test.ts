/** The sequences of test/conformance/sequences.ts put to the test: a core with one fault in it must not get through them. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FiveTuple } from '../../../kernel/address.ts';
import { createDgramPlane } from '../../../relay/planes/dgram/dgram-plane.ts';
import type { Command } from '../../../relay/planes/plane.ts';
import type { Instant } from '../../../relay/turn/authenticator.ts';
import { TurnCore } from '../../../relay/turn/core.ts';
import { play, sequence } from '../../conformance/sequences.ts';

type Commands = readonly Command[];

/** What the core commands on a request, spoilt. */
const faults: Readonly<Record<string, (commands: Commands, core: TurnCore) => Commands>> = {
  'lets a permission live a millisecond longer': (commands) =>
    commands.map((command) => (command.type === 'permit' ? { ...command, deadline: command.deadline + 1 } : command)),
  'lets a permission end a millisecond sooner': (commands) =>
    commands.map((command) => (command.type === 'permit' ? { ...command, deadline: command.deadline - 1 } : command)),
  'lets a channel live a second longer': (commands) =>
    commands.map((command) => (command.type === 'bind' ? { ...command, deadline: command.deadline + 1000 } : command)),
  'permits the first of several peers only': (commands) => {
    const first = commands.find(({ type }) => type === 'permit');
    return commands.filter((command) => command.type !== 'permit' || command === first);
  },
  'binds without a permission': (commands) =>
    commands.some(({ type }) => type === 'bind') ? commands.filter(({ type }) => type !== 'permit') : commands,
  'ends both families when one is given back': (commands, core) => {
    const close = commands.find(({ type }) => type === 'close');
    const answer = commands.find(({ type }) => type === 'send');
    if (close === undefined || answer?.type !== 'send') return commands;
    const others = [...core.allocations()].filter(({ fiveTuple }) => fiveTuple.client.port === answer.to.client.port);
    return [
      ...commands,
      ...others.map(({ id }): Command => ({ type: 'close', allocation: id, reason: 'refreshed_to_zero' })),
    ];
  },
  'takes back a channel with every permission': (commands) => {
    const permit = commands.find(({ type }) => type === 'permit');
    if (permit?.type !== 'permit' || commands.some(({ type }) => type === 'bind')) return commands;
    return [...commands, { type: 'unbind', allocation: permit.allocation, channel: 0x4000 }];
  },
};

describe('a core that', () => {
  it.each(Object.keys(faults))('%s does not get through', { timeout: 120_000 }, async (name) => {
    const spoil = faults[name];
    if (spoil === undefined) throw new Error(`no fault: ${name}`);
    const wrap = (core: TurnCore): TurnCore => {
      const handle = core.handleControl.bind(core);
      core.handleControl = (bytes: Uint8Array, from: FiveTuple, at: Instant) => spoil(handle(bytes, from, at), core);
      return core;
    };
    const property = fc.asyncProperty(sequence, (list) => play(createDgramPlane, list, wrap));
    const { failed } = await fc.check(property, { seed: 3, numRuns: 5000, endOnFailure: true });
    expect(failed).toBe(true);
  });
});
