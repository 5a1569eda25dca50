/**
 * Whether and how well a client here is served by a STUN or TURN server over one transport: the link, a Binding, an allocation,
 * and what happens to packets through it.
 */
import type { Endpoint } from '../../kernel/address.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { Random } from '../../kernel/random.ts';
import { LinkError, type LinkOptions } from './link.ts';
import { openLink, resolveRoute } from './open-link.ts';
import { measurePath, type PathEnds, type PathQuality } from './path.ts';
import type { Credentials } from './requests.ts';
import type { Route, Transport } from './server-url.ts';
import type { Timer } from './timer.ts';
import { type Failure, type Result, tellFailure, TurnClient } from './turn-client.ts';
import { openReceiver } from './udp-receiver.ts';

export type Stage = 'resolve' | 'connect' | 'binding' | 'allocate';

export interface Reach {
  readonly transport: Transport;
  readonly host: string;
  readonly port: number;
  /** The server's, once its name is resolved. */
  readonly address?: string;
  /** Milliseconds until the link was there: 0 over UDP. */
  readonly connectMs?: number;
  /** How the server sees this host. */
  readonly mapped?: Endpoint;
  /** Milliseconds of one Binding. */
  readonly bindingMs?: number;
  readonly relayed?: Endpoint;
  /** Milliseconds from nothing to an allocation: what a call waits. */
  readonly allocateMs?: number;
  readonly path?: Path;
  /** The first thing that failed; absent when all that was asked for worked. */
  readonly failure?: { readonly stage: Stage; readonly what: string; readonly hint: string };
}

export type Path =
  | { readonly through: 'two allocations' | 'an allocation and a socket'; readonly quality: PathQuality }
  | { readonly through: 'nothing'; readonly why: string; readonly hint: string };

export interface ReachOptions {
  /** Undefined: Binding only. */
  readonly credentials: Credentials | undefined;
  /** Whether there is to be an allocation. */
  readonly relays: boolean;
  readonly clock: Clock;
  readonly timer: Timer;
  readonly random: Random;
  readonly insecure: boolean;
  /** In few words, what is going on. */
  readonly onProgress?: (text: string) => void;
}

/** Milliseconds for a connection. */
const CONNECT_WITHIN = 5_000;
const CHANNEL = 0x4000;
const NOBODY: Credentials = { username: '', credential: '' };

/** Never rejects. */
export async function reach(route: Route, options: ReachOptions): Promise<Reach> {
  const { transport, host, port } = route;
  let known: Reach = { transport, host, port };
  const opened: TurnClient[] = [];
  try {
    const remote = await resolveRoute(route);
    known = { ...known, address: remote.address };
    const open = async (): Promise<TurnClient> => {
      const client = await openClient(route, remote, options);
      opened.push(client);
      return client;
    };
    known = await attempt(known, open, options);
  } catch (error) {
    if (!(error instanceof LinkError)) throw error;
    const stage = error.code === 'resolve' ? 'resolve' : 'connect';
    known = { ...known, failure: { stage, what: error.message, hint: hintOfLink(error, transport) } };
  } finally {
    await Promise.all(opened.map((client) => client.close()));
  }
  return known;
}

async function openClient(route: Route, remote: Endpoint, options: ReachOptions): Promise<TurnClient> {
  const { clock, timer, random, insecure, credentials = NOBODY } = options;
  const linkOptions: LinkOptions = { timer, connectWithin: CONNECT_WITHIN, insecure };
  const link = await openLink(route, remote, linkOptions);
  return new TurnClient({ link, credentials, clock, timer, random });
}

async function attempt(start: Reach, open: () => Promise<TurnClient>, options: ReachOptions): Promise<Reach> {
  const { clock, onProgress } = options;
  const since = clock.monotonic();
  onProgress?.('connecting');
  const client = await open();
  let known: Reach = { ...start, connectMs: start.transport === 'udp' ? 0 : clock.monotonic() - since };
  onProgress?.('Binding');
  const binding = await client.binding();
  if (binding.ok) known = { ...known, mapped: binding.value, bindingMs: binding.roundTrip };
  if (!binding.ok && (!options.relays || binding.failure.type !== 'refused'))
    return failed(known, 'binding', binding.failure);
  if (!options.relays) return known;
  onProgress?.('Allocate');
  // Time apart from the Binding, which a call does not wait for.
  const asked = clock.monotonic();
  const allocation = await client.allocate();
  if (!allocation.ok) return failed(known, 'allocate', allocation.failure, options.credentials !== undefined);
  const { relayed } = allocation.value;
  known = { ...known, relayed, allocateMs: (known.connectMs ?? 0) + clock.monotonic() - asked };
  onProgress?.('measuring');
  return { ...known, path: await measured(client, relayed, open, options) };
}

