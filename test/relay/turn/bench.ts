/** A TURN core on a bench: a clock moved by hand, accounts in a map, and a plane that opens every port unless told otherwise. */
import type { FiveTuple } from '../../../kernel/address.ts';
import { ManualClock } from '../../../kernel/clock.ts';
import { seededRandom } from '../../../kernel/random.ts';
import type { CredentialLimits } from '../../../relay/contract.ts';
import type { CloseReason, Command, Counters, PlaneEvent } from '../../../relay/planes/plane.ts';
import type { Accepted, Instant, Refused } from '../../../relay/turn/authenticator.ts';
import { TurnCore } from '../../../relay/turn/core.ts';
import type { TurnOptions } from '../../../relay/turn/settings.ts';
import { type Answer, endpoint, readAnswer, TurnClient } from '../turn-client.ts';

export const START = Date.UTC(2026, 10, 20, 12);
export const REALM = 'turnpike';

export function tuple(client = '198.51.100.7:50000', transport: FiveTuple['transport'] = 'udp'): FiveTuple {
  const server = client.startsWith('[') ? '[2001:db8:5::1]:3478' : '192.0.2.1:3478';
  return { transport, client: endpoint(client), server: endpoint(server) };
}

const nothing = {
  clientRxBytes: 0n,
  clientTxBytes: 0n,
  peerRxBytes: 0n,
  peerTxBytes: 0n,
  clientRxPackets: 0n,
  clientTxPackets: 0n,
  peerRxPackets: 0n,
  peerTxPackets: 0n,
};
export const zeroCounters: Counters = {
  classes: { internet: nothing, own_relay: nothing, sfu: nothing },
  clientControlTxBytes: 0n,
};

/** What is left of a core when everything has ended. */
export const noEntries: TurnCore['entries'] = {
  ids: 0,
  tuples: 0,
  usernames: 0,
  users: 0,
  apps: 0,
  sources: 0,
  deadlines: 0,
};

export interface Account {
  passwords: string[];
  app?: string;
  customId?: string;
  limits?: CredentialLimits;
  expiresAt?: number;
}

export interface Exchange {
  /** Everything the core commanded, in order, answers to the plane's events included. */
  readonly commands: readonly Command[];
  /** The one answer, if there was one. */
  readonly answer: Answer | undefined;
}

export class Bench {
  readonly clock = new ManualClock(START);
  readonly accounts = new Map<string, Account>();
  readonly observed: string[] = [];
  readonly options: TurnOptions;
  readonly core: TurnCore;
  /** What the plane does with `open`: opens, says exhausted, or waits for `settleOpens`. */
  ports: 'open' | 'exhausted' | 'wait' = 'open';
  /** Whether the plane confirms a `close` at once. */
  confirmsCloses = true;
  /** `open` commands waiting. */
  readonly waiting: Extract<Command, { type: 'open' }>[] = [];

  constructor(overrides: Partial<TurnOptions> = {}, create = (options: TurnOptions) => new TurnCore(options)) {
    this.options = {
      realm: REALM,
      nonceKey: Buffer.alloc(32, 7),
      random: seededRandom('bench'),
      relayPorts: { first: 49152, last: 65535 },
      families: [4, 6],
      policy: {
        permits: (address) => !address.startsWith('10.') && address !== '::1',
        judge: ({ address, port }) => (address.startsWith('10.') || port < 1024 ? 'denied' : 'internet'),
      },
      authenticator: { lookup: (username, at) => this.#lookup(username, at) },
      observer: {
        onRequest: (method, result) => this.observed.push(`${method} ${result}`),
        onAuthFailure: (reason) => this.observed.push(`auth ${reason}`),
        onLimit: (limit) => this.observed.push(`limit ${limit}`),
        onAllocation: (transport, result) => this.observed.push(`allocation ${transport} ${result}`),
      },
      ...overrides,
    };
    this.core = create(this.options);
    this.accounts.set('alice', { passwords: ['secret'] });
    this.accounts.set('bob', { passwords: ['hunter2'] });
  }

  at(): Instant {
    return { now: this.clock.now(), monotonic: this.clock.monotonic() };
  }

  /** Sends bytes to the core and lets the plane obey. */
  send(bytes: Uint8Array, from = tuple()): Exchange {
    return this.obey(this.core.handleControl(bytes, from, this.at()));
  }

  event(event: PlaneEvent): Exchange {
    return this.obey(this.core.handleEvent(event, this.at()));
  }

  expire(): Exchange {
    return this.obey(this.core.expire(this.at()));
  }

  /** A client that has had its 401 and knows realm and nonce. */
  client(username = 'alice', password = this.accounts.get(username)?.passwords[0] ?? '', from = tuple()): TurnClient {
    const client = new TurnClient(username, password, seededRandom(`client ${username}`));
    const { answer } = this.send(client.allocate(), from);
    if (answer !== undefined) client.learn(answer);
    return client;
  }

  /** A client with a live allocation. */
  allocated(username = 'alice', from = tuple(), family: 4 | 6 = 4): { client: TurnClient; id: string } {
    const client = this.client(username, undefined, from);
    const { commands, answer } = this.send(client.allocate({ family }), from);
    const open = commands.find((command) => command.type === 'open');
    if (answer?.messageClass !== 'success' || open === undefined) throw new Error(`no allocation: ${answer?.code}`);
    return { client, id: open.allocation };
  }

  /** Opens the ports that were waiting. */
  settleOpens(): Exchange {
    return this.obey(this.waiting.splice(0).flatMap((open) => this.#open(open)));
  }

  obey(commands: readonly Command[]): Exchange {
    const all: Command[] = [];
    const queue = [...commands];
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      all.push(next);
      if (next.type === 'open' && this.ports === 'wait') this.waiting.push(next);
      else if (next.type === 'open') queue.push(...this.#open(next));
      else if (next.type === 'close' && this.confirmsCloses) queue.push(...this.#confirm(next.allocation, next.reason));
    }
    const answers = all.filter((command) => command.type === 'send');
    if (answers.length > 1) throw new Error('two answers to one question');
    return { commands: all, answer: answers[0] && readAnswer(answers[0].bytes) };
  }

  #open({ allocation, family, port }: Extract<Command, { type: 'open' }>): readonly Command[] {
    if (this.ports === 'exhausted') return this.core.handleEvent({ type: 'exhausted', allocation }, this.at());
    const address = family === 4 ? '192.0.2.1' : '2001:db8:5::1';
    return this.core.handleEvent({ type: 'opened', allocation, relayed: { address, port } }, this.at());
  }

  #confirm(allocation: string, reason: CloseReason): readonly Command[] {
    return this.core.handleEvent({ type: 'closed', allocation, reason, counters: zeroCounters }, this.at());
  }

  #lookup(username: string, at: Instant): Accepted | Refused {
    const account = this.accounts.get(username);
    if (account === undefined) return { ok: false, reason: 'unknown' };
    const expiresAt = account.expiresAt ?? START + 86_400_000;
    if (expiresAt <= at.now) return { ok: false, reason: 'expired' };
    return {
      ok: true,
      app: account.app ?? 'app',
      keyId: 'key',
      passwords: account.passwords,
      claims: { customId: account.customId ?? '', call: 'call', participant: username, limits: account.limits ?? {} },
      expiresAt,
    };
  }
}

/** The commands that are not answers. */
export function effects({ commands }: Exchange): readonly Command[] {
  return commands.filter((command) => command.type !== 'send');
}
