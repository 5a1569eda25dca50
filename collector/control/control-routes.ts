/** GET /v1/relays/control: relays ask, and wait, for what they must know between two credentials. */
import type { FastifyPluginAsync } from 'fastify';
import { check } from '../../kernel/http.ts';
import { controlQuery } from '../../relay/contract.ts';
import type { ControlAnswer } from '../../relay/contract.ts';
import type { ControlFeed } from './control-feed.ts';

export interface ControlRouteOptions {
  readonly feed: Pick<ControlFeed, 'after' | 'stop'>;
}

export const controlRoutes: FastifyPluginAsync<ControlRouteOptions> = async (server, { feed }) => {
  // Before the server stops listening: a question that is held would keep its connection, and the server, open.
  server.addHook('preClose', () => feed.stop());

  server.get(
    '/v1/relays/control',
    { config: { allow: ['relay'] }, exposeHeadRoute: false },
    async (request, reply): Promise<ControlAnswer> => {
      const { cursor } = check(controlQuery, request.query);
      const gone = new AbortController();
      reply.raw.once('close', () => gone.abort());
      void reply.header('cache-control', 'no-store');
      return feed.after(cursor, gone.signal);
    },
  );
};
