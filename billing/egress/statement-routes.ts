/** GET /v1/statements/:period: an operator sees the account, an app its own lines. */
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { StoreReader } from '../../collector/store/store.ts';
import { json } from '../../kernel/call.ts';
import type { Call } from '../../kernel/call.ts';
import { TurnpikeError } from '../../kernel/errors.ts';
import { check } from '../../kernel/http.ts';
import { month } from '../../kernel/period.ts';
import { statement as statementSchema } from '../contract.ts';
import { loadRateCard } from './rate-card.ts';
import { renderTable } from './statement-table.ts';
import { statementFor } from './statement.ts';

export interface StatementRouteOptions {
  readonly reader: StoreReader;
  /** Card used when the request names none. */
  readonly rateCard: string;
}

const parameters = z.object({ period: z.string().describe('A month such as `2026-11`.') });
const query = z.strictObject({
  app: z.string().min(1).max(64).optional(),
  rateCard: z.string().max(64).optional().describe('Instead of the configured one.'),
  format: z.enum(['json', 'table']).default('json'),
});

const call: Call = {
  name: 'readStatement',
  group: 'Billing',
  summary: 'Egress cost statement of a month.',
  params: parameters,
  query,
  answers: { 200: { ...json(statementSchema), 'text/plain': null } },
  errors: [
    'TP_BILLING_PERIOD',
    'TP_BILLING_RATE_CARD',
    'TP_BILLING_RATE_CARD_INVALID',
    'TP_COLLECTOR_STORE_UNAVAILABLE',
  ],
};

export const statementRoutes: FastifyPluginAsync<StatementRouteOptions> = async (server, options) => {
  server.get(
    '/v1/statements/:period',
    { config: { allow: ['operator', 'app'], call } },
    async (request: FastifyRequest, reply: FastifyReply) => {
      const period = month(check(parameters, request.params).period);
      const asked = check(query, request.query);
      const card = loadRateCard(asked.rateCard ?? options.rateCard);
      const app = appOf(request, asked.app);
      const statement = await statementFor({
        reader: options.reader,
        period,
        card,
        ...(app === undefined ? {} : { app }),
      });
      if (asked.format === 'json') return statement;
      return reply.type('text/plain; charset=utf-8').send(renderTable(statement));
    },
  );
};

/** An app's token shows that app, whatever was asked; asking for another one is refused rather than answered with its own. */
function appOf({ principal }: FastifyRequest, asked: string | undefined): string | undefined {
  if (principal?.kind !== 'app') return asked;
  if (asked !== undefined && asked !== principal.app) throw new TurnpikeError('TP_KERNEL_FORBIDDEN');
  return principal.app;
}
