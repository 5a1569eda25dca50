/** POST /v1/stats: client reports. An answer of 2xx means that every row of the batch is durable, less what it names. */
import type { FastifyInstance, FastifyPluginAsync, FastifyRequest } from 'fastify';
import { json } from '../../kernel/call.ts';
import type { Call } from '../../kernel/call.ts';
import type { Authority } from '../../kernel/principals.ts';
import type { Sleep } from '../../kernel/sleep.ts';
import { reportAnswer, reportBody } from '../contract.ts';
import type { ClientSettings, FormatName, ReportAnswer } from '../contract.ts';
import { windowAround } from './checks.ts';
import { decodedBody } from './decoded-body.ts';
import { native } from './formats/native.ts';
import { observertc } from './formats/observertc.ts';
import type { StreamLimits } from './open-streams.ts';
import { answerPreflight, exposeAnswer, requireOrigin } from './origins.ts';
import { Recording } from './recording.ts';
import { busy, claimsOf, parseReport, refusalOf, ReportIntake, skewOf } from './report-intake.ts';
import type { ReportIntakeOptions } from './report-intake.ts';
import { countedAs } from './report-results.ts';
import { streamRoutes } from './stream-routes.ts';

export interface StatsRouteOptions extends ReportIntakeOptions {
  readonly authority: Authority;
  /** What clients are told of how to sample and report. */
  readonly client?: ClientSettings;
  readonly sleep?: Sleep;
  readonly streams?: Partial<StreamLimits>;
}

const PATH = '/v1/stats';
/** Largest body, as it is sent and as it is after decompression, bytes. */
const BODY_LIMIT = 1_048_576;

const call: Call = {
  name: 'report',
  group: 'Reports',
  summary:
    'A client’s batch of reports: 200 means that every row is stored, 207 that every row is but those of what `rejected` names.',
  body: { ...json(reportBody), 'text/plain': reportBody },
  answers: { 200: json(reportAnswer), 207: json(reportAnswer) },
  errors: [
    'TP_KERNEL_RATE_LIMITED',
    'TP_COLLECTOR_CLOCK',
    'TP_COLLECTOR_DESYNC',
    'TP_COLLECTOR_ENCODING',
    'TP_COLLECTOR_COMPRESSION',
    'TP_COLLECTOR_STORE_UNAVAILABLE',
    'TP_COLLECTOR_SPOOL_FULL',
  ],
};

export const statsRoutes: FastifyPluginAsync<StatsRouteOptions> = async (server, options) => {
  const { authority, client, clock, metrics } = options;
  const intake = new ReportIntake(options);
  const reports = metrics.counter('turnpike_collector_reports_total');

  server.addHook('onClose', () => intake.close());
  await server.register(streamRoutes, {
    ...options,
    intake,
    ...(options.streams === undefined ? {} : { limits: options.streams }),
  });
  parseBodies(server);
  answerPreflight(server, PATH, authority);

  server.post(
    PATH,
    {
      bodyLimit: BODY_LIMIT,
      config: { allow: ['report'], call, tokenInQuery: 'token' },
      onRequest: async (request, reply) => {
        requireOrigin(request, authority);
        const seconds = intake.allowance.take(claimsOf(request));
        if (seconds > 0) throw busy(reply, seconds);
      },
      preParsing: async (request, _reply, payload) => decodedBody(request, payload, BODY_LIMIT),
      onSend: exposeAnswer(authority),
      onResponse: async (request, reply) => {
        reports.inc({ format: formatOf(request.body), result: countedAs(reply.statusCode) });
      },
    },
    async (request: FastifyRequest, reply): Promise<ReportAnswer> => {
      const receivedAt = clock.now();
      const recording = readBody(request.body, receivedAt);
      const batches = recording.take();
      const skew = skewOf(batches, receivedAt);
      const stored = await intake.store(batches, { claims: claimsOf(request), address: request.ip, skew });
      const answer = { stored, serverTime: receivedAt, ...(client === undefined ? {} : { client }) };
      if (recording.rejections.count === 0) return answer;
      void reply.status(207);
      return { ...answer, rejected: recording.rejections.list() };
    },
  );
};

/** Beacons cannot set a content type without a preflight, which may not outlive their page. */
function parseBodies(server: FastifyInstance): void {
  server.addContentTypeParser(
    ['application/json', 'text/plain'],
    { parseAs: 'string' },
    async (_request: FastifyRequest, text: string | Buffer) => parseReport(String(text)),
  );
}

function formatOf(body: unknown): FormatName {
  return observertc.recognises(Array.isArray(body) ? body[0] : body) ? 'observertc' : 'native';
}

/** A report of ours, or ClientSamples of ObserveRTC: one, or a list that begins with a whole one. */
function readBody(body: unknown, now: number): Recording {
  const recording = new Recording(windowAround(now));
  if (formatOf(body) === 'observertc') {
    const reader = observertc.open();
    for (const [index, sample] of [body].flat().entries()) {
      for (const said of reader.read(sample, Array.isArray(body) ? String(index) : '')) recording.add(said);
    }
  } else {
    for (const said of native.open().read(body, '')) recording.add(said);
  }
  const refusal = refusalOf(recording, now);
  if (refusal !== undefined) throw refusal;
  return recording;
}
