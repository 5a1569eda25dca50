/** Checks of what one Allocate may ask for twice: addresses of both families, and a port with the next one (RFC 8656 §7.2). */
import type { Endpoint } from '../../kernel/address.ts';
import type { Answer } from '../client/answer.ts';
import { attribute } from '../client/requests.ts';
import type { Exchange } from '../client/transactions.ts';
import { attributes } from '../stun/attributes.ts';
import type { Setter } from '../stun/message-writer.ts';
import { addressFamily, evenPort } from '../stun/number-attributes.ts';
import { checksOf, Unable } from './check.ts';
import { bystander, type Context } from './context.ts';
import { all, expectOutcome } from './finding.ts';
import type { Subject } from './subject.ts';

const CHANNEL = 0x4000;
const requested = (family: 4 | 6) => addressFamily(attributes.REQUESTED_ADDRESS_FAMILY, family);

/** What is wrong with a refusal, or with silence, is another check's business. */
async function allocated(
  context: Context,
  ...more: readonly Setter[]
): Promise<{ subject: Subject; answer: Answer | undefined }> {
  const subject = await context.known();
  const exchange = await subject.ask(subject.requests.allocate({}, { more }));
  const answer = exchange.type === 'answer' && exchange.answer.isSuccess ? exchange.answer : undefined;
  if (answer !== undefined) subject.adopt(answer);
  return { subject, answer };
}

/** A client with a relayed address of each family, and somebody to name in each. */
async function dual(context: Context): Promise<{ subject: Subject; four: Endpoint; six: Endpoint }> {
  const more = [addressFamily(attributes.ADDITIONAL_ADDRESS_FAMILY, 6)];
  const { subject, answer } = await allocated(context, ...more);
  if (answer?.relayedAddresses?.length !== 2) throw new Unable('the server gives no two addresses at once');
  return { subject, four: await context.target(subject, 40_000), six: bystander(6, 40_000) };
}

function permission(subject: Subject, ...peers: readonly Endpoint[]): Promise<Exchange> {
  return subject.ask(subject.requests.createPermission(peers));
}

/** A token for the port after an even one. */
async function reserved(context: Context): Promise<Uint8Array> {
  const { answer } = await allocated(context, evenPort(true));
  if (answer?.reservationToken === undefined) throw new Unable('the server reserves no ports');
  return answer.reservationToken;
}

function redeem(subject: Subject, token: Uint8Array): Promise<Exchange> {
  const more = [attribute(attributes.RESERVATION_TOKEN.type, token)];
  return subject.ask(subject.requests.allocate({}, { more }));
}

export const pairChecks = checksOf('allocate', [
  {
    name: 'dual-permissions',
    section: 'RFC 8656 §10.2',
    expected: 'success with a peer of each family in one CreatePermission',
    async run(context) {
      const { subject, four, six } = await dual(context);
      return expectOutcome(await permission(subject, four, six), 'success');
    },
  },
  {
    name: 'dual-channel-number',
    section: 'RFC 8656 §12.2',
    expected: '400 to a number that is bound to a peer of the other family',
    async run(context) {
      const { subject, four, six } = await dual(context);
      await subject.bind(CHANNEL, four);
      return expectOutcome(await subject.ask(subject.requests.channelBind(CHANNEL, six)), 400);
    },
  },
  {
    name: 'dual-refresh',
    section: 'RFC 8656 §8.2',
    expected: 'success without a family and with either',
    async run(context) {
      const { subject } = await dual(context);
      const refreshed = async (...families: (4 | 6)[]) => {
        const more = families.map((family) => requested(family));
        return expectOutcome(await subject.ask(subject.requests.refresh(600, { more })), 'success');
      };
      return all([
        ['none', await refreshed()],
        ['IPv4', await refreshed(4)],
        ['IPv6', await refreshed(6)],
      ]);
    },
  },
  {
    name: 'dual-refresh-zero-one',
    section: 'RFC 8656 §8.1',
    expected: 'a Refresh of 0 for IPv6 ends that half and leaves the other',
    async run(context) {
      const { subject, four, six } = await dual(context);
      await subject.must('Refresh', (requests) => requests.refresh(0, { more: [requested(6)] }));
      return all([
        ['IPv6', expectOutcome(await permission(subject, six), 443)],
        ['IPv4', expectOutcome(await permission(subject, four), 'success')],
      ]);
    },
  },
  {
    name: 'dual-refresh-zero-both',
    section: 'RFC 8656 §8.2',
    expected: '437 after a Refresh of 0 without a family',
    async run(context) {
      const { subject } = await dual(context);
      await subject.must('Refresh', (requests) => requests.refresh(0));
      return expectOutcome(await subject.ask(subject.requests.refresh(600)), 437);
    },
  },
  {
    name: 'token-used-up',
    section: 'RFC 8656 §7.2',
    expected: '508 to a RESERVATION-TOKEN that was used already',
    async run(context) {
      const token = await reserved(context);
      const [first, second] = [await context.known(), await context.known()];
      return all([
        ['first', expectOutcome(await redeem(first, token), 'success')],
        ['second', expectOutcome(await redeem(second, token), 508)],
      ]);
    },
  },
  {
    name: 'token-of-another-user',
    class: 'security',
    section: 'practice',
    expected: '508: a reserved port is for the user it was reserved for',
    async run(context) {
      const token = await reserved(context);
      const thief = await context.known(context.otherUser());
      const taken = await redeem(thief, token);
      return expectOutcome(taken, 508);
    },
  },
]);
