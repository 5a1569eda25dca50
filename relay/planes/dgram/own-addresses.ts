import { networkInterfaces } from 'node:os';
import { canonicalAddress, familyOf } from '../../../kernel/address.ts';
import type { Family } from '../../../kernel/address.ts';
import type { PlaneOptions } from '../plane.ts';

/** Every address under which this relay may be reached; a listener on all interfaces is reached under each of theirs. */
export function ownAddresses(
  options: Pick<PlaneOptions, 'listen' | 'relayAddress' | 'externalAddress'>,
): ReadonlySet<string> {
  const everywhere: Partial<Record<string, Family>> = { '0.0.0.0': 4, '::': 6 };
  const named = [
    ...Object.values(options.relayAddress),
    ...Object.values(options.externalAddress ?? {}),
    ...options.listen.map(({ address }) => address),
  ].map((address) => canonicalAddress(address) ?? address);
  const wild = new Set(named.map((address) => everywhere[address]));
  const interfaces = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .map(({ address }) => canonicalAddress(address) ?? address)
    .filter((address) => wild.has(familyOf(address)));
  return new Set([...named, ...interfaces]);
}
