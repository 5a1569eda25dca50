/** Checks of Refresh (RFC 8656 §8). */
import { addressFamily } from '../stun/number-attributes.ts';
import { attributes } from '../stun/attributes.ts';
import { familyOf } from '../../kernel/address.ts';
import { checksOf, streams, Unable } from './check.ts';
import { all, expectAnswer, expectOutcome, outcomeOf, tell } from './finding.ts';

/** Seconds: RFC 8656 §3.2 and §7.2. */
const LONGEST_LIFETIME = 3_600;

export const refreshChecks = checksOf('refresh', [
  {
    name: 'refresh',
    section: 'RFC 8656 §8.2',
    expected: 'success with LIFETIME',
    async run(context) {
      const subject = await context.allocated();
      return expectAnswer(await subject.ask(subject.requests.refresh()), 'success', { with: ['LIFETIME'] });
    },
  },
  {
    name: 'refresh-lifetime-bounded',
    section: 'RFC 8656 §8.2',
    expected: `LIFETIME of at most ${LONGEST_LIFETIME} for 100000`,
    async run(context) {
      const subject = await context.allocated();
      const exchange = await subject.ask(subject.requests.refresh(100_000));
      const seconds = exchange.type === 'answer' ? exchange.answer.lifetime : undefined;
      if (seconds === undefined) return { conforms: false, got: tell(exchange) };
      return { conforms: seconds > 0 && seconds <= LONGEST_LIFETIME, got: `LIFETIME ${seconds}` };
    },
  },
  {
    name: 'refresh-zero-ends',
    section: 'RFC 8656 §8.2',
    expected: 'success with LIFETIME 0, then 437',
    async run(context) {
      const subject = await context.allocated();
      const exchange = await subject.ask(subject.requests.refresh(0));
      const end = expectAnswer(exchange, 'success', { with: ['LIFETIME'] });
      const seconds = exchange.type === 'answer' ? exchange.answer.lifetime : undefined;
      if (end.conforms && seconds !== 0) return { conforms: false, got: `LIFETIME ${seconds}` };
      return all([
        ['Refresh 0', end],
        ['Refresh after it', expectOutcome(await subject.ask(subject.requests.refresh()), 437)],
      ]);
    },
  },
  {
    name: 'refresh-zero-frees',
    section: 'RFC 8656 §8.2',
    expected: 'success: the same five-tuple may allocate again',
    async run(context) {
      const subject = await context.allocated();
      await subject.must('Refresh', (requests) => requests.refresh(0));
      const exchange = await subject.ask(subject.requests.allocate());
      if (exchange.type === 'answer' && exchange.answer.isSuccess) subject.adopt(exchange.answer);
      return expectOutcome(exchange, 'success');
    },
  },
  {
    name: 'refresh-without-allocation',
    section: 'RFC 8656 §5',
    expected: '437',
    async run(context) {
      const subject = await context.known();
      return expectOutcome(await subject.ask(subject.requests.refresh()), 437);
    },
  },
  {
    name: 'refresh-from-elsewhere',
    section: 'RFC 8656 §5',
    expected: '437: an allocation belongs to its five-tuple',
    async run(context) {
      await context.allocated();
      const elsewhere = await context.known();
      return expectOutcome(await elsewhere.ask(elsewhere.requests.refresh()), 437);
    },
  },
  {
    name: 'refresh-same-family',
    section: 'RFC 8656 §8.2',
    expected: 'success with REQUESTED-ADDRESS-FAMILY of the relayed address',
    async run(context) {
      const subject = await context.allocated();
      const more = [addressFamily(attributes.REQUESTED_ADDRESS_FAMILY, familyOf(subject.relayed.address))];
      return expectOutcome(await subject.ask(subject.requests.refresh(undefined, { more })), 'success');
    },
  },
  {
    name: 'refresh-other-family',
    section: 'RFC 8656 §8.2',
    expected: '443 with REQUESTED-ADDRESS-FAMILY of the other family',
    async run(context) {
      const subject = await context.allocated();
      const other = familyOf(subject.relayed.address) === 4 ? 6 : 4;
      const more = [addressFamily(attributes.REQUESTED_ADDRESS_FAMILY, other)];
      return expectOutcome(await subject.ask(subject.requests.refresh(undefined, { more })), 443);
    },
  },
  {
    name: 'refresh-other-user',
    section: 'RFC 8656 §5',
    expected: '441: only who allocated may refresh',
    async run(context) {
      const other = context.otherUser();
      const subject = await context.allocated();
      const usurper = subject.as(other);
      return expectOutcome(await subject.ask(usurper.refresh()), 441);
    },
  },
  {
    name: 'allocation-expires',
    section: 'RFC 8656 §8',
    expected: '437 ten seconds after its LIFETIME',
    slow: true,
    async run(context) {
      const subject = await context.known();
      const { lifetime = 0 } = await subject.allocate();
      await context.wait((lifetime + 10) * 1_000);
      // The nonce may have gone stale meanwhile.
      const stale = await subject.ask(subject.requests.refresh());
      if (outcomeOf(stale) !== 438 || stale.type !== 'answer') return expectOutcome(stale, 437);
      subject.requests.learn(stale.answer);
      return expectOutcome(await subject.ask(subject.requests.refresh()), 437);
    },
  },
  {
    name: 'stream-close-ends',
    section: 'RFC 8656 §5',
    expected: 'the relayed port closed with the connection, as Refresh 0 closes it',
    transports: streams,
    async run(context) {
      const [dropped, ended] = [await context.allocated(), await context.allocated()];
      const [ofDropped, ofEnded] = [await context.probe(dropped.relayed), await context.probe(ended.relayed)];
      await ended.must('Refresh', (requests) => requests.refresh(0));
      dropped.client.link.close();
      if (!(await ofEnded.isRefused())) throw new Unable('no ICMP error comes back from a closed port');
      const isClosed = await ofDropped.isRefused();
      return { conforms: isClosed, got: isClosed ? 'closed' : 'still open' };
    },
  },
]);
