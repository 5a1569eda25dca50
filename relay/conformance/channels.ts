/** Checks of channels: ChannelBind and ChannelData (RFC 8656 §12). */
import type { Endpoint } from '../../kernel/address.ts';
import { CHANNEL_DATA_HEADER_LENGTH, writeChannelDataHeader } from '../stun/channel-data.ts';
import { methods } from '../stun/methods.ts';
import { channelNumber } from '../stun/number-attributes.ts';
import { peerAddress } from '../client/requests.ts';
import { checksOf, type Finding, streams } from './check.ts';
import type { Context } from './context.ts';
import { expectOutcome, tell } from './finding.ts';
import type { Peer } from './peer.ts';
import { heardFromPeer, otherFamily, PERMISSION_LIFETIME } from './permissions.ts';
import type { Subject } from './subject.ts';

const CHANNEL = 0x4001;
/** Milliseconds (RFC 8656 §12). */
const CHANNEL_LIFETIME = 600_000;

async function bindNumber(context: Context, channel: number): Promise<Finding> {
  const subject = await context.allocated();
  const peer = await context.target(subject);
  return expectOutcome(await subject.ask(subject.requests.channelBind(channel, peer)), 400);
}

/** A client with a peer bound to CHANNEL. */
async function bound(context: Context): Promise<{ subject: Subject; peer: Peer }> {
  const subject = await context.allocated();
  const peer = await context.peer(subject);
  await subject.bind(CHANNEL, peer.endpoint);
  return { subject, peer };
}

/** A frame whose header says `said` and that carries these octets. */
function frame(channel: number, said: number, octets: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(CHANNEL_DATA_HEADER_LENGTH + octets.length);
  writeChannelDataHeader(bytes, 0, channel, said);
  bytes.set(octets, CHANNEL_DATA_HEADER_LENGTH);
  return bytes;
}

/** Whether a payload sent in this frame arrives as it was. */
async function arrives(
  context: Context,
  length: number,
  make: (subject: Subject, payload: Buffer) => Uint8Array,
): Promise<Finding> {
  const { subject, peer } = await bound(context);
  const payload = context.payload(length);
  const datagram = await peer.hears(() => subject.tell(make(subject, payload)));
  if (datagram === undefined) return { conforms: false, got: 'nothing' };
  const isSame = datagram.payload.equals(payload);
  return { conforms: isSame, got: `${datagram.payload.length} octets${isSame ? '' : ', not the same'}` };
}

async function dropped(subject: Subject, peer: Peer, bytes: Uint8Array): Promise<Finding> {
  peer.heard();
  const reaction = await subject.reactionTo(bytes);
  const arrived = peer.heard().length;
  const got = [...(arrived > 0 ? ['relayed'] : []), ...(reaction === undefined ? [] : [`answered ${reaction}`])];
  return { conforms: got.length === 0, got: got.join(', ') || 'dropped' };
}

