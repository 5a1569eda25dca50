/**
 * POST /v1/sfu/livekit: LiveKit's webhooks. LiveKit sends an event again that is not answered, or answered with 5xx, a few times
 * within its 30 seconds: 200 means that it is durable, or of no interest.
 */
import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Answer } from '../../kernel/answer.ts';
import type { Call } from '../../kernel/call.ts';
import { json } from '../../kernel/call.ts';
import type { Clock } from '../../kernel/clock.ts';
import { TurnpikeError } from '../../kernel/errors.ts';
import { check } from '../../kernel/http.ts';
import type { Logger } from '../../kernel/log.ts';
import { Batcher } from '../intake/batcher.ts';
import { timeIssue, windowAround } from '../intake/checks.ts';
import type { StoreWriter } from '../store/store.ts';
import { isSigned } from './livekit-signature.ts';
import { eventRow, livekitEvent } from './livekit.ts';
import type { SourceMetrics } from './source-metrics.ts';
import type { LiveKitSettings } from './source-settings.ts';

const CONTENT_TYPE = 'application/webhook+json';
/** A room and a participant have up to 64 KiB of metadata each. */
const BODY_LIMIT = 262_144;

type Source = LiveKitSettings & { readonly app: string };

export interface LiveKitRouteOptions {
  readonly sources: readonly Source[];
  readonly writer: StoreWriter;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: SourceMetrics;
  /** How long an event waits for others to share an insert with. Default 200 ms. */
  readonly maxWaitMs?: number;
}

const livekitAnswer = z.object({ stored: z.boolean().describe('False: the event is of no interest.') });
export type LiveKitAnswer = Answer<typeof livekitAnswer>;

const query = z.strictObject({
  source: z.string().optional().describe('Name of the source, where several have the API key that signs.'),
});

const call: Call = {
  name: 'reportLiveKitEvent',
  group: 'Metering',
  summary: 'Where LiveKit sends its webhooks. It signs them with an API key of its own; no token of ours is asked for.',
  query,
  body: { [CONTENT_TYPE]: livekitEvent },
  answers: { 200: json(livekitAnswer) },
  errors: ['TP_KERNEL_UNAUTHORISED', 'TP_COLLECTOR_STORE_UNAVAILABLE', 'TP_COLLECTOR_SPOOL_FULL'],
};

export const livekitRoutes: FastifyPluginAsync<LiveKitRouteOptions> = async (server, options) => {
  const { clock, log, maxWaitMs, metrics, sources, writer } = options;
  const batcher = new Batcher({ writer, log, ...(maxWaitMs === undefined ? {} : { maxWaitMs }) });
  const senders = new WeakMap<FastifyRequest, Source>();
  server.addHook('onClose', () => batcher.close());

  // The signature is of the bytes, so it is judged before they are read.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser(CONTENT_TYPE, { parseAs: 'buffer' }, async (request: FastifyRequest, body: Buffer) => {
    senders.set(request, senderOf(request, body, sources, clock.now()));
    try {
      return JSON.parse(body.toString('utf8')) as unknown;
    } catch {
      throw new TurnpikeError('TP_KERNEL_BAD_JSON');
    }
  });

  server.post(
    '/v1/sfu/livekit',
    { bodyLimit: BODY_LIMIT, config: { allow: 'anyone', call } },
    async (request: FastifyRequest): Promise<LiveKitAnswer> => {
      const source = senders.get(request);
      // A request without a body does not come past the parser.
      if (source === undefined) throw new TurnpikeError('TP_KERNEL_UNAUTHORISED');
      const event = check(livekitEvent, request.body);
      const isTimely = timeIssue(event.createdAt * 1000, 'createdAt', windowAround(clock.now())) === undefined;
      const row = isTimely ? eventRow(source, event) : undefined;
      if (row !== undefined) await batcher.write({ call_events: [row] });
      metrics.event(source.name, row === undefined ? 'ignored' : 'stored');
      return { stored: row !== undefined };
    },
  );
};

/** The source whose LiveKit signed. Throws TP_KERNEL_UNAUTHORISED when none did, TP_KERNEL_INVALID when it may be one of several. */
function senderOf(request: FastifyRequest, body: Buffer, sources: readonly Source[], now: number): Source {
  const { source: name } = check(query, request.query);
  const token = request.headers.authorization ?? '';
  const [found, ...others] = sources.filter((source) => {
    if (name !== undefined && name !== source.name) return false;
    const secretOf = (key: string) => (Object.hasOwn(source.webhookKeys, key) ? source.webhookKeys[key] : undefined);
    return isSigned(token, body, secretOf, now);
  });
  if (found === undefined) throw new TurnpikeError('TP_KERNEL_UNAUTHORISED');
  if (others.length === 0) return found;
  const message = 'must name one of the sources whose LiveKit signs with this API key';
  throw new TurnpikeError('TP_KERNEL_INVALID', undefined, { issues: [{ path: 'source', message }] });
}
