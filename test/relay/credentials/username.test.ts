import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { systemRandom } from '../../../kernel/random.ts';
import { deriveKey } from '../../../kernel/report-token.ts';
import type { CredentialClaims } from '../../../relay/contract.ts';
import { decodeClaims, encodeClaims, MAX_CLAIMS_BYTES } from '../../../relay/credentials/claims.ts';
import {
  MAX_USERNAME_BYTES,
  passwordOf,
  SEAL_KEY_BYTES,
  sealName,
  splitName,
  splitRest,
  unsealName,
} from '../../../relay/credentials/username.ts';

const sealKey = deriveKey('a secret', 'seal', SEAL_KEY_BYTES);
const otherKey = deriveKey('another secret', 'seal', SEAL_KEY_BYTES);

/** Any text of at most 64 UTF-8 bytes, of any script. */
const name = fc.string({ unit: 'binary', maxLength: 64 }).filter((text) => Buffer.byteLength(text) <= 64);
const keyId = fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 64 });
const limits = fc.record(
  {
    allocations: fc.integer({ min: 1, max: 10_000 }),
    bytes: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    packetsPerSecond: fc.integer({ min: 1, max: 10_000_000 }),
    bitsPerSecond: fc.integer({ min: 1, max: 1_000_000_000_000 }),
    newPeersPerSecond: fc.integer({ min: 1, max: 100_000 }),
  },
  { requiredKeys: [] },
);
const impairment = fc.record(
  {
    lossPercent: fc.integer({ min: 0, max: 10_000 }).map((hundredths) => hundredths / 100),
    delayMs: fc.nat(5_000),
    jitterMs: fc.nat(5_000),
  },
  { requiredKeys: ['lossPercent', 'delayMs', 'jitterMs'] },
);
const limited = { customId: name, call: name, participant: name, limits };
const claims: fc.Arbitrary<CredentialClaims> = fc.oneof(
  fc.record(limited),
  fc.record({ ...limited, impairment }),
  fc.record({ ...limited, impairment: impairment.map((rest) => ({ ...rest, rateKbps: 800 })) }),
);
const expiry = fc.integer({ min: 1, max: 99_999_999_999 });

function unseal(username: string, keys: Buffer[]) {
  const parts = splitName(username);
  const rest = parts && splitRest(parts.rest);
  if (parts === undefined || rest === undefined) throw new Error(`not a name of ours: ${username}`);
  return unsealName({ expiry: parts.expiry, ...rest }, keys);
}

describe('claims as bytes', () => {
  it('are refused when they ask for conditions that no credential may have', () => {
    const said = { customId: '', call: '', participant: '', limits: {}, impairment: { lossPercent: 5 } };
    const bytes = encodeClaims(said);
    bytes.writeUInt16BE(10_001, bytes.length - 10);
    expect(decodeClaims(bytes)).toBeUndefined();
  });

  it('say again exactly what was said', () => {
    fc.assert(
      fc.property(claims, (said) => {
        const bytes = encodeClaims(said);
        expect(bytes.length).toBeLessThanOrEqual(MAX_CLAIMS_BYTES);
        expect(decodeClaims(bytes)).toEqual(said);
      }),
    );
  });

  it('are refused when cut short, run on, or of a version or limit not known here', () => {
    fc.assert(
      fc.property(claims, fc.nat(), (said, at) => {
        const bytes = encodeClaims(said);
        expect(decodeClaims(bytes.subarray(0, at % bytes.length))).toBeUndefined();
        expect(decodeClaims(Buffer.concat([bytes, Buffer.of(0)]))).toBeUndefined();
      }),
    );
    const none = encodeClaims({ customId: '', call: '', participant: '', limits: {} });
    expect(none).toEqual(Buffer.from([1, 0, 0, 0, 0]));
    expect(decodeClaims(Buffer.from([2, 0, 0, 0, 0]))).toBeUndefined();
    expect(decodeClaims(Buffer.from([1, 0, 0, 0, 0x20]))).toBeUndefined();
  });

  it('never throw on arbitrary bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(() => decodeClaims(Buffer.from(bytes))).not.toThrow();
      }),
    );
  });

  it('are not written for an identifier over 64 UTF-8 bytes or a limit over its width', () => {
    const said = { customId: 'é'.repeat(33), call: '', participant: '', limits: {} };
    expect(() => encodeClaims(said)).toThrow(RangeError);
    expect(() => encodeClaims({ ...said, customId: '', limits: { allocations: 65_536 } })).toThrow(RangeError);
  });
});

describe('a sealed username', () => {
  it('fits in STUN whatever it carries, and unseals to the same claims', () => {
    fc.assert(
      fc.property(claims, keyId, expiry, (said, keyId, expiry) => {
        const username = sealName(said, { expiry, keyId, sealKey }, systemRandom);
        expect(Buffer.byteLength(username)).toBeLessThanOrEqual(MAX_USERNAME_BYTES);
        expect(unseal(username, [otherKey, sealKey])).toEqual({ ok: true, claims: said, sealKey });
      }),
    );
  });

  it('shows no identifier to a reader on the path', () => {
    const said = { customId: 'customer-4711', call: 'board-meeting', participant: 'alice@example.org', limits: {} };
    const username = sealName(said, { expiry: 1, keyId: 'k', sealKey }, systemRandom);
    const visible = username + Buffer.from(username.slice(4), 'base64url').toString('latin1');
    for (const text of [said.customId, said.call, said.participant]) expect(visible).not.toContain(text);
    expect(sealName(said, { expiry: 1, keyId: 'k', sealKey }, systemRandom)).not.toBe(username);
  });

  it('does not unseal once any one character of it is changed', () => {
    const text = fc.constantFrom(...'0123456789ABCZabcz-_.:/+= '.split(''));
    fc.assert(
      fc.property(claims, fc.nat(), text, (said, at, character) => {
        const username = sealName(said, { expiry: 1_800_000_000, keyId: 'main', sealKey }, systemRandom);
        const index = at % username.length;
        fc.pre(username[index] !== character);
        const changed = username.slice(0, index) + character + username.slice(index + 1);
        const parts = splitName(changed);
        const rest = parts && splitRest(parts.rest);
        if (parts === undefined || rest === undefined) return;
        expect(unsealName({ expiry: parts.expiry, ...rest }, [sealKey]).ok).toBe(false);
      }),
      { numRuns: 500 },
    );
  });

  it('does not unseal when truncated anywhere', () => {
    const said = { customId: 'c', call: 'r', participant: 'p', limits: { bytes: 5n } };
    const username = sealName(said, { expiry: 1_800_000_000, keyId: 'main', sealKey }, systemRandom);
    for (let length = '1800000000:main.'.length; length < username.length; length += 1) {
      expect(unseal(username.slice(0, length), [sealKey]).ok).toBe(false);
    }
  });

  it('gives the password of the TURN REST draft', () => {
    // openssl: printf '1433895918:bob' | openssl dgst -sha1 -hmac 'mysecret' -binary | base64
    expect(passwordOf('1433895918:bob', 'mysecret')).toBe('0ijE+FvM8hTWaR6VJRWaBY/oHTc=');
  });
});
