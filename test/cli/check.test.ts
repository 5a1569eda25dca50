import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { conformanceText, isUsable, reachText } from '../../cli/check-report.ts';
import type { Reach } from '../../relay/client/reach.ts';
import { suite } from '../../relay/conformance/suite.ts';
import { ann, ben, startRelay } from '../relay/conformance/relay-under-test.ts';
import type { RelayUnderTest } from '../relay/conformance/relay-under-test.ts';

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const mine = { TURNPIKE_CHECK_USERNAME: ann.username, TURNPIKE_CHECK_CREDENTIAL: ann.credential };

let relay: RelayUnderTest;
let url: string;
beforeAll(async () => {
  relay = await startRelay(['127.0.0.0/8']);
  url = `turn:127.0.0.1:${relay.server.port}?transport=udp`;
});
afterAll(() => relay.close());

function check(args: readonly string[], env: Record<string, string> = {}) {
  return new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    const options = { env: { PATH: process.env['PATH'], ...env } };
    execFile(process.execPath, [main, 'check', ...args], options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

describe('turnpike check', () => {
  it('says in a table and a line that a relay can be used, and how well', async () => {
    const { code, stdout, stderr } = await check([url], mine);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^udp +127\.0\.0\.1:\d+ +127\.0\.0\.1:\d+ .* ms .* % +[\d.]+ of [\d.]+ Mbit\/s$/m);
    expect(stdout).toMatch(/^✓ udp: relays from 127\.0\.0\.1:\d+, measured through two allocations$/m);
    // No progress where nobody watches.
    expect(stderr).toBe('');
  });

  it('ends with 1 and a hint on a wrong credential, which it does not print', async () => {
    const { code, stdout, stderr } = await check([url, '--username', ann.username, '--credential', 'not-this-one']);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^✗ udp: allocate: refused with 401$/m);
    expect(stdout).toContain('does not accept this username');
    expect(stdout + stderr).not.toContain('not-this-one');
  });

  it('asks a stun: server for no more than Binding, and prints JSON', async () => {
    const { code, stdout } = await check([`stun:127.0.0.1:${relay.server.port}`, '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      ok: true,
      routes: [{ transport: 'udp', mapped: { address: '127.0.0.1' } }],
    });
  });

  it('checks conformance: a row for each check, and every protocol check passes', async () => {
    const second = { TURNPIKE_CHECK_OTHER_USERNAME: ben.username, TURNPIKE_CHECK_OTHER_CREDENTIAL: ben.credential };
    const { code, stdout } = await check([url, '--conformance', '--json', '--seed', 'one'], { ...mine, ...second });
    expect(code).toBe(0);
    const { seed, checks } = JSON.parse(stdout) as { seed: string; checks: { name: string; verdict: string }[] };
    expect(seed).toBe('one');
    expect(checks.map(({ name }) => name)).toEqual(suite.filter((one) => !one.slow).map(({ name }) => name));
    expect(checks.filter(({ verdict }) => verdict === 'fail')).toEqual([]);
    expect(stdout).not.toContain(ann.credential);
  });

  it.each([
    [['http://127.0.0.1'], {}, 'TP_CLI_USAGE'],
    [['turn:127.0.0.1', '--username', 'u'], {}, 'TP_CLI_USAGE'],
    [['turn:127.0.0.1', '--conformance'], {}, 'TP_CLI_USAGE'],
    [['stun:127.0.0.1', '--conformance'], mine, 'TP_CLI_USAGE'],
    [['turn:nowhere.invalid', '--conformance'], mine, 'TP_CLI_CHECK'],
  ])('answers %j with one clear line', async (args, env, expected) => {
    const { code, stderr } = await check(args, env);
    expect(code).toBeGreaterThan(0);
    expect(stderr).toContain(expected);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });

  it('does not print a table of failures for a credential that is not accepted', async () => {
    const { code, stdout, stderr } = await check([url, '--conformance'], {
      ...mine,
      TURNPIKE_CHECK_CREDENTIAL: 'wrong',
    });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('TP_CLI_CHECK: Allocate: refused with 401');
  });
});

describe('the reports of turnpike check', () => {
  const swallowing: Reach = {
    transport: 'udp',
    host: 'turn.example.org',
    port: 3478,
    address: '192.0.2.7',
    relayed: { address: '192.0.2.7', port: 50_000 },
    path: {
      through: 'two allocations',
      quality: {
        roundTrip: undefined,
        jitter: 0,
        lossPercent: 100,
        throughputMbps: 0,
        throughputLossPercent: 100,
        offeredMbps: 4.8,
        bytes: 908_600,
      },
    },
  };

  it('call a relay unusable that allocates and swallows what is sent', () => {
    expect(isUsable(swallowing)).toBe(false);
    expect(reachText([swallowing])).toContain('nothing sent through it (two allocations) comes back');
  });

  it('wrap long cells and count verdicts by class', () => {
    const result = {
      name: 'a-check',
      topic: 'data',
      section: 'RFC 8656 §11.2',
      expected: 'word '.repeat(40).trim(),
      got: 'no',
    } as const;
    const results = [
      { ...result, class: 'protocol', verdict: 'fail' },
      { ...result, class: 'security', verdict: 'fail' },
      { ...result, class: 'protocol', verdict: 'skip' },
    ] as const;
    const text = conformanceText(results, { url: 'turn:h', transport: 'udp', seed: 's' });
    expect(
      Math.max(
        ...text
          .split('\n')
          .slice(0, -2)
          .map((line) => line.length),
      ),
    ).toBeLessThan(130);
    expect(text).toContain('0 passed, 1 protocol and 1 security checks failed, 1 skipped.');
  });
});
