/** What the console's own routes answer. Types only: the pages share them. */

export interface RelayServer {
  readonly urls: readonly string[];
  readonly username?: string;
  readonly credential?: string;
}

/** What one peer of a call on /try needs. */
export interface TryPeer {
  readonly participant: 'A' | 'B';
  readonly iceServers: readonly RelayServer[];
  readonly reporting: { readonly url: string; readonly token: string };
}

/** 201 of POST /try/session */
export interface TrySession {
  readonly call: string;
  readonly peers: readonly [TryPeer, TryPeer];
}

/** GET /console/setup: what the pages tell a newcomer. */
export interface ConsoleSetup {
  readonly keyId: string;
  readonly turnUrls: readonly string[];
}
