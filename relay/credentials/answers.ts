/** One credential in the shapes of other services, so that a client of theirs needs another address only. */
import type { LegacyIceServersAnswer, TurnRestAnswer, TwilioTokenAnswer } from '../contract.ts';
import type { Credential } from './ice-servers.ts';

/** Cloudflare's older `…/credentials/generate`: one object instead of a list, every URL in it. */
export function legacyAnswer({ username, password, urls, reporting }: Credential): LegacyIceServersAnswer {
  const { stunUrls, turnUrls } = urls;
  return { iceServers: { urls: [...stunUrls, ...turnUrls], username, credential: password }, reporting };
}

/** draft-uberti-behave-turn-rest-00 §2.2: `uris` are TURN's alone. */
export function turnRestAnswer({ username, password, ttl, urls }: Credential): TurnRestAnswer {
  return { username, password, ttl, uris: urls.turnUrls };
}

/** Twilio's Network Traversal Service: one entry for each URL, `url` beside `urls` for old clients, `ttl` as text. */
export function twilioAnswer({ username, password, ttl, issuedAt, urls }: Credential, sid: string): TwilioTokenAnswer {
  const date = rfc2822(issuedAt);
  return {
    username,
    password,
    ttl: String(ttl),
    account_sid: sid,
    date_created: date,
    date_updated: date,
    ice_servers: [
      ...urls.stunUrls.map((url) => ({ url, urls: url })),
      ...urls.turnUrls.map((url) => ({ url, urls: url, username, credential: password })),
    ],
  };
}

/** `Fri, 20 Nov 2026 12:00:00 +0000`: ECMAScript's UTC string but for the zone, which RFC 2822 §3.3 wants as a number. */
function rfc2822(at: number): string {
  return new Date(at).toUTCString().replace(/GMT$/, '+0000');
}
