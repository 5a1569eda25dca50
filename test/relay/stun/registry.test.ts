import { describe, expect, it } from 'vitest';
import { attributes, isComprehensionRequired, isUnderstood } from '../../../relay/stun/attributes.ts';
import { errorCodes } from '../../../relay/stun/error-codes.ts';
import { methods } from '../../../relay/stun/methods.ts';
import { passwordAlgorithms } from '../../../relay/stun/password-algorithm.ts';
import { securityFeatures } from '../../../relay/stun/security-features.ts';
import {
  registeredAttributes,
  registeredErrorCodes,
  registeredMethods,
  registeredPasswordAlgorithms,
  registeredSecurityFeatures,
  registry,
} from '../../vectors/stun-registry.ts';

const sorted = <T extends { value: number }>(rows: T[]) => rows.sort((left, right) => left.value - right.value);
const screaming = (name: string) =>
  name
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .replace(/[- ]/g, '_')
    .toUpperCase();

describe("the codec's tables against the IANA registries, both ways", () => {
  it('has every method under its number and RFC, and no other', () => {
    const ours = Object.entries(methods).map(([name, { code, rfc }]) => ({ value: code, name, rfc }));
    const theirs = registry(registeredMethods).map((row) => ({ ...row, name: screaming(row.name) }));
    expect(sorted(ours)).toEqual(sorted(theirs));
  });

  it('has every attribute under its number and RFC, and no other', () => {
    const ours = Object.entries(attributes).map(([name, { type, rfc }]) => ({ value: type, name, rfc }));
    const theirs = registry(registeredAttributes).map((row) => ({ ...row, name: screaming(row.name) }));
    expect(sorted(ours)).toEqual(sorted(theirs));
  });

  it('has every error code with its reason phrase and RFC, and no other', () => {
    const ours = Object.values(errorCodes).map(({ code, reason, rfc }) => ({ value: code, name: reason, rfc }));
    expect(sorted(ours)).toEqual(sorted(registry(registeredErrorCodes)));
  });

  it('names each error code after its reason phrase', () => {
    for (const [name, { reason }] of Object.entries(errorCodes)) expect(name).toBe(screaming(reason));
  });

  it('has every password algorithm under its number, and no other', () => {
    const ours = Object.entries(passwordAlgorithms).map(([name, { number, rfc }]) => ({ value: number, name, rfc }));
    const theirs = registry(registeredPasswordAlgorithms).map((row) => ({ ...row, name: screaming(row.name) }));
    expect(sorted(ours)).toEqual(sorted(theirs));
  });

  it('has every security feature under its bit, and no other', () => {
    const ours = Object.entries(securityFeatures).map(([name, { bit, rfc }]) => ({ value: bit, name, rfc }));
    const theirs = registry(registeredSecurityFeatures).map((row) => ({ ...row, name: screaming(row.name) }));
    expect(sorted(ours)).toEqual(sorted(theirs));
  });

  it('requires comprehension of everything below 0x8000 and understands what STUN and TURN define', () => {
    expect([0x0000, 0x7fff, 0x8000, 0xffff].map(isComprehensionRequired)).toEqual([true, true, false, false]);
    const ours = Object.values(attributes).filter(({ rfc }) => rfc === 'RFC8489' || rfc === 'RFC8656');
    expect(Object.values(attributes).filter(({ type }) => isUnderstood(type))).toEqual(ours);
    expect(isUnderstood(0x7777)).toBe(false);
  });
});
