/** Checks of Send and Data indications (RFC 8656 §11). */
import { attribute, peerAddress } from '../client/requests.ts';
import { attributes } from '../stun/attributes.ts';
import type { Setter } from '../stun/message-writer.ts';
import { checksOf, type Finding, Unable } from './check.ts';
import type { Context } from './context.ts';
import { all } from './finding.ts';
import type { Peer } from './peer.ts';
import { UNKNOWN_REQUIRED } from './stun.ts';
import type { Subject } from './subject.ts';

/** An RTP packet of video, and what still fits an Ethernet frame with the indication's 36 octets around it. */
const PAYLOADS = [1, 172, 1_200, 1_400] as const;

/** As much as an IPv4 datagram carries in an Ethernet frame: what is relayed of it is longer than a frame on the client's side. */
const FRAME_FILLER = 1_472;
const CHANNEL = 0x4001;

/** A client with a peer that it has permitted. */
async function permitted(context: Context): Promise<{ subject: Subject; peer: Peer }> {
  const subject = await context.allocated();
  const peer = await context.peer(subject);
  await subject.permit(peer.endpoint);
  return { subject, peer };
}

/** A Send indication that must have no effect. */
async function discarded(context: Context, make: (peer: Peer) => readonly Setter[]): Promise<Finding> {
  const { subject, peer } = await permitted(context);
  peer.heard();
  const reaction = await subject.reactionTo(subject.requests.indication(make(peer)));
  const arrived = peer.heard().length;
  const got = [...(arrived > 0 ? ['relayed'] : []), ...(reaction === undefined ? [] : [`answered ${reaction}`])];
  return { conforms: got.length === 0, got: got.join(', ') || 'discarded' };
}

/** Lost is not cut: on the client's side these are IP fragments, which networks drop. */
function whole(arrived: Buffer | undefined, sent: Buffer): Finding {
  if (arrived === undefined) throw new Unable('nothing arrived: something on the way drops IP fragments');
  const conforms = arrived.equals(sent);
  const got = arrived.length === sent.length && !conforms ? 'other octets' : `${arrived.length} octets`;
  return { conforms, got };
}

const data = (context: Context): Setter => attribute(attributes.DATA.type, context.payload(20));

