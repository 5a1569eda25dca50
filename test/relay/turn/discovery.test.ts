import { describe, expect, it } from 'vitest';
import { attributes } from '../../../relay/stun/attributes.ts';
import { readPlainAddress } from '../../../relay/stun/address-attributes.ts';
import { decodeMessage } from '../../../relay/stun/message.ts';
import { attribute, TurnClient } from '../turn-client.ts';
import { Bench, tuple } from './bench.ts';

const client = new TurnClient('', '');
const discovery = { addresses: ['192.0.2.1', '192.0.2.2'], ports: [3478, 3479] } as const;
const at = (address: string, port: number, from = '198.51.100.7:50000') => ({
  ...tuple(from),
  server: { address, port },
});
const changed = (flags: number) => ({
  more: [attribute(attributes.CHANGE_REQUEST.type, Uint8Array.of(0, 0, 0, flags))],
});

/** What one Binding is answered: from where, and what it says of the server. */
function ask(question: Uint8Array, to = at('192.0.2.1', 3478)) {
  const { commands, answer } = new Bench({ discovery }).send(question, to);
  const [command] = commands;
  if (command?.type !== 'send') return { answer };
  const decoded = decodeMessage(command.bytes);
  if (!decoded.ok) throw new Error('no answer');
  return {
    answer,
    octets: command.bytes.length,
    from: command.to.server,
    to: command.to.client,
    origin: readPlainAddress(decoded.message, attributes.RESPONSE_ORIGIN),
    other: readPlainAddress(decoded.message, attributes.OTHER_ADDRESS),
  };
}

describe('behaviour discovery (RFC 5780)', () => {
  it('tells where the answer comes from, and the place that differs in address and port', () => {
    for (const [address, port, other] of [
      ['192.0.2.1', 3478, { address: '192.0.2.2', port: 3479 }],
      ['192.0.2.2', 3478, { address: '192.0.2.1', port: 3479 }],
      ['192.0.2.2', 3479, { address: '192.0.2.1', port: 3478 }],
    ] as const) {
      expect(ask(client.binding(), at(address, port))).toMatchObject({
        from: { address, port },
        origin: { address, port },
        other,
      });
    }
  });

  it('answers from another address, another port or both when it is asked to', () => {
    for (const [flags, from] of [
      [0, { address: '192.0.2.1', port: 3478 }],
      [2, { address: '192.0.2.1', port: 3479 }],
      [4, { address: '192.0.2.2', port: 3478 }],
      [6, { address: '192.0.2.2', port: 3479 }],
    ] as const) {
      const to = { address: '198.51.100.7', port: 50_000 };
      expect(ask(client.binding(changed(flags)))).toMatchObject({ from, origin: from, to, answer: { mapped: to } });
    }
  });

  it('sends nothing where nobody asked from, and nothing larger than the question allows', () => {
    for (const type of [attributes.RESPONSE_PORT.type, attributes.PADDING.type]) {
      const { answer, from } = ask(client.binding({ more: [attribute(type, new Uint8Array(4))] }));
      expect(answer).toMatchObject({ code: 420, unknown: [type] });
      expect(from).toEqual({ address: '192.0.2.1', port: 3478 });
    }
    const six = { addresses: ['2001:db8::1', '2001:db8::2'], ports: [3478, 3479] } as const;
    const question = client.binding();
    const { commands } = new Bench({ discovery: six }).send(question, at('2001:db8::1', 3478, '[2001:db8::7]:50001'));
    const [command] = commands;
    if (command?.type !== 'send') throw new Error('no answer');
    expect(command.bytes.length).toBeLessThanOrEqual(question.length * 3.6);
  });

  it('is served over UDP at its four places, and nowhere else', () => {
    const elsewhere = ask(client.binding(), at('192.0.2.9', 3478));
    expect(elsewhere).toMatchObject({
      from: { address: '192.0.2.9', port: 3478 },
      origin: undefined,
      other: undefined,
    });
    const stream = { ...at('192.0.2.1', 3478), transport: 'tcp' } as const;
    expect(ask(client.binding(changed(6)), stream).answer).toMatchObject({ code: 420 });
    expect(new Bench().send(client.binding(changed(6))).answer).toMatchObject({ code: 420 });
  });
});
