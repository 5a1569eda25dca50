/** Who counts as one source of clients, for limits on what comes from one place. */
import { parseAddress } from '../kernel/address.ts';

/** An IPv4 address, or the /64 that one host of IPv6 has for itself. `address` is canonical. */
export function sourceOf(address: string): string {
  if (!address.includes(':')) return address;
  const octets = parseAddress(address);
  return octets?.length === 16 ? Buffer.from(octets.subarray(0, 8)).toString('hex') : address;
}
