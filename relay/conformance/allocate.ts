/** Checks of Allocate (RFC 8656 §7): what it gives, what it refuses and in which order. */
import { attribute, type Requests } from '../client/requests.ts';
import type { Exchange } from '../client/transactions.ts';
import { attributes } from '../stun/attributes.ts';
import { addressFamily, evenPort } from '../stun/number-attributes.ts';
import type { Setter } from '../stun/message-writer.ts';
import { familyOf } from '../../kernel/address.ts';
import { checksOf, type Finding, Unable } from './check.ts';
import type { Context } from './context.ts';
import { expectAnswer, expectOutcome, type Outcome, outcomeOf, tell } from './finding.ts';
import { namesUnknown, UNKNOWN_REQUIRED } from './stun.ts';
import type { Subject } from './subject.ts';

/** Seconds: RFC 8656 §7.2. */
const LONGEST_LIFETIME = 3_600;
/** A protocol number for experiments (RFC 3692): nobody relays it. */
const UNKNOWN_TRANSPORT = 254;

const token = attribute(attributes.RESERVATION_TOKEN.type, Buffer.alloc(8, 0x5a));
const requestedFamily = (family: 4 | 6): Setter => addressFamily(attributes.REQUESTED_ADDRESS_FAMILY, family);
const additionalFamily = (family: 4 | 6): Setter => addressFamily(attributes.ADDITIONAL_ADDRESS_FAMILY, family);
/** A family number that nobody assigned. */
const noFamily = attribute(attributes.REQUESTED_ADDRESS_FAMILY.type, Buffer.from([9, 0, 0, 0]));

/** One Allocate with these attributes, from a client that has been challenged. */
async function tried(context: Context, ...more: readonly Setter[]): Promise<{ subject: Subject; exchange: Exchange }> {
  const subject = await context.known();
  const exchange = await subject.ask(subject.requests.allocate({}, { more }));
  if (exchange.type === 'answer' && exchange.answer.isSuccess) subject.adopt(exchange.answer);
  return { subject, exchange };
}

async function refusal(context: Context, outcome: Outcome, ...more: readonly Setter[]): Promise<Finding> {
  return expectOutcome((await tried(context, ...more)).exchange, outcome);
}

async function grantedSeconds(context: Context, seconds?: number): Promise<number> {
  const build = (requests: Requests): Uint8Array => requests.allocate(seconds === undefined ? {} : { seconds });
  const subject = await context.known();
  const answer = await subject.allocate(build);
  return answer.lifetime ?? 0;
}

