/** The sequences of test/conformance/sequences.ts put to the test: a core with one fault in it must not get through them. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createDgramPlane } from '../../../relay/planes/dgram/dgram-plane.ts';
import type { Command } from '../../../relay/planes/plane.ts';
import { attributes } from '../../../relay/stun/attributes.ts';
import { decodeMessage } from '../../../relay/stun/message.ts';
import type { Instant } from '../../../relay/turn/authenticator.ts';
import type { TurnCore } from '../../../relay/turn/core.ts';
import { type Fault, play, sequence } from '../../conformance/sequences.ts';

type Commands = readonly Command[];

/** What the core commands on a request, spoilt. */
const commanding: Readonly<Record<string, (commands: Commands, core: TurnCore) => Commands>> = {
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
  'says 400 where there is no allocation': (commands) =>
    answering(commands, attributes.ERROR_CODE, (value) => {
      if (value[3] === 37) value[3] = 0;
    }),
  'seals its answers with another key': (commands) =>
    answering(commands, attributes.MESSAGE_INTEGRITY, (value) => value.fill(0)),
};

/** The same commands, with an attribute of each answer changed in place. */
function answering(commands: Commands, { type }: { type: number }, change: (value: Buffer) => void): Commands {
  return commands.map((command) => {
    if (command.type !== 'send') return command;
    const bytes = Buffer.from(command.bytes);
    const decoded = decodeMessage(bytes);
    const found = decoded.ok ? decoded.message.find(type) : undefined;
    if (found !== undefined) change(bytes.subarray(found.at, found.at + found.length));
    return { ...command, bytes };
  });
}

/** When the core believes a request to have come. */
const dating: Readonly<Record<string, (at: Instant) => Instant>> = {
  'takes nonces and credentials a second after their end': ({ now, monotonic }) => ({ now: now - 1000, monotonic }),
  'lets allocations live a second longer': ({ now, monotonic }) => ({ now, monotonic: monotonic + 1000 }),
};

const faults: Readonly<Record<string, Fault>> = Object.fromEntries([
  ...Object.entries(commanding).map(([name, spoil]) => [
    name,
    handling((handle, core) => (bytes, from, at) => spoil(handle(bytes, from, at), core)),
  ]),
  ...Object.entries(dating).map(([name, misread]) => [
    name,
    handling((handle) => (bytes, from, at) => handle(bytes, from, misread(at))),
  ]),
]);

type Handle = TurnCore['handleControl'];

function handling(spoil: (handle: Handle, core: TurnCore) => Handle): Fault {
  return (core) => {
    core.handleControl = spoil(core.handleControl.bind(core), core);
    return core;
  };
}

describe('a core that', () => {
  it.each(Object.keys(faults))('%s does not get through', { timeout: 120_000 }, async (name) => {
    const property = fc.asyncProperty(sequence, (list) => play(createDgramPlane, list, faults[name]));
    const { failed } = await fc.check(property, { seed: 3, numRuns: 5000, endOnFailure: true });
    expect(failed).toBe(true);
  });
});
