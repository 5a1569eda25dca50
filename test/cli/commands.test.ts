import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createProgram } from '../../cli/program.ts';

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'turnpike-cli-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function turnpike(args: string[], env: Record<string, string> = {}): Promise<Outcome> {
  return new Promise((resolve) => {
    const options = { cwd: directory, env: { PATH: process.env['PATH'], ...env } };
    execFile(process.execPath, [main, ...args], options, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : 1, stdout, stderr });
    });
  });
}

describe('the command line', () => {
  it('explains each command with --help', async () => {
    for (const command of createProgram().commands) {
      const { code, stdout } = await turnpike([command.name(), '--help']);
      expect(code).toBe(0);
      expect(stdout).toContain(command.description());
    }
  });
  it.each([
    [['statement', '2026-13'], 'TP_BILLING_PERIOD'],
    [['statement', 'november'], 'TP_BILLING_PERIOD'],
    [['usage', '2026-13'], 'TP_BILLING_PERIOD'],
    [['statement', '2026-11', '--rate-card', 'nobody'], 'TP_BILLING_RATE_CARD'],
    [['mos', '--model', 'g107', '--param', 'Ppl'], 'TP_CLI_USAGE'],
    [['mos', '--model', 'g107', '--param', 'Loss=5'], 'TP_BILLING_PARAMETER'],
    [['credentials', '--key', 'main'], 'TP_KERNEL_CONFIG'],
    [['up', '--turn-port', '99999'], 'turn.port'],
    [['up', '--config', 'absent.yaml'], 'absent.yaml'],
    [['mos', '--model', 'pesq'], 'Allowed choices'],
    [['fly'], 'unknown command'],
    [['up', '--fast'], 'unknown option'],
  ])('answers %j with one clear line and a non-zero code', async (args, expected) => {
    const { code, stderr } = await turnpike(args);
    expect(code).toBeGreaterThan(0);
    expect(stderr).toContain(expected);
    expect(stderr).not.toMatch(/^\s+at /m);
  });
  it('reports all configuration faults at once, and starts nothing', async () => {
    const { code, stderr } = await turnpike(['up'], {
      TURNPIKE_HTTP_PORT: 'x',
      TURNPIKE_TURN_HAIRPIN: 'maybe',
      TURNPIKE_TYPO: '1',
    });
    expect(code).toBeGreaterThan(0);
    for (const path of ['http.port', 'turn.hairpin', 'TURNPIKE_TYPO']) expect(stderr).toContain(path);
  });
});

describe('the listeners of the relay', () => {
  it.each([
    ['turn.externalIp', { TURNPIKE_TURN_HOST: '0.0.0.0' }],
    ['turn.externalIp', { TURNPIKE_TURN_HOSTS: '::', TURNPIKE_TURN_EXTERNAL_IP: '203.0.113.5' }],
    ['turn.externalIp', { TURNPIKE_TURN_EXTERNAL_IP: '2001:db8::7' }],
    ['turn.tls.keyFile', { TURNPIKE_TURN_TLS_CERT_FILE: 'a' }],
    [
      'turn.tls.port',
      { TURNPIKE_TURN_TLS_CERT_FILE: 'a', TURNPIKE_TURN_TLS_KEY_FILE: 'b', TURNPIKE_TURN_PORT: '5349' },
    ],
  ])('are refused with the fault at %s: %o', async (path, env) => {
    const { code, stderr } = await turnpike(['up'], env);
    expect(code).toBeGreaterThan(0);
    expect(stderr).toContain(`1 fault(s):\n  ${path}: must`);
  });
});

describe('turnpike credentials', () => {
  const env = { TURNPIKE_KEY_SECRET: 'a secret of sixteen', TURNPIKE_KEY_ID: 'web' };
  it('prints ICE servers as a client takes them', async () => {
    const { code, stdout } = await turnpike(['credentials', '--key', 'web', '--ttl', '60', '--id', 'customer 7'], env);
    expect(code).toBe(0);
    const { iceServers } = JSON.parse(stdout) as { iceServers: { urls: string[]; username?: string }[] };
    expect(iceServers.flatMap((server) => server.urls)).toEqual([
      'stun:127.0.0.1:3478',
      'turn:127.0.0.1:3478?transport=udp',
      'turn:127.0.0.1:3478?transport=tcp',
    ]);
    expect(stdout).not.toContain('customer 7');
  });
  it('lists every listener in the order of preference, TLS where there is a certificate', async () => {
    const { stdout } = await turnpike(['credentials', '--key', 'web', '--turn-tls-port', '443'], {
      ...env,
      TURNPIKE_TURN_HOST: '0.0.0.0',
      TURNPIKE_TURN_HOSTS: '2001:DB8::7',
      TURNPIKE_TURN_EXTERNAL_IP: '203.0.113.5',
      TURNPIKE_TURN_TLS_CERT_FILE: 'certificate.pem',
      TURNPIKE_TURN_TLS_KEY_FILE: 'key.pem',
    });
    const { iceServers } = JSON.parse(stdout) as { iceServers: { urls: string[] }[] };
    expect(iceServers.flatMap((server) => server.urls)).toEqual([
      'stun:203.0.113.5:3478',
      'stun:[2001:db8::7]:3478',
      'turn:203.0.113.5:3478?transport=udp',
      'turn:[2001:db8::7]:3478?transport=udp',
      'turn:203.0.113.5:3478?transport=tcp',
      'turn:[2001:db8::7]:3478?transport=tcp',
      'turns:203.0.113.5:443?transport=tcp',
      'turns:[2001:db8::7]:443?transport=tcp',
    ]);
  });
  it('knows no other key, and no ttl beyond 48 hours', async () => {
    expect((await turnpike(['credentials', '--key', 'other'], env)).stderr).toContain('TP_RELAY_KEY');
    expect((await turnpike(['credentials', '--key', 'web', '--ttl', '172801'], env)).stderr).toContain('ttl');
  });
});

describe('turnpike mos', () => {
  it('prints the figure and everything that went into it', async () => {
    const { stdout } = await turnpike([
      'mos',
      '--model',
      'g107.2',
      '--codec',
      'opus',
      '--param',
      'Ppl=2',
      '--param',
      'Ta=150',
    ]);
    expect(stdout).toMatch(/^MOS 3\.\d{3} {3}R \d\d\.\d\d {3}model g107\.2/);
    expect(stdout).toMatch(/^Ta +150 +ms +given$/m);
  });
  it('prints the same as JSON', async () => {
    const { stdout } = await turnpike(['mos', '--model', 'g107', '--json']);
    expect(JSON.parse(stdout)).toMatchObject({ model: 'g107', mos: expect.closeTo(4.4094, 3) as number });
  });
});
