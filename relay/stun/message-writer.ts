/**
 * Building a message into the caller's buffer. A message is a header and a list of setters, so that an answer is data:
 *
 *     encodeMessage(buffer, head, [xorAddress(attributes.XOR_MAPPED_ADDRESS, client)], { key, fingerprint: true })
 */
import { writeFingerprint, FINGERPRINT_LENGTH } from './fingerprint.ts';
import {
  ATTRIBUTE_HEADER_LENGTH,
  HEADER_LENGTH,
  MAGIC_COOKIE,
  type MessageClass,
  packType,
  padded,
  TRANSACTION_ID_LENGTH,
  writeU16,
  writeU32,
} from './header.ts';
import { type Hashes } from './hashes.ts';
import { type IntegrityHash, integrityLength, writeIntegrity } from './integrity.ts';

/** Adds one attribute to a message under construction. */
export type Setter = (writer: MessageWriter) => void;

export interface MessageHead {
  readonly method: number;
  readonly messageClass: MessageClass;
  /** 12 octets. */
  readonly transactionId: Uint8Array;
}

export class MessageWriter {
  readonly into: Uint8Array;
  /** Where the message's header begins. */
  readonly start: number;
  #end: number;

  /** Throws RangeError, as every method here, when the buffer is too short: the buffer's size is the caller's fault, never the network's. */
  constructor(into: Uint8Array, start: number, head: MessageHead) {
    this.into = into;
    this.start = start;
    this.#end = start;
    this.#take(HEADER_LENGTH);
    writeU16(into, start, packType(head.method, head.messageClass));
    writeU32(into, start + 4, MAGIC_COOKIE);
    for (let index = 0; index < TRANSACTION_ID_LENGTH; index += 1)
      into[start + 8 + index] = head.transactionId[index] ?? 0;
    this.#writeLength();
  }

  /**
   * Opens an attribute of `length` octets and returns where its value goes. The padding is zeroed, so that nothing of the
   * buffer's past leaves with it.
   *
   *     |         Type                  |            Length             |
   *     |                         Value (variable)                ....
   */
  add(type: number, length: number): number {
    const at = this.#take(ATTRIBUTE_HEADER_LENGTH + padded(length));
    writeU16(this.into, at, type);
    writeU16(this.into, at + 2, length);
    this.into.fill(0, at + ATTRIBUTE_HEADER_LENGTH + length, this.#end);
    this.#writeLength();
    return at + ATTRIBUTE_HEADER_LENGTH;
  }

  /** Seals what is there so far. */
  integrity(key: Uint8Array, hash: IntegrityHash = 'sha1', hashes?: Hashes): void {
    const at = this.#take(integrityLength(hash));
    this.#writeLength();
    writeIntegrity(this.into, this.start, at, { key, hash }, hashes);
  }

  /** Ends the message with its checksum. */
  fingerprint(): void {
    const at = this.#take(FINGERPRINT_LENGTH);
    this.#writeLength();
    writeFingerprint(this.into, this.start, at);
  }

  /** A view of the message in the caller's buffer. */
  bytes(): Uint8Array {
    return this.into.subarray(this.start, this.#end);
  }

  #take(length: number): number {
    const at = this.#end;
    if (at + length > this.into.length) throw new RangeError('the buffer is too short for the message');
    this.#end = at + length;
    return at;
  }

  #writeLength(): void {
    writeU16(this.into, this.start + 2, this.#end - this.start - HEADER_LENGTH);
  }
}

/** Seals in the only order the RFC allows: attributes, MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256, FINGERPRINT. */
export interface Seals {
  readonly key?: Uint8Array | undefined;
  /** Which of the two the key goes into; SHA-1 when not said. */
  readonly hash?: IntegrityHash | undefined;
  readonly fingerprint?: boolean;
  /** Whose HMAC; node:crypto's when not said. */
  readonly hashes?: Hashes;
}

/** Encodes a whole message at the start of `into` and returns a view of it there. Throws RangeError when `into` is too short. */
export function encodeMessage(
  into: Uint8Array,
  head: MessageHead,
  setters: readonly Setter[],
  seals: Seals = {},
): Uint8Array {
  const writer = new MessageWriter(into, 0, head);
  for (const set of setters) set(writer);
  if (seals.key !== undefined) writer.integrity(seals.key, seals.hash, seals.hashes);
  if (seals.fingerprint === true) writer.fingerprint();
  return writer.bytes();
}
