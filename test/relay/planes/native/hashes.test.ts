import { createHash, createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nativeHashes } from '../../../../relay/planes/native/native-hashes.ts';
import { type Hashes, nodeHashes } from '../../../../relay/stun/hashes.ts';
import { Bench } from '../../turn/bench.ts';
import { addon } from './shared-clock.ts';

const native = addon === undefined ? undefined : nativeHashes(addon);
const implementations: readonly [string, Hashes][] = [
  ['node:crypto', nodeHashes],
  ...(native === undefined ? [] : ([['the addon', native]] satisfies [string, Hashes][])),
];
const hex = (octets: Uint8Array) => Buffer.from(octets).toString('hex');
const ofLength = (length: number, octet: number) => Buffer.alloc(length, octet);

it.skipIf(addon === undefined)('finds the OpenSSL of Node', () => {
  expect(native).not.toBe(nodeHashes);
});

describe.each(implementations)('the hashes of %s', (_name, hashes) => {
  it('agree with RFC 2202', () => {
    expect(hex(hashes.hmac('sha1', ofLength(20, 0x0b), 'Hi There'))).toBe('b617318655057264e28bc0b6fb378c8ef146be00');
    expect(hex(hashes.hmac('sha1', Buffer.from('Jefe'), 'what do ya want for nothing?'))).toBe(
      'effcdf6ae5eb2fa2d27416d5f184df9c259a7c79',
    );
    expect(hex(hashes.hmac('sha1', ofLength(20, 0xaa), ofLength(50, 0xdd)))).toBe(
      '125d7342b9ac11cd91a39af48aa17b4f63f175d3',
    );
    expect(hex(hashes.hmac('sha1', ofLength(80, 0xaa), 'Test Using Larger Than Block-Size Key - Hash Key First'))).toBe(
      'aa4ae5e15272d00e95705637ce8a3b55ed402112',
    );
  });

  it('agree with RFC 4231', () => {
    expect(hex(hashes.hmac('sha256', ofLength(20, 0x0b), 'Hi There'))).toBe(
      'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
    );
    expect(
      hex(hashes.hmac('sha256', ofLength(131, 0xaa), 'Test Using Larger Than Block-Size Key - Hash Key First')),
    ).toBe('60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54');
  });

  it('agree with RFC 1321 and RFC 6234', () => {
    expect(hex(hashes.digest('md5', ''))).toBe('d41d8cd98f00b204e9800998ecf8427e');
    expect(hex(hashes.digest('md5', 'message digest'))).toBe('f96b697d7cb7938d525a2f31aaf161d0');
    expect(hex(hashes.digest('sha256', 'abc'))).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    );
  });

  it('give a digest that the next call leaves alone', () => {
    const first = hashes.digest('sha256', 'one');
    const before = hex(first);
    hashes.digest('sha256', 'two');
    expect(hex(first)).toBe(before);
  });

  it('agree with node:crypto on any key and text, the longest included', () => {
    const octets = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.integer({ min: 7_000, max: 70_000 }).map((length) => new Uint8Array(length).fill(length)),
    );
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 600 }),
      fc.integer({ min: 2_000, max: 9_000 }).map((length) => 'é'.repeat(length)),
    );
    fc.assert(
      fc.property(octets, fc.oneof(octets, text), text, (key, message, password) => {
        for (const hash of ['sha1', 'sha256'] as const) {
          expect(hex(hashes.hmac(hash, key, message))).toBe(createHmac(hash, key).update(message).digest('hex'));
        }
        for (const hash of ['md5', 'sha256'] as const) {
          expect(hex(hashes.digest(hash, password))).toBe(createHash(hash).update(password).digest('hex'));
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe.each(implementations)('a core on the hashes of %s', (_name, hashes) => {
  it.each([undefined, 'MD5', 'SHA_256'] as const)(
    'answers as any other does to a client that names %s',
    (algorithm) => {
      const answers = [{ hashes }, {}].map((options) => {
        const bench = new Bench(options);
        const client = bench.client();
        client.algorithm = algorithm;
        return [client.allocate(), client.refresh(), client.refresh(0)].map((bytes) => bench.send(bytes).answer);
      });
      expect(answers[0]?.map((answer) => answer?.messageClass)).toEqual(['success', 'success', 'success']);
      expect(answers[0]).toEqual(answers[1]);
    },
  );
});
