/**
 * POST /v1/sfu/janus: where Janus' event handler sends what it counts. Janus sends nothing again that was answered at all, and
 * stops its queue while it is not: so what can be stored is, and what cannot be read is only counted.
 */
import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Answer } from '../../kernel/answer.ts';
import { json } from '../../kernel/call.ts';
import type { Call } from '../../kernel/call.ts';
import { TurnpikeError } from '../../kernel/errors.ts';
import { check } from '../../kernel/http.ts';
import { decodedBody } from '../intake/decoded-body.ts';
import type { JanusSource } from './janus-source.ts';

/** A thousand events. */
const BODY_LIMIT = 1_048_576;

export interface JanusRouteOptions {
  readonly sources: readonly JanusSource[];
}

const janusAnswer = z.object({
  stored: z.int().describe('Readings stored.'),
  ignored: z.int().describe('Events that are not as Janus sends them.'),
});
export type JanusAnswer = Answer<typeof janusAnswer>;

const query = z.strictObject({
  source: z.string().optional().describe('Name of the source, where several of the configuration are Janus.'),
});
const events = z.unknown().describe('An event of Janus, or a list of them. What cannot be read is only counted.');

const call: Call = {
  name: 'reportJanusEvents',
  group: 'Metering',
  summary: 'Where Janus’ event handler (sampleevh) sends what it counts.',
  query,
  body: json(events),
  answers: { 200: json(janusAnswer) },
  errors: [
    'TP_COLLECTOR_ENCODING',
    'TP_COLLECTOR_COMPRESSION',
    'TP_COLLECTOR_STORE_UNAVAILABLE',
    'TP_COLLECTOR_SPOOL_FULL',
  ],
};

export const janusRoutes: FastifyPluginAsync<JanusRouteOptions> = async (server, { sources }) => {
  const known = new Map(sources.map((source) => [source.name, source]));

  server.post(
    '/v1/sfu/janus',
    {
      bodyLimit: BODY_LIMIT,
      config: { allow: ['source'], call },
      preParsing: async (request, _reply, payload) => decodedBody(request, payload, BODY_LIMIT),
    },
    async (request: FastifyRequest): Promise<JanusAnswer> => {
      const { source: name } = check(query, request.query);
      const [only] = known.size === 1 ? known.values() : [];
      const source = name === undefined ? only : known.get(name);
      if (source === undefined) {
        const message = 'must name a source of the configuration whose kind is janus';
        throw new TurnpikeError('TP_KERNEL_INVALID', undefined, { issues: [{ path: 'source', message }] });
      }
      return source.take(request.body);
    },
  );
};
