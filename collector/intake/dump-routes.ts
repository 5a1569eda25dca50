/** POST /v1/dumps: a whole recording of a call. An answer of 2xx means that its rows are in the store. */
import type { Readable } from 'node:stream';
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { json } from '../../kernel/call.ts';
import type { Call } from '../../kernel/call.ts';
import type { Clock } from '../../kernel/clock.ts';
import { TurnpikeError } from '../../kernel/errors.ts';
import { check } from '../../kernel/http.ts';
import type { Logger } from '../../kernel/log.ts';
import type { Metrics } from '../../kernel/metrics.ts';
import { shortName } from '../../relay/contract.ts';
import { dumpAnswer } from '../contract.ts';
import type { AudioScorer, DumpAnswer } from '../contract.ts';
import type { StoreWriter } from '../store/store.ts';
import { Batcher } from './batcher.ts';
import { acceptedEncodings, bytesOf, decoderOf } from './decompression.ts';
import { storeDump } from './dump.ts';
import { countedAs } from './report-results.ts';

export interface DumpRouteOptions {
  readonly writer: StoreWriter;
  readonly score: AudioScorer;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** How long the store keeps reports, days. */
  readonly keptDays: number;
  /** How long rows wait for others to share an insert with. Default 200 ms. */
  readonly maxWaitMs?: number;
}

const PATH = '/v1/dumps';
/** Largest body as it is sent, bytes. */
const BODY_LIMIT = 64 * 1_048_576;
/** Recordings read at once; each may need a few hundred megabytes. */
const MAX_AT_ONCE = 2;
const MAX_AT_ONCE_OF_APP = 1;
const DAY_MS = 86_400_000;
/** What recordings are sent as. A page's form is none of it. */
const CONTENT_TYPES = [
  'application/json',
  'application/jsonl',
  'application/x-ndjson',
  'application/gzip',
  'application/x-gzip',
  'application/zstd',
  'application/octet-stream',
  'text/plain',
];

const query = z.strictObject({
  call: shortName.min(1).optional().describe('Instead of what the recording says.'),
  participant: shortName.min(1).optional().describe('Instead of what the recording says.'),
});

const call: Call = {
  name: 'storeRecording',
  group: 'Reports',
  summary:
    'A whole recording of a call, in any of the formats that are understood. The same one sent again changes nothing.',
  query,
  body: Object.fromEntries(CONTENT_TYPES.map((type) => [type, null])),
  answers: { 200: json(dumpAnswer), 207: json(dumpAnswer) },
  errors: [
    'TP_KERNEL_RATE_LIMITED',
    'TP_COLLECTOR_FORMAT',
    'TP_COLLECTOR_DESYNC',
    'TP_COLLECTOR_EMPTY',
    'TP_COLLECTOR_RETENTION',
    'TP_COLLECTOR_ENCODING',
    'TP_COLLECTOR_COMPRESSION',
    'TP_COLLECTOR_STORE_UNAVAILABLE',
    'TP_COLLECTOR_SPOOL_FULL',
  ],
};

export const dumpRoutes: FastifyPluginAsync<DumpRouteOptions> = async (server, options) => {
  const { clock, metrics, score } = options;
  const batcher = new Batcher({
    writer: options.writer,
    log: options.log,
    ...(options.maxWaitMs === undefined ? {} : { maxWaitMs: options.maxWaitMs }),
  });
  const reports = metrics.counter('turnpike_collector_reports_total');
  const slots = new Slots();

  server.addHook('onClose', () => batcher.close());
  server.removeAllContentTypeParsers();
  server.addContentTypeParser(CONTENT_TYPES, { bodyLimit: BODY_LIMIT }, (_request, body, done) => done(null, body));

  server.post(
    PATH,
    {
      bodyLimit: BODY_LIMIT,
      config: { allow: ['app'], call },
      onResponse: async (request, reply) => {
        reports.inc({ format: formatOfAnswer.get(request) ?? 'unknown', result: countedAs(reply.statusCode) });
      },
    },
    async (request: FastifyRequest, reply: FastifyReply): Promise<DumpAnswer> => {
      const { principal } = request;
      if (principal?.kind !== 'app') throw new TurnpikeError('TP_KERNEL_FORBIDDEN');
      const { app } = principal;
      const asked = check(query, request.query);
      const encoding = request.headers['content-encoding'];
      if (request.body === undefined) throw new TurnpikeError('TP_KERNEL_BAD_JSON', 'There is no body.');
      // What is left of a body that is refused is not waited for; of encodings one says which there are (RFC 9110 §15.5.16).
      void reply.headers({ connection: 'close', 'accept-encoding': acceptedEncodings });
      decoderOf(encoding);
      const release = slots.take(app, reply);
      try {
        const answer = await storeDump(bytesOf(request.body as Readable, BODY_LIMIT), {
          app,
          ...asked,
          encoding,
          score,
          now: clock.now(),
          keptMs: options.keptDays * DAY_MS,
          write: (rows) => batcher.write({ ...rows }),
        });
        formatOfAnswer.set(request, answer.format);
        void reply.removeHeader('connection').removeHeader('accept-encoding');
        if (answer.rejected !== undefined) void reply.status(207);
        return answer;
      } finally {
        release();
      }
    },
  );
};

const formatOfAnswer = new WeakMap<FastifyRequest, string>();

/** So many at once, and no app takes all of them. */
class Slots {
  #taken = 0;
  readonly #ofApp = new Map<string, number>();

  /** Answers how to give it back. Throws TP_KERNEL_RATE_LIMITED when there is none. */
  take(app: string, reply: FastifyReply): () => void {
    const own = this.#ofApp.get(app) ?? 0;
    if (this.#taken >= MAX_AT_ONCE || own >= MAX_AT_ONCE_OF_APP) {
      void reply.header('retry-after', '2');
      throw new TurnpikeError('TP_KERNEL_RATE_LIMITED', 'Another recording is being read; try again soon.');
    }
    this.#taken += 1;
    this.#ofApp.set(app, own + 1);
    return () => {
      this.#taken -= 1;
      this.#ofApp.delete(app);
    };
  }
}
