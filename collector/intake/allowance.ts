/** What one report token may do: so many requests a second, on so many connections. Bounded memory, whoever comes. */
import type { Clock } from '../../kernel/clock.ts';
import { TurnpikeError } from '../../kernel/errors.ts';
import type { ReportClaims } from '../../kernel/report-token.ts';
import { Recent } from './recent.ts';

export interface AllowanceLimits {
  /** Requests a second that a token may keep up. */
  readonly requestsPerSecond: number;
  /** Requests at once. */
  readonly burst: number;
  /** Tokens remembered. */
  readonly tokens: number;
}

export const DEFAULT_ALLOWANCE: AllowanceLimits = { requestsPerSecond: 20, burst: 120, tokens: 20_000 };

interface Account {
  /** Requests that it may make now. */
  credit: number;
  /** Monotonic milliseconds of the last look. */
  at: number;
  readonly connections: Set<string>;
}

export class Allowance {
  readonly #clock: Clock;
  readonly #limits: AllowanceLimits;
  readonly #accounts: Recent<Account>;

  constructor(clock: Clock, limits: AllowanceLimits) {
    this.#clock = clock;
    this.#limits = limits;
    this.#accounts = new Recent(limits.tokens);
  }

  /** Takes one request from the token's bucket. Answers 0, or the seconds after which there is one again. */
  take(claims: ReportClaims): number {
    const { requestsPerSecond, burst } = this.#limits;
    const account = this.#account(claims);
    const now = this.#clock.monotonic();
    account.credit = Math.min(burst, account.credit + ((now - account.at) / 1_000) * requestsPerSecond);
    account.at = now;
    if (account.credit < 1) return Math.ceil((1 - account.credit) / requestsPerSecond);
    account.credit -= 1;
    return 0;
  }

  /** Throws TP_KERNEL_FORBIDDEN for one connection more than the token allows. */
  admit(claims: ReportClaims, connection: string): void {
    const { connections } = this.#account(claims);
    if (connections.has(connection)) return;
    if (connections.size >= Math.min(claims.maxConnections, MAX_CONNECTIONS)) {
      throw new TurnpikeError(
        'TP_KERNEL_FORBIDDEN',
        `This token may report on no more than ${claims.maxConnections} connections.`,
      );
    }
    connections.add(connection);
  }

  #account(claims: ReportClaims): Account {
    const { keyId, app, call, participant, customId, expiresAt } = claims;
    const token = JSON.stringify([keyId, app, call, participant, customId, expiresAt]);
    return this.#accounts.use(token, () => ({
      credit: this.#limits.burst,
      at: this.#clock.monotonic(),
      connections: new Set(),
    }));
  }
}

/** Whatever a token says, memory is bounded. */
const MAX_CONNECTIONS = 1_000;
