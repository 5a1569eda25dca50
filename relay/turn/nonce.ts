/**
 * Nonces that nobody has to remember (RFC 8489 §9.2, §16.2.2): the time of issue and an HMAC over it and the client's address.
 * A flood of unauthenticated requests leaves nothing behind, and a nonce seen on the wire is worth nothing from elsewhere.
 *
 *     base64url( issued: Unix seconds, 32 bits | HMAC-SHA256(key, issued, transport, address, port), first 64 bits )
 *
 * 16 characters, short so that a 401 stays small. 64 bits are enough for a tag that can only be guessed online.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { FiveTuple } from '../../kernel/address.ts';

const TIME_OCTETS = 4;
const TAG_OCTETS = 8;
export const NONCE_LENGTH = ((TIME_OCTETS + TAG_OCTETS) * 4) / 3;

/** A clock that runs this many seconds ahead on another relay of the fleet does not make its nonces stale. */
const LEEWAY_SECONDS = 60;

export type NonceVerdict = 'fresh' | 'stale' | 'forged';

export class NonceMint {
  readonly #key: Uint8Array;
  readonly #lifetime: number;

  /** `key`: 16 octets or more, the same on every worker and relay that shares clients. `lifetime` in seconds. */
  constructor(key: Uint8Array, lifetime: number) {
    if (key.length < 16) throw new RangeError('the nonce key must have 16 octets or more');
    this.#key = key;
    this.#lifetime = lifetime;
  }

  /** A nonce for this client; `now` in Unix milliseconds. */
  issue(from: FiveTuple, now: number): string {
    return this.#seal(from, Math.floor(now / 1000)).toString('base64url');
  }

  /** `forged` also when it was issued to another address or under another key. */
  verify(nonce: string, from: FiveTuple, now: number): NonceVerdict {
    const given = Buffer.from(nonce, 'base64url');
    if (nonce.length !== NONCE_LENGTH || given.length !== TIME_OCTETS + TAG_OCTETS) return 'forged';
    const issued = given.readUInt32BE(0);
    if (!timingSafeEqual(given, this.#seal(from, issued))) return 'forged';
    const age = Math.floor(now / 1000) - issued;
    return age >= -LEEWAY_SECONDS && age < this.#lifetime ? 'fresh' : 'stale';
  }

  #seal({ transport, client }: FiveTuple, issued: number): Buffer {
    const seconds = issued % 2 ** 32;
    const tag = createHmac('sha256', this.#key)
      .update(`${seconds} ${transport} ${client.address} ${client.port}`)
      .digest();
    const sealed = Buffer.alloc(TIME_OCTETS + TAG_OCTETS);
    sealed.writeUInt32BE(seconds, 0);
    tag.copy(sealed, TIME_OCTETS, 0, TAG_OCTETS);
    return sealed;
  }
}
