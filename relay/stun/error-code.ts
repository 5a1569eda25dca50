/**
 * ERROR-CODE (RFC 8489 §14.8), its sibling ADDRESS-ERROR-CODE (RFC 8656 §18.12) and UNKNOWN-ATTRIBUTES (RFC 8489 §14.13).
 *
 *     |    Reserved or Family   |Class|     Number    |      Reason Phrase (variable)  ..
 */
import type { Family } from '../../kernel/address.ts';
import { attributes } from './attributes.ts';
import { type ErrorName, errorCodes } from './error-codes.ts';
import { readU16, writeU16 } from './header.ts';
import type { StunMessage } from './message.ts';
import type { MessageWriter, Setter } from './message-writer.ts';
import { FAMILY_IPV4, FAMILY_IPV6 } from './xor-address.ts';

/** The octets of the registry's own phrases, made once. */
const phrases = new Map<ErrorName, Uint8Array>(
  (Object.keys(errorCodes) as ErrorName[]).map((name) => [name, Buffer.from(errorCodes[name].reason)]),
);

function phraseOf(name: ErrorName, reason: string): Uint8Array {
  return (reason === errorCodes[name].reason ? phrases.get(name) : undefined) ?? Buffer.from(reason);
}

function write(writer: MessageWriter, type: number, family: number, name: ErrorName, reason: string): void {
  const { code } = errorCodes[name];
  const phrase = phraseOf(name, reason);
  const at = writer.add(type, 4 + phrase.length);
  writer.into[at] = family;
  writer.into[at + 1] = 0;
  writer.into[at + 2] = Math.trunc(code / 100);
  writer.into[at + 3] = code % 100;
  writer.into.set(phrase, at + 4);
}

/** The registry's reason phrase goes with it unless `reason` says otherwise; an empty one is allowed. */
export function errorCode(name: ErrorName, reason: string = errorCodes[name].reason): Setter {
  return (writer) => write(writer, attributes.ERROR_CODE.type, 0, name, reason);
}

/** Why the second address of an otherwise successful Allocate is missing. */
export function addressErrorCode(family: Family, name: ErrorName): Setter {
  const number = family === 4 ? FAMILY_IPV4 : FAMILY_IPV6;
  return (writer) => write(writer, attributes.ADDRESS_ERROR_CODE.type, number, name, errorCodes[name].reason);
}

/** The code of an error response, 300 to 699; undefined when absent or malformed. */
export function readErrorCode(message: StunMessage): number | undefined {
  const value = message.value(attributes.ERROR_CODE.type);
  return value === undefined || value.length < 4 ? undefined : codeIn(value);
}

/** Which family's address an otherwise successful Allocate has not got, and why; undefined when absent or malformed. */
export function readAddressErrorCode(message: StunMessage): { family: Family; code: number } | undefined {
  const value = message.value(attributes.ADDRESS_ERROR_CODE.type);
  if (value === undefined || value.length < 4) return undefined;
  const family = value[0] === FAMILY_IPV4 ? 4 : value[0] === FAMILY_IPV6 ? 6 : undefined;
  const code = codeIn(value);
  return family === undefined || code === undefined ? undefined : { family, code };
}

function codeIn(value: Uint8Array): number | undefined {
  const hundreds = (value[2] ?? 0) & 0x07;
  const number = value[3] ?? 0;
  return hundreds >= 3 && hundreds <= 6 && number < 100 ? hundreds * 100 + number : undefined;
}

/** The attribute types that a 420 was about. */
export function unknownAttributeTypes(types: readonly number[]): Setter {
  return (writer) => {
    const at = writer.add(attributes.UNKNOWN_ATTRIBUTES.type, types.length * 2);
    types.forEach((type, index) => writeU16(writer.into, at + index * 2, type));
  };
}

export function readUnknownAttributeTypes(message: StunMessage): number[] | undefined {
  const value = message.value(attributes.UNKNOWN_ATTRIBUTES.type);
  if (value === undefined || value.length % 2 !== 0) return undefined;
  return Array.from({ length: value.length / 2 }, (_, index) => readU16(value, index * 2));
}
