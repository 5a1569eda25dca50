/** Checks of SHA-256 in the long-term credential mechanism, and of bidding it down (RFC 8489 §9.2), where a server offers it. */
import { createHmac } from 'node:crypto';
import { attribute } from '../client/requests.ts';
import { attributes } from '../stun/attributes.ts';
import { type IntegrityHash, integrityIsRight, longTermKey } from '../stun/integrity.ts';
import { encodeMessage, type Setter } from '../stun/message-writer.ts';
import { methods } from '../stun/methods.ts';
import { requestedTransport, TRANSPORT_UDP } from '../stun/number-attributes.ts';
import { type PasswordAlgorithm, passwordAlgorithm, passwordAlgorithms } from '../stun/password-algorithm.ts';
import { COOKIE_LENGTH, nonceCookie, nonceOffers } from '../stun/security-features.ts';
import { text } from '../stun/text-attributes.ts';
import type { Exchange } from '../client/transactions.ts';
import { checksOf, type Finding, Unable } from './check.ts';
import type { Context } from './context.ts';
import { all, expectAnswer, expectOutcome } from './finding.ts';
import type { Subject } from './subject.ts';

const { PASSWORD_ALGORITHMS } = attributes;
/** Fewer octets than an HMAC may be cut to (§14.6). */
const TOO_SHORT = 12;

/** A client with the challenge of a server that knows SHA-256. */
class Offered {
  readonly subject: Subject;
  /** PASSWORD-ALGORITHMS as it came. */
  readonly list: Setter;

  private constructor(subject: Subject, list: Uint8Array) {
    this.subject = subject;
    this.list = attribute(PASSWORD_ALGORITHMS.type, list);
  }

  static async to(context: Context): Promise<Offered> {
    const subject = await context.stranger();
    const exchange = await subject.ask(subject.requests.allocate());
    if (exchange.type !== 'answer' || !subject.requests.learn(exchange.answer))
      throw new Unable('there is no challenge');
    const { message, nonce = '' } = exchange.answer;
    const list = message.value(PASSWORD_ALGORITHMS.type);
    if (list === undefined || !nonceOffers(nonce, 'PASSWORD_ALGORITHMS') || !names(list, 'SHA_256')) {
      throw new Unable('the server does not offer SHA-256');
    }
    return new Offered(subject, Uint8Array.from(list));
  }

  get nonce(): string {
    return this.subject.requests.nonce ?? '';
  }

  key(algorithm: PasswordAlgorithm): Uint8Array {
    const { credentials, realm = '' } = this.subject.requests;
    return longTermKey(credentials.username, realm, credentials.credential, algorithm);
  }

  seal(algorithm: PasswordAlgorithm, hash: IntegrityHash = 'sha256'): Setter {
    return (writer) => writer.integrity(this.key(algorithm), hash);
  }

  /** The answer to an Allocate, or another request, under this client's name, with these attributes behind it. */
  ask(
    more: readonly Setter[],
    { nonce = this.nonce, method = methods.ALLOCATE.code }: { nonce?: string; method?: number } = {},
  ): Promise<Exchange> {
    const { requests } = this.subject;
    const setters = [
      ...(method === methods.ALLOCATE.code ? [requestedTransport(TRANSPORT_UDP)] : []),
      text(attributes.USERNAME, requests.credentials.username),
      text(attributes.REALM, requests.realm ?? ''),
      text(attributes.NONCE, nonce),
      ...more,
    ];
    const head = { method, messageClass: 'request', transactionId: requests.transactionId() } as const;
    return this.subject.ask(encodeMessage(new Uint8Array(4_096), head, setters).slice());
  }
}

/** Whether a PASSWORD-ALGORITHMS has an algorithm on it: numbers, each with the length of its parameters and those. */
function names(list: Uint8Array, algorithm: PasswordAlgorithm): boolean {
  const view = Buffer.from(list);
  for (let at = 0; at + 4 <= view.length; at += 4 + ((view.readUInt16BE(at + 2) + 3) & ~3)) {
    if (view.readUInt16BE(at) === passwordAlgorithms[algorithm].number) return true;
  }
  return false;
}

