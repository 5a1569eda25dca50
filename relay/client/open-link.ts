/** From a route to a link: the name resolved, the transport opened. */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { Endpoint } from '../../kernel/address.ts';
import { openDatagramLink } from './datagram-link.ts';
import { codeOf, type Link, LinkError, type LinkOptions } from './link.ts';
import type { Route } from './server-url.ts';
import { openStreamLink } from './stream-link.ts';

/** Opens one more link to the same place, each from a port of its own. */
export type OpenLink = () => Promise<Link>;

/** The route's address; of a name the first that the system's resolver gives. Throws LinkError `resolve`. */
export async function resolveRoute(route: Route): Promise<Endpoint> {
  if (isIP(route.host) !== 0) return { address: route.host, port: route.port };
  try {
    const { address } = await lookup(route.host);
    return { address, port: route.port };
  } catch (error) {
    throw new LinkError('resolve', `${route.host} has no address (${codeOf(error)})`, error);
  }
}

/** Throws LinkError. */
export function openLink(route: Route, remote: Endpoint, options: LinkOptions): Promise<Link> {
  const { transport, host } = route;
  return transport === 'udp' ? openDatagramLink(remote) : openStreamLink(transport, remote, host, options);
}
