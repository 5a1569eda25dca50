/**
 * POST /v1/usage (our relays) and POST /v1/egress (any SFU): cumulative readings into one ledger. 200 means that every
 * reading is durable: in the store, or on this collector's disk.
 */
import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import { json } from '../../kernel/call.ts';
import type { Call } from '../../kernel/call.ts';
import type { Clock } from '../../kernel/clock.ts';
import { TurnpikeError } from '../../kernel/errors.ts';
import type { Issue } from '../../kernel/errors.ts';
import { check } from '../../kernel/http.ts';
import type { Authority } from '../../kernel/principals.ts';
import { usageBatch } from '../../relay/contract.ts';
import { egressBatch, meteringAnswer } from '../contract.ts';
import type { MeteringAnswer } from '../contract.ts';
import type { PostedSources } from '../sources/posted-sources.ts';
import type { StoreWriter } from '../store/store.ts';
import { egressRow, RELAY_SOURCE, usageRows, windowIssues } from './metering.ts';

/** A thousand records of a relay are about 1.3 MB. */
const BODY_LIMIT = 4_194_304;

const metering = {
  group: 'Metering',
  answers: { 200: json(meteringAnswer) },
  errors: ['TP_COLLECTOR_STORE_UNAVAILABLE', 'TP_COLLECTOR_SPOOL_FULL'],
} as const satisfies Partial<Call>;

const usageCall: Call = {
  ...metering,
  name: 'reportUsage',
  summary: 'Usage records of a relay: cumulative totals, safe to send again.',
  body: json(usageBatch),
};

const egressCall: Call = {
  ...metering,
  name: 'reportEgress',
  summary: 'Cumulative egress counters of any SFU, into the same ledger.',
  body: json(egressBatch),
};

export interface UsageRouteOptions {
  readonly writer: StoreWriter;
  readonly clock: Clock;
}

export const usageRoutes: FastifyPluginAsync<UsageRouteOptions> = async (server, { writer, clock }) => {
  server.post(
    '/v1/usage',
    { bodyLimit: BODY_LIMIT, config: { allow: ['relay'], call: usageCall } },
    async (request: FastifyRequest): Promise<MeteringAnswer> => {
      const { records } = check(usageBatch, request.body);
      refuse(windowIssues(records, 'records', clock.now()));
      await writer.insert('egress_samples', records.flatMap(usageRows));
      return { stored: records.length };
    },
  );
};

export interface EgressRouteOptions {
  readonly writer: StoreWriter;
  readonly clock: Clock;
  readonly authority: Authority;
  /** Told of what is stored. */
  readonly posted: Pick<PostedSources, 'heard'>;
}

export const egressRoutes: FastifyPluginAsync<EgressRouteOptions> = async (server, options) => {
  const { writer, clock, authority, posted } = options;
  server.post(
    '/v1/egress',
    { bodyLimit: BODY_LIMIT, config: { allow: ['source'], call: egressCall } },
    async (request: FastifyRequest): Promise<MeteringAnswer> => {
      const { source, readings } = check(egressBatch, request.body);
      const strangers = readings.flatMap(({ app_id: app }, index) =>
        authority.app(app) === undefined
          ? [{ path: `readings.${index}.app_id`, message: 'is no app of this service' }]
          : [],
      );
      const taken =
        source === RELAY_SOURCE ? [{ path: 'source', message: 'is the name of the relays themselves' }] : [];
      refuse([...taken, ...strangers, ...windowIssues(readings, 'readings', clock.now())]);
      await writer.insert(
        'egress_samples',
        readings.map((reading) => egressRow(source, reading)),
      );
      posted.heard(source, readings);
      return { stored: readings.length };
    },
  );
};

function refuse(issues: readonly Issue[]): void {
  if (issues.length > 0) throw new TurnpikeError('TP_KERNEL_INVALID', undefined, { issues });
}
