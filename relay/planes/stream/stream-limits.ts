/** How much of the relay a TCP or TLS connection may hold, and all of them together. */

export interface StreamLimits {
  /** Milliseconds from the acceptance of a connection to its first whole STUN message, a TLS handshake included. */
  readonly greetWithin: number;
  /** Milliseconds that a connection may stay without an allocation: from its acceptance, and from its allocation's end. */
  readonly idleWithin: number;
  /** Octets of the largest frame on a connection without an allocation. */
  readonly largestGreeting: number;
  /** Connections at once, those in their TLS handshake included. */
  readonly connections: number;
  /** Connections at once from one IPv4 address or one IPv6 /64. */
  readonly connectionsPerSource: number;
  /** Octets that may wait for a client that does not read; media beyond is dropped. */
  readonly pendingBytes: number;
  /** Octets beyond `pendingBytes` in which only answers to requests may wait. */
  readonly pendingAnswerBytes: number;
  /** Octets that may wait for all clients together. */
  readonly pendingBytesOfAll: number;
}

export const streamDefaults: StreamLimits = {
  greetWithin: 10_000,
  idleWithin: 60_000,
  largestGreeting: 4_096,
  connections: 10_000,
  connectionsPerSource: 512,
  pendingBytes: 256 * 1024,
  pendingAnswerBytes: 64 * 1024,
  pendingBytesOfAll: 128 * 1024 * 1024,
};
