/** Checks of STUN itself: framing, attributes, FINGERPRINT, what is answered and what is not (RFC 8489). */
import { attribute } from '../client/requests.ts';
import { attributes } from '../stun/attributes.ts';
import { packType, writeU16, writeU32 } from '../stun/header.ts';
import { encodeMessage } from '../stun/message-writer.ts';
import { methods } from '../stun/methods.ts';
import { text } from '../stun/text-attributes.ts';
import { checksOf, type Finding, streams } from './check.ts';
import type { Context } from './context.ts';
import { expectAnswer, expectOutcome, outcomeOf, tell } from './finding.ts';
import { type Subject, tellDelivery } from './subject.ts';

/** Comprehension-required and comprehension-optional types that nobody has registered. */
export const UNKNOWN_REQUIRED = 0x7fee;
const UNKNOWN_OPTIONAL = 0xffee;
const UNKNOWN_METHOD = 0xfee;

/** A Binding request with something wrong in its bytes. */
function broken(subject: Subject, breaking: (bytes: Uint8Array) => Uint8Array): Uint8Array {
  return breaking(subject.requests.binding());
}

/** Nothing may come of these bytes. */
async function unanswered(context: Context, make: (subject: Subject) => Uint8Array): Promise<Finding> {
  const subject = await context.stranger();
  const reaction = await subject.reactionTo(make(subject));
  return { conforms: reaction === undefined, got: reaction ?? 'no answer' };
}

function withLength(bytes: Uint8Array, change: number): Uint8Array {
  writeU16(bytes, 2, bytes.length - 20 + change);
  return bytes;
}

