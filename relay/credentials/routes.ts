/** The credential API: Cloudflare Realtime TURN's calls, with its shapes and status codes. */
import type { FastifyPluginAsync } from 'fastify';
import type { Clock } from '../../kernel/clock.ts';
import { issuesOf, TurnpikeError } from '../../kernel/errors.ts';
import type { Metrics } from '../../kernel/metrics.ts';
import type { Authority, KeySettings, Principal } from '../../kernel/principals.ts';
import type { Random } from '../../kernel/random.ts';
import { generateRequest } from '../contract.ts';
import type { CredentialLimits, GenerateRequest } from '../contract.ts';
import { issueIceServers } from './ice-servers.ts';
import type { ServiceUrls } from './ice-servers.ts';

export interface CredentialRouteOptions {
  readonly authority: Pick<Authority, 'key'>;
  /** Asked for each credential: the relay's ports are known only once it listens. */
  readonly urls: () => ServiceUrls;
  /** The most that an app may grant; absent, or undefined for an app, means no ceilings. */
  readonly ceilingsOf?: (app: string) => CredentialLimits | undefined;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly random: Random;
}

export const credentialRoutes: FastifyPluginAsync<CredentialRouteOptions> = async (app, options) => {
  const issued = options.metrics.counter('turnpike_credentials_issued_total');

  app.post<{ Params: { keyId: string } }>(
    '/v1/turn/keys/:keyId/credentials/generate-ice-servers',
    { config: { allow: ['app'] } },
    async (request, reply) => {
      const { app: appId, key } = ownKey(options.authority, request.principal, request.params.keyId);
      const ceilings = options.ceilingsOf?.(appId);
      const answer = issueIceServers(readRequest(request.body), {
        app: appId,
        key,
        urls: options.urls(),
        ...(ceilings === undefined ? {} : { ceilings }),
        clock: options.clock,
        random: options.random,
      });
      issued.inc({ route: 'generate-ice-servers' });
      return reply.status(201).header('cache-control', 'no-store').send(answer);
    },
  );
};

/** The caller's own key. Another app's key and one that never was give the same answer: nobody can ask which exist. */
function ownKey(
  authority: Pick<Authority, 'key'>,
  principal: Principal | undefined,
  keyId: string,
): { app: string; key: KeySettings } {
  const found = authority.key(keyId);
  if (found === undefined || principal?.kind !== 'app' || found.app.id !== principal.app) {
    throw new TurnpikeError('TP_RELAY_KEY');
  }
  return { app: found.app.id, key: found.key };
}

/** The request's fields; a call without a body asks for the defaults. A ttl out of range has an error of its own. */
function readRequest(body: unknown): GenerateRequest {
  const fields = body === undefined ? {} : body;
  const result = generateRequest.safeParse(fields);
  if (result.success) return result.data;
  const issues = issuesOf(result.error);
  const ttl = typeof fields === 'object' && fields !== null && 'ttl' in fields ? fields.ttl : undefined;
  const onlyRange = typeof ttl === 'number' && issues.every((issue) => issue.path === 'ttl');
  throw new TurnpikeError(onlyRange ? 'TP_RELAY_TTL' : 'TP_KERNEL_INVALID', undefined, { issues });
}
