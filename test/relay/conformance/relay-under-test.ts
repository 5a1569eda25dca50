/** Our relay on loopback, as small as it gets: core, datagram plane and one timer, on a clock that a test may move on. */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { parseCidr } from '../../../kernel/address.ts';
import type { Endpoint, Transport } from '../../../kernel/address.ts';
import type { Clock } from '../../../kernel/clock.ts';
import { systemClock } from '../../../kernel/clock.ts';
import { systemRandom } from '../../../kernel/random.ts';
import type { Credentials } from '../../../relay/client/requests.ts';
import { createDgramPlane } from '../../../relay/planes/dgram/dgram-plane.ts';
import { TlsIdentity } from '../../../relay/planes/stream/tls-identity.ts';
import { createPeerPolicy } from '../../../relay/policy/peer-policy.ts';
import { hasIpv6 } from '../../conformance/stage.ts';
import { TurnCore } from '../../../relay/turn/core.ts';

const HOST = '127.0.0.1';
const HOST_6 = '::1';
const vector = (name: string) => readFileSync(new URL(`../../vectors/tls/${name}`, import.meta.url));

export const ann: Credentials = { username: 'ann', credential: 'a password of ann' };
export const ben: Credentials = { username: 'ben', credential: 'a password of ben' };

/** The system's clock, moved on by hand. */
export class ShiftedClock implements Clock {
  #shift = 0;
  now(): number {
    return systemClock.now() + this.#shift;
  }
  monotonic(): number {
    return systemClock.monotonic() + this.#shift;
  }
  advance(milliseconds: number): void {
    this.#shift += milliseconds;
  }
}

/**
 * A UDP port below those that the system gives away: what the relay listens on at one address, no peer may be at any other,
 * and a peer of a test may have any port that the system gives it.
 */
async function quietPort(address: string): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 30_000);
    const socket = createSocket('udp6');
    const isFree = await new Promise<boolean>((resolve) => {
      socket.once('error', () => resolve(false));
      socket.bind(port, address, () => resolve(true));
    });
    socket.close();
    if (isFree) return port;
  }
}

export interface RelayUnderTest {
  /** Over UDP. */
  readonly server: Endpoint;
  /** Each of its listeners. */
  readonly servers: Readonly<Record<Transport, Endpoint>>;
  /** Over UDP and IPv6, where there is a `::1`. */
  readonly serverOverIpv6: Endpoint | undefined;
  readonly clock: ShiftedClock;
  close(): Promise<void>;
}

/** `allow`: ranges for which the peer policy is lifted. */
export async function startRelay(
  allow: readonly string[],
  { hairpin = 'app', ...limits }: { hairpin?: 'app' | 'none'; allocationsPerUser?: number } = {},
): Promise<RelayUnderTest> {
  const clock = new ShiftedClock();
  const policy = createPeerPolicy({
    ownAddresses: [HOST, HOST_6],
    allow: allow.flatMap((range) => parseCidr(range) ?? []),
    sfuRanges: [],
    hairpin,
  });
  const plane = createDgramPlane(
    {
      listen: [
        ...(['udp', 'tcp', 'tls'] as const).map((transport) => ({ transport, address: HOST, port: 0 })),
        ...(hasIpv6 ? [{ transport: 'udp', address: HOST_6, port: await quietPort(HOST_6) } as const] : []),
      ],
      tls: new TlsIdentity({ certificate: vector('first.certificate.pem'), key: vector('first.key.pem') }),
      relayAddress: hasIpv6 ? { 4: HOST, 6: HOST_6 } : { 4: HOST },
      policy,
      portQuarantine: 60_000,
      socketBufferBytes: 1 << 20,
    },
    { clock, random: systemRandom },
  );
  const passwords = new Map([ann, ben].map(({ username, credential }) => [username, credential]));
  const core = new TurnCore({
    ...limits,
    realm: 'test',
    nonceKey: systemRandom.bytes(32),
    policy,
    random: systemRandom,
    // Outside the range from which the system gives peers their ports: one of them in quarantine would be denied.
    relayPorts: { first: 61_000, last: 65_535 },
    families: hasIpv6 ? [4, 6] : [4],
    authenticator: {
      lookup: (username) => {
        const password = passwords.get(username);
        if (password === undefined) return { ok: false, reason: 'unknown' };
        const claims = { customId: username, call: '', participant: '', limits: {} };
        return {
          ok: true,
          app: 'test',
          keyId: 'main',
          passwords: [password],
          claims,
          expiresAt: Number.MAX_SAFE_INTEGER,
        };
      },
    },
  });
  const instant = (): { now: number; monotonic: number } => ({ now: clock.now(), monotonic: clock.monotonic() });
  await plane.start((event) => {
    for (const command of core.handleEvent(event, instant())) plane.apply(command);
  });
  const timer = setInterval(() => {
    for (const command of core.expire(instant())) plane.apply(command);
    plane.tick();
  }, 50);
  const listening = plane.listening();
  const servers = Object.fromEntries(
    listening
      .filter(({ address }) => address === HOST)
      .map(({ transport, address, port }) => [transport, { address, port }]),
  ) as Record<Transport, Endpoint>;
  return {
    server: servers.udp,
    servers,
    serverOverIpv6: listening.find(({ address }) => address === HOST_6),
    clock,
    close: async () => {
      clearInterval(timer);
      await plane.close();
    },
  };
}
