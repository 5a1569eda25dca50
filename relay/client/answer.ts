/** What a server sent, as a client reads it. */
import type { Endpoint } from '../../kernel/address.ts';
import { readAddress, readAddresses } from '../stun/address-attributes.ts';
import { attributes } from '../stun/attributes.ts';
import { readErrorCode, readUnknownAttributeTypes } from '../stun/error-code.ts';
import type { Fault } from '../stun/fault.ts';
import type { MessageClass } from '../stun/header.ts';
import { integrityIsRight } from '../stun/integrity.ts';
import { decodeMessage, type StunMessage } from '../stun/message.ts';
import { readLifetime } from '../stun/number-attributes.ts';
import { readText } from '../stun/text-attributes.ts';

export class Answer {
  readonly message: StunMessage;
  readonly method: number;
  readonly messageClass: MessageClass;

  constructor(message: StunMessage) {
    this.message = message;
    this.method = message.method;
    this.messageClass = message.messageClass;
  }

  get bytes(): Uint8Array {
    return this.message.raw;
  }
  /** Of an error response. */
  get code(): number | undefined {
    return readErrorCode(this.message);
  }
  get realm(): string | undefined {
    return readText(this.message, attributes.REALM);
  }
  get nonce(): string | undefined {
    return readText(this.message, attributes.NONCE);
  }
  /** Seconds. */
  get lifetime(): number | undefined {
    return readLifetime(this.message);
  }
  get relayed(): Endpoint | undefined {
    return readAddress(this.message, attributes.XOR_RELAYED_ADDRESS);
  }
  /** All of them: two where both families were asked for; undefined when one is malformed. */
  get relayedAddresses(): readonly Endpoint[] | undefined {
    return readAddresses(this.message, attributes.XOR_RELAYED_ADDRESS);
  }
  get mapped(): Endpoint | undefined {
    return readAddress(this.message, attributes.XOR_MAPPED_ADDRESS);
  }
  /** Of a Data indication. */
  get peer(): Endpoint | undefined {
    return readAddress(this.message, attributes.XOR_PEER_ADDRESS);
  }
  get data(): Uint8Array | undefined {
    return this.message.value(attributes.DATA.type);
  }
  get unknown(): readonly number[] | undefined {
    return readUnknownAttributeTypes(this.message);
  }
  get reservationToken(): Uint8Array | undefined {
    return this.message.value(attributes.RESERVATION_TOKEN.type);
  }
  get isSuccess(): boolean {
    return this.messageClass === 'success';
  }
  has(attribute: { readonly type: number }): boolean {
    return this.message.has(attribute.type);
  }
  /** Whether it carries a MESSAGE-INTEGRITY made with this key. */
  isSealedWith(key: Uint8Array): boolean {
    return integrityIsRight(this.message, key);
  }
}

/** Reads a message that this server sent; the bytes must not be written again. A fault when it is not as RFC 8489 §5 and §14 say. */
export function readAnswer(bytes: Uint8Array): Answer | Fault {
  const decoded = decodeMessage(bytes);
  return decoded.ok ? new Answer(decoded.message) : decoded.fault;
}
