/** A received STUN message: where its attributes lie, and which of them count. */
import { attributes, isComprehensionRequired, isUnderstood, lengthFits } from './attributes.ts';
import type { Fault } from './fault.ts';
import { fingerprintIsRight } from './fingerprint.ts';
import {
  ATTRIBUTE_HEADER_LENGTH,
  classOf,
  HEADER_LENGTH,
  headerFault,
  type MessageClass,
  methodOf,
  padded,
  readU16,
} from './header.ts';

/** More than any client sends (a CreatePermission with 50 peers included), few enough to bound the work on hostile input. */
export const MOST_ATTRIBUTES = 64;

/** One attribute: its value is `length` octets at `at` of the message. */
export interface Attribute {
  readonly type: number;
  readonly at: number;
  readonly length: number;
}

/**
 * A decoded message. It copies nothing: `raw`, `transactionId` and every value are views of the buffer it was decoded from,
 * valid only as long as that buffer is not written again. Copy what must outlive the call (`Uint8Array.from`).
 */
export class StunMessage {
  readonly raw: Uint8Array;
  readonly method: number;
  readonly messageClass: MessageClass;
  /** In wire order; what stands behind MESSAGE-INTEGRITY and must be ignored is not among them. */
  readonly attributes: readonly Attribute[];

  constructor(raw: Uint8Array, attributes: readonly Attribute[]) {
    const type = readU16(raw, 0);
    this.raw = raw;
    this.method = methodOf(type);
    this.messageClass = classOf(type);
    this.attributes = attributes;
  }

  /** A view of 12 octets. */
  get transactionId(): Uint8Array {
    return this.raw.subarray(8, HEADER_LENGTH);
  }

  has(type: number): boolean {
    return this.find(type) !== undefined;
  }

  /** The first attribute of this type: of equal ones only the first counts (RFC 8489 §14). */
  find(type: number): Attribute | undefined {
    for (const attribute of this.attributes) if (attribute.type === type) return attribute;
    return undefined;
  }

  /** A view of the first value of this type. */
  value(type: number): Uint8Array | undefined {
    const found = this.find(type);
    return found === undefined ? undefined : this.raw.subarray(found.at, found.at + found.length);
  }
}

export type Decoded =
  { readonly ok: true; readonly message: StunMessage } | { readonly ok: false; readonly fault: Fault };

/**
 * Decodes one whole datagram or frame (RFC 8489 §5, §6.3). Never throws. Attributes behind MESSAGE-INTEGRITY are ignored except
 * MESSAGE-INTEGRITY-SHA256 and FINGERPRINT (§14.5, §14.6); a FINGERPRINT that is not last or not right is a fault (§14.7).
 */
export function decodeMessage(bytes: Uint8Array): Decoded {
  const fault = headerFault(bytes);
  if (fault !== undefined) return { ok: false, fault };
  const counted: Attribute[] = [];
  let seen = 0;
  let sealed: number | undefined;
  for (let at = HEADER_LENGTH; at < bytes.length; seen += 1) {
    if (seen === MOST_ATTRIBUTES) return { ok: false, fault: 'too_many_attributes' };
    const attribute = { type: readU16(bytes, at), at: at + ATTRIBUTE_HEADER_LENGTH, length: readU16(bytes, at + 2) };
    const next = attribute.at + padded(attribute.length);
    if (next > bytes.length) return { ok: false, fault: 'truncated' };
    if (attribute.type === attributes.FINGERPRINT.type && !fingerprintIsRight(bytes, at)) {
      return { ok: false, fault: 'fingerprint' };
    }
    if (counts(attribute.type, sealed)) counted.push(attribute);
    if (isIntegrity(attribute.type)) sealed = Math.max(sealed ?? 0, attribute.type);
    at = next;
  }
  return { ok: true, message: new StunMessage(bytes, counted) };
}

function isIntegrity(type: number): boolean {
  return type === attributes.MESSAGE_INTEGRITY.type || type === attributes.MESSAGE_INTEGRITY_SHA256.type;
}

/** Whether an attribute counts after the strongest integrity attribute seen so far. */
function counts(type: number, sealed: number | undefined): boolean {
  if (sealed === undefined || type === attributes.FINGERPRINT.type) return true;
  return sealed === attributes.MESSAGE_INTEGRITY.type && type === attributes.MESSAGE_INTEGRITY_SHA256.type;
}

/** Types of the comprehension-required attributes that this server does not understand, each once, in wire order. */
export function unknownAttributes(message: StunMessage): number[] {
  const unknown = message.attributes.filter(({ type }) => isComprehensionRequired(type) && !isUnderstood(type));
  return unknown.length === 0 ? [] : [...new Set(unknown.map(({ type }) => type))];
}

/** Whether every attribute of ours has a length that its value can have; a request with another one is a Bad Request. */
export function isWellFormed(message: StunMessage): boolean {
  return message.attributes.every(
    (attribute) => !isUnderstood(attribute.type) || lengthFits(attribute.type, attribute.length),
  );
}
