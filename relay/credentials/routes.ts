/** The credential API: Cloudflare Realtime TURN's calls, the TURN REST draft's and Twilio's, with their shapes and status codes. */
import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { json } from '../../kernel/call.ts';
import type { Call } from '../../kernel/call.ts';
import type { Clock } from '../../kernel/clock.ts';
import { issuesOf, TurnpikeError } from '../../kernel/errors.ts';
import type { Issue } from '../../kernel/errors.ts';
import { asTurnpikeError, check } from '../../kernel/http.ts';
import type { Metrics } from '../../kernel/metrics.ts';
import type { Authority, KeySettings, Principal } from '../../kernel/principals.ts';
import type { Random } from '../../kernel/random.ts';
import {
  generateRequest,
  iceServersAnswer,
  legacyIceServersAnswer,
  MAX_TWILIO_TTL_SECONDS,
  shortName,
  turnRestAnswer as turnRestAnswerSchema,
  turnRestRequest,
  twilioRequest,
  twilioTokenAnswer,
} from '../contract.ts';
import type { CredentialLimits, GenerateRequest, Revocation } from '../contract.ts';
import { legacyAnswer, turnRestAnswer, twilioAnswer } from './answers.ts';
import { issueCredential, issueIceServers } from './ice-servers.ts';
import type { Issuing, ServiceUrls } from './ice-servers.ts';
import { revocationOf } from './revocation.ts';

export interface CredentialRouteOptions {
  readonly authority: Pick<Authority, 'app' | 'key'>;
  /** Asked for each credential: the relay's ports are known only once it listens. */
  readonly urls: () => ServiceUrls;
  /** The most that an app may grant; absent, or undefined for an app, means no ceilings. */
  readonly ceilingsOf?: (app: string) => CredentialLimits | undefined;
  /** Takes a credential back. Resolves once that is kept; doing it again is no fault. */
  readonly revoke: (app: string, revocation: Revocation) => Promise<void>;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly random: Random;
}

const FORM = 'application/x-www-form-urlencoded';

const group = 'Credentials';
const issuing = {
  group,
  body: json(generateRequest),
  bodyOptional: true,
  errors: ['TP_RELAY_KEY', 'TP_RELAY_TTL', 'TP_RELAY_LIMITS', 'TP_RELAY_IMPAIRMENT'],
} as const satisfies Partial<Call>;

const calls = {
  generate: {
    ...issuing,
    name: 'generateIceServers',
    summary: 'ICE servers with a fresh credential, as Cloudflare Realtime’s TURN API gives them.',
    answers: { 201: json(iceServersAnswer) },
  },
  generateLegacy: {
    ...issuing,
    name: 'generateCredentials',
    summary: 'The same with Cloudflare’s older answer: one object that has every URL.',
    answers: { 201: json(legacyIceServersAnswer) },
  },
  revoke: {
    group,
    name: 'revokeCredential',
    summary: 'Takes a credential back, also when it was revoked or has expired before. A body is not looked at.',
    body: { 'application/json': null },
    bodyOptional: true,
    answers: { 204: {} },
    errors: ['TP_RELAY_KEY', 'TP_RELAY_USERNAME', 'TP_RELAY_REVOCATIONS', 'TP_COLLECTOR_STORE_UNAVAILABLE'],
  },
  turnRest: {
    group,
    name: 'turnRest',
    summary: 'The TURN REST draft’s call: a credential of the app’s first key.',
    query: turnRestRequest,
    answers: { 200: json(turnRestAnswerSchema) },
    errors: ['TP_RELAY_KEY', 'TP_RELAY_LIMITS'],
  },
  twilio: {
    group,
    name: 'createTwilioToken',
    summary: 'Twilio’s Network Traversal Service: a credential of the app’s first key.',
    params: z.object({ sid: shortName.describe('Repeated as `account_sid`.') }),
    body: { [FORM]: twilioRequest },
    bodyOptional: true,
    answers: { 201: json(twilioTokenAnswer) },
    errors: ['TP_RELAY_KEY', 'TP_RELAY_TTL', 'TP_RELAY_LIMITS'],
  },
} as const satisfies Record<string, Call>;

interface KeyRoute {
  Params: { keyId: string };
}

interface RevokeRoute {
  Params: { keyId: string; username: string };
}

