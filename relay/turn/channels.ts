/** The channel bindings of one allocation (RFC 8656 §12): number and peer endpoint, one to one. */
import type { Endpoint } from '../../kernel/address.ts';

/** Milliseconds a binding lives. */
export const CHANNEL_LIFETIME = 600_000;
/** Milliseconds after a binding's end during which its number binds no other peer and its peer no other number (§12). */
export const CHANNEL_REST = 300_000;

interface Binding {
  readonly key: string;
  readonly peer: Endpoint;
  readonly deadline: number;
}

const keyOf = (peer: Endpoint) => `${peer.address} ${peer.port}`;

export class Channels {
  readonly #byNumber = new Map<number, Binding>();
  readonly #byPeer = new Map<string, number>();
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  /** Bindings alive or at rest. */
  get size(): number {
    return this.#byNumber.size;
  }

  /** Whether number or peer still belongs to another binding, alive or at rest. */
  conflicts(channel: number, peer: Endpoint, now: number): boolean {
    const key = keyOf(peer);
    const held = (other: number) => (this.#byNumber.get(other)?.deadline ?? 0) + CHANNEL_REST > now;
    const peerOfNumber = this.#byNumber.get(channel)?.key;
    if (peerOfNumber !== undefined && peerOfNumber !== key && held(channel)) return true;
    const numberOfPeer = this.#byPeer.get(key);
    return numberOfPeer !== undefined && numberOfPeer !== channel && held(numberOfPeer);
  }

  /** Whether one more fits. Looks through the forgotten ones only when it would be full. */
  hasRoom(channel: number, now: number): boolean {
    if (this.#byNumber.has(channel) || this.#byNumber.size < this.#most) return true;
    for (const [number, { deadline }] of this.#byNumber) if (deadline + CHANNEL_REST <= now) this.#drop(number);
    return this.#byNumber.size < this.#most;
  }

  /**
   * Binds or refreshes what does not conflict. Returns the new deadline and the numbers whose old bindings, dead and rested,
   * had to give way.
   */
  bind(channel: number, peer: Endpoint, now: number): { deadline: number; displaced: number[] } {
    const key = keyOf(peer);
    const deadline = now + CHANNEL_LIFETIME;
    const displaced: number[] = [];
    if (this.#byNumber.get(channel)?.key !== key) {
      for (const number of [channel, this.#byPeer.get(key)]) {
        if (number !== undefined && this.#drop(number)) displaced.push(number);
      }
    }
    this.restore(channel, peer, deadline);
    return { deadline, displaced };
  }

  /** What it holds, those at rest included, for a snapshot. */
  entries(): { number: number; peer: Endpoint; deadline: number }[] {
    return Array.from(this.#byNumber, ([number, { peer, deadline }]) => ({ number, peer, deadline }));
  }

  /** Takes an entry of a snapshot back. */
  restore(channel: number, peer: Endpoint, deadline: number): void {
    const key = keyOf(peer);
    this.#byNumber.set(channel, { key, peer, deadline });
    this.#byPeer.set(key, channel);
  }

  #drop(channel: number): boolean {
    const binding = this.#byNumber.get(channel);
    if (binding === undefined) return false;
    this.#byPeer.delete(binding.key);
    return this.#byNumber.delete(channel);
  }
}
