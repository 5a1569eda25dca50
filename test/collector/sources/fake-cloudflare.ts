/**
 * Cloudflare's GraphQL Analytics API, as far as it is documented: the two Realtime datasets, filters, aliases, the settings node, the
 * quota. It sums what a test had it carry, as the question's own variables say.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import type { Ask } from '../../../collector/sources/cloudflare-client.ts';
import type { Dataset } from '../../../collector/sources/cloudflare-usage.ts';

export const ACCOUNT = '0123456789abcdef0123456789abcdef';
export const TOKEN = 'token-that-may-read-analytics';

/** Bytes that left Cloudflare for a client at one moment. */
export interface Sent {
  readonly dataset: Dataset;
  readonly owner: string;
  readonly party: string;
  readonly at: number;
  readonly bytes: bigint;
}

const body = z.object({
  query: z.string(),
  variables: z.object({
    account: z.string(),
    start: z.iso.datetime({ precision: 0 }).optional(),
    end: z.iso.datetime({ precision: 0 }).optional(),
    owner: z.string().optional(),
  }),
});
type Asked = z.output<typeof body>;

const nodes = {
  callsTurnUsageAdaptiveGroups: { dataset: 'turn', owner: 'keyId', party: 'customIdentifier' },
  callsUsageAdaptiveGroups: { dataset: 'sfu', owner: 'appId', party: 'sessionId' },
} as const;

export class FakeCloudflare {
  readonly sent: Sent[] = [];
  /** Windows that were asked for, as `start/end`. */
  readonly asked: string[] = [];
  settings = { enabled: true, maxDuration: 2_764_800, notOlderThan: 2_764_800, maxPageSize: 10_000 };
  /** What groups show less than the whole, as sampling does. */
  sampledAway = 0n;
  /** Answers in place of the API, while it answers something. */
  instead: (question: Asked) => { status: number; body: string; headers?: Record<string, string> } | undefined = () =>
    undefined;
  #close: () => Promise<void> = async () => undefined;
  url = '';

  static async open(): Promise<FakeCloudflare> {
    const fake = new FakeCloudflare();
    const server = createServer((request, response) => void fake.#answer(request, response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    fake.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/client/v4/graphql`;
    fake.#close = async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    };
    return fake;
  }

  close(): Promise<void> {
    return this.#close();
  }

  /** A question without the network between. Rejects as a client does. */
  ask: Ask = async (question) => {
    const asked = body.parse(question);
    const { body: answer, status } = this.instead(asked) ?? { status: 200, body: JSON.stringify(this.#result(asked)) };
    if (status !== 200) throw new Error(`the answer is ${status}`);
    return JSON.parse(answer);
  };

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const question = body.parse(JSON.parse(await text(request)));
    const instead = this.instead(question);
    const isAllowed = request.headers.authorization === `Bearer ${TOKEN}`;
    const {
      body: answer,
      headers,
      status,
    } = instead ?? {
      status: 200,
      body: JSON.stringify(isAllowed ? this.#result(question) : fault('Authentication error')),
    };
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(answer);
  }

  #result({ query, variables }: Asked): object {
    if (variables.account !== ACCOUNT) return fault('not authorized for that account');
    const node = Object.entries(nodes).find(([name]) => new RegExp(`\\b${name}\\b`).test(query));
    if (node === undefined) return fault('unknown field');
    const [name, dimension] = node;
    if (/\bsettings\b/.test(query)) return ofAccount({ settings: { [name]: this.settings } });
    const { end, owner, start } = variables;
    if (start === undefined || end === undefined) return fault('a range is needed');
    // Half-open, or a byte at the edge is in two windows.
    if (!query.includes('datetime_geq: $start, datetime_lt: $end')) return fault('another filter than was expected');
    if (owner !== undefined && !query.includes(`${dimension.owner}: $owner`)) return fault('owner is not used');
    this.asked.push(`${start}/${end}`);
    const [from, to] = [Date.parse(start), Date.parse(end)];
    const found = this.sent.filter(
      (sent) =>
        sent.dataset === dimension.dataset &&
        sent.at >= from &&
        sent.at < to &&
        (owner === undefined || sent.owner === owner),
    );
    return ofAccount(this.#groups(found, dimension, Number(/groups: \w+\(limit: (\d+)/.exec(query)?.[1])));
  }

  #groups(found: readonly Sent[], dimension: { owner: string; party: string }, limit: number): object {
    const sums = new Map<string, bigint>();
    for (const { bytes, owner, party } of found) {
      const key = JSON.stringify([owner, party]);
      sums.set(key, (sums.get(key) ?? 0n) + bytes);
    }
    const whole = [...sums.values()].reduce((sum, bytes) => sum + bytes, 0n);
    const groups = [...sums].map(([key, bytes]) => {
      const [owner, party] = z.tuple([z.string(), z.string()]).parse(JSON.parse(key));
      const shown = bytes > this.sampledAway ? bytes - this.sampledAway : 0n;
      return {
        dimensions: { [dimension.owner]: owner, [dimension.party]: party },
        sum: { egressBytes: Number(shown) },
      };
    });
    return {
      total: sums.size === 0 ? [] : [{ sum: { egressBytes: Number(whole) } }],
      groups: groups.toSorted((one, other) => other.sum.egressBytes - one.sum.egressBytes).slice(0, limit),
    };
  }
}

const ofAccount = (account: object): object => ({ data: { viewer: { accounts: [account] } }, errors: null });

export function fault(message: string): object {
  return {
    data: null,
    errors: [{ message, path: ['viewer', 'accounts', 0], extensions: { timestamp: '2026-11-21T00:00:00Z' } }],
  };
}
