/** GET /v1/stats/stream: reports over a WebSocket, told as differences to the ones before. What is acknowledged is durable. */
import type { IncomingMessage } from 'node:http';
import type { FastifyPluginAsync } from 'fastify';
import { WebSocketServer } from 'ws';
import { z } from 'zod';
import type { Call } from '../../kernel/call.ts';
import type { Clock } from '../../kernel/clock.ts';
import { TurnpikeError } from '../../kernel/errors.ts';
import { check } from '../../kernel/http.ts';
import type { Logger } from '../../kernel/log.ts';
import type { Metrics } from '../../kernel/metrics.ts';
import type { Authority } from '../../kernel/principals.ts';
import { systemSleep } from '../../kernel/sleep.ts';
import type { Sleep } from '../../kernel/sleep.ts';
import { streamedFormats } from '../contract.ts';
import type { ClientSettings, StreamedFormat } from '../contract.ts';
import type { Format } from './formats/format.ts';
import { native } from './formats/native.ts';
import { observertc } from './formats/observertc.ts';
import { rtcstats } from './formats/rtcstats.ts';
import { rtcstatsLegacy } from './formats/rtcstats-legacy.ts';
import { DEFAULT_STREAM_LIMITS, OpenStreams } from './open-streams.ts';
import type { StreamLimits } from './open-streams.ts';
import { requireOrigin } from './origins.ts';
import { busy, claimsOf } from './report-intake.ts';
import type { ReportIntake } from './report-intake.ts';
import { countedAs } from './report-results.ts';
import { ReportStream } from './report-stream.ts';
import { Upgrades } from './upgrades.ts';

export interface StreamRouteOptions {
  readonly intake: ReportIntake;
  readonly authority: Authority;
  readonly client?: ClientSettings;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly sleep?: Sleep;
  readonly limits?: Partial<StreamLimits>;
}

const PATH = '/v1/stats/stream';
/** Largest message, bytes. */
const MESSAGE_LIMIT = 1_048_576;

/** Seconds after which there may be room for another stream. */
const RETRY_AFTER = 10;

const formats: Readonly<Record<StreamedFormat, Format>> = {
  native,
  observertc,
  rtcstats,
  'rtcstats-legacy': rtcstatsLegacy,
};

/** As recorders name what they speak. */
const PROTOCOLS: readonly (readonly [RegExp, StreamedFormat])[] = [
  [/^turnpike-reports$/, 'native'],
  [/^observertc$/, 'observertc'],
  [/^rtcstats#\d/, 'rtcstats'],
  [/^\d+\.\d+(?:_STANDARD)?$/, 'rtcstats-legacy'],
];

// Jitsi's recorder adds parameters of its own.
const query = z.looseObject({
  format: z.enum(streamedFormats).optional().describe('For clients that cannot name a subprotocol.'),
});

const call: Call = {
  name: 'streamReports',
  group: 'Reports',
  summary:
    'Reports over a WebSocket (docs/wire-format.md), in the format that the subprotocol names: turnpike-reports, observertc, rtcstats#… or Jitsi’s.',
  query,
  answers: { 101: {} },
  errors: ['TP_COLLECTOR_UPGRADE', 'TP_KERNEL_RATE_LIMITED'],
};

export const streamRoutes: FastifyPluginAsync<StreamRouteOptions> = async (server, options) => {
  const { authority, client, clock, intake, log, metrics } = options;
  const reports = metrics.counter('turnpike_collector_reports_total');
  const streams = new OpenStreams(clock, { ...DEFAULT_STREAM_LIMITS, ...options.limits }, authority.apps.length);
  metrics.gauge('turnpike_collector_streams', (gauge) => {
    for (const format of streamedFormats) gauge.set({ format }, streams.count(format));
  });
  const upgrades = new Upgrades(server);
  const sockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    maxPayload: MESSAGE_LIMIT,
    // Differences are small already, and a decompressor for each stream is what would cost most memory.
    perMessageDeflate: false,
    handleProtocols: (offered) => [...offered].find((protocol) => formatOf(protocol) !== undefined) ?? false,
  });
  server.addHook('preClose', () => streams.close());

  server.get(
    PATH,
    {
      exposeHeadRoute: false,
      config: { allow: ['report'], call, tokenInQuery: 'token' },
      onRequest: async (request, reply) => {
        requireOrigin(request, authority);
        const seconds = intake.allowance.take(claimsOf(request));
        if (seconds > 0) throw busy(reply, seconds);
      },
      onResponse: async (_request, reply) => {
        reports.inc({ format: 'unknown', result: countedAs(reply.statusCode) });
      },
    },
    async (request, reply) => {
      const claims = claimsOf(request);
      const { format: asked } = check(query, request.query);
      const format =
        protocolsOf(request.raw)
          .map(formatOf)
          .find((one) => one !== undefined) ?? asked;
      if (format === undefined) {
        throw new TurnpikeError('TP_KERNEL_INVALID', 'A subprotocol or ?format= must say what is spoken.');
      }
      if (!streams.hasRoomFor(claims)) throw busy(reply, RETRY_AFTER);
      const { head, request: raw, socket: connection } = upgrades.take(request, reply);
      sockets.handleUpgrade(raw, connection, head, (socket) => {
        const count = (result: string) => reports.inc({ format, result });
        const reader = formats[format].open();
        const sleep = options.sleep ?? systemSleep;
        const stream = new ReportStream({
          socket,
          claims,
          address: request.ip,
          format,
          reader,
          intake,
          client,
          clock,
          sleep,
          log,
          count,
        });
        streams.add(stream, new Promise((resolve) => socket.once('close', () => resolve())));
        connection.on('data', ({ length }: Buffer) => streams.grew(stream, length));
      });
    },
  );
};

function formatOf(protocol: string): StreamedFormat | undefined {
  return PROTOCOLS.find(([pattern]) => pattern.test(protocol))?.[1];
}

function protocolsOf({ headers }: IncomingMessage): string[] {
  return (headers['sec-websocket-protocol'] ?? '').split(',').map((protocol) => protocol.trim());
}
