/**
 * Checks of what keeps a relay from being turned against the network it stands in, or against others: peers that must be denied
 * on every path, permissions that must not be got around, answers that must stay small (RFC 8656 §21).
 */
import {
  cidrContains,
  familyOf,
  formatAddress,
  isLoopbackHost,
  parseAddress,
  parseCidr,
} from '../../kernel/address.ts';
import { embeddedIpv4 } from '../policy/embedded-ipv4.ts';
import { attributes } from '../stun/attributes.ts';
import { addressFamily } from '../stun/number-attributes.ts';
import { writeU16 } from '../stun/header.ts';
import { encodeMessage } from '../stun/message-writer.ts';
import { methods } from '../stun/methods.ts';
import { peerAddress, type Requests } from '../client/requests.ts';
import { checksOf, type Finding, Unable } from './check.ts';
import type { Context } from './context.ts';
import { expectOutcome, outcomeOf, tell } from './finding.ts';
import { heardFromPeer } from './permissions.ts';

/** Octets of an answer for each octet of an unauthenticated question: what a flood of forged questions may gain at most. */
const AMPLIFICATION = 3.6;

interface DeniedGroup {
  readonly name: string;
  readonly what: string;
  readonly addresses: readonly string[];
}

const deniedGroups: readonly DeniedGroup[] = [
  { name: 'loopback', what: 'loopback', addresses: ['127.0.0.1', '127.255.255.254'] },
  { name: 'this-network', what: 'this network', addresses: ['0.0.0.0', '0.1.2.3'] },
  {
    name: 'link-local',
    what: 'link-local, with the cloud metadata service',
    addresses: ['169.254.169.254', '169.254.1.1'],
  },
  { name: 'private', what: 'private', addresses: ['10.0.0.1', '172.16.0.1', '172.31.255.254', '192.168.0.1'] },
  { name: 'shared', what: 'shared (carrier NAT)', addresses: ['100.64.0.1', '100.127.255.254'] },
  { name: 'multicast', what: 'multicast', addresses: ['224.0.0.1', '239.255.255.250'] },
  { name: 'reserved', what: 'reserved and broadcast', addresses: ['240.0.0.1', '255.255.255.255'] },
  {
    name: 'special-purpose',
    what: 'special-purpose',
    addresses: ['192.0.0.8', '192.0.2.1', '192.88.99.1', '198.18.0.1', '198.51.100.1', '203.0.113.1'],
  },
  {
    name: 'ipv6-local',
    what: 'IPv6 loopback, unspecified, link-local and site-local',
    addresses: ['::1', '::', 'fe80::1', 'fec0::1'],
  },
  {
    name: 'ipv6-private',
    what: 'IPv6 unique local, with a cloud metadata service',
    addresses: ['fd00:ec2::254', 'fc00::1'],
  },
  { name: 'ipv6-multicast', what: 'IPv6 multicast', addresses: ['ff02::1', 'ff0e::1'] },
  {
    name: 'ipv6-special-purpose',
    what: 'IPv6 special-purpose',
    addresses: ['100::1', '2001:db8::1', '3fff::1', '5f00::1'],
  },
  {
    name: 'ipv4-in-ipv6',
    what: 'loopback and private in every IPv4-in-IPv6 form',
    addresses: [
      '::ffff:127.0.0.1',
      '::127.0.0.1',
      '64:ff9b::7f00:1',
      '2002:7f00:1::1',
      '2001:0:7f00:1::1',
      '::ffff:10.0.0.1',
      '2001:4860::5efe:7f00:1',
    ],
  },
];

/**
 * Whether a server, or one of its relayed addresses, stands near what an address means, in whatever spelling: then it is an own
 * address, or in a range that its operator may have opened.
 */
function isAround(own: string, address: string): boolean {
  const [bytes, meant] = [parseAddress(own), parseAddress(address)];
  if (bytes === undefined || meant === undefined) return false;
  return [meant, ...(meant.length === 16 ? embeddedIpv4(meant) : [])].some((one) => {
    const near = parseCidr(`${formatAddress(one)}/${one.length === 4 ? 8 : 16}`);
    return near !== undefined && cidrContains(near, bytes);
  });
}

