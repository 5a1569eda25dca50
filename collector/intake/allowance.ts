/**
 * What one report token may do: so many requests a second, on so many connections; and all tokens of an app together, so that no
 * app takes the collector from the others. Bounded memory, whoever comes.
 */
import type { Clock } from '../../kernel/clock.ts';
import { TurnpikeError } from '../../kernel/errors.ts';
import type { ReportClaims } from '../../kernel/report-token.ts';
import { Recent } from './recent.ts';

export interface AllowanceLimits {
  /** Requests a second that a token may keep up. */
  readonly requestsPerSecond: number;
  /** Requests at once. */
  readonly burst: number;
  /** Requests a second of all tokens of an app, and twice as many at once. */
  readonly appRequestsPerSecond: number;
  /** Tokens remembered. */
  readonly tokens: number;
}

export const DEFAULT_ALLOWANCE: AllowanceLimits = {
  requestsPerSecond: 20,
  burst: 120,
  appRequestsPerSecond: 5_000,
  tokens: 20_000,
};

/** Requests that may be made now; more with every second. Times are monotonic milliseconds. */
class Bucket {
  readonly #perSecond: number;
  readonly #burst: number;
  #credit: number;
  #at: number;

  constructor(perSecond: number, burst: number, now: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#credit = burst;
    this.#at = now;
  }

  /** Seconds until there is one; 0 when there is. */
  wait(now: number): number {
    this.#credit = Math.min(this.#burst, this.#credit + ((now - this.#at) / 1_000) * this.#perSecond);
    this.#at = now;
    return this.#credit >= 1 ? 0 : Math.ceil((1 - this.#credit) / this.#perSecond);
  }

  spend(): void {
    this.#credit -= 1;
  }
}

interface Account {
  readonly bucket: Bucket;
  readonly connections: Set<string>;
}

export class Allowance {
  readonly #clock: Clock;
  readonly #limits: AllowanceLimits;
  readonly #accounts: Recent<Account>;
  /** As many as are configured: a token of any other app is not genuine. */
  readonly #apps = new Map<string, Bucket>();

  constructor(clock: Clock, limits: AllowanceLimits) {
    this.#clock = clock;
    this.#limits = limits;
    this.#accounts = new Recent(limits.tokens);
  }

  /** Takes one request from what the token and its app have. Answers 0, or the seconds after which there is one again. */
  take(claims: ReportClaims): number {
    const now = this.#clock.monotonic();
    const buckets = [this.#account(claims).bucket, this.#app(claims.app, now)];
    const seconds = Math.max(...buckets.map((bucket) => bucket.wait(now)));
    // One that is refused costs nothing: a token that asks too often takes nothing from its app.
    if (seconds === 0) for (const bucket of buckets) bucket.spend();
    return seconds;
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
    const { requestsPerSecond, burst } = this.#limits;
    return this.#accounts.use(tokenName(claims), () => ({
      bucket: new Bucket(requestsPerSecond, burst, this.#clock.monotonic()),
      connections: new Set(),
    }));
  }

  #app(app: string, now: number): Bucket {
    const { appRequestsPerSecond } = this.#limits;
    const bucket = this.#apps.get(app) ?? new Bucket(appRequestsPerSecond, 2 * appRequestsPerSecond, now);
    this.#apps.set(app, bucket);
    return bucket;
  }
}

/** What tells one token from another. */
export function tokenName({ keyId, app, call, participant, customId, expiresAt }: ReportClaims): string {
  return JSON.stringify([keyId, app, call, participant, customId, expiresAt]);
}

/** Whatever a token says, memory is bounded. */
const MAX_CONNECTIONS = 1_000;