function failed(known: Reach, stage: Stage, failure: Failure, hasCredentials = true): Reach {
  return {
    ...known,
    failure: { stage, what: tellFailure(failure), hint: hintOf(failure, known.transport, hasCredentials) },
  };
}

/** Through a second allocation; where the server will not have that, to a socket of our own. */
async function measured(
  client: TurnClient,
  relayed: Endpoint,
  open: () => Promise<TurnClient>,
  options: ReachOptions,
): Promise<Path> {
  const second = await open();
  const allocation = await second.allocate();
  let refused: Failure | undefined;
  if (allocation.ok) {
    const other = allocation.value.relayed;
    const steps = [() => client.bindChannel(CHANNEL, other), () => second.bindChannel(CHANNEL, relayed)];
    refused = await firstFailure(steps);
    if (refused === undefined) {
      const quality = await measurePath(between(client, second), options);
      return { through: 'two allocations', quality };
    }
  } else {
    refused = allocation.failure;
  }
  const { local } = client.link;
  const receiver = await openReceiver(local.address);
  try {
    const toSocket = await firstFailure([() => client.bindChannel(CHANNEL + 1, receiver.endpoint)]);
    if (toSocket !== undefined) {
      const why = `to another allocation: ${tellFailure(refused)}; to this host: ${tellFailure(toSocket)}`;
      return { through: 'nothing', why, hint: HAIRPIN_HINT };
    }
    const ends: PathEnds = {
      send: (payload) => client.sendOn(CHANNEL + 1, payload),
      listen: (arrived) => receiver.listen(arrived),
    };
    return { through: 'an allocation and a socket', quality: await measurePath(ends, options) };
  } finally {
    receiver.close();
  }
}

async function firstFailure(steps: readonly (() => Promise<Result<unknown>>)[]): Promise<Failure | undefined> {
  for (const step of steps) {
    const result = await step();
    if (!result.ok) return result.failure;
  }
  return undefined;
}

function between(sender: TurnClient, receiver: TurnClient): PathEnds {
  return {
    send: (payload) => sender.sendOn(CHANNEL, payload),
    listen: (arrived) =>
      receiver.onDelivery((delivery) => {
        if (delivery.type === 'channel') arrived(delivery.payload);
      }),
  };
}

const HAIRPIN_HINT =
  'The server relays neither between its own allocations nor to this address (403): that is a policy, not a fault; run the check from a public address to measure the path.';

/** What an operator or a user should look at. */
export function hintOf(failure: Failure, transport: Transport, hasCredentials: boolean): string {
  switch (failure.type) {
    case 'refused':
      return hintOfCode(failure.code, hasCredentials);
    case 'silence':
      return transport === 'udp'
        ? 'Nothing comes back: a firewall drops UDP here or at the server, or nobody listens on that port. Try ?transport=tcp, or turns: on port 443.'
        : 'The connection opens and nothing is answered: something else than TURN listens there, or a proxy holds the bytes.';
    case 'ended':
      return failure.reason === 'ECONNREFUSED'
        ? 'The host is there and nobody listens on that port: check the port, and that the server is running.'
        : 'The server or something between closed the connection: a proxy, a TLS terminator for HTTP only, or a limit.';
    default:
      return 'The answer is not what RFC 8489 and RFC 8656 say: turnpike check --conformance shows where.';
  }
}

function hintOfCode(code: number, hasCredentials: boolean): string {
  switch (code) {
    case 401:
      return hasCredentials
        ? 'The server does not accept this username and credential: wrong, expired, or of another realm.'
        : 'The server asks for credentials: give --username and --credential.';
    case 438:
      return 'The server calls its own fresh nonce stale: several servers behind one address without a shared nonce key, or a NAT that changes this port between packets.';
    case 403:
      return 'The server forbids it by policy.';
    case 437:
      return 'The server still holds an allocation for this address and port: a NAT reused a mapping too soon, or several servers share the address.';
    case 440:
      return 'The server cannot relay in IPv4.';
    case 486:
      return 'This user has all the allocations that it may have: close other clients, or raise the quota.';
    case 508:
      return 'The server has no relay port or no room left.';
    case 300:
      return 'The server asks to use another one (it is draining or full).';
    default:
      return `The server refuses with ${code}.`;
  }
}

export function hintOfLink({ code }: LinkError, transport: Transport): string {
  if (code === 'resolve') return 'The name has no address: check its spelling and the DNS.';
  if (code === 'ECONNREFUSED')
    return 'The host is there and nobody listens on that port: the server does not offer this transport.';
  if (code === 'timeout') return 'No connection: a firewall drops it on the way, or the host is down.';
  if (code === 'ENETUNREACH' || code === 'EHOSTUNREACH')
    return 'There is no way to that address from here (an IPv6 address without IPv6?).';
  if (transport === 'tls') {
    return 'The TLS handshake failed: the certificate is not for this name, has expired, is self-signed (--insecure takes it), or the port is not TLS.';
  }
  return 'The connection failed.';
}
