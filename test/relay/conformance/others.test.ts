/**
 * The suite against servers that are not ours, so that the checker itself is checked: it must find exactly the protocol
 * deviations that each of them is known for. What its security checks find there is neither kept nor shown.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import type { Endpoint } from '../../../kernel/address.ts';
import { systemClock } from '../../../kernel/clock.ts';
import { systemRandom } from '../../../kernel/random.ts';
import { openDatagramLink } from '../../../relay/client/datagram-link.ts';
import { Requests } from '../../../relay/client/requests.ts';
import { systemTimer } from '../../../relay/client/timer.ts';
import { Transactions } from '../../../relay/client/transactions.ts';
import { requirePart } from '../../system-parts.ts';
import { ann, ben } from './relay-under-test.ts';
import { examine, protocolFailures } from './server-under-test.ts';

const HOST = '127.0.0.1';
const running: { process: ChildProcess; directory: string }[] = [];
afterEach(async () => {
  for (const { process: child, directory } of running.splice(0)) {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    rmSync(directory, { recursive: true, force: true });
  }
});

async function freePort(): Promise<number> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, HOST, resolve));
  const { port } = socket.address();
  socket.close();
  return port;
}

/** Starts a server and waits until it answers Binding. */
async function start(command: string, args: (port: number, directory: string) => readonly string[]): Promise<Endpoint> {
  const directory = mkdtempSync(join(tmpdir(), 'turnpike-other-'));
  const server = { address: HOST, port: await freePort() };
  const child = spawn(command, args(server.port, directory), {
    cwd: fileURLToPath(new URL('../../..', import.meta.url)),
    stdio: 'ignore',
  });
  running.push({ process: child, directory });
  const requests = new Requests(ann, systemRandom);
  await expect
    .poll(
      async () => {
        const link = await openDatagramLink(server);
        const transactions = new Transactions({ link, clock: systemClock, timer: systemTimer });
        const { type } = await transactions.ask(requests.binding(), { rto: 100, giveUp: 300 });
        transactions.close();
        return type;
      },
      { timeout: 15_000 },
    )
    .toBe('answer');
  return server;
}

/** Of coturn 4.6.1, as Debian 12 has it. */
const coturnDeviations = [
  'additional-family-ipv4',
  'additional-family-ipv6',
  'additional-family-with-reservation',
  'attribute-beyond-message',
  'channel-number-0x5000',
  'channel-without-allocation',
  'families-requested-and-additional',
  'method-of-indications-as-request',
  'permission-malformed-peer',
  'permission-without-allocation',
  'refresh-zero-ends',
  'refresh-zero-frees',
  'requested-transport-unknown',
  'token-unknown',
  'token-used-up',
  'unknown-method',
];

const nodeTurnDeviations = [
  'additional-family-ipv4',
  'additional-family-ipv6',
  'additional-family-with-reservation',
  'allocate-again-new-transaction',
  'allocate-again-retransmitted',
  'allocate-unknown-required-attribute',
  'attribute-beyond-message',
  'binding-unknown-optional-attribute',
  'binding-unknown-required-attribute',
  'channel-data-empty',
  'channel-data-padded',
  'channel-data-to-peer',
  'channel-data-unpadded',
  'channel-number-0x5000',
  'channel-other-family',
  'data',
  'data-empty',
  'error-sealed',
  'even-port',
  'even-port-reserved',
  'families-requested-and-additional',
  'family-ipv4',
  'family-ipv6',
  'family-unknown',
  'integrity-without-username',
  'length-not-of-four',
  'method-of-indications-as-request',
  'mismatch-before-attributes',
  'permission-all-or-none',
  'permission-malformed-peer',
  'permission-other-family',
  'refresh-lifetime-bounded',
  'refresh-other-family',
  'refresh-same-family',
  'response-unanswered',
  'token-unknown',
  'token-with-even-port',
  'token-with-family',
  'unknown-method',
];

const coturn = requirePart('coturn');
coturn.describe('coturn', () => {
  const users = [ann, ben].flatMap(({ username, credential }) => ['--user', `${username}:${credential}`]);
  const args = (port: number, directory: string): string[] => [
    ...users,
    ...'-n --lt-cred-mech --realm test --allow-loopback-peers --no-cli --no-dtls --no-tls --log-file stdout'.split(' '),
    ...`--listening-ip ${HOST} --relay-ip ${HOST} --listening-port ${port}`.split(' '),
    ...['pidfile', 'userdb'].flatMap((file) => [`--${file}`, join(directory, file)]),
  ];

  // The same program and the same server: the transport makes no difference to what it does.
  for (const transport of ['udp', 'tcp'] as const) {
    // The runner is in the gate, not here.
    // oxlint-disable-next-line vitest/consistent-test-it
    it(`deviates over ${transport} exactly as it is known to`, async () => {
      const server = await start(coturn.path('turnserver'), args);
      const results = await examine(server, [ann, ben], { transport });
      expect(protocolFailures(results).toSorted()).toEqual(coturnDeviations);
    }, 60_000);
  }
});

describe('node-turn', () => {
  const source = `
    const Turn = require('node-turn');
    const [port, ...users] = process.argv.slice(1);
    const credentials = Object.fromEntries(users.map((user) => user.split(':')));
    process.on('uncaughtException', () => undefined);
    new Turn({ authMech: 'long-term', credentials, listeningPort: Number(port), listeningIps: ['${HOST}'],
      relayIps: ['${HOST}'], minPort: 49152, maxPort: 65535, debugLevel: 'OFF' }).start();`;
  const users = [ann, ben].map(({ username, credential }) => `${username}:${credential}`);

  it('deviates exactly as it is known to', async () => {
    const server = await start(process.execPath, (port) => ['-e', source, '--', String(port), ...users]);
    // It leaves many requests without an answer: each of them is waited for.
    const pace = { patience: { rto: 400, giveUp: 1_500 }, grace: 60, repeat: 300, repeats: 3 };
    const results = await examine(server, [ann, ben], { pace, together: 8 });
    expect(protocolFailures(results).toSorted()).toEqual(nodeTurnDeviations);
  }, 90_000);
});
