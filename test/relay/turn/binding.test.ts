import { describe, expect, it } from 'vitest';
import { packType } from '../../../relay/stun/header.ts';
import { methods } from '../../../relay/stun/methods.ts';
import { attribute, endpoint, TurnClient } from '../turn-client.ts';
import { Bench, tuple } from './bench.ts';

const client = new TurnClient('alice', 'secret');

describe('Binding', () => {
  it.each(['198.51.100.7:50000', '[2001:db8::7]:50001'])(
    'tells %s where its packets come from, unauthenticated',
    (from) => {
      const bench = new Bench();
      const { answer, commands } = bench.send(client.binding({ fingerprint: true }), tuple(from));
      expect(answer).toMatchObject({
        messageClass: 'success',
        mapped: endpoint(from),
        hasFingerprint: true,
        hasIntegrity: false,
      });
      expect(commands).toHaveLength(1);
      expect(bench.observed).toEqual(['binding ok']);
    },
  );

  it('is not counted as an allocation\u2019s control traffic, also on its five-tuple', () => {
    const bench = new Bench();
    bench.allocated();
    expect(bench.send(client.binding()).commands[0]).not.toHaveProperty('allocation');
  });

  it('answers 420 to an unknown comprehension-required attribute, ICE\u2019s and RFC 5780\u2019s included', () => {
    const bench = new Bench();
    for (const type of [0x7777, 0x0003, 0x0024]) {
      const bytes = client.binding({ more: [attribute(type, new Uint8Array(4))] });
      expect(bench.send(bytes).answer).toMatchObject({ code: 420, unknown: [type] });
    }
  });
});

describe('what is dropped without an answer', () => {
  const bench = new Bench();
  const binding = client.binding({ fingerprint: true });
  const changed = (at: number, value: number) => {
    const bytes = Uint8Array.from(binding);
    bytes[at] = value;
    return bytes;
  };
  const typed = (type: number) => {
    const bytes = Uint8Array.from(client.binding());
    bytes[0] = type >> 8;
    bytes[1] = type & 0xff;
    return bytes;
  };

  it.each([
    ['nothing at all', new Uint8Array(0)],
    ['a header cut short', binding.subarray(0, 19)],
    ['a message without the cookie', changed(4, 0)],
    ['a wrong FINGERPRINT', changed(27, (binding[27] ?? 0) ^ 1)],
    ['trailing octets', Uint8Array.from([...binding, 0, 0, 0, 0])],
    ['ChannelData', client.channelData(0x4000, Uint8Array.of(1, 2, 3))],
    ['a Send indication', client.send(endpoint('203.0.113.9:5000'), Uint8Array.of(1))],
    ['a Binding indication', typed(packType(methods.BINDING.code, 'indication'))],
    ['a success response', typed(packType(methods.ALLOCATE.code, 'success'))],
    ['an error response', typed(packType(methods.ALLOCATE.code, 'error'))],
    ['a request of a method nobody defined', typed(packType(0x0ff, 'request'))],
    ['a request of RFC 6062', typed(packType(methods.CONNECT.code, 'request'))],
    ['a Data request, which does not exist', typed(packType(methods.DATA.code, 'request'))],
  ])('%s', (_name, bytes) => {
    expect(bench.send(bytes).commands).toEqual([]);
  });

  it('the plane\u2019s control events are handled as datagrams are', () => {
    expect(bench.event({ type: 'control', from: tuple(), bytes: binding }).answer?.messageClass).toBe('success');
  });
});