/** An answer sealed with MESSAGE-INTEGRITY-SHA256, under the key of the algorithm that was named. */
function sealed(offered: Offered, exchange: Exchange, outcome: 'success' | number): Finding {
  const plain = expectAnswer(exchange, outcome, { with: ['MESSAGE_INTEGRITY_SHA256'] });
  if (!plain.conforms || exchange.type !== 'answer') return plain;
  const isRight = integrityIsRight(exchange.answer.message, offered.key('SHA_256'), 'sha256');
  return isRight ? plain : { conforms: false, got: `${plain.got}, which is wrong` };
}

/** MESSAGE-INTEGRITY-SHA256, right as far as it goes. */
function cutShort(key: Uint8Array): Setter {
  return (writer) => {
    const at = writer.add(attributes.MESSAGE_INTEGRITY_SHA256.type, TOO_SHORT);
    const before = writer.into.subarray(writer.start, at - 4);
    writer.into.set(createHmac('sha256', key).update(before).digest().subarray(0, TOO_SHORT), at);
  };
}

export const passwordAlgorithmChecks = checksOf('authentication', [
  {
    name: 'sha256-success-sealed',
    section: 'RFC 8489 §9.2.4',
    expected: 'success with a MESSAGE-INTEGRITY-SHA256 of the same credentials, to who names SHA-256',
    async run(context) {
      const offered = await Offered.to(context);
      const exchange = await offered.ask([offered.list, passwordAlgorithm('SHA_256'), offered.seal('SHA_256')]);
      if (exchange.type === 'answer' && exchange.answer.isSuccess) offered.subject.adopt(exchange.answer);
      return sealed(offered, exchange, 'success');
    },
  },
  {
    name: 'sha256-error-sealed',
    section: 'RFC 8489 §9.2.4',
    expected: '437 with a MESSAGE-INTEGRITY-SHA256 of the same credentials, to who names SHA-256',
    async run(context) {
      const offered = await Offered.to(context);
      const more = [offered.list, passwordAlgorithm('SHA_256'), offered.seal('SHA_256')];
      return sealed(offered, await offered.ask(more, { method: methods.REFRESH.code }), 437);
    },
  },
  {
    name: 'password-algorithms-changed',
    section: 'RFC 8489 §9.2.4',
    expected: '400 to a list from which SHA-256 was taken',
    class: 'security',
    async run(context) {
      const offered = await Offered.to(context);
      const shorter = attribute(PASSWORD_ALGORITHMS.type, Uint8Array.of(0, passwordAlgorithms.MD5.number, 0, 0));
      return expectOutcome(await offered.ask([shorter, passwordAlgorithm('MD5'), offered.seal('MD5')]), 400);
    },
  },
  {
    name: 'password-algorithm-by-halves',
    section: 'RFC 8489 §9.2.4',
    expected: '400 to an algorithm without the list, and to the list without an algorithm',
    async run(context) {
      const offered = await Offered.to(context);
      const seal = offered.seal('SHA_256');
      return all([
        ['PASSWORD-ALGORITHM alone', expectOutcome(await offered.ask([passwordAlgorithm('SHA_256'), seal]), 400)],
        ['PASSWORD-ALGORITHMS alone', expectOutcome(await offered.ask([offered.list, seal]), 400)],
      ]);
    },
  },
  {
    name: 'nonce-cookie-changed',
    section: 'RFC 8489 §9.2.1',
    expected: '438 to a nonce from which the offer was taken',
    class: 'security',
    async run(context) {
      const offered = await Offered.to(context);
      const nonce = nonceCookie([]) + offered.nonce.slice(COOKIE_LENGTH);
      return expectOutcome(await offered.ask([offered.seal('MD5', 'sha1')], { nonce }), 438);
    },
  },
  {
    name: 'integrity-sha256-too-short',
    section: 'RFC 8489 §14.6',
    expected: '400 or 401 to a MESSAGE-INTEGRITY-SHA256 of 12 octets',
    class: 'security',
    async run(context) {
      const offered = await Offered.to(context);
      const more = [offered.list, passwordAlgorithm('SHA_256'), cutShort(offered.key('SHA_256'))];
      return expectOutcome(await offered.ask(more), 400, 401);
    },
  },
]);
