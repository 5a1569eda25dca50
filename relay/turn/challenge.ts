/** What goes with a 401 or 438: realm, a fresh nonce, and which password algorithms there are (RFC 8489 §9.2.4). */
import type { FiveTuple } from '../../kernel/address.ts';
import { attributes } from '../stun/attributes.ts';
import { encodeMessage, type Setter } from '../stun/message-writer.ts';
import { methods } from '../stun/methods.ts';
import { errorCode } from '../stun/error-code.ts';
import { passwordAlgorithmList } from '../stun/password-algorithm.ts';
import { text } from '../stun/text-attributes.ts';
import { AMPLIFICATION, SMALLEST_QUESTION } from './answer.ts';
import { NONCE_LENGTH, type NonceMint } from './nonce.ts';

export class Challenge {
  readonly realm: string;
  readonly nonces: NonceMint;
  readonly #overUdp: boolean;
  /** What every challenge has, made once. */
  readonly #realmText: Setter;
  readonly #algorithms = passwordAlgorithmList();

  constructor(realm: string, nonces: NonceMint) {
    this.realm = realm;
    this.nonces = nonces;
    this.#realmText = text(attributes.REALM, realm);
    this.#overUdp = bareAnswerLength(realm) <= SMALLEST_QUESTION * AMPLIFICATION;
  }

  /**
   * Whether SHA-256 is offered to this client. Over UDP, where an answer may only be so much larger than its question, it is unless
   * the realm has more than 24 octets: then a browser's first Allocate would be too short for the offer. That is decided once, and
   * not for each question, because a server that gives less to shorter questions lets anybody on the path bid it down.
   */
  offersTo({ transport }: Pick<FiveTuple, 'transport'>): boolean {
    return transport !== 'udp' || this.#overUdp;
  }

  /** The attributes; `now` in Unix milliseconds. */
  attributes(from: FiveTuple, now: number): readonly Setter[] {
    const offering = this.offersTo(from);
    const nonce = this.nonces.issue(from, now, offering);
    return [this.#realmText, text(attributes.NONCE, nonce), ...(offering ? [this.#algorithms] : [])];
  }
}

/** Octets of a 401 without reason phrase that makes the offer. */
function bareAnswerLength(realm: string): number {
  const head = { method: methods.ALLOCATE.code, messageClass: 'error', transactionId: new Uint8Array(12) } as const;
  return encodeMessage(new Uint8Array(1024), head, [
    errorCode('UNAUTHENTICATED', ''),
    text(attributes.REALM, realm),
    text(attributes.NONCE, 'n'.repeat(NONCE_LENGTH)),
    passwordAlgorithmList(),
  ]).length;
}
