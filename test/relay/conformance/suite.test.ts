import { createSocket } from 'node:dgram';
import { afterEach, describe, expect, it } from 'vitest';
import { pairChecks } from '../../../relay/conformance/pairs.ts';
import { suite } from '../../../relay/conformance/suite.ts';
import { hasIpv6 } from '../../conformance/stage.ts';
import { ann, ben, startRelay } from './relay-under-test.ts';
import type { RelayUnderTest } from './relay-under-test.ts';
import { examine, failures, quick, slow } from './server-under-test.ts';

const open: RelayUnderTest[] = [];
afterEach(async () => {
  for (const relay of open.splice(0)) await relay.close();
});

async function relay(...allow: string[]): Promise<RelayUnderTest> {
  const started = await startRelay(allow);
  open.push(started);
  return started;
}

describe('the conformance suite', () => {
  it('names every check once, and says what is expected and where it is written', () => {
    const names = suite.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBeGreaterThan(100);
    for (const { name, section, expected, transports } of suite) {
      expect(name).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
      expect(section).toMatch(/^(RFC (8489|8656) §\d+(\.\d+)*|practice)$/);
      expect(expected).not.toBe('');
      expect(transports.length).toBeGreaterThan(0);
    }
  });
});

describe('our relay', () => {
  it('passes every check with peers of its own', async () => {
    const { server } = await relay('127.0.0.0/8');
    const results = await examine(server, [ann, ben]);
    expect(failures(results)).toEqual([]);
    expect(results.filter(({ verdict }) => verdict === 'pass').length).toBeGreaterThan(100);
  });

  it.each(['tcp', 'tls'] as const)('passes every check over %s', async (transport) => {
    const { servers } = await relay('127.0.0.0/8');
    const results = await examine(servers[transport], [ann, ben], { transport });
    expect(failures(results)).toEqual([]);
    expect(results.filter(({ verdict }) => verdict === 'pass').length).toBeGreaterThan(90);
  });

  it.skipIf(!hasIpv6)(
    'gives addresses of both families, together and apart, and passes every check over IPv6',
    async () => {
      const { serverOverIpv6 } = await relay('127.0.0.0/8', '::1/128');
      if (serverOverIpv6 === undefined) throw new Error('there is no listener on ::1');
      const results = await examine(serverOverIpv6, [ann, ben]);
      expect(failures(results)).toEqual([]);
      const verdicts = new Map(results.map(({ name, verdict }) => [name, verdict]));
      for (const { name } of pairChecks) expect([name, verdicts.get(name)]).toEqual([name, 'pass']);
      expect(results.filter(({ verdict }) => verdict === 'pass').length).toBeGreaterThan(100);
    },
  );

  it('passes every check where the only peer is another allocation', async () => {
    const { server } = await relay();
    const results = await examine(server, [ann, ann]);
    // The second user is the same one here: what belongs to another user cannot be seen.
    expect(failures(results)).toEqual(['token-of-another-user: success', 'refresh-other-user: success']);
    const talked = ['send', 'data', 'channel-data-to-peer', 'channel-data-from-peer', 'permission-all-or-none'];
    const verdicts = results.filter(({ name }) => talked.includes(name)).map(({ verdict }) => verdict);
    expect(verdicts).toEqual(talked.map(() => 'pass'));
  });

  it('lets permissions, channels and allocations end when they must', async () => {
    const { server, clock } = await relay('127.0.0.0/8');
    const wait = async (milliseconds: number): Promise<void> => {
      clock.advance(milliseconds);
      // One turn of the relay's own timer.
      await new Promise((resolve) => {
        setTimeout(resolve, 60);
      });
    };
    const results = await examine(server, [ann, ben], { checks: slow, wait, together: 1 });
    expect(failures(results)).toEqual([]);
    expect(results.map(({ verdict }) => verdict)).toEqual(slow.map(() => 'pass'));
  });

  it('gives the same results in any number of checks at a time', async () => {
    const { server } = await relay('127.0.0.0/8');
    const few = quick.filter(({ topic }) => topic === 'authentication' || topic === 'channels');
    const one = await examine(server, [ann, ben], { checks: few, together: 1 });
    const many = await examine(server, [ann, ben], { checks: few, together: 8 });
    expect(many).toEqual(one);
  });

  it('skips what needs a second user where there is none', async () => {
    const { server } = await relay('127.0.0.0/8');
    const checks = quick.filter(({ name }) => name === 'refresh-other-user');
    const [result] = await examine(server, [ann, ben], { checks, other: undefined });
    expect(result).toMatchObject({ verdict: 'skip', got: 'needs the credentials of a second user' });
  });
});

describe('a server that is not there', () => {
  const pace = { patience: { rto: 50, giveUp: 120 }, grace: 5, repeat: 10, repeats: 2 };

  it('passes no check for want of an answer, where its port is closed', async () => {
    const gone = await startRelay([]);
    await gone.close();
    const results = await examine(gone.server, [ann, ben], { pace });
    expect(results.filter(({ verdict }) => verdict === 'pass')).toEqual([]);
  });

  it('passes no check for want of an answer, where its packets vanish', async () => {
    const hole = createSocket('udp4');
    await new Promise<void>((resolve) => hole.bind(0, '127.0.0.1', resolve));
    const results = await examine(hole.address(), [ann, ben], { pace, together: 16 });
    hole.close();
    expect(results.filter(({ verdict }) => verdict === 'pass')).toEqual([]);
  });
});
