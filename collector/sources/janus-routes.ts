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
import { egressRow, windowIssues } from '../intake/metering.ts';
import type { StoreReader, StoreWriter } from '../store/store.ts';
import type { Clock } from '../../kernel/clock.ts';
import { Counters } from './counters.ts';
import { JanusEvents } from './janus.ts';
import type { SourceMetrics } from './source-metrics.ts';
import type { JanusSettings } from './source-settings.ts';

/** A thousand events. */
const BODY_LIMIT = 1_048_576;

export interface JanusRouteOptions {
  readonly sources: readonly (JanusSettings & { readonly app: string })[];
  readonly reader: StoreReader;
  readonly writer: StoreWriter;
  readonly clock: Clock;
  readonly metrics: SourceMetrics;
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

export const janusRoutes: FastifyPluginAsync<JanusRouteOptions> = async (server, options) => {
  const { clock, metrics, reader, sources, writer } = options;
  const known = new Map(sources.map((settings) => [settings.name, new JanusSource(settings, reader, clock)]));

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
      const { ignored, readings } = (await source.events()).read(request.body);
      const now = clock.now();
      const timely = readings.filter((reading) => windowIssues([reading], '', now).length === 0);
      await writer.insert(
        'egress_samples',
        timely.map((reading) => egressRow(source.name, reading)),
      );
      metrics.heard(source.name, timely.length);
      return { stored: timely.length, ignored: ignored + readings.length - timely.length };
    },
  );
};

/** One Janus, with what the store remembers of it; asked for with its first event. */
class JanusSource {
  readonly name: string;
  readonly #events: () => Promise<JanusEvents>;
  #made: Promise<JanusEvents> | undefined;

  constructor(settings: JanusSettings & { readonly app: string }, reader: StoreReader, clock: Clock) {
    this.name = settings.name;
    this.#events = async () => {
      const counters = new Counters();
      await counters.restore(reader, settings.name, clock.now());
      return new JanusEvents(settings, counters);
    };
  }

  events(): Promise<JanusEvents> {
    this.#made ??= this.#events().catch((error: unknown) => {
      this.#made = undefined;
      throw error;
    });
    return this.#made;
  }
}
