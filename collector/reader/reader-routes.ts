/**
 * ClickHouse's own HTTP interface onto the embedded store, for people's queries: Grafana's plugin, clickhouse-client's
 * drivers and curl find here what they know. A query goes on as the store's bounded user, after the server's own parser
 * has shown that it only reads; the answer is passed on as it comes.
 */
import { Agent, request as send } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Call } from '../../kernel/call.ts';
import { TurnpikeError } from '../../kernel/errors.ts';
import type { StoreEndpoint } from '../store/store.ts';
import { faultOf } from './query-inspection.ts';
import { MAX_QUERY_BYTES, readQuestion } from './question.ts';
import type { Question } from './question.ts';
import { Turnstile } from './turnstile.ts';

export interface ReaderRoutesOptions {
  /** The embedded server as its bounded user; rejects while it is being started. */
  readonly endpoint: () => Promise<StoreEndpoint>;
}

/** Grafana opens a dashboard's panels at once; each query has both of the server's steps within one place. */
const CROWD = { width: 8, maxWaiting: 256 } as const;

/** Waiting, the query itself (`max_execution_time`) and whoever reads its answer slowly: the place is needed by others. */
const LONGEST_MS = 180_000;

/** The answer's text is the asker's own: no browser may take it for a page of this service. */
const HARMLESS = {
  'content-security-policy': "default-src 'none'; sandbox",
  'x-content-type-options': 'nosniff',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
} as const;
const PASSED_ON = /^(content-type|content-encoding|x-clickhouse-.+)$/;

const group = 'SQL';
/** Whatever type it has, and whatever ClickHouse answers: its faults are its own, as its clients know them. */
const anything = { '*/*': null };
const asking = {
  group,
  query: z.looseObject({
    query: z.string().optional().describe('SQL; what is in the body follows it.'),
    database: z.string().optional(),
    default_format: z.string().optional().describe('As `FORMAT` in the query; TabSeparated when neither is there.'),
  }),
  answers: { 200: anything, default: anything },
  errors: [
    'TP_COLLECTOR_QUERY',
    'TP_COLLECTOR_STORE_UNAVAILABLE',
    'TP_KERNEL_RATE_LIMITED',
    'TP_KERNEL_CONTENT_TYPE',
    'TP_KERNEL_BODY_TOO_LARGE',
  ],
} as const satisfies Partial<Call>;
const sending = { ...asking, body: anything, bodyOptional: true } as const;

const pingCall: Call = {
  group,
  name: 'pingStore',
  summary: '`Ok.` while the embedded store answers.',
  answers: { 200: { 'text/plain': null } },
  errors: ['TP_COLLECTOR_STORE_UNAVAILABLE'],
};

const readerOnly = { allow: ['reader'], tokenInHeader: 'x-clickhouse-key' } as const;

export async function readerRoutes(app: FastifyInstance, options: ReaderRoutesOptions): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: CROWD.width });
  app.addHook('onClose', () => agent.destroy());
  const turnstile = new Turnstile(CROWD);
  const ask = (question: Question, signal: AbortSignal) => exchange(options, agent, question, signal);

  // A query is text, whatever a client calls it; curl says that it is a form.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: MAX_QUERY_BYTES }, (_request, body, done) =>
    done(null, body),
  );

  const answer = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const question = readQuestion(request);
    const over = new AbortController();
    reply.raw.once('close', () => over.abort()); // answered, or nobody is there any more
    const signal = AbortSignal.any([over.signal, AbortSignal.timeout(LONGEST_MS)]);
    await turnstile.enter(over.signal);
    const tree = await ask(inspectionOf(question), signal);
    if (tree.statusCode !== 200) return passOn(tree, reply);
    const fault = faultOf(question.sql, await text(tree));
    if (fault !== undefined) throw new TurnpikeError('TP_COLLECTOR_QUERY', `Queries here only read. ${fault}`);
    return passOn(await ask(question, signal), reply);
  };
  // some clients leave the last `/` out
  for (const [url, alias] of [
    ['/clickhouse/', ''],
    ['/clickhouse', 'Alias'],
  ] as const) {
    const get: Call = { ...asking, name: `query${alias}`, summary: 'A query that only reads, as ClickHouse takes it.' };
    const post: Call = { ...sending, name: `sendQuery${alias}`, summary: 'The same with the query in the body.' };
    app.get(url, { config: { ...readerOnly, call: get }, exposeHeadRoute: false }, answer);
    app.post(url, { config: { ...readerOnly, call: post } }, answer);
  }
  app.get('/clickhouse/ping', { config: { ...readerOnly, call: pingCall } }, async (_request, reply) => {
    const pong = await ask({ sql: 'SELECT 1', search: new URLSearchParams(), headers: {} }, AbortSignal.timeout(5_000));
    await text(pong);
    if (pong.statusCode !== 200) throw unavailable(pong.statusCode);
    return reply.type('text/plain').headers(HARMLESS).send('Ok.\n');
  });
}

/** The same text with the same parameters, and no setting that could shape what the server says of it. */
function inspectionOf({ sql, search }: Question): Question {
  const parameters = [...search].filter(([name]) => name.startsWith('param_'));
  return {
    sql: `EXPLAIN AST\n${sql}`,
    search: new URLSearchParams([...parameters, ['default_format', 'TSVRaw']]),
    headers: {},
  };
}

async function exchange(
  { endpoint }: ReaderRoutesOptions,
  agent: Agent,
  { sql, search, headers }: Question,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const { url, user, password, database } = await endpoint().catch((error: unknown) => {
    throw unavailable(error);
  });
  const target = new URL('/', url);
  target.search = search.toString();
  if (!search.has('database')) target.searchParams.set('database', database);
  return new Promise((resolve, reject) => {
    const outgoing = send(target, {
      agent,
      method: 'POST',
      auth: `${user}:${password}`,
      headers: { ...headers, 'content-type': 'text/plain' },
      signal,
    });
    outgoing.once('response', resolve);
    outgoing.once('error', (error) => reject(unavailable(error)));
    outgoing.end(sql);
  });
}

function passOn(answer: IncomingMessage, reply: FastifyReply): FastifyReply {
  const known = Object.entries(answer.headers).filter(([name]) => PASSED_ON.test(name));
  return reply
    .status(answer.statusCode ?? 502)
    .headers({ ...Object.fromEntries(known), ...HARMLESS })
    .send(answer);
}

function unavailable(cause: unknown): TurnpikeError {
  return new TurnpikeError('TP_COLLECTOR_STORE_UNAVAILABLE', 'The store cannot be reached. Try again later.', {
    cause,
  });
}
