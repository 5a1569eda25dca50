/** DELETE /v1/participants/:participant: an app, or the operator for it, has somebody's rows removed. */
import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { json } from '../../kernel/call.ts';
import type { Call } from '../../kernel/call.ts';
import { TurnpikeError } from '../../kernel/errors.ts';
import { check } from '../../kernel/http.ts';
import { shortName } from '../../relay/contract.ts';
import { erasureAnswer } from '../contract.ts';
import type { ErasureAnswer } from '../contract.ts';
import type { Erasures } from './erasures.ts';

export interface ErasureRouteOptions {
  readonly erasures: Pick<Erasures, 'erase'>;
}

const params = z.object({ participant: shortName.min(1) });
const query = z.strictObject({
  call: shortName.min(1).optional().describe('Only what is of this call; absent: of all calls.'),
  app: shortName.min(1).optional().describe('App that the participant is of; an app’s own token says it already.'),
});

const call: Call = {
  name: 'eraseParticipant',
  group: 'Calls',
  summary:
    'Removes what is kept of a participant, and lets nothing in any more that was before. What was billed stays.',
  params,
  query,
  answers: { 200: json(erasureAnswer) },
  errors: ['TP_COLLECTOR_STORE_UNAVAILABLE', 'TP_COLLECTOR_ERASURE'],
};

export const erasureRoutes: FastifyPluginAsync<ErasureRouteOptions> = async (server, { erasures }) => {
  server.delete(
    '/v1/participants/:participant',
    { config: { allow: ['app', 'operator'], call } },
    async (request: FastifyRequest): Promise<ErasureAnswer> => {
      const { participant } = check(params, request.params);
      const { app, call: only } = check(query, request.query);
      return { erased: await erasures.erase({ app: appOf(request, app), participant, call: only }) };
    },
  );
};

function appOf({ principal }: FastifyRequest, asked: string | undefined): string {
  const own = principal?.kind === 'app' ? principal.app : asked;
  if (own === undefined) {
    throw new TurnpikeError('TP_KERNEL_INVALID', undefined, { issues: [{ path: 'app', message: 'must be given' }] });
  }
  if (asked !== undefined && asked !== own) throw new TurnpikeError('TP_KERNEL_FORBIDDEN');
  return own;
}
