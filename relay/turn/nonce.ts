/**
 * Nonces that nobody has to remember (RFC 8489 §9.2, §16.2.2): the time of issue and an HMAC over it and the client's address.
 * A flood of unauthenticated requests leaves nothing behind, and a nonce seen on the wire is worth nothing from elsewhere.
 *
 *     cookie | base64url( low 24 bits of the Unix second of issue | HMAC-SHA256(key, cookie, issued, transport, address, port), first 64 bits )
 *
 * 15 characters behind a cookie of 13, short so that a 401 stays small. 64 bits are enough for a tag that can only be guessed
 * online. The tag covers the cookie: a nonce whose offer was taken out on the way is no nonce of ours (§9.2.1).
 */
import { timingSafeEqual } from 'node:crypto';
import type { FiveTuple } from '../../kernel/address.ts';
import { type Hashes, nodeHashes } from '../stun/hashes.ts';
import { nonceCookie } from '../stun/security-features.ts';

const TIME_OCTETS = 3;
const TAG_OCTETS = 8;
const BODY_LENGTH = Math.ceil(((TIME_OCTETS + TAG_OCTETS) * 4) / 3);
/** Seconds after which the time in a nonce begins anew; the tag is over the whole time, so that no old nonce becomes a fresh one. */
const TIME_SPAN = 2 ** (TIME_OCTETS * 8);

/** In front of the nonces that come with PASSWORD-ALGORITHMS. */
const OFFERING = nonceCookie(['PASSWORD_ALGORITHMS']);
export const NONCE_LENGTH = OFFERING.length + BODY_LENGTH;

/** A clock that runs this many seconds ahead on another relay of the fleet does not make its nonces stale. */
const LEEWAY_SECONDS = 60;

export type NonceVerdict = 'fresh' | 'stale' | 'forged';

export class NonceMint {
  readonly #key: Uint8Array;
  readonly #lifetime: number;
  readonly #hashes: Hashes;
  /** Octets of one nonce, until its text is made. */
  readonly #sealed = Buffer.allocUnsafeSlow(TIME_OCTETS + TAG_OCTETS);

  /** `key`: 16 octets or more, the same on every worker and relay that shares clients. `lifetime` in seconds. */
  constructor(key: Uint8Array, lifetime: number, hashes: Hashes = nodeHashes) {
    if (key.length < 16) throw new RangeError('the nonce key must have 16 octets or more');
    this.#key = key;
    this.#lifetime = lifetime;
    this.#hashes = hashes;
  }

  /** A nonce for this client; `now` in Unix milliseconds. Not `offering`, it looks as a server before RFC 8489 would make it. */
  issue(from: FiveTuple, now: number, offering: boolean): string {
    return this.#seal(offering ? OFFERING : '', from, Math.floor(now / 1000));
  }

  /** `forged` also when it was issued to another address or under another key. */
  verify(nonce: string, from: FiveTuple, now: number): NonceVerdict {
    const cookie = nonce.startsWith(OFFERING) ? OFFERING : '';
    const body = Buffer.from(nonce.slice(cookie.length), 'base64url');
    if (nonce.length !== cookie.length + BODY_LENGTH || body.length !== TIME_OCTETS + TAG_OCTETS) return 'forged';
    const seconds = Math.floor(now / 1000);
    // The one time of issue with these low bits that lies nearest to now.
    const behind = (seconds - body.readUIntBE(0, TIME_OCTETS)) % TIME_SPAN;
    const age = behind > TIME_SPAN / 2 ? behind - TIME_SPAN : behind;
    // Texts are compared, not octets: the last character has bits to spare, and only one spelling is ours.
    const [given, expected] = [Buffer.from(nonce), Buffer.from(this.#seal(cookie, from, seconds - age))];
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return 'forged';
    return age >= -LEEWAY_SECONDS && age < this.#lifetime ? 'fresh' : 'stale';
  }

  #seal(cookie: string, { transport, client }: FiveTuple, issued: number): string {
    const sealing = `${cookie} ${issued} ${transport} ${client.address} ${client.port}`;
    const tag = this.#hashes.hmac('sha256', this.#key, sealing);
    const sealed = this.#sealed;
    sealed.writeUIntBE(issued % TIME_SPAN, 0, TIME_OCTETS);
    sealed.set(tag.subarray(0, TAG_OCTETS), TIME_OCTETS);
    return cookie + sealed.toString('base64url');
  }
}
