/**
 * stun:, stuns:, turn: and turns: URLs (RFC 7064, RFC 7065) and the ways to a server that one names. A turn: URL without
 * `?transport=` leaves the transport to the client (RFC 7065 §3.1), so it names every way there is.
 */
import { isIPv6 } from 'node:net';

export type Transport = 'udp' | 'tcp' | 'tls';

/** One way to one server. */
export interface Route {
  readonly transport: Transport;
  /** Name or address, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

export interface ServerUrl {
  /** A stun: server is asked for a Binding only. */
  readonly relays: boolean;
  /** In the order in which a client tries them. */
  readonly routes: readonly Route[];
}

const PORT = 3478;
const SECURE_PORT = 5349;

const shape =
  /^(?<scheme>stuns?|turns?):(?<host>\[[0-9a-f:.]+\]|[^[\]:/?#@\s]+)(?::(?<port>\d{1,5}))?(?:\?transport=(?<transport>udp|tcp))?$/i;

/** Undefined when the text is no such URL, or asks for TLS over UDP (DTLS), which this client does not speak. */
export function parseServerUrl(text: string): ServerUrl | undefined {
  const { scheme, host, port, transport } = shape.exec(text)?.groups ?? {};
  if (scheme === undefined || host === undefined) return undefined;
  const bare = host.startsWith('[') ? host.slice(1, -1) : host;
  const given = port === undefined ? undefined : Number(port);
  if ((host.startsWith('[') && !isIPv6(bare)) || given === 0 || (given ?? 0) > 0xffff) return undefined;
  const kind = scheme.toLowerCase();
  const relays = kind.startsWith('turn');
  if (!relays && transport !== undefined) return undefined;
  const asked = transport?.toLowerCase();
  if (kind.endsWith('s')) {
    if (asked === 'udp') return undefined;
    return { relays, routes: [{ transport: 'tls', host: bare, port: given ?? SECURE_PORT }] };
  }
  const plain = (over: Transport): Route => ({ transport: over, host: bare, port: given ?? PORT });
  if (asked === 'udp' || asked === 'tcp') return { relays, routes: [plain(asked)] };
  if (!relays) return { relays, routes: [plain('udp')] };
  return { relays, routes: [plain('udp'), plain('tcp'), { transport: 'tls', host: bare, port: SECURE_PORT }] };
}