export const stunChecks = checksOf('stun', [
  {
    name: 'binding',
    section: 'RFC 8489 §12.1',
    expected: 'success with XOR-MAPPED-ADDRESS, without credentials',
    async run(context) {
      const subject = await context.stranger();
      return expectAnswer(await subject.ask(subject.requests.binding()), 'success', { with: ['XOR_MAPPED_ADDRESS'] });
    },
  },
  {
    name: 'binding-unknown-required-attribute',
    section: 'RFC 8489 §6.3.1',
    expected: '420 with UNKNOWN-ATTRIBUTES naming it',
    async run(context) {
      const subject = await context.stranger();
      const exchange = await subject.ask(subject.requests.binding({ more: [attribute(UNKNOWN_REQUIRED)] }));
      return namesUnknown(exchange, UNKNOWN_REQUIRED);
    },
  },
  {
    name: 'binding-unknown-optional-attribute',
    section: 'RFC 8489 §14',
    expected: 'success: it is ignored',
    async run(context) {
      const subject = await context.stranger();
      return expectOutcome(
        await subject.ask(subject.requests.binding({ more: [attribute(UNKNOWN_OPTIONAL)] })),
        'success',
      );
    },
  },
  {
    name: 'padding-ignored',
    section: 'RFC 8489 §14',
    expected: 'success: padding may have any value',
    async run(context) {
      const subject = await context.stranger();
      const request = subject.requests.binding({ more: [text(attributes.SOFTWARE, 'x')] });
      return expectOutcome(await subject.ask(request.fill(0xff, request.length - 3)), 'success');
    },
  },
  {
    name: 'fingerprint-right',
    section: 'RFC 8489 §7',
    expected: 'success; a FINGERPRINT in the answer is right and last',
    async run(context) {
      const subject = await context.stranger();
      return expectOutcome(await subject.ask(subject.requests.binding({ fingerprint: true })), 'success');
    },
  },
  {
    name: 'fingerprint-wrong',
    section: 'RFC 8489 §6.3',
    expected: 'no answer',
    run: (context) =>
      unanswered(context, (subject) => {
        const request = subject.requests.binding({ fingerprint: true });
        const last = request.length - 1;
        request[last] = (request[last] ?? 0) ^ 0xff;
        return request;
      }),
  },
  {
    name: 'magic-cookie-wrong',
    section: 'RFC 8489 §6.3',
    expected: 'no answer to an Allocate without the magic cookie',
    transports: ['udp'],
    run: (context) =>
      unanswered(context, (subject) => {
        const request = subject.requests.allocate();
        writeU32(request, 4, 0x12345678);
        return request;
      }),
  },
  {
    name: 'first-bits',
    section: 'RFC 8489 §6.3',
    expected: 'no answer to a first octet of 0x80 or 0xC0',
    transports: ['udp'],
    async run(context) {
      const subject = await context.stranger();
      const messages = [0x80, 0xc0].map((bits) =>
        broken(subject, (bytes) => {
          bytes[0] = (bytes[0] ?? 0) | bits;
          return bytes;
        }),
      );
      const reaction = await subject.reactionTo(...messages);
      return { conforms: reaction === undefined, got: reaction ?? 'no answer' };
    },
  },
  {
    name: 'length-not-of-four',
    section: 'RFC 8489 §5',
    expected: 'no answer',
    transports: ['udp'],
    run: (context) =>
      unanswered(context, (subject) =>
        broken(subject, (bytes) => withLength(Buffer.concat([bytes, Buffer.alloc(2)]), 0)),
      ),
  },
  {
    name: 'length-beyond-datagram',
    section: 'RFC 8489 §6.3',
    expected: 'no answer',
    transports: ['udp'],
    run: (context) => unanswered(context, (subject) => broken(subject, (bytes) => withLength(bytes, 8))),
  },
  {
    name: 'length-short-of-datagram',
    section: 'RFC 8489 §6.3',
    expected: 'no answer to a message with octets behind it',
    transports: ['udp'],
    run: (context) =>
      unanswered(context, (subject) => broken(subject, (bytes) => Buffer.concat([bytes, Buffer.alloc(8, 0xaa)]))),
  },
  {
    name: 'attribute-beyond-message',
    section: 'RFC 8489 §6.3',
    expected: 'no answer, or 400',
    async run(context) {
      const subject = await context.stranger();
      const request = subject.requests.binding({ more: [text(attributes.SOFTWARE, 'abcd')] });
      writeU16(request, 22, 64);
      const reaction = await subject.reactionTo(request);
      return { conforms: reaction === undefined || reaction === '400', got: reaction ?? 'no answer' };
    },
  },
  {
    name: 'indication-unanswered',
    section: 'RFC 8489 §6.3.2',
    expected: 'no answer to a Binding indication',
    run: (context) => unanswered(context, (subject) => message(subject, methods.BINDING.code, 'indication')),
  },
  {
    name: 'response-unanswered',
    section: 'RFC 8489 §6.3.3',
    expected: 'no answer to a response that answers nothing',
    run: (context) => unanswered(context, (subject) => message(subject, methods.BINDING.code, 'success')),
  },
  {
    name: 'unknown-method',
    section: 'RFC 8489 §6.3',
    expected: 'no answer to a request of a method that does not exist',
    run: (context) => unanswered(context, (subject) => message(subject, UNKNOWN_METHOD, 'request')),
  },
  {
    name: 'method-of-indications-as-request',
    section: 'RFC 8656 §17',
    expected: 'no answer, or 400, to a Send request',
    async run(context) {
      const subject = await context.stranger();
      const reaction = await subject.reactionTo(message(subject, methods.SEND.code, 'request'));
      return { conforms: reaction === undefined || reaction === '400', got: reaction ?? 'no answer' };
    },
  },
  {
    name: 'stream-cut-anywhere',
    section: 'RFC 8489 §6.2.2',
    expected: 'success: a request may come in any number of pieces',
    transports: streams,
    async run(context) {
      const subject = await context.stranger();
      const request = subject.requests.binding({ more: [text(attributes.SOFTWARE, 'in pieces')] });
      const [start, rest] = [request.slice(0, 3), request.slice(3)];
      // Pieces of a write each; the first one is alone long enough to leave by itself.
      subject.tell(start);
      await context.breathe();
      for (const octet of rest.subarray(0, rest.length - 1)) subject.tell(Uint8Array.of(octet));
      await context.breathe();
      const reaction = await subject.reactionTo(rest.slice(rest.length - 1));
      return { conforms: reaction === 'success', got: reaction ?? 'no answer' };
    },
  },
  {
    name: 'stream-several-at-once',
    section: 'RFC 8489 §6.2.2',
    expected: 'two requests in one segment are both answered',
    transports: streams,
    async run(context) {
      const subject = await context.stranger();
      const second = subject.requests.binding();
      const exchange = subject.ask(Buffer.concat([subject.requests.binding(), second]));
      const first = await exchange;
      await subject.settle();
      const answers = (outcomeOf(first) === 'success' ? 1 : 0) + subject.heard().length;
      return { conforms: answers === 2, got: `${answers} answers` };
    },
  },
  {
    name: 'stream-not-stun',
    section: 'RFC 8489 §6.2.2',
    expected: 'no answer to what is no STUN; the connection may be closed',
    transports: streams,
    async run(context) {
      const subject = await context.stranger();
      subject.heard();
      subject.tell(Buffer.from('GET / HTTP/1.1\r\nHost: turn.example.org\r\n\r\n'));
      await subject.settle();
      const [first] = subject.heard();
      return { conforms: first === undefined, got: first === undefined ? 'no answer' : tellDelivery(first) };
    },
  },
]);

function message(subject: Subject, method: number, messageClass: 'request' | 'indication' | 'success'): Uint8Array {
  const head = { method, messageClass, transactionId: subject.requests.transactionId() };
  const bytes = encodeMessage(new Uint8Array(64), head, []).slice();
  writeU16(bytes, 0, packType(method, messageClass));
  return bytes;
}

/** 420, and what it was about. */
export function namesUnknown(exchange: Parameters<typeof tell>[0], type: number): Finding {
  const plain = expectAnswer(exchange, 420, { with: ['UNKNOWN_ATTRIBUTES'] });
  if (!plain.conforms || exchange.type !== 'answer') return plain;
  const named = exchange.answer.unknown ?? [];
  if (named.includes(type)) return plain;
  return { conforms: false, got: `420 naming ${named.map((one) => `0x${one.toString(16)}`).join(', ') || 'nothing'}` };
}
