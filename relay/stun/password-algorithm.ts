/**
 * PASSWORD-ALGORITHM (RFC 8489 §14.12) and PASSWORD-ALGORITHMS (§14.11): how the key of a long-term credential is made. An entry is
 * a number, the length of its parameters and the parameters; neither algorithm has any.
 */
import { attributes } from './attributes.ts';
import { readU16, writeU16 } from './header.ts';
import type { StunMessage } from './message.ts';
import type { Setter } from './message-writer.ts';

/** The IANA registry "STUN Password Algorithms" (§18.5), and the digest behind each name. */
export const passwordAlgorithms = {
  MD5: { number: 0x0001, digest: 'md5', rfc: 'RFC8489' },
  SHA_256: { number: 0x0002, digest: 'sha256', rfc: 'RFC8489' },
} as const;
export type PasswordAlgorithm = keyof typeof passwordAlgorithms;

/** What is offered, best first; clients take the first they know (§9.2.5). */
export const offeredAlgorithms: readonly PasswordAlgorithm[] = ['SHA_256', 'MD5'];

const ENTRY_LENGTH = 4;

export function passwordAlgorithm(algorithm: PasswordAlgorithm): Setter {
  return (writer) => {
    const at = writer.add(attributes.PASSWORD_ALGORITHM.type, ENTRY_LENGTH);
    writeU16(writer.into, at, passwordAlgorithms[algorithm].number);
    writeU16(writer.into, at + 2, 0);
  };
}

export function passwordAlgorithmList(algorithms: readonly PasswordAlgorithm[] = offeredAlgorithms): Setter {
  return (writer) => {
    const at = writer.add(attributes.PASSWORD_ALGORITHMS.type, algorithms.length * ENTRY_LENGTH);
    algorithms.forEach((algorithm, index) => {
      writeU16(writer.into, at + index * ENTRY_LENGTH, passwordAlgorithms[algorithm].number);
      writeU16(writer.into, at + index * ENTRY_LENGTH + 2, 0);
    });
  };
}

function entryAt(value: Uint8Array, at: number): PasswordAlgorithm | undefined {
  if (value.length < at + ENTRY_LENGTH || readU16(value, at + 2) !== 0) return undefined;
  const number = readU16(value, at);
  return offeredAlgorithms.find((name) => passwordAlgorithms[name].number === number);
}

/** The algorithm named; undefined when absent, malformed or none of ours. */
export function readPasswordAlgorithm(message: StunMessage): PasswordAlgorithm | undefined {
  const value = message.value(attributes.PASSWORD_ALGORITHM.type);
  return value?.length === ENTRY_LENGTH ? entryAt(value, 0) : undefined;
}

/** Whether PASSWORD-ALGORITHMS holds what was offered, entry for entry: anything else was changed on the way (§9.2.1). */
export function echoesOfferedAlgorithms(message: StunMessage): boolean {
  const value = message.value(attributes.PASSWORD_ALGORITHMS.type);
  if (value?.length !== offeredAlgorithms.length * ENTRY_LENGTH) return false;
  return offeredAlgorithms.every((algorithm, index) => entryAt(value, index * ENTRY_LENGTH) === algorithm);
}