/** Every address of a group over every path that takes a peer. */
async function denies(context: Context, addresses: readonly string[]): Promise<Finding> {
  const family = familyOf(addresses[0] ?? '');
  const subject = await context.known();
  const more = family === 6 ? [addressFamily(attributes.REQUESTED_ADDRESS_FAMILY, 6)] : [];
  await subject.allocate((requests) => requests.allocate({}, { more }));
  const server = subject.client.link.remote.address;
  // One on this host has relayed addresses of either family on loopback.
  const own = [server, subject.relayed.address, ...(isLoopbackHost(server) ? ['127.0.0.1', '::1'] : [])];
  const judged = addresses.filter((address) => !own.some((one) => isAround(one, address)));
  if (judged.length === 0) throw new Unable('the server itself stands there');
  const open: string[] = [];
  let channel = 0x4000;
  for (const address of judged) {
    const peer = { address, port: 40_000 };
    const permission = await subject.ask(subject.requests.createPermission([peer]));
    if (outcomeOf(permission) !== 403) open.push(`permission for ${address}: ${tell(permission)}`);
    const binding = await subject.ask(subject.requests.channelBind(channel, peer));
    if (outcomeOf(binding) !== 403) open.push(`channel to ${address}: ${tell(binding)}`);
    channel += 1;
  }
  return { conforms: open.length === 0, got: open.join('; ') || '403 to every one' };
}

/** A request whose last attribute stands behind a right MESSAGE-INTEGRITY. */
function withPeerBehindIntegrity(requests: Requests, peer: Parameters<typeof peerAddress>[0]): Uint8Array {
  const sealed = requests.createPermission([]);
  const head = {
    method: methods.CREATE_PERMISSION.code,
    messageClass: 'request',
    transactionId: sealed.subarray(8, 20),
  } as const;
  const tail = encodeMessage(new Uint8Array(64), head, [peerAddress(peer)]).slice(20);
  const whole = Buffer.concat([sealed, tail]);
  writeU16(whole, 2, whole.length - 20);
  return whole;
}

