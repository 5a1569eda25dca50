/** The URLs under which others find this service. */
import type { ServiceUrls } from '../relay/credentials/ice-servers.ts';
import type { Config } from './config.ts';
import { reachableHosts } from './turn-listeners.ts';

/** A host as it stands in a URL: IPv6 in brackets, and an address that means "all" as loopback. */
export function urlHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}

export function publicUrl(config: Config): string {
  return config.http.publicUrl?.replace(/\/$/, '') ?? `http://${urlHost(config.http.host)}:${config.http.port}`;
}

/** What clients are told: as configured, else the relay's own listeners, in Cloudflare's order. */
export function turnUrls(config: Config): { stun: string[]; turn: string[] } {
  const { urls, port, tls } = config.turn;
  if (urls.length > 0) {
    return {
      stun: urls.filter((url) => url.startsWith('stun:')),
      turn: urls.filter((url) => !url.startsWith('stun:')),
    };
  }
  const hosts = reachableHosts(config.turn).map(urlHost);
  return {
    stun: hosts.map((host) => `stun:${host}:${port}`),
    turn: [
      ...hosts.map((host) => `turn:${host}:${port}?transport=udp`),
      ...hosts.map((host) => `turn:${host}:${port}?transport=tcp`),
      ...(tls.certFile === undefined ? [] : hosts.map((host) => `turns:${host}:${tls.port}?transport=tcp`)),
    ],
  };
}

/** Everything a credential's holder is told about where to go. */
export function serviceUrls(config: Config): ServiceUrls {
  const { stun, turn } = turnUrls(config);
  return { stunUrls: stun, turnUrls: turn, reportUrl: `${publicUrl(config)}/v1/stats` };
}

/** Names under which a browser may come to the console, beside loopback ones. */
export function publicHost(config: Config): string[] {
  return config.http.publicUrl === undefined ? [] : [new URL(config.http.publicUrl).hostname];
}