export const channelChecks = checksOf('channels', [
  {
    name: 'channel-bind',
    section: 'RFC 8656 §12.2',
    expected: 'success',
    async run(context) {
      const subject = await context.allocated();
      const peer = await context.target(subject);
      return expectOutcome(await subject.ask(subject.requests.channelBind(0x4000, peer)), 'success');
    },
  },
  ...[
    { channel: 0x3fff, why: 'below the range' },
    { channel: 0x5000, why: 'reserved since RFC 8656' },
    { channel: 0x8000, why: 'beyond what the first bits allow' },
  ].map(({ channel, why }) => ({
    name: `channel-number-0x${channel.toString(16)}`,
    section: 'RFC 8656 §12.2',
    expected: `400: ${why}`,
    run: (context: Context) => bindNumber(context, channel),
  })),
  {
    name: 'channel-without-number',
    section: 'RFC 8656 §12.2',
    expected: '400',
    async run(context) {
      const subject = await context.allocated();
      const request = subject.requests.request(methods.CHANNEL_BIND.code, [peerAddress(await context.target(subject))]);
      return expectOutcome(await subject.ask(request), 400);
    },
  },
  {
    name: 'channel-without-peer',
    section: 'RFC 8656 §12.2',
    expected: '400',
    async run(context) {
      const subject = await context.allocated();
      const request = subject.requests.request(methods.CHANNEL_BIND.code, [channelNumber(CHANNEL)]);
      return expectOutcome(await subject.ask(request), 400);
    },
  },
  {
    name: 'channel-number-taken',
    section: 'RFC 8656 §12.2',
    expected: '400: the number is bound to another peer',
    run: (context) => conflict(context, (peer) => [CHANNEL, { ...peer, port: peer.port + 1 }]),
  },
  {
    name: 'channel-peer-taken',
    section: 'RFC 8656 §12.2',
    expected: '400: the peer is bound to another number',
    run: (context) => conflict(context, (peer) => [CHANNEL + 1, peer]),
  },
  {
    name: 'channel-bind-again',
    section: 'RFC 8656 §12.2',
    expected: 'success: the same pair is refreshed',
    async run(context) {
      const subject = await context.allocated();
      const peer = await context.target(subject);
      await subject.bind(CHANNEL, peer);
      return expectOutcome(await subject.ask(subject.requests.channelBind(CHANNEL, peer)), 'success');
    },
  },
  {
    name: 'channel-without-allocation',
    section: 'RFC 8656 §5',
    expected: '437',
    async run(context) {
      const subject = await context.known();
      const peer = { address: '93.184.216.34', port: 40_000 };
      return expectOutcome(await subject.ask(subject.requests.channelBind(CHANNEL, peer)), 437);
    },
  },
  {
    name: 'channel-other-family',
    section: 'RFC 8656 §12.2',
    expected: '443',
    async run(context) {
      const subject = await context.allocated();
      return expectOutcome(await subject.ask(subject.requests.channelBind(CHANNEL, otherFamily(subject))), 443);
    },
  },
  {
    name: 'channel-permits',
    section: 'RFC 8656 §12.2',
    expected: 'data from another port of the peer, in a Data indication',
    async run(context) {
      const subject = await context.allocated();
      const peer = await context.peer(subject);
      await subject.bind(CHANNEL, { ...peer.endpoint, port: peer.endpoint.port === 40_000 ? 40_001 : 40_000 });
      const delivery = await subject.hears(() => peer.send(context.payload(20), subject.relayed));
      return { conforms: delivery?.type === 'indication', got: delivery?.type ?? 'nothing' };
    },
  },
  {
    name: 'channel-data-to-peer',
    section: 'RFC 8656 §12.6',
    expected: 'the payload, from the relayed address',
    async run(context) {
      const { subject, peer } = await bound(context);
      const payload = context.payload(172);
      const datagram = await peer.hears(() => subject.tell(subject.frame(CHANNEL, payload)));
      if (datagram === undefined) return { conforms: false, got: 'nothing' };
      const isRight =
        datagram.payload.equals(payload) &&
        datagram.from.port === subject.relayed.port &&
        datagram.from.address === subject.relayed.address;
      return { conforms: isRight, got: isRight ? 'the payload, from there' : 'another payload or sender' };
    },
  },
  {
    name: 'channel-data-from-peer',
    section: 'RFC 8656 §12.7',
    expected: 'ChannelData with the payload, on the number bound',
    async run(context) {
      const { subject, peer } = await bound(context);
      const payload = context.payload(171);
      const delivery = await subject.hears(() => peer.send(payload, subject.relayed));
      const isRight = delivery?.type === 'channel' && delivery.channel === CHANNEL && delivery.payload.equals(payload);
      return { conforms: isRight, got: isRight ? 'so' : (delivery?.type ?? 'nothing') };
    },
  },
  {
    name: 'channel-data-unpadded',
    section: 'RFC 8656 §12.5',
    expected: '5 octets: over UDP padding is not needed',
    transports: ['udp'],
    run: (context) => arrives(context, 5, (_, payload) => frame(CHANNEL, 5, payload)),
  },
  {
    name: 'channel-data-padded',
    section: 'RFC 8656 §12.5',
    expected: '5 octets: padding is not data',
    run: (context) => arrives(context, 5, (_, payload) => frame(CHANNEL, 5, Buffer.concat([payload, Buffer.alloc(3)]))),
  },
  {
    name: 'channel-data-padded-from-peer',
    section: 'RFC 8656 §12.5',
    expected: 'over a stream, a multiple of four octets',
    transports: streams,
    async run(context) {
      const { subject, peer } = await bound(context);
      const delivery = await subject.hears(() => {
        peer.send(context.payload(5), subject.relayed);
        peer.send(context.payload(5), subject.relayed);
      });
      if (delivery?.type !== 'channel') return { conforms: false, got: delivery?.type ?? 'nothing' };
      // Had the first frame no padding, nothing behind it could be read.
      const isWhole = (await subject.reactionTo(subject.requests.binding())) !== undefined;
      return {
        conforms: isWhole,
        got: isWhole ? `${delivery.frame.length} octets` : 'the stream cannot be read',
      };
    },
  },
  {
    name: 'channel-data-empty',
    section: 'RFC 8656 §12.6',
    expected: 'an empty datagram',
    run: (context) => arrives(context, 0, (subject, payload) => subject.frame(CHANNEL, payload)),
  },
  {
    name: 'channel-data-longer-than-frame',
    section: 'RFC 8656 §12.6',
    expected: 'dropped: the length is more than there is',
    transports: ['udp'],
    class: 'security',
    async run(context) {
      const { subject, peer } = await bound(context);
      return dropped(subject, peer, frame(CHANNEL, 64, context.payload(8)));
    },
  },
  {
    name: 'channel-data-unbound',
    section: 'RFC 8656 §12.6',
    expected: 'dropped: nobody is bound to the number',
    class: 'security',
    async run(context) {
      const { subject, peer } = await bound(context);
      return dropped(subject, peer, subject.frame(CHANNEL + 1, context.payload(20)));
    },
  },
  {
    name: 'channel-data-reserved-number',
    section: 'RFC 8656 §12',
    expected: 'dropped: 0x5000 is reserved',
    transports: ['udp'],
    async run(context) {
      const { subject, peer } = await bound(context);
      return dropped(subject, peer, subject.frame(0x5000, context.payload(20)));
    },
  },
  {
    name: 'channel-data-without-allocation',
    section: 'RFC 8656 §5',
    expected: 'no answer',
    async run(context) {
      const subject = await context.stranger();
      const reaction = await subject.reactionTo(subject.frame(CHANNEL, context.payload(20)));
      return { conforms: reaction === undefined, got: reaction ?? 'no answer' };
    },
  },
  {
    name: 'channel-permission-ends-first',
    section: 'RFC 8656 §12',
    expected: 'dropped at 310 s: the channel lives on, its permission does not',
    slow: true,
    class: 'security',
    async run(context) {
      const { subject, peer } = await bound(context);
      await context.wait(PERMISSION_LIFETIME + 10_000);
      const back = await heardFromPeer(context, subject, () => peer.send(context.payload(20), subject.relayed));
      const there = await dropped(subject, peer, subject.frame(CHANNEL, context.payload(20)));
      return { conforms: back === 'nothing' && there.conforms, got: `to the peer: ${there.got}; from it: ${back}` };
    },
  },
  {
    name: 'channel-ends-after-600-s',
    section: 'RFC 8656 §12',
    expected: 'a Data indication at 610 s, where the permission was refreshed and the channel was not',
    slow: true,
    async run(context) {
      const subject = await context.allocated((requests) => requests.allocate({ seconds: 3_600 }));
      const peer = await context.peer(subject);
      await subject.bind(CHANNEL, peer.endpoint);
      await context.wait(CHANNEL_LIFETIME / 2 - 10_000);
      await subject.permit(peer.endpoint);
      await context.wait(CHANNEL_LIFETIME / 2 - 10_000);
      await subject.permit(peer.endpoint);
      await context.wait(30_000);
      const delivery = await subject.hears(() => peer.send(context.payload(20), subject.relayed));
      return { conforms: delivery?.type === 'indication', got: delivery?.type ?? 'nothing' };
    },
  },
  {
    name: 'channel-number-rests',
    section: 'RFC 8656 §12',
    expected: '400 for another peer 4 minutes after the end, success after 6',
    slow: true,
    run: (context) => rests(context, (peer) => [CHANNEL, { ...peer, port: peer.port + 1 }]),
  },
  {
    name: 'channel-peer-rests',
    section: 'RFC 8656 §12',
    expected: '400 for another number 4 minutes after the end, success after 6',
    slow: true,
    run: (context) => rests(context, (peer) => [CHANNEL + 1, peer]),
  },
]);

