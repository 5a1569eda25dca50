import { describe, expect, it } from 'vitest';
import { attributes } from '../../../relay/stun/attributes.ts';
import { longTermKey } from '../../../relay/stun/integrity.ts';
import { methods } from '../../../relay/stun/methods.ts';
import { requestedTransport } from '../../../relay/stun/number-attributes.ts';
import { type PasswordAlgorithm, passwordAlgorithm } from '../../../relay/stun/password-algorithm.ts';
import { text } from '../../../relay/stun/text-attributes.ts';
import { attribute, endpoint, type TurnClient } from '../turn-client.ts';
import { Bench, REALM, tuple } from './bench.ts';

const peer = endpoint('203.0.113.9:5000');

function clientWith(bench: Bench, algorithm: PasswordAlgorithm | undefined): TurnClient {
  const client = bench.client();
  client.algorithm = algorithm;
  return client;
}

/** An Allocate with MESSAGE-INTEGRITY-SHA256 and whatever else is given. */
function signed(client: TurnClient, more: Parameters<TurnClient['request']>[1], nonce = client.nonce ?? '') {
  const key = longTermKey('alice', REALM, 'secret', 'SHA_256');
  return client.request(
    methods.ALLOCATE.code,
    [
      requestedTransport(17),
      text(attributes.USERNAME, 'alice'),
      text(attributes.REALM, REALM),
      text(attributes.NONCE, nonce),
      ...more,
      (writer) => writer.integrity(key, 'sha256'),
    ],
    { bare: true },
  );
}
const list = (...octets: number[]) => attribute(attributes.PASSWORD_ALGORITHMS.type, Uint8Array.from(octets));

describe('the choice of password algorithm (RFC 8489 §9.2.4)', () => {
  it.each([undefined, 'MD5', 'SHA_256'] as const)(
    'serves a client that names %s, and seals as it does',
    (algorithm) => {
      const bench = new Bench();
      const client = clientWith(bench, algorithm);
      const allocated = bench.send(client.allocate());
      expect(allocated.answer).toMatchObject({
        messageClass: 'success',
        hash: algorithm === undefined ? 'sha1' : 'sha256',
      });
      const answers = [
        allocated,
        ...[
          client.refresh(),
          client.createPermission([peer]),
          client.channelBind(0x3fff, peer),
          client.allocate(),
          client.refresh(0),
        ].map((bytes) => bench.send(bytes)),
      ].map(({ answer }) => answer);
      expect(answers.map((answer) => answer && client.verifies(answer))).toEqual(answers.map(() => true));
    },
  );

  it('answers a retransmission under SHA-256 with the very same octets', () => {
    const bench = new Bench();
    const client = clientWith(bench, 'SHA_256');
    const bytes = client.allocate();
    const first = bench.send(bytes);
    expect(bench.send(bytes).answer?.bytes).toEqual(first.answer?.bytes);
    expect(bench.observed.at(-1)).toBe('allocate repeated');
  });

  it('lets the owner of an allocation change the algorithm from one request to the next', () => {
    const bench = new Bench();
    const client = clientWith(bench, 'SHA_256');
    bench.send(client.allocate());
    for (const algorithm of ['MD5', undefined, 'SHA_256'] as const) {
      client.algorithm = algorithm;
      const { answer } = bench.send(client.refresh());
      expect(answer?.messageClass).toBe('success');
      expect(client.verifies(answer!)).toBe(true);
    }
  });

  it('takes integrity by SHA-256 without a named algorithm for MD5\u2019s key, and answers with SHA-1', () => {
    const bench = new Bench();
    const client = bench.client();
    const key = longTermKey('alice', REALM, 'secret');
    const bytes = client.request(
      methods.ALLOCATE.code,
      [
        requestedTransport(17),
        text(attributes.USERNAME, 'alice'),
        text(attributes.REALM, REALM),
        text(attributes.NONCE, client.nonce ?? ''),
        (writer) => writer.integrity(key, 'sha256'),
      ],
      { bare: true },
    );
    const { answer } = bench.send(bytes);
    expect(answer).toMatchObject({ messageClass: 'success', hash: 'sha1' });
    expect(client.verifies(answer!)).toBe(true);
  });

  it('answers 401 to a wrong password under SHA-256, and 438 with the offer again to a stale nonce', () => {
    const bench = new Bench();
    const client = clientWith(bench, 'SHA_256');
    client.password = 'guess';
    expect(bench.send(client.allocate()).answer?.code).toBe(401);
    client.password = 'secret';
    bench.clock.advance(600_000);
    const { answer } = bench.send(client.allocate());
    expect(answer).toMatchObject({ code: 438, hasIntegrity: false });
    expect(answer?.algorithms).toBeDefined();
    client.learn(answer!);
    expect(bench.send(client.allocate()).answer?.messageClass).toBe('success');
  });
});

describe('bidding down (RFC 8489 §9.2.1)', () => {
  it.each([
    ['a list with the better algorithm taken out', [list(0, 1, 0, 0), passwordAlgorithm('MD5')]],
    ['a list with its order turned', [list(0, 1, 0, 0, 0, 2, 0, 0), passwordAlgorithm('MD5')]],
    ['an algorithm without the list', [passwordAlgorithm('SHA_256')]],
    ['the list without an algorithm', [list(0, 2, 0, 0, 0, 1, 0, 0)]],
    [
      'an algorithm that is not on the list',
      [list(0, 2, 0, 0, 0, 1, 0, 0), attribute(attributes.PASSWORD_ALGORITHM.type, Uint8Array.of(0, 3, 0, 0))],
    ],
  ])('answers 400 to %s', (_name, more) => {
    const bench = new Bench();
    const { answer } = bench.send(signed(bench.client(), more));
    expect(answer).toMatchObject({ code: 400, hasIntegrity: false, realm: undefined, nonce: undefined });
    expect(bench.observed).toContain('auth algorithms');
    expect(bench.core.size).toBe(0);
  });

  it('answers 438 to a nonce whose cookie was taken out, 400 when it is used with the algorithms of an offer', () => {
    const bench = new Bench();
    const client = bench.client();
    const stripped = client.nonce?.slice(13) ?? '';
    expect(bench.send(signed(client, [], stripped)).answer?.code).toBe(438);
    const more = [list(0, 2, 0, 0, 0, 1, 0, 0), passwordAlgorithm('SHA_256')];
    expect(bench.send(signed(client, more, stripped)).answer?.code).toBe(400);
    expect(bench.send(signed(client, more)).answer?.messageClass).toBe('success');
  });

  it('makes the same offer to every question, however short, on one transport', () => {
    const bench = new Bench();
    const client = new Bench().client();
    for (const from of [tuple(), tuple('[2001:db8::7]:50000'), tuple(undefined, 'tls')]) {
      for (const bytes of [
        client.allocate({}, { bare: true }),
        client.allocate({ seconds: 600, family: 4 }, { bare: true }),
      ]) {
        const { answer } = bench.send(bytes, from);
        expect(answer?.algorithms).toBeDefined();
        expect(answer?.nonce?.startsWith('obMatJos2AAAB')).toBe(true);
      }
    }
  });
});

describe('names that OpaqueString forbids', () => {
  it('are answered 401 without being looked up', () => {
    const bench = new Bench();
    bench.accounts.set('al\u0000ice', { passwords: ['secret'] });
    expect(bench.send(bench.client('al\u0000ice').allocate()).answer?.code).toBe(401);
    expect(bench.observed).toContain('auth malformed');
  });

  it('are no realm to start with', () => {
    expect(() => new Bench({ realm: 'a\u0007b' })).toThrow(RangeError);
  });
});
