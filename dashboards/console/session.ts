/** What the console's own routes answer. Types only: the pages share them. */

export interface RelayServer {
  readonly urls: readonly string[];
  readonly username?: string;
  readonly credential?: string;
}

/** Network conditions for one peer's leg, as a credential takes them. */
export interface TryConditions {
  readonly lossPercent: number;
  readonly delayMs: number;
  readonly jitterMs: number;
  /** Absent: no limit. */
  readonly rateKbps?: number;
}

/** POST /try/session; may be left out. */
export interface TryRequest {
  /** For peer A. */
  readonly impairment?: TryConditions;
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
