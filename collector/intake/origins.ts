/**
 * Cross-origin access to one route, as the Fetch standard asks: the preflight is answered for any origin that some app
 * allows, the request itself for the origins of the token's own app. Failures carry the headers too, so that a page can
 * tell a refusal from a broken network.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { TurnpikeError } from '../../kernel/errors.ts';
import type { AppSettings, Authority } from '../../kernel/principals.ts';

/** Headers that a page may read beside the body: the collector's clock, and when to come again. */
const EXPOSED = 'date, retry-after';
const PREFLIGHT_SECONDS = 7_200;

export function allows(app: AppSettings | undefined, origin: string): boolean {
  return app !== undefined && (app.origins.includes('*') || app.origins.includes(origin));
}

/** Answers OPTIONS of the path. */
export function answerPreflight(server: FastifyInstance, path: string, authority: Authority): void {
  server.options(path, { config: { allow: 'anyone' } }, async (request, reply) => {
    const { origin } = request.headers;
    if (origin === undefined || !authority.apps.some((app) => allows(app, origin))) {
      throw new TurnpikeError('TP_KERNEL_ORIGIN');
    }
    return reply
      .status(204)
      .headers({
        'access-control-allow-origin': origin,
        'access-control-allow-methods': 'POST',
        'access-control-allow-headers': 'authorization, content-encoding, content-type',
        'access-control-max-age': String(PREFLIGHT_SECONDS),
        vary: 'origin',
      })
      .send();
  });
}

/** Refuses a page of another site than the token's app names. A caller without an Origin is no page. */
export function requireOrigin(request: FastifyRequest, authority: Authority): void {
  const { origin } = request.headers;
  const { principal } = request;
  if (origin === undefined || principal?.kind !== 'report') return;
  if (!allows(authority.app(principal.claims.app), origin)) throw new TurnpikeError('TP_KERNEL_ORIGIN');
}

/** An onSend hook: lets the page read the answer, whichever it is, when its origin is allowed to ask. */
export function exposeAnswer(authority: Authority) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const { origin } = request.headers;
    if (origin === undefined) return;
    void reply.header('vary', 'origin');
    const { principal } = request;
    const allowed =
      principal?.kind === 'report'
        ? allows(authority.app(principal.claims.app), origin)
        : authority.apps.some((app) => allows(app, origin));
    if (!allowed) return;
    void reply.headers({ 'access-control-allow-origin': origin, 'access-control-expose-headers': EXPOSED });
  };
}
