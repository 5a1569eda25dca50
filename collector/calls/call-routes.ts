/** GET /v1/calls, /v1/calls/:call and /v1/usage: an operator sees every app, an app itself. */
import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { json } from '../../kernel/call.ts';
import type { Call } from '../../kernel/call.ts';
import type { Clock } from '../../kernel/clock.ts';
import { TurnpikeError } from '../../kernel/errors.ts';
import { check } from '../../kernel/http.ts';
import { callDetail, callsAnswer, usageAnswer, usageGroups } from '../contract.ts';
import type { CallDetail, CallsAnswer, UsageAnswer } from '../contract.ts';
import type { EgressReader } from './egress-hours.ts';
import { findCalls } from './summaries.ts';
import { detailOf } from './timeline.ts';
import { usageOf } from './usage.ts';

export interface CallRouteOptions extends EgressReader {
  readonly clock: Clock;
}

/** What DateTime64 can hold, and nobody's call was before. */
const EPOCH = Date.UTC(2000, 0, 1);
const FOREVER = Date.UTC(2200, 0, 1);

const time = z.iso
  .datetime({ offset: true, error: 'must be a time such as 2026-11-20T18:00:00Z' })
  .transform((text) => Date.parse(text))
  .refine((at) => at >= EPOCH && at <= FOREVER, 'must lie between the years 2000 and 2200');
const appName = z.string().min(1).max(64);
const callName = z.string().min(1).max(256);

const listQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  before: time.optional().describe('Calls that began before.'),
  live: z.enum(['true', 'false']).default('false'),
  app: appName.optional(),
  call: callName.optional(),
});
const callParameters = z.object({ call: callName });
const callQuery = z.strictObject({ app: appName.optional().describe('Where two apps have a call of that name.') });
const usageQuery = z
  .strictObject({
    from: time.describe('Bytes after this moment.'),
    to: time.describe('And up to this one.'),
    group: z.enum(usageGroups).default('app'),
    app: appName.optional(),
  })
  .refine(({ from, to }) => from < to, { path: ['to'], message: 'must be after from' });

const group = 'Calls';
const errors = ['TP_COLLECTOR_STORE_UNAVAILABLE'] as const;
const calls = {
  list: {
    group,
    name: 'listCalls',
    summary: 'Calls, live and past, newest first.',
    query: listQuery,
    answers: { 200: json(callsAnswer) },
    errors,
  },
  read: {
    group,
    name: 'readCall',
    summary: 'One call: every stream, connection and event.',
    params: callParameters,
    query: callQuery,
    answers: { 200: json(callDetail) },
    errors: [...errors, 'TP_COLLECTOR_CALL'],
  },
  usage: {
    group,
    name: 'readUsage',
    summary: 'Bytes sent to clients, as metered and not yet rated.',
    query: usageQuery,
    answers: { 200: json(usageAnswer) },
    errors,
  },
} as const satisfies Record<string, Call>;

export const callRoutes: FastifyPluginAsync<CallRouteOptions> = async (server, { reader, keptOf, clock }) => {
  const allow = ['operator', 'app'] as const;

  server.get(
    '/v1/calls',
    { config: { allow, call: calls.list } },
    async (request: FastifyRequest): Promise<CallsAnswer> => {
      const { limit, before, live, app, call } = check(listQuery, request.query);
      const which = { app: appOf(request, app), call: call ?? '', live: live === 'true' };
      return { calls: await findCalls(reader, { ...which, limit, before: before ?? FOREVER }, clock.now()) };
    },
  );

  server.get(
    '/v1/calls/:call',
    { config: { allow, call: calls.read } },
    async (request: FastifyRequest): Promise<CallDetail> => {
      const { call } = check(callParameters, request.params);
      const app = appOf(request, check(callQuery, request.query).app);
      const [summary] = await findCalls(reader, { app, call, limit: 1, before: FOREVER, live: false }, clock.now());
      // Another app's call is as unknown as one that never was.
      if (summary === undefined) throw new TurnpikeError('TP_COLLECTOR_CALL');
      return detailOf(reader, summary);
    },
  );

  server.get(
    '/v1/usage',
    { config: { allow, call: calls.usage } },
    async (request: FastifyRequest): Promise<UsageAnswer> => {
      const { from, to, group, app } = check(usageQuery, request.query);
      return usageOf({ reader, keptOf }, { app: appOf(request, app), from, to, group });
    },
  );
};

/** An app's token shows that app; asking for another one is refused. Empty: all of them. */
function appOf({ principal }: FastifyRequest, asked: string | undefined): string {
  if (principal?.kind !== 'app') return asked ?? '';
  if (asked !== undefined && asked !== principal.app) throw new TurnpikeError('TP_KERNEL_FORBIDDEN');
  return principal.app;
}