export const dataChecks = checksOf('data', [
  {
    name: 'send',
    section: 'RFC 8656 §11.2',
    expected: 'every payload as it was, from the relayed address',
    async run(context) {
      const { subject, peer } = await permitted(context);
      for (const length of PAYLOADS) {
        const payload = context.payload(length);
        const datagram = await peer.hears(() => subject.client.sendTo(peer.endpoint, payload));
        if (datagram === undefined) return { conforms: false, got: `${length} octets: nothing` };
        if (!datagram.payload.equals(payload)) return { conforms: false, got: `${length} octets: others` };
        const { address, port } = subject.relayed;
        if (datagram.from.address !== address || datagram.from.port !== port) {
          return { conforms: false, got: 'from another address' };
        }
      }
      return { conforms: true, got: `${PAYLOADS.join(', ')} octets` };
    },
  },
  {
    name: 'data',
    section: 'RFC 8656 §11.3',
    expected: 'every payload as it was, with the XOR-PEER-ADDRESS of the peer',
    async run(context) {
      const { subject, peer } = await permitted(context);
      for (const length of PAYLOADS) {
        const payload = context.payload(length);
        const delivery = await subject.hears(() => peer.send(payload, subject.relayed));
        if (delivery?.type !== 'indication')
          return { conforms: false, got: `${length} octets: ${delivery?.type ?? 'nothing'}` };
        if (!delivery.payload.equals(payload)) return { conforms: false, got: `${length} octets: others` };
        const { address, port } = peer.endpoint;
        if (delivery.peer.address !== address || delivery.peer.port !== port) {
          return { conforms: false, got: 'another XOR-PEER-ADDRESS' };
        }
      }
      return { conforms: true, got: `${PAYLOADS.join(', ')} octets` };
    },
  },
  {
    name: 'payload-whole',
    section: 'RFC 8656 §11.2',
    expected: '1472 octets in one piece, either way, in indications and on a channel',
    async run(context) {
      const { subject, peer } = await permitted(context);
      const payload = context.payload(FRAME_FILLER);
      const up = async (frame: () => Uint8Array): Promise<Finding> => {
        const datagram = await peer.hears(() => subject.tell(frame()));
        return whole(datagram?.payload, payload);
      };
      const down = async (): Promise<Finding> => {
        const delivery = await subject.hears(() => peer.send(payload, subject.relayed));
        return whole(delivery !== undefined && 'payload' in delivery ? delivery.payload : undefined, payload);
      };
      const send = await up(() => subject.requests.send(peer.endpoint, payload));
      const received = await down();
      await subject.bind(CHANNEL, peer.endpoint);
      const toPeer = await up(() => subject.frame(CHANNEL, payload));
      const fromPeer = await down();
      return all([
        ['Send', send],
        ['Data', received],
        ['ChannelData to the peer', toPeer],
        ['ChannelData from the peer', fromPeer],
      ]);
    },
  },
  {
    name: 'send-empty',
    section: 'RFC 8656 §11.2',
    expected: 'an empty datagram',
    async run(context) {
      const { subject, peer } = await permitted(context);
      const datagram = await peer.hears(() => subject.client.sendTo(peer.endpoint, Buffer.alloc(0)));
      return {
        conforms: datagram?.payload.length === 0,
        got: datagram === undefined ? 'nothing' : `${datagram.payload.length} octets`,
      };
    },
  },
  {
    name: 'data-empty',
    section: 'RFC 8656 §11.3',
    expected: 'a Data indication with an empty DATA',
    async run(context) {
      const { subject, peer } = await permitted(context);
      const delivery = await subject.hears(() => peer.send(Buffer.alloc(0), subject.relayed));
      const isEmpty = delivery?.type === 'indication' && delivery.payload.length === 0;
      return { conforms: isEmpty, got: isEmpty ? 'so' : (delivery?.type ?? 'nothing') };
    },
  },
  {
    name: 'send-without-data',
    section: 'RFC 8656 §11.2',
    expected: 'discarded',
    run: (context) => discarded(context, (peer) => [peerAddress(peer.endpoint)]),
  },
  {
    name: 'send-without-peer',
    section: 'RFC 8656 §11.2',
    expected: 'discarded',
    run: (context) => discarded(context, () => [data(context)]),
  },
  {
    name: 'send-unknown-required-attribute',
    section: 'RFC 8489 §6.3.2',
    expected: 'discarded',
    run: (context) =>
      discarded(context, (peer) => [peerAddress(peer.endpoint), data(context), attribute(UNKNOWN_REQUIRED)]),
  },
  {
    name: 'send-without-allocation',
    section: 'RFC 8656 §5',
    expected: 'no answer',
    async run(context) {
      const subject = await context.stranger();
      const peer = { address: '93.184.216.34', port: 40_000 };
      const reaction = await subject.reactionTo(subject.requests.send(peer, context.payload(20)));
      return { conforms: reaction === undefined, got: reaction ?? 'no answer' };
    },
  },
  {
    name: 'icmp-reported',
    section: 'RFC 8656 §11.5',
    expected: 'a Data indication with ICMP for a peer that is not there, where the server is shown the error',
    async run(context) {
      const { subject, peer } = await permitted(context);
      const gone = { ...peer.endpoint };
      await peer.close();
      const delivery = await subject.hears(() => subject.client.sendTo(gone, context.payload(20)));
      if (delivery === undefined) throw new Unable('no error came back, or the server cannot see it');
      return { conforms: delivery.type === 'icmp', got: delivery.type };
    },
  },
]);
