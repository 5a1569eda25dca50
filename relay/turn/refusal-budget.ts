/**
 * How many refusals leave for one neighbourhood: a source address may be forged, and 401s are the answers that anybody can call
 * forth. One bucket for each /24 or /56, in a table whose size never changes. Prefixes that fall on one bucket share it: at the
 * default rate it takes over a million forged packets a second to empty them all.
 *
 * UDP has buckets of its own. Who floods in somebody's name can so keep a 401 over UDP from them, but never one over TCP or TLS,
 * where no address can be forged.
 */
import { type FiveTuple, parseAddress } from '../../kernel/address.ts';
import { type Rate, spend, UNUSED } from './rate.ts';

/** 128 KiB. */
const BUCKETS = 16_384;
/** Octets of the prefix: a /24 of IPv4, a /56 of IPv6, the least that one customer commonly holds. */
const PREFIX_OCTETS = { 4: 3, 16: 7 } as const;

/** Seconds' worth of refusals that may leave at once: a network that comes back brings all its clients together. */
const BURST_SECONDS = 10;

export class RefusalBudget {
  readonly #rate: Rate;
  readonly #salt: number;
  readonly #buckets = new Float64Array(BUCKETS).fill(UNUSED);

  /** `salt`: any 32 bits, so that which prefixes share a bucket cannot be known from outside. */
  constructor(perSecond: number, salt: number) {
    this.#rate = { perSecond, burst: perSecond * BURST_SECONDS };
    this.#salt = salt;
  }

  /** Whether one more refusal may leave for this client at `now` (monotonic milliseconds); it is spent if so. */
  take({ transport, client }: FiveTuple, now: number): boolean {
    const bucket = this.#bucketOf(transport === 'udp', client.address);
    const spent = spend(this.#buckets[bucket] ?? UNUSED, now, 1, this.#rate);
    if (spent === undefined) return false;
    this.#buckets[bucket] = spent;
    return true;
  }

  /** FNV-1a over the salt, the kind of transport and the prefix. */
  #bucketOf(udp: boolean, address: string): number {
    const octets = parseAddress(address) ?? new Uint8Array(4);
    let hash = mixed(this.#salt, udp ? 1 : 0);
    hash = mixed(hash, octets.length);
    const prefix = octets.length === 4 ? PREFIX_OCTETS[4] : PREFIX_OCTETS[16];
    for (let index = 0; index < prefix; index += 1) hash = mixed(hash, octets[index] ?? 0);
    // The low bits of FNV are the weak ones.
    return ((hash ^ (hash >>> 15)) >>> 0) % BUCKETS;
  }
}

function mixed(hash: number, octet: number): number {
  return Math.imul(hash ^ octet, 0x0100_0193);
}