export const allocateChecks = checksOf('allocate', [
  {
    name: 'allocate',
    section: 'RFC 8656 §7.2',
    expected: 'success with XOR-RELAYED-ADDRESS, LIFETIME and XOR-MAPPED-ADDRESS',
    run: async (context) =>
      expectAnswer((await tried(context)).exchange, 'success', {
        with: ['XOR_RELAYED_ADDRESS', 'LIFETIME', 'XOR_MAPPED_ADDRESS'],
      }),
  },
  {
    name: 'allocate-mapped-address',
    section: 'RFC 8656 §7.2',
    expected: 'the XOR-MAPPED-ADDRESS that Binding tells',
    async run(context) {
      const subject = await context.known();
      const binding = await subject.ask(subject.requests.binding());
      const { mapped } = await subject.allocate();
      const told = binding.type === 'answer' ? binding.answer.mapped : undefined;
      if (told === undefined) throw new Unable('Binding tells no address');
      const isSame = mapped?.address === told.address && mapped.port === told.port;
      return { conforms: isSame, got: isSame ? 'the same' : 'another one' };
    },
  },
  {
    name: 'requested-transport-missing',
    section: 'RFC 8656 §7.2',
    expected: '400',
    async run(context) {
      const subject = await context.known();
      return expectOutcome(await subject.ask(subject.requests.allocate({ transport: null })), 400);
    },
  },
  {
    name: 'requested-transport-unknown',
    section: 'RFC 8656 §7.2',
    expected: '442',
    async run(context) {
      const subject = await context.known();
      return expectOutcome(await subject.ask(subject.requests.allocate({ transport: UNKNOWN_TRANSPORT })), 442);
    },
  },
  {
    name: 'allocate-unknown-required-attribute',
    section: 'RFC 8489 §6.3.1',
    expected: '420 with UNKNOWN-ATTRIBUTES naming it',
    run: async (context) =>
      namesUnknown((await tried(context, attribute(UNKNOWN_REQUIRED))).exchange, UNKNOWN_REQUIRED),
  },
  {
    name: 'lifetime-short',
    section: 'RFC 8656 §7.2',
    expected: 'for LIFETIME 5 no less than without LIFETIME',
    async run(context) {
      const standard = await grantedSeconds(context);
      const granted = await grantedSeconds(context, 5);
      // Two credentials that end soon may be a second apart.
      return { conforms: granted >= standard - 1 && granted > 5, got: `LIFETIME ${granted}, without ${standard}` };
    },
  },
  {
    name: 'lifetime-long',
    section: 'RFC 8656 §7.2',
    expected: `LIFETIME of at most ${LONGEST_LIFETIME} for 100000`,
    async run(context) {
      const granted = await grantedSeconds(context, 100_000);
      return { conforms: granted > 0 && granted <= LONGEST_LIFETIME, got: `LIFETIME ${granted}` };
    },
  },
  {
    name: 'allocate-again-retransmitted',
    section: 'RFC 8489 §6.3.1',
    expected: 'the same success to the same Allocate',
    transports: ['udp'],
    async run(context) {
      const subject = await context.known();
      const request = subject.requests.allocate();
      const first = await subject.ask(request);
      if (first.type !== 'answer' || !first.answer.isSuccess) throw new Unable(`Allocate: ${tell(first)}`);
      subject.adopt(first.answer);
      const second = await subject.ask(request);
      const plain = expectOutcome(second, 'success');
      if (!plain.conforms || second.type !== 'answer') return plain;
      const { relayed } = second.answer;
      const isSame = relayed?.address === subject.relayed.address && relayed.port === subject.relayed.port;
      return { conforms: isSame, got: isSame ? 'success, the same address' : 'success, another address' };
    },
  },
  {
    name: 'allocate-again-new-transaction',
    section: 'RFC 8656 §7.2',
    expected: '437',
    async run(context) {
      const subject = await context.allocated();
      return expectOutcome(await subject.ask(subject.requests.allocate()), 437);
    },
  },
  {
    name: 'allocate-again-harmless',
    section: 'RFC 8656 §7.2',
    expected: 'success: the first allocation outlives the 437',
    async run(context) {
      const subject = await context.allocated();
      const again = await subject.ask(subject.requests.allocate());
      if (outcomeOf(again) !== 437) throw new Unable('there is no 437');
      return expectOutcome(await subject.ask(subject.requests.refresh()), 'success');
    },
  },
  {
    name: 'mismatch-before-attributes',
    section: 'RFC 8656 §7.2',
    expected: '437: the five-tuple is looked at before REQUESTED-TRANSPORT is missed',
    async run(context) {
      const subject = await context.allocated();
      return expectOutcome(await subject.ask(subject.requests.allocate({ transport: null })), 437);
    },
  },
  {
    name: 'family-unknown',
    section: 'RFC 8656 §7.2',
    expected: '440',
    run: (context) => refusal(context, 440, noFamily),
  },
  {
    name: 'family-default',
    section: 'RFC 8656 §7.2',
    expected: 'an IPv4 relayed address, or 440',
    run: async (context) => ofFamily(4, (await tried(context)).exchange),
  },
  {
    name: 'family-ipv4',
    section: 'RFC 8656 §7.2',
    expected: 'an IPv4 relayed address, or 440',
    run: async (context) => ofFamily(4, (await tried(context, requestedFamily(4))).exchange),
  },
  {
    name: 'family-ipv6',
    section: 'RFC 8656 §7.2',
    expected: 'an IPv6 relayed address, or 440',
    run: async (context) => ofFamily(6, (await tried(context, requestedFamily(6))).exchange),
  },
  {
    name: 'families-requested-and-additional',
    section: 'RFC 8656 §7.2',
    expected: '400',
    run: (context) => refusal(context, 400, requestedFamily(4), additionalFamily(6)),
  },
  {
    name: 'additional-family-ipv4',
    section: 'RFC 8656 §7.2',
    expected: '400: the additional family can only be IPv6',
    run: (context) => refusal(context, 400, additionalFamily(4)),
  },
  {
    name: 'additional-family-with-reservation',
    section: 'RFC 8656 §7.2',
    expected: '400',
    run: (context) => refusal(context, 400, additionalFamily(6), evenPort(true)),
  },
  {
    name: 'additional-family-ipv6',
    section: 'RFC 8656 §7.2',
    expected: 'success with two relayed addresses, or with one and ADDRESS-ERROR-CODE',
    async run(context) {
      const { exchange } = await tried(context, additionalFamily(6));
      const plain = expectOutcome(exchange, 'success');
      if (!plain.conforms || exchange.type !== 'answer') return plain;
      const { message } = exchange.answer;
      const relayed = message.attributes.filter(({ type }) => type === attributes.XOR_RELAYED_ADDRESS.type).length;
      const excused = exchange.answer.has(attributes.ADDRESS_ERROR_CODE);
      const got = `${relayed} relayed, ${excused ? 'with' : 'without'} ADDRESS-ERROR-CODE`;
      return { conforms: (relayed === 2 && !excused) || (relayed === 1 && excused), got };
    },
  },
  {
    name: 'token-with-even-port',
    section: 'RFC 8656 §7.2',
    expected: '400',
    run: (context) => refusal(context, 400, token, evenPort(false)),
  },
  {
    name: 'token-with-family',
    section: 'RFC 8656 §7.2',
    expected: '400',
    run: (context) => refusal(context, 400, token, requestedFamily(4)),
  },
  {
    name: 'token-unknown',
    section: 'RFC 8656 §7.2',
    expected: '508',
    run: (context) => refusal(context, 508, token),
  },
  {
    name: 'even-port',
    section: 'RFC 8656 §7.2',
    expected: 'success with an even port, or 508',
    async run(context) {
      const { subject, exchange } = await tried(context, evenPort(false));
      const plain = expectOutcome(exchange, 'success', 508);
      if (!plain.conforms || outcomeOf(exchange) !== 'success') return plain;
      const { port } = subject.relayed;
      return { conforms: port % 2 === 0, got: `success with port ${port}` };
    },
  },
  {
    name: 'even-port-reserved',
    section: 'RFC 8656 §7.2',
    expected: 'success with RESERVATION-TOKEN, which is then worth the next port; or 508',
    async run(context) {
      const { subject, exchange } = await tried(context, evenPort(true));
      if (outcomeOf(exchange) === 508) return expectOutcome(exchange, 508);
      const plain = expectAnswer(exchange, 'success', { with: ['RESERVATION_TOKEN'] });
      const value = exchange.type === 'answer' ? exchange.answer.reservationToken : undefined;
      if (!plain.conforms || value === undefined) return plain;
      const next = await tried(context, attribute(attributes.RESERVATION_TOKEN.type, value));
      if (outcomeOf(next.exchange) !== 'success') return { conforms: false, got: `token: ${tell(next.exchange)}` };
      const step = next.subject.relayed.port - subject.relayed.port;
      return { conforms: step === 1, got: `success, then the port ${step} further` };
    },
  },
  {
    name: 'dont-fragment',
    section: 'RFC 8656 §7.2',
    expected: 'success, or 420 naming DONT-FRAGMENT',
    async run(context) {
      const { exchange } = await tried(context, attribute(attributes.DONT_FRAGMENT.type));
      if (outcomeOf(exchange) === 'success') return expectOutcome(exchange, 'success');
      return namesUnknown(exchange, attributes.DONT_FRAGMENT.type);
    },
  },
]);

function ofFamily(family: 4 | 6, exchange: Exchange): Finding {
  const plain = expectOutcome(exchange, 'success', 440);
  if (!plain.conforms || exchange.type !== 'answer' || !exchange.answer.isSuccess) return plain;
  const { relayed } = exchange.answer;
  const is = relayed === undefined ? undefined : familyOf(relayed.address);
  return { conforms: is === family, got: is === undefined ? 'no relayed address' : `success, IPv${is}` };
}