/** A second binding that collides with the first. */
async function conflict(context: Context, second: (peer: Endpoint) => readonly [number, Endpoint]): Promise<Finding> {
  const subject = await context.allocated();
  const peer = await context.target(subject);
  await subject.bind(CHANNEL, peer);
  return expectOutcome(await subject.ask(subject.requests.channelBind(...second(peer))), 400);
}

/** A second binding of a number or a peer whose first has ended. */
async function rests(context: Context, second: (peer: Endpoint) => readonly [number, Endpoint]): Promise<Finding> {
  const subject = await context.allocated((requests) => requests.allocate({ seconds: 3_600 }));
  const peer = await context.target(subject);
  await subject.bind(CHANNEL, peer);
  await context.wait(CHANNEL_LIFETIME + 240_000);
  await subject.must('Refresh', (requests) => requests.refresh(3_600));
  const early = await subject.ask(subject.requests.channelBind(...second(peer)));
  await context.wait(120_000);
  await subject.must('Refresh', (requests) => requests.refresh(3_600));
  const late = await subject.ask(subject.requests.channelBind(...second(peer)));
  const conforms = expectOutcome(early, 400).conforms && expectOutcome(late, 'success').conforms;
  return { conforms, got: `${tell(early)}, then ${tell(late)}` };
}
