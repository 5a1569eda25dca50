/**
 * The fast way into a Send indication (RFC 8656 §11.2), for planes: data never enters the core. One pass over the
 * attributes, the result into an object that the caller reuses, the payload as offsets into the datagram.
 */
import type { Family } from '../../kernel/address.ts';
import { attributes, isComprehensionRequired, isUnderstood } from './attributes.ts';
import type { Fault } from './fault.ts';
import { fingerprintIsRight } from './fingerprint.ts';
import { ATTRIBUTE_HEADER_LENGTH, HEADER_LENGTH, headerFault, padded, readU16 } from './header.ts';
import { addressFamilyAt, xorAddressTextAt, xorPortAt } from './xor-address.ts';

/** Where a Send indication wants what sent. Overwritten by every parse that succeeds; meaningless after one that failed. */
export interface SendIndication {
  family: Family;
  /** Canonical text. */
  address: string;
  port: number;
  /** The payload is `datagram.subarray(dataStart, dataEnd)`: a view, valid as long as the datagram's buffer is. May be empty. */
  dataStart: number;
  dataEnd: number;
}

export function emptySendIndication(): SendIndication {
  return { family: 4, address: '', port: 0, dataStart: 0, dataEnd: 0 };
}

/** Method 0x006, class indication: the first two octets of a Send indication. */
export function isSendIndication(bytes: Uint8Array): boolean {
  return bytes[0] === 0x00 && bytes[1] === 0x16;
}

/**
 * Reads a datagram that `isSendIndication`. Returns what is wrong with it, or undefined with `result` filled in.
 * The first of equal attributes counts. DONT-FRAGMENT is not supported, so it is an unknown comprehension-required one
 * (RFC 8656 §11.2); attributes behind MESSAGE-INTEGRITY are ignored (RFC 8489 §14.5).
 */
export function parseSendIndication(datagram: Uint8Array, result: SendIndication): Fault | undefined {
  const fault = headerFault(datagram);
  if (fault !== undefined) return fault;
  let peer = -1;
  let data = -1;
  let sealed = false;
  for (let at = HEADER_LENGTH; at < datagram.length;) {
    const type = readU16(datagram, at);
    const length = readU16(datagram, at + 2);
    const value = at + ATTRIBUTE_HEADER_LENGTH;
    const next = value + padded(length);
    if (next > datagram.length) return 'truncated';
    if (type === attributes.FINGERPRINT.type) {
      if (!fingerprintIsRight(datagram, at)) return 'fingerprint';
    } else if (!sealed) {
      if (type === attributes.XOR_PEER_ADDRESS.type) peer = peer < 0 ? at : peer;
      else if (type === attributes.DATA.type) data = data < 0 ? at : data;
      else if (type === attributes.MESSAGE_INTEGRITY.type || type === attributes.MESSAGE_INTEGRITY_SHA256.type)
        sealed = true;
      else if (type === attributes.DONT_FRAGMENT.type || (isComprehensionRequired(type) && !isUnderstood(type)))
        return 'unknown_attribute';
    }
    at = next;
  }
  return peer < 0 || data < 0 ? 'incomplete' : readPeerAndData(datagram, peer, data, result);
}

function readPeerAndData(datagram: Uint8Array, peer: number, data: number, result: SendIndication): Fault | undefined {
  const value = peer + ATTRIBUTE_HEADER_LENGTH;
  const family = addressFamilyAt(datagram, value, readU16(datagram, peer + 2));
  if (family === undefined) return 'incomplete';
  result.family = family;
  result.address = xorAddressTextAt(datagram, value, family);
  result.port = xorPortAt(datagram, value);
  result.dataStart = data + ATTRIBUTE_HEADER_LENGTH;
  result.dataEnd = result.dataStart + readU16(datagram, data + 2);
  return undefined;
}