export const securityChecks = checksOf('security', [
  {
    name: 'attribute-behind-integrity',
    section: 'RFC 8489 §14.5',
    expected: '400: a peer address behind MESSAGE-INTEGRITY is none',
    async run(context) {
      const subject = await context.allocated();
      const peer = await context.target(subject);
      return expectOutcome(await subject.ask(withPeerBehindIntegrity(subject.requests, peer)), 400);
    },
  },
  {
    name: 'nonce-of-another-address',
    section: 'practice',
    expected: '438: a nonce is worth nothing from another five-tuple',
    async run(context) {
      const [one, other] = [await context.known(), await context.known()];
      const { realm, nonce } = one.requests;
      other.requests.learn({ realm, nonce });
      const exchange = await other.ask(other.requests.allocate());
      if (exchange.type === 'answer' && exchange.answer.isSuccess) other.adopt(exchange.answer);
      return expectOutcome(exchange, 438);
    },
  },
  {
    name: 'amplification',
    section: 'practice',
    expected: `no answer, or at most ${AMPLIFICATION} octets for each of a bare Allocate`,
    transports: ['udp'],
    async run(context) {
      const subject = await context.stranger();
      const request = subject.requests.request(methods.ALLOCATE.code, [], { bare: true });
      const exchange = await subject.ask(request);
      if (exchange.type === 'silence') await subject.settle();
      if (exchange.type !== 'answer') return { conforms: exchange.type === 'silence', got: tell(exchange) };
      const ratio = exchange.answer.bytes.length / request.length;
      return { conforms: ratio <= AMPLIFICATION, got: `${ratio.toFixed(1)} times` };
    },
  },
  {
    name: 'relayed-ports-unpredictable',
    section: 'RFC 8656 §7.2',
    expected: 'ports that do not follow each other',
    async run(context) {
      const ports: number[] = [];
      for (let count = 0; count < 4; count += 1) ports.push((await context.allocated()).relayed.port);
      const steps = ports.slice(1).map((port, index) => port - (ports[index] ?? 0));
      const isSteady = steps.every((step) => step === steps[0]);
      return { conforms: !isSteady, got: isSteady ? `each ${steps[0]} after the last` : 'no pattern' };
    },
  },
  {
    name: 'relayed-port-rests',
    section: 'practice',
    expected: 'a port that was given back is not given out at once',
    async run(context) {
      const subject = await context.allocated();
      const { port } = subject.relayed;
      await subject.must('Refresh', (requests) => requests.refresh(0));
      await subject.allocate();
      const isSame = subject.relayed.port === port;
      return { conforms: !isSame, got: isSame ? 'the same port' : 'another port' };
    },
  },
  {
    name: 'peer-without-permission',
    section: 'RFC 8656 §9',
    expected: 'nothing relayed to the client',
    async run(context) {
      const subject = await context.allocated();
      const peer = await context.peer(subject);
      const got = await heardFromPeer(context, subject, () => peer.send(context.payload(20), subject.relayed));
      return { conforms: got === 'nothing', got };
    },
  },
  {
    name: 'send-without-permission',
    section: 'RFC 8656 §11.2',
    expected: 'nothing relayed to the peer, no answer',
    async run(context) {
      const subject = await context.allocated();
      const peer = await context.peer(subject);
      peer.heard();
      const reaction = await subject.reactionTo(subject.requests.send(peer.endpoint, context.payload(20)));
      const arrived = peer.heard().length;
      const got = arrived > 0 ? 'relayed' : (reaction ?? 'nothing');
      return { conforms: got === 'nothing', got };
    },
  },
  {
    name: 'nothing-after-the-end',
    section: 'RFC 8656 §8.2',
    expected: 'nothing relayed, either way, once Refresh 0 is answered',
    async run(context) {
      const subject = await context.allocated();
      const peer = await context.peer(subject);
      await subject.bind(0x4001, peer.endpoint);
      await subject.must('Refresh', (requests) => requests.refresh(0));
      peer.heard();
      const back = await heardFromPeer(context, subject, () => peer.send(context.payload(20), subject.relayed));
      await subject.reactionTo(subject.frame(0x4001, context.payload(20)));
      const there = peer.heard().length > 0 ? 'relayed' : 'nothing';
      return { conforms: back === 'nothing' && there === 'nothing', got: `to the peer ${there}, from it ${back}` };
    },
  },
  {
    name: 'channel-of-another-client',
    section: 'RFC 8656 §12.6',
    expected: 'nothing relayed: a channel belongs to its five-tuple',
    async run(context) {
      const subject = await context.allocated();
      const peer = await context.peer(subject);
      await subject.bind(0x4001, peer.endpoint);
      const stranger = await context.stranger();
      peer.heard();
      await stranger.reactionTo(stranger.frame(0x4001, context.payload(20)));
      const got = peer.heard().length > 0 ? 'relayed' : 'nothing';
      return { conforms: got === 'nothing', got };
    },
  },
  {
    name: 'users-indistinguishable',
    section: 'practice',
    expected: 'the same answer to an unknown user as to a wrong password',
    async run(context) {
      const { username, credential } = context.credentials;
      const shapes: string[] = [];
      for (const wrong of [
        { username: `${username}x`, credential },
        { username, credential: `${credential}x` },
      ]) {
        const subject = await context.known(wrong);
        const exchange = await subject.ask(subject.requests.allocate());
        const types = exchange.type === 'answer' ? exchange.answer.message.attributes.map(({ type }) => type) : [];
        shapes.push([tell(exchange), ...types].join(' '));
      }
      const isSame = shapes[0] === shapes[1];
      return { conforms: isSame, got: isSame ? 'the same' : 'another one' };
    },
  },
  {
    name: 'server-itself-as-peer',
    section: 'RFC 8656 §21.1.7',
    expected: "403 for the server's own listening port",
    async run(context) {
      const subject = await context.allocated();
      const { remote } = subject.client.link;
      if (familyOf(remote.address) !== familyOf(subject.relayed.address)) throw new Unable('it is of another family');
      if (isAround(remote.address, '127.0.0.1') || remote.address === '::1')
        throw new Unable('the server is on loopback');
      return expectOutcome(await subject.ask(subject.requests.channelBind(0x4001, remote)), 403);
    },
  },
  ...deniedGroups.map(({ name, what, addresses }) => ({
    name: `denied-peer-${name}`,
    section: 'RFC 8656 §10.2',
    expected: `403 for ${what}: ${addresses.join(', ')}`,
    run: (context: Context) => denies(context, addresses),
  })),
]);
