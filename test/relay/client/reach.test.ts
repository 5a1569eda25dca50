import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import type { Endpoint } from '../../../kernel/address.ts';
import { systemClock } from '../../../kernel/clock.ts';
import { systemRandom } from '../../../kernel/random.ts';
import { hintOf, reach } from '../../../relay/client/reach.ts';
import type { Credentials } from '../../../relay/client/requests.ts';
import type { Transport } from '../../../relay/client/server-url.ts';
import { systemTimer } from '../../../relay/client/timer.ts';
import { ann, startRelay } from '../conformance/relay-under-test.ts';

const open: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

async function relay(...options: Parameters<typeof startRelay>): Promise<Endpoint> {
  const started = await startRelay(...options);
  open.push(() => started.close());
  return started.server;
}

function reached({ address, port }: Endpoint, credentials: Credentials | undefined, transport: Transport = 'udp') {
  return reach(
    { transport, host: address, port },
    { credentials, relays: true, clock: systemClock, timer: systemTimer, random: systemRandom, insecure: false },
  );
}

describe('reaching a relay', () => {
  it('finds the address, the allocation and the path between two allocations', async () => {
    const found = await reached(await relay([]), ann);
    expect(found.failure).toBeUndefined();
    expect(found.mapped?.address).toBe('127.0.0.1');
    expect(found.relayed?.address).toBe('127.0.0.1');
    expect(found.path).toMatchObject({ through: 'two allocations', quality: { bytes: 908_600 } });
  });

  it('measures to a socket of its own where it may have no second allocation', async () => {
    const found = await reached(await relay(['127.0.0.0/8'], { allocationsPerUser: 1 }), ann);
    expect(found.path).toMatchObject({ through: 'an allocation and a socket', quality: { bytes: 908_600 } });
  });

  it('says why nothing could be measured, which is no failure', async () => {
    const found = await reached(await relay([], { hairpin: 'none' }), ann);
    expect(found.path).toMatchObject({ through: 'nothing' });
    expect(found.path).toMatchObject({
      why: 'to another allocation: refused with 403; to this host: refused with 403',
    });
    expect(found.failure).toBeUndefined();
  });

  it('tells a wrong credential from none at all', async () => {
    const server = await relay([]);
    const wrong = await reached(server, { ...ann, credential: 'not this one' });
    expect(wrong.failure).toMatchObject({ stage: 'allocate', what: 'refused with 401' });
    expect(wrong.failure?.hint).toContain('wrong, expired');
    const none = await reached(server, undefined);
    expect(none.failure?.hint).toContain('--username');
    expect(none.mapped).toBeDefined();
  });

  it('says that nobody listens, over UDP and over TCP', async () => {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    const gone = socket.address();
    socket.close();
    expect((await reached(gone, ann)).failure).toMatchObject({ stage: 'binding', what: 'nobody listens there' });
    const overTcp = await reached(gone, ann, 'tcp');
    expect(overTcp.failure?.stage).toBe('connect');
    expect(overTcp.failure?.hint).toContain('does not offer this transport');
  });

  it('says that something else than TURN listens', async () => {
    const server = createServer((socket) => socket.end('220 mail.example.org\r\n'));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    open.push(() => void server.close());
    const found = await reached({ address: '127.0.0.1', port: (server.address() as AddressInfo).port }, ann, 'tcp');
    expect(found.failure?.stage).toBe('binding');
    const overTls = await reached({ address: '127.0.0.1', port: (server.address() as AddressInfo).port }, ann, 'tls');
    expect(overTls.failure).toMatchObject({ stage: 'connect' });
    expect(overTls.failure?.hint).toContain('TLS handshake');
  });

  it('says that a name has no address', async () => {
    const found = await reached({ address: 'nowhere.invalid', port: 3478 }, ann);
    expect(found.failure).toMatchObject({ stage: 'resolve' });
  });

  it.each([
    [401, 'does not accept'],
    [403, 'policy'],
    [437, 'still holds'],
    [438, 'stale'],
    [486, 'quota'],
    [508, 'no relay port'],
    [300, 'another one'],
  ])('has a hint for %i', (code, words) => {
    expect(hintOf({ type: 'refused', code, again: false }, 'udp', true)).toContain(words);
  });

  it('suspects a firewall where nothing comes back', () => {
    expect(hintOf({ type: 'silence' }, 'udp', true)).toContain('firewall');
  });
});
