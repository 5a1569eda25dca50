/** GET /v1/relays/control: relays ask, and wait, for what they must know between two credentials. */
import type { FastifyPluginAsync } from 'fastify';
import { json } from '../../kernel/call.ts';
import type { Call } from '../../kernel/call.ts';
import { check } from '../../kernel/http.ts';
import { controlAnswer, controlQuery } from '../../relay/contract.ts';
import type { ControlAnswer } from '../../relay/contract.ts';
import type { ControlFeed } from './control-feed.ts';

export interface ControlRouteOptions {
  readonly feed: Pick<ControlFeed, 'after' | 'stop'>;
}

const call: Call = {
  name: 'followControl',
  group: 'Relays',
  summary:
    'What a relay must know between two credentials; held for up to 25 s until there is more than its cursor covers.',
  query: controlQuery,
  answers: { 200: json(controlAnswer) },
  errors: ['TP_COLLECTOR_STORE_UNAVAILABLE'],
};

export const controlRoutes: FastifyPluginAsync<ControlRouteOptions> = async (server, { feed }) => {
  // Before the server stops listening: a question that is held would keep its connection, and the server, open.
  server.addHook('preClose', () => feed.stop());

  server.get(
    '/v1/relays/control',
    { config: { allow: ['relay'], call }, exposeHeadRoute: false },
    async (request, reply): Promise<ControlAnswer> => {
      const { cursor } = check(controlQuery, request.query);
      const gone = new AbortController();
      reply.raw.once('close', () => gone.abort());
      void reply.header('cache-control', 'no-store');
      return feed.after(cursor, gone.signal);
    },
  );
};
