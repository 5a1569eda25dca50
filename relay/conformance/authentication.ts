/** Checks of the long-term credential mechanism (RFC 8489 §9.2) as TURN uses it. */
import type { Exchange } from '../client/transactions.ts';
import { attributes } from '../stun/attributes.ts';
import { encodeMessage, type Setter } from '../stun/message-writer.ts';
import { methods } from '../stun/methods.ts';
import { requestedTransport, TRANSPORT_UDP } from '../stun/number-attributes.ts';
import { nonceOffers } from '../stun/security-features.ts';
import { text } from '../stun/text-attributes.ts';
import { checksOf, type Finding, Unable } from './check.ts';
import type { Context } from './context.ts';
import { all, expectAnswer, expectOutcome } from './finding.ts';
import type { Subject } from './subject.ts';

const challenge = { with: ['REALM', 'NONCE'] } as const;
const unsealed = { without: ['MESSAGE_INTEGRITY', 'MESSAGE_INTEGRITY_SHA256'] } as const;

type Part = 'USERNAME' | 'REALM' | 'NONCE';

/** An Allocate signed with the right key, one of the three attributes left out. */
function allocateWithout(subject: Subject, part: Part): Uint8Array {
  const { realm = '', nonce = '', key, credentials } = subject.requests;
  const values: Record<Part, string> = { USERNAME: credentials.username, REALM: realm, NONCE: nonce };
  const parts = (['USERNAME', 'REALM', 'NONCE'] as const).filter((name) => name !== part);
  const setters: Setter[] = [
    requestedTransport(TRANSPORT_UDP),
    ...parts.map((name) => text(attributes[name], values[name])),
  ];
  const head = {
    method: methods.ALLOCATE.code,
    messageClass: 'request',
    transactionId: subject.requests.transactionId(),
  } as const;
  return encodeMessage(new Uint8Array(4_096), head, setters, { key }).slice();
}

async function without(context: Context, part: Part): Promise<Finding> {
  const subject = await context.known();
  return expectOutcome(await subject.ask(allocateWithout(subject, part)), 400);
}

/** The answer to an Allocate under credentials that are wrong. */
async function refusedAs(context: Context, wrong: 'username' | 'credential'): Promise<Exchange> {
  const right = context.credentials;
  const mangled = `${right[wrong].slice(0, -1)}${right[wrong].endsWith('x') ? 'y' : 'x'}`;
  const subject = await context.known({ ...right, [wrong]: mangled });
  return subject.ask(subject.requests.allocate());
}

/** The answer to an Allocate under a nonce that the server never gave. */
async function staleAnswer(context: Context): Promise<Exchange> {
  const subject = await context.known();
  const { realm, nonce = '' } = subject.requests;
  // Changed in the last character only: the security features in front stay what they were.
  subject.requests.learn({ realm, nonce: `${nonce.slice(0, -1)}${nonce.endsWith('0') ? '1' : '0'}` });
  return subject.ask(subject.requests.allocate());
}

