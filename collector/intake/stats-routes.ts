/** POST /v1/stats: client reports. An answer of 2xx means that every row of the batch is durable, less what it names. */
import type { FastifyInstance, FastifyPluginAsync, FastifyRequest } from 'fastify';
import { json } from '../../kernel/call.ts';
import type { Call } from '../../kernel/call.ts';
import type { Clock } from '../../kernel/clock.ts';
import { TurnpikeError } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/log.ts';
import type { Metrics } from '../../kernel/metrics.ts';
import type { Authority } from '../../kernel/principals.ts';
import type { ReportClaims } from '../../kernel/report-token.ts';
import { shortName } from '../../relay/contract.ts';
import { reportAnswer, reportBody } from '../contract.ts';
import type { AudioScorer, ClientSettings, FormatName, ReportAnswer } from '../contract.ts';
import { normaliseReport } from '../normalise/report.ts';
import type { Reporter } from '../normalise/report.ts';
import type { ClientNetwork } from '../privacy/client-network.ts';
import type { StoreWriter } from '../store/store.ts';
import { Allowance, DEFAULT_ALLOWANCE } from './allowance.ts';
import type { AllowanceLimits } from './allowance.ts';
import { Batcher } from './batcher.ts';
import { windowAround } from './checks.ts';
import { decodedBody } from './decoded-body.ts';
import { isObject } from './formats/format.ts';
import type { Numbered, Origin } from './formats/format.ts';
import { native } from './formats/native.ts';
import { observertc } from './formats/observertc.ts';
import { answerPreflight, exposeAnswer, requireOrigin } from './origins.ts';
import { QualityMetrics } from './quality-metrics.ts';
import { Recording } from './recording.ts';
import { countedAs } from './report-results.ts';

export interface StatsRouteOptions {
  readonly writer: StoreWriter;
  readonly authority: Authority;
  readonly score: AudioScorer;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly allowance?: Partial<AllowanceLimits>;
  /** What is kept of the address that a report comes from. Absent: nothing. */
  readonly networkOf?: (address: string) => ClientNetwork;
  /** What clients are told of how to sample and report. */
  readonly client?: ClientSettings;
  /** How long a report waits for others to share an insert with. Default 200 ms. */
  readonly maxWaitMs?: number;
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
  const { authority, client, clock, metrics, networkOf, score } = options;
  const batcher = new Batcher({
    writer: options.writer,
    log: options.log,
    ...(options.maxWaitMs === undefined ? {} : { maxWaitMs: options.maxWaitMs }),
  });
  const allowance = new Allowance(clock, { ...DEFAULT_ALLOWANCE, ...options.allowance });
  const quality = new QualityMetrics(metrics);
  const reports = metrics.counter('turnpike_collector_reports_total');

  server.addHook('onClose', () => batcher.close());
  parseBodies(server);
  answerPreflight(server, PATH, authority);

  server.post(
    PATH,
    {
      bodyLimit: BODY_LIMIT,
      config: { allow: ['report'], call, tokenInQuery: 'token' },
      onRequest: async (request, reply) => {
        requireOrigin(request, authority);
        const seconds = allowance.take(claimsOf(request));
        if (seconds === 0) return;
        void reply.header('retry-after', String(seconds));
        throw new TurnpikeError('TP_KERNEL_RATE_LIMITED');
      },
      preParsing: async (request, _reply, payload) => decodedBody(request, payload, BODY_LIMIT),
      onSend: exposeAnswer(authority),
      onResponse: async (request, reply) => {
        reports.inc({ format: formatOf(request.body), result: countedAs(reply.statusCode) });
      },
    },
    async (request: FastifyRequest, reply): Promise<ReportAnswer> => {
      const receivedAt = clock.now();
      const claims = claimsOf(request);
      const recording = readBody(request.body, receivedAt);
      const batches = recording.take();
      for (const { origin } of batches) allowance.admit(claims, origin.connection);
      const network = networkOf?.(request.ip);
      const stored = { streams: 0, connections: 0, events: 0 };
      const write = async ({ origin, batch }: Numbered) => {
        const reporter = { ...reporterOf(claims, origin), network };
        const rows = normaliseReport(batch, reporter, score);
        await batcher.write({ ...rows });
        // a batch without a number is known by its newest sample
        const name = batch.seq ?? `t${batch.samples.at(-1)?.t ?? batch.events.at(-1)?.t}`;
        quality.observe(JSON.stringify([reporter.app, batch.connection, name]), rows);
        stored.streams += rows.stream_intervals.length;
        stored.connections += rows.connection_intervals.length;
        stored.events += rows.call_events.length;
      };
      await Promise.all(batches.map(write));
      const answer = { stored, serverTime: receivedAt, ...(client === undefined ? {} : { client }) };
      if (recording.rejections.count === 0) return answer;
      void reply.status(207);
      return { ...answer, rejected: recording.rejections.list() };
    },
  );
};

/**
 * Beacons cannot set a content type without a preflight, which may not outlive their page. Members of a sample may have any
 * name: they are read, never assigned. A body that would itself change its prototype is no report.
 */
function parseBodies(server: FastifyInstance): void {
  server.addContentTypeParser(['application/json', 'text/plain'], { parseAs: 'string' }, (_request, text, done) => {
    try {
      const body: unknown = JSON.parse(String(text));
      if (isObject(body) && Object.hasOwn(body, '__proto__')) throw new TurnpikeError('TP_KERNEL_BAD_JSON');
      done(null, body);
    } catch {
      done(new TurnpikeError('TP_KERNEL_BAD_JSON'));
    }
  });
}

function claimsOf({ principal }: FastifyRequest): ReportClaims {
  if (principal?.kind !== 'report') throw new TurnpikeError('TP_KERNEL_FORBIDDEN');
  return principal.claims;
}

function formatOf(body: unknown): FormatName {
  return observertc.recognises(Array.isArray(body) ? body[0] : body) ? 'observertc' : 'native';
}

/**
 * A report of ours, or ClientSamples of ObserveRTC: one, or a list that begins with a whole one. Faults of shape are told
 * together, as far as anybody would read them; with times all too far from now, nothing is kept and the time is told.
 */
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
  const { kept, mistimed, desynced, rejections } = recording;
  if (kept > 0 || rejections.count === 0) return recording;
  const issues = rejections.list();
  if (mistimed === 0) {
    throw new TurnpikeError(desynced > 0 ? 'TP_COLLECTOR_DESYNC' : 'TP_KERNEL_INVALID', undefined, { issues });
  }
  // A client whose clock is far off cannot learn its offset from acknowledgements: it would never get one.
  const beside = { serverTime: now } satisfies Partial<ReportAnswer>;
  throw new TurnpikeError('TP_COLLECTOR_CLOCK', undefined, { issues, beside });
}

/** The token's ids override the report's. A call that nobody named is a call of this one connection. */
function reporterOf(claims: ReportClaims, origin: Origin): Reporter {
  const named = (...names: (string | undefined)[]) => names.find(isName);
  return {
    app: claims.app,
    call: named(claims.call, origin.call) ?? origin.connection,
    participant: named(claims.participant, origin.participant) ?? '',
  };
}

function isName(name: string | undefined): boolean {
  return name !== undefined && name !== '' && shortName.safeParse(name).success;
}
