/**
 * Cloudflare's GraphQL Analytics API, as far as egress goes: the questions, and what their answers say. Pure.
 *
 * Both datasets are sampled adaptively, and a sum over groups is less certain than one number
 * (developers.cloudflare.com/realtime/turn/analytics): so one question asks for both, and what the number has beyond its groups is
 * told as such. An answer that does not say it for certain is an error, never a zero: a period that nobody could read must not look
 * like one without traffic.
 */
import { z } from 'zod';
import { u64 } from '../../kernel/bytes.ts';

/** A dataset's node, the dimension that a source may be confined to, and the one that tells its parties apart. */
export const datasets = {
  turn: { node: 'callsTurnUsageAdaptiveGroups', owner: 'keyId', party: 'customIdentifier' },
  sfu: { node: 'callsUsageAdaptiveGroups', owner: 'appId', party: 'sessionId' },
} as const;
export type Dataset = keyof typeof datasets;

/** Unix milliseconds; the end does not belong to it. */
export interface UsageWindow {
  readonly start: number;
  readonly end: number;
}

export interface Question {
  readonly query: string;
  readonly variables: Readonly<Record<string, string>>;
}

/** What an account may ask of a dataset. */
export interface DatasetLimits {
  /** Milliseconds that one question may span. */
  readonly maxDuration: number;
  /** Milliseconds that it may look back. */
  readonly notOlderThan: number;
  readonly maxPageSize: number;
}

export interface PartyUsage {
  /** TURN key or SFU app. */
  readonly owner: string;
  /** customIdentifier or session; empty where the credential had none. */
  readonly party: string;
  readonly bytes: bigint;
}

export interface WindowUsage {
  readonly parties: readonly PartyUsage[];
  /** What the sum over everything has beyond its parties: sampling, or parties that did not fit on the page. */
  readonly restBytes: bigint;
}

/** Most groups of one answer, whatever the account may. */
export const MOST_GROUPS = 10_000;

export function limitsQuestion(dataset: Dataset, account: string): Question {
  const { node } = datasets[dataset];
  const query = `query Limits($account: string!) {
  viewer { accounts(filter: { accountTag: $account }) { settings {
    ${node} { enabled maxDuration notOlderThan maxPageSize }
  } } }
}`;
  return { query, variables: { account } };
}

export interface UsageQuestion {
  readonly dataset: Dataset;
  readonly account: string;
  /** The only TURN key or SFU app that is meant; undefined: all of the account. */
  readonly owner: string | undefined;
  readonly window: UsageWindow;
  readonly pageSize: number;
}

export function usageQuestion({ account, dataset, owner: only, pageSize, window }: UsageQuestion): Question {
  const { node, owner, party } = datasets[dataset];
  const filter = `{ datetime_geq: $start, datetime_lt: $end${only === undefined ? '' : `, ${owner}: $owner`} }`;
  const query = `query Usage($account: string!, $start: Time!, $end: Time!${only === undefined ? '' : ', $owner: string!'}) {
  viewer { accounts(filter: { accountTag: $account }) {
    total: ${node}(limit: 1, filter: ${filter}) { sum { egressBytes } }
    groups: ${node}(limit: ${pageSize}, filter: ${filter}, orderBy: [sum_egressBytes_DESC]) {
      dimensions { ${owner} ${party} }
      sum { egressBytes }
    }
  } }
}`;
  const variables = { account, start: timeOf(window.start), end: timeOf(window.end) };
  return { query, variables: only === undefined ? variables : { ...variables, owner: only } };
}

/** Cloudflare's `Time` has whole seconds. */
function timeOf(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace('.000Z', 'Z');
}

const sum = z.object({ egressBytes: u64 });
const limits = z.object({
  enabled: z.boolean(),
  maxDuration: z.int().positive(),
  notOlderThan: z.int().positive(),
  maxPageSize: z.int().positive(),
});

/** Throws Error, saying why, when the account may not read the dataset or the answer does not say what it may. */
export function readLimits(dataset: Dataset, answer: unknown): DatasetLimits {
  const { node } = datasets[dataset];
  const account = accountOf(answer, z.object({ settings: z.object({ [node]: limits }) }));
  const found = account.settings[node];
  if (found?.enabled !== true) throw new Error(`this account may not read ${node}`);
  return {
    maxDuration: found.maxDuration * 1_000,
    notOlderThan: found.notOlderThan * 1_000,
    maxPageSize: Math.min(found.maxPageSize, MOST_GROUPS),
  };
}

/** Throws Error, saying why, when the answer is none, is only a part, or tells one party twice. */
export function readUsage(dataset: Dataset, answer: unknown): WindowUsage {
  const { owner, party } = datasets[dataset];
  const groups = z.array(z.object({ dimensions: z.object({ [owner]: z.string(), [party]: z.string() }), sum }));
  const account = accountOf(
    answer,
    z.object({ total: z.array(z.object({ sum })).max(1), groups: groups.max(MOST_GROUPS) }),
  );
  const parties = account.groups.map(({ dimensions, sum: { egressBytes: bytes } }) => ({
    owner: dimensions[owner] ?? '',
    party: dimensions[party] ?? '',
    bytes,
  }));
  if (new Set(parties.map((one) => JSON.stringify([one.owner, one.party]))).size < parties.length) {
    throw new Error('the answer tells one party twice');
  }
  const total = account.total[0]?.sum.egressBytes ?? 0n;
  const grouped = parties.reduce((bytes, one) => bytes + one.bytes, 0n);
  return { parties, restBytes: total > grouped ? total - grouped : 0n };
}

const envelope = z.object({
  data: z.object({ viewer: z.object({ accounts: z.array(z.unknown()) }) }).nullish(),
  errors: z.array(z.object({ message: z.string() })).nullish(),
});

/** Of the one account that was asked for. An error beside data means that the data is not whole. */
function accountOf<S extends z.ZodType>(answer: unknown, schema: S): z.output<S> {
  const read = envelope.safeParse(answer);
  if (!read.success) throw new Error('the answer is none of GraphQL');
  const { data, errors } = read.data;
  const [error] = errors ?? [];
  if (error !== undefined) throw new Error(`Cloudflare answered: ${printable(error.message)}`);
  const accounts = data?.viewer.accounts ?? [];
  if (accounts.length !== 1) throw new Error(`the answer is of ${accounts.length} accounts`);
  const account = schema.safeParse(accounts[0]);
  if (account.success) return account.data;
  const [issue] = account.error.issues;
  throw new Error(`the answer does not have the expected shape at ${issue?.path.join('.') ?? ''}`);
}

/** What somebody else wrote, for a line of our log. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 200);
}