export const authenticationChecks = checksOf('authentication', [
  {
    name: 'allocate-without-credentials',
    section: 'RFC 8489 §9.2.4',
    expected: '401 with REALM and NONCE',
    async run(context) {
      const subject = await context.stranger();
      return expectAnswer(await subject.ask(subject.requests.allocate()), 401, challenge);
    },
  },
  {
    name: 'challenge-before-attributes',
    section: 'RFC 8656 §7.2',
    expected: '401: credentials are asked for before REQUESTED-TRANSPORT is missed',
    async run(context) {
      const subject = await context.stranger();
      return expectOutcome(await subject.ask(subject.requests.allocate({ transport: null }, padding())), 401);
    },
  },
  {
    name: 'wrong-password',
    section: 'RFC 8489 §9.2.4',
    expected: '401 with REALM and NONCE',
    run: async (context) => expectAnswer(await refusedAs(context, 'credential'), 401, challenge),
  },
  {
    name: 'unknown-username',
    section: 'RFC 8489 §9.2.4',
    expected: '401 with REALM and NONCE',
    run: async (context) => expectAnswer(await refusedAs(context, 'username'), 401, challenge),
  },
  {
    name: 'nonce-never-given',
    section: 'RFC 8489 §9.2.4',
    expected: '438 with REALM and NONCE',
    run: async (context) => expectAnswer(await staleAnswer(context), 438, challenge),
  },
  {
    name: 'nonce-of-438-works',
    section: 'RFC 8489 §9.2.5',
    expected: 'success with the nonce that the 438 brought',
    async run(context) {
      const subject = await context.known();
      const { realm } = subject.requests;
      subject.requests.learn({ realm, nonce: 'never-given' });
      const stale = await subject.ask(subject.requests.allocate());
      if (stale.type !== 'answer' || !subject.requests.learn(stale.answer)) throw new Unable('there is no 438');
      const exchange = await subject.ask(subject.requests.allocate());
      if (exchange.type === 'answer' && exchange.answer.isSuccess) subject.adopt(exchange.answer);
      return expectOutcome(exchange, 'success');
    },
  },
  {
    name: 'challenges-unsealed',
    section: 'RFC 8489 §9.2.4',
    expected: '401 and 438 without MESSAGE-INTEGRITY',
    async run(context) {
      return all([
        ['wrong password', expectAnswer(await refusedAs(context, 'credential'), 401, unsealed)],
        ['wrong nonce', expectAnswer(await staleAnswer(context), 438, unsealed)],
      ]);
    },
  },
  {
    name: 'integrity-without-username',
    section: 'RFC 8489 §9.2.4',
    expected: '400',
    run: (context) => without(context, 'USERNAME'),
  },
  {
    name: 'integrity-without-realm',
    section: 'RFC 8489 §9.2.4',
    expected: '400',
    run: (context) => without(context, 'REALM'),
  },
  {
    name: 'integrity-without-nonce',
    section: 'RFC 8489 §9.2.4',
    expected: '400',
    run: (context) => without(context, 'NONCE'),
  },
  {
    name: 'success-sealed',
    section: 'RFC 8489 §9.2.4',
    expected: 'success with a MESSAGE-INTEGRITY of the same credentials',
    async run(context) {
      const subject = await context.known();
      const exchange = await subject.ask(subject.requests.allocate());
      if (exchange.type === 'answer' && exchange.answer.isSuccess) subject.adopt(exchange.answer);
      return sealedBy(subject, exchange, 'success');
    },
  },
  {
    name: 'error-sealed',
    section: 'RFC 8489 §9.2.4',
    expected: '437 with a MESSAGE-INTEGRITY of the same credentials',
    async run(context) {
      const subject = await context.known();
      return sealedBy(subject, await subject.ask(subject.requests.refresh()), 437);
    },
  },
  {
    name: 'every-method-authenticated',
    section: 'RFC 8656 §5',
    expected: '401 to Refresh, CreatePermission and ChannelBind without credentials',
    async run(context) {
      const subject = await context.allocated();
      const peer = await context.target(subject);
      const { requests } = subject;
      const bare = { bare: true };
      return all([
        ['Refresh', expectOutcome(await subject.ask(requests.refresh(0, bare)), 401)],
        ['CreatePermission', expectOutcome(await subject.ask(requests.createPermission([peer], bare)), 401)],
        ['ChannelBind', expectOutcome(await subject.ask(requests.channelBind(0x4000, peer, bare)), 401)],
      ]);
    },
  },
  {
    name: 'password-algorithms-announced',
    section: 'RFC 8489 §9.2.4',
    expected: 'PASSWORD-ALGORITHMS where the nonce says so (obMatJos2), and only there',
    async run(context) {
      const subject = await context.stranger();
      const exchange = await subject.ask(subject.requests.allocate());
      if (exchange.type !== 'answer') return expectOutcome(exchange, 401);
      const { answer } = exchange;
      const { nonce = '' } = answer;
      const isAnnounced = nonceOffers(nonce, 'PASSWORD_ALGORITHMS');
      const isThere = answer.has(attributes.PASSWORD_ALGORITHMS);
      const got = `${isThere ? 'PASSWORD-ALGORITHMS' : 'none'}, ${isAnnounced ? 'announced' : 'not announced'}`;
      return { conforms: isThere === isAnnounced, got };
    },
  },
]);

function sealedBy(subject: Subject, exchange: Exchange, outcome: 'success' | number): Finding {
  const plain = expectAnswer(exchange, outcome, { with: ['MESSAGE_INTEGRITY'] });
  const { key } = subject.requests;
  if (!plain.conforms || exchange.type !== 'answer' || key === undefined) return plain;
  return exchange.answer.isSealedWith(key) ? plain : { conforms: false, got: `${plain.got}, which is wrong` };
}

/** Long enough not to be taken for a flood's shortest packet. */
function padding(): { more: Setter[] } {
  return { more: [text(attributes.SOFTWARE, 'turnpike conformance check')] };
}
