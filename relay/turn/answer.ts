/** Writing answers: what of the question they need, how they are sealed, and how large they may be. */
import type { FiveTuple } from '../../kernel/address.ts';
import { attributes } from '../stun/attributes.ts';
import { errorCode } from '../stun/error-code.ts';
import type { ErrorName } from '../stun/error-codes.ts';
import type { Hashes } from '../stun/hashes.ts';
import type { Seal } from '../stun/integrity.ts';
import type { StunMessage } from '../stun/message.ts';
import { encodeMessage, type Setter } from '../stun/message-writer.ts';

/** What an answer takes from its question. Owns its octets, so that it may outlive the datagram. */
export interface Asked {
  readonly method: number;
  readonly transactionId: Uint8Array;
  /** Who asks with FINGERPRINT is answered with FINGERPRINT (RFC 8489 §7). */
  readonly fingerprint: boolean;
  /** Octets of the question. */
  readonly length: number;
}

export function askedOf(message: StunMessage): Asked {
  return {
    method: message.method,
    transactionId: new Uint8Array(message.transactionId),
    fingerprint: message.has(attributes.FINGERPRINT.type),
    length: message.raw.length,
  };
}

/**
 * Octets of an answer for each octet of an unauthenticated question, at most: a source address may be forged, and a relay that
 * answers with more than it was sent is a weapon.
 */
export const AMPLIFICATION = 3.6;

/**
 * Octets of the shortest request that a client sends without credentials: a header and REQUESTED-TRANSPORT. What is shorter is
 * nobody's beginning, and is not answered over UDP.
 */
export const SMALLEST_QUESTION = 28;

/** Longer than any answer: 64 unknown types, realm, nonce, software, a reason phrase and the seals. */
const LONGEST = 4096;

export class AnswerWriter {
  readonly #hashes: Hashes;
  /** Every answer is written here and copied once, into Node's pool: most are sent and forgotten. */
  readonly #scratch = new Uint8Array(LONGEST);

  constructor(hashes: Hashes) {
    this.#hashes = hashes;
  }

  /** Sealed where the request was authenticated (RFC 8489 §9.2.4). */
  success(asked: Asked, setters: readonly Setter[], seal?: Seal): Uint8Array {
    return this.#encode(asked, 'success', setters, seal);
  }

  error(asked: Asked, error: ErrorName, setters: readonly Setter[], seal?: Seal): Uint8Array {
    return this.#encode(asked, 'error', [errorCode(error), ...setters], seal);
  }

  /**
   * An error for somebody unknown, at most AMPLIFICATION times the question where the source may be forged: without its reason
   * phrase if that makes it fit, undefined if it does not fit even so.
   */
  modestError(
    asked: Asked,
    transport: FiveTuple['transport'],
    error: ErrorName,
    setters: readonly Setter[],
  ): Uint8Array | undefined {
    const most = transport === 'udp' ? asked.length * AMPLIFICATION : Number.POSITIVE_INFINITY;
    const full = this.error(asked, error, setters);
    if (full.length <= most) return full;
    const bare = this.#encode(asked, 'error', [errorCode(error, ''), ...setters]);
    return bare.length <= most ? bare : undefined;
  }

  #encode(
    { method, transactionId, fingerprint }: Asked,
    messageClass: 'success' | 'error',
    setters: readonly Setter[],
    seal?: Seal,
  ): Uint8Array {
    const head = { method, messageClass, transactionId };
    const seals = { key: seal?.key, hash: seal?.hash, fingerprint, hashes: this.#hashes };
    return Buffer.from(encodeMessage(this.#scratch, head, setters, seals));
  }
}