export const credentialRoutes: FastifyPluginAsync<CredentialRouteOptions> = async (server, options) => {
  const issued = options.metrics.counter('turnpike_credentials_issued_total');
  const config = { allow: ['app'] } as const;
  const by = ({ app, key }: OwnKey): Issuing => {
    const { urls, ceilingsOf, clock, random } = options;
    return { app, key, urls: urls(), ceilings: ceilingsOf?.(app), clock, random };
  };
  const refused = options.metrics.counter('turnpike_credentials_refused_total');
  server.addHook('onError', async (_request, _reply, error) => refused.inc({ code: asTurnpikeError(error).code }));
  server.addHook('onSend', async (_request, reply) => void reply.header('cache-control', 'no-store'));

  server.post<KeyRoute>(
    '/v1/turn/keys/:keyId/credentials/generate-ice-servers',
    { config: { ...config, call: calls.generate } },
    async (request, reply) => {
      const own = ownKey(options.authority, request.principal, request.params.keyId);
      const answer = issueIceServers(readRequest(request.body), by(own));
      issued.inc({ route: 'generate-ice-servers' });
      return reply.status(201).send(answer);
    },
  );

  server.post<KeyRoute>(
    '/v1/turn/keys/:keyId/credentials/generate',
    { config: { ...config, call: calls.generateLegacy } },
    async (request, reply) => {
      const own = ownKey(options.authority, request.principal, request.params.keyId);
      const answer = legacyAnswer(issueCredential(readRequest(request.body), by(own)));
      issued.inc({ route: 'generate' });
      return reply.status(201).send(answer);
    },
  );

  const revoked = options.metrics.counter('turnpike_credentials_revoked_total');
  server.post<RevokeRoute>(
    '/v1/turn/keys/:keyId/credentials/:username/revoke',
    { config: { ...config, call: calls.revoke } },
    async (request, reply) => {
      const { keyId, username } = request.params;
      const { app, key } = ownKey(options.authority, request.principal, keyId);
      await options.revoke(app, revocationOf(username, key, options));
      revoked.inc();
      return reply.status(204).send();
    },
  );

  // draft-uberti-behave-turn-rest-00 §2.1: a GET, whose `key` is the caller's API key.
  server.get(
    '/turn',
    { config: { ...config, call: calls.turnRest, tokenInQuery: 'key' }, exposeHeadRoute: false },
    async (request) => {
      const { username, ttl } = check(turnRestRequest, request.query);
      const own = firstKey(options.authority, request.principal);
      const answer = turnRestAnswer(issueCredential({ ttl, customIdentifier: username }, by(own)));
      issued.inc({ route: 'turn' });
      return answer;
    },
  );

  await server.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser<string>(FORM, { parseAs: 'string' }, async (_request: FastifyRequest, body: string) =>
      Object.fromEntries(new URLSearchParams(body)),
    );
    scope.post<{ Params: { sid: string } }>(
      '/2010-04-01/Accounts/:sid/Tokens.json',
      { config: { ...config, call: calls.twilio }, bodyLimit: 4_096 },
      async (request, reply) => {
        const { sid } = check(calls.twilio.params, request.params);
        const own = firstKey(options.authority, request.principal);
        const answer = twilioAnswer(issueCredential(readTwilio(request.body), by(own)), sid);
        issued.inc({ route: 'twilio' });
        return reply.status(201).send(answer);
      },
    );
  });
};

interface OwnKey {
  readonly app: string;
  readonly key: KeySettings;
}

/** The caller's own key. Another app's key and one that never was give the same answer: nobody can ask which exist. */
function ownKey(authority: Pick<Authority, 'key'>, principal: Principal | undefined, keyId: string): OwnKey {
  const found = authority.key(keyId);
  if (found === undefined || principal?.kind !== 'app' || found.app.id !== principal.app) {
    throw new TurnpikeError('TP_RELAY_KEY');
  }
  return { app: found.app.id, key: found.key };
}

/** For the calls that name no key: the first one of the caller's app. */
function firstKey(authority: Pick<Authority, 'app'>, principal: Principal | undefined): OwnKey {
  const app = principal?.kind === 'app' ? authority.app(principal.app) : undefined;
  const [key] = app?.keys ?? [];
  if (app === undefined || key === undefined) throw new TurnpikeError('TP_RELAY_KEY');
  return { app: app.id, key };
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

function readTwilio(body: unknown): GenerateRequest {
  const result = twilioRequest.safeParse(body ?? {});
  if (result.success) return { ttl: result.data.Ttl };
  const issues: Issue[] = issuesOf(result.error);
  const sentence = `Ttl must be a whole number of seconds from 1 to ${MAX_TWILIO_TTL_SECONDS}.`;
  throw new TurnpikeError('TP_RELAY_TTL', sentence, { issues });
}
