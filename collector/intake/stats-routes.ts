/** POST /v1/stats: client reports. An answer of 2xx means that every row of the batch is in the store. */
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../../kernel/clock.ts';
import { issuesOf, TurnpikeError } from '../../kernel/errors.ts';
import type { Issue } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/log.ts';
import type { Metrics } from '../../kernel/metrics.ts';
import type { Authority } from '../../kernel/principals.ts';
import type { ReportClaims } from '../../kernel/report-token.ts';
import { report } from '../contract.ts';
import type { AudioScorer, Report, ReportAnswer } from '../contract.ts';
import { normaliseReport, timeIssues } from '../normalise/report.ts';
import type { Reporter } from '../normalise/report.ts';
import type { StoreWriter } from '../store/store.ts';
import { Allowance, DEFAULT_ALLOWANCE } from './allowance.ts';
import type { AllowanceLimits } from './allowance.ts';
import { Batcher } from './batcher.ts';
import { answerPreflight, exposeAnswer, requireOrigin } from './origins.ts';
import { QualityMetrics } from './quality-metrics.ts';

export interface StatsRouteOptions {
  readonly writer: StoreWriter;
  readonly authority: Authority;
  readonly score: AudioScorer;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly allowance?: Partial<AllowanceLimits>;
  /** How long a report waits for others to share an insert with. Default 200 ms. */
  readonly maxWaitMs?: number;
}

const PATH = '/v1/stats';
const BODY_LIMIT = 1_048_576;
const MAX_ISSUES = 20;

export const statsRoutes: FastifyPluginAsync<StatsRouteOptions> = async (server, options) => {
  const { authority, clock, metrics } = options;
  const batcher = new Batcher({
    writer: options.writer,
    log: options.log,
    ...(options.maxWaitMs === undefined ? {} : { maxWaitMs: options.maxWaitMs }),
  });
  const allowance = new Allowance(clock, { ...DEFAULT_ALLOWANCE, ...options.allowance });
  const quality = new QualityMetrics(metrics);
  const reports = metrics.counter('turnpike_collector_reports_total');

  server.addHook('onClose', () => batcher.close());
  // Beacons cannot set a content type without a preflight, which may not outlive their page.
  server.addContentTypeParser('text/plain', { parseAs: 'string' }, server.getDefaultJsonParser('error', 'error'));
  answerPreflight(server, PATH, authority);

  server.post(
    PATH,
    {
      bodyLimit: BODY_LIMIT,
      config: { allow: ['report'], tokenInQuery: 'token' },
      onRequest: async (request, reply) => {
        requireOrigin(request, authority);
        const seconds = allowance.take(claimsOf(request));
        if (seconds === 0) return;
        void reply.header('retry-after', String(seconds));
        throw new TurnpikeError('TP_KERNEL_RATE_LIMITED');
      },
      onSend: exposeAnswer(authority),
      onResponse: async (_request, reply) => {
        reports.inc({ format: 'native', result: resultOf(reply) });
      },
    },
    async (request: FastifyRequest): Promise<ReportAnswer> => {
      const receivedAt = clock.now();
      const claims = claimsOf(request);
      const batch = readReport(request.body, receivedAt);
      allowance.admit(claims, batch.connection);
      const reporter = reporterOf(claims, batch);
      const rows = normaliseReport(batch, reporter, options.score);
      await batcher.write({ ...rows });
      quality.observe(JSON.stringify([reporter.app, batch.connection, batch.seq]), rows);
      return {
        stored: {
          streams: rows.stream_intervals.length,
          connections: rows.connection_intervals.length,
          events: rows.call_events.length,
        },
        serverTime: receivedAt,
      };
    },
  );
};

function claimsOf({ principal }: FastifyRequest): ReportClaims {
  if (principal?.kind !== 'report') throw new TurnpikeError('TP_KERNEL_FORBIDDEN');
  return principal.claims;
}

/** Checks shape and times; all faults together, as far as anybody would read them. */
function readReport(body: unknown, now: number): Report {
  const parsed = report.safeParse(body);
  if (!parsed.success) {
    throw new TurnpikeError('TP_KERNEL_INVALID', undefined, { issues: shown(issuesOf(parsed.error)) });
  }
  const issues = timeIssues(parsed.data, now);
  if (issues.length === 0) return parsed.data;
  // A client whose clock is far off cannot learn its offset from acknowledgements: it would never get one.
  const beside = { serverTime: now } satisfies Partial<ReportAnswer>;
  throw new TurnpikeError('TP_COLLECTOR_CLOCK', undefined, { issues: shown(issues), beside });
}

function shown(issues: readonly Issue[]): Issue[] {
  const first = issues.slice(0, MAX_ISSUES);
  if (issues.length > MAX_ISSUES) first.push({ path: '', message: `and ${issues.length - MAX_ISSUES} more` });
  return first;
}

/** The token's ids override the report's. A call that nobody named is a call of this one connection. */
function reporterOf(claims: ReportClaims, batch: Report): Reporter {
  const named = (...names: (string | undefined)[]) => names.find((name) => name !== undefined && name !== '');
  return {
    app: claims.app,
    call: named(claims.call, batch.call) ?? batch.connection,
    participant: named(claims.participant, batch.participant) ?? '',
  };
}

function resultOf({ statusCode }: FastifyReply): string {
  if (statusCode < 300) return 'stored';
  if (statusCode === 429) return 'limited';
  if (statusCode === 401 || statusCode === 403) return 'refused';
  return statusCode < 500 ? 'invalid' : 'unavailable';
}
