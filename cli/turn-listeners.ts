/** Where the relay listens, from where it relays and under which addresses it is known: all from one part of the configuration. */
import { canonicalAddress, familyOf } from '../kernel/address.ts';
import type { Family } from '../kernel/address.ts';
import type { Listener } from '../relay/planes/plane.ts';
import type { Discovery } from '../relay/turn/binding.ts';
import type { Config } from './config.ts';

type Turn = Config['turn'];

/** Every address that the relay listens on, canonical and once. */
export function hostsOf({ host, hosts }: Pick<Turn, 'host' | 'hosts'>): string[] {
  return [...new Set([host, ...hosts].map((text) => canonicalAddress(text) ?? text))];
}

/** UDP and TCP on each address, and TLS where there is a certificate. */
export function listenersOf(turn: Turn): Listener[] {
  const { port, tls } = turn;
  const listeners = hostsOf(turn).flatMap((address): Listener[] => [
    { transport: 'udp', address, port },
    { transport: 'tcp', address, port },
    ...(tls.certFile === undefined ? [] : [{ transport: 'tls', address, port: tls.port } as const]),
  ]);
  const { addresses = [], ports = [] } = discoveryOf(turn) ?? {};
  const places = addresses.flatMap((address) =>
    ports.map((each) => ({ transport: 'udp', address, port: each }) as const),
  );
  const isNew = (place: Listener) =>
    !listeners.some((one) => one.transport === 'udp' && one.address === place.address && one.port === place.port);
  return [...listeners, ...places.filter(isNew)];
}

/** The two addresses and ports of behaviour discovery (RFC 5780); undefined when there is none. */
export function discoveryOf({
  host,
  port,
  discovery,
}: Pick<Turn, 'host' | 'port' | 'discovery'>): Discovery | undefined {
  if (discovery === undefined) return undefined;
  const canonical = (text: string) => canonicalAddress(text) ?? text;
  return { addresses: [canonical(host), canonical(discovery.host)], ports: [port, discovery.port] };
}

/** The first address of each family: the one that is relayed from. */
export function relayAddresses(turn: Turn): Partial<Record<Family, string>> {
  return Object.fromEntries(
    hostsOf(turn)
      .toReversed()
      .map((address) => [familyOf(address), address]),
  );
}

/** The address told to clients in place of the local ones of its family, behind a 1:1 NAT. */
export function externalAddresses({ externalIp }: Pick<Turn, 'externalIp'>): Partial<Record<Family, string>> {
  const address = externalIp === undefined ? undefined : canonicalAddress(externalIp);
  return address === undefined ? {} : { [familyOf(address)]: address };
}

/** The addresses under which clients reach the relay, the first listener's first. */
export function reachableHosts(turn: Turn): string[] {
  const external = externalAddresses(turn);
  return [...new Set(hostsOf(turn).map((address) => external[familyOf(address)] ?? address))];
}
