/** GET /v1/alerts and GET /v1/alert-rules. An app sees the alerts that concern it. */
import type { FastifyPluginAsync } from 'fastify';
import { z } from 'zod';
import type { StoreReader } from '../../../collector/store/store.ts';
import type { Clock } from '../../../kernel/clock.ts';
import { check } from '../../../kernel/http.ts';
import { listedAlerts } from './alert-history.ts';
import type { AlertRule } from './alert-rules.ts';

export interface AlertRouteOptions {
  readonly reader: StoreReader;
  readonly clock: Clock;
  readonly rules: readonly AlertRule[];
}

/** How long a resolved alert stays in the list. */
const RESOLVED_FOR = 86_400_000;

const query = z.strictObject({ state: z.enum(['pending', 'firing', 'resolved']).optional() });

export const alertRoutes: FastifyPluginAsync<AlertRouteOptions> = async (server, { reader, clock, rules }) => {
  const config = { allow: ['operator', 'app'] } as const;

  server.get('/v1/alerts', { config }, async (request) => {
    const { state } = check(query, request.query);
    const app = request.principal?.kind === 'app' ? request.principal.app : undefined;
    const listed = await listedAlerts(reader, clock.now() - RESOLVED_FOR, app);
    return { alerts: listed.filter((alert) => state === undefined || alert.state === state) };
  });

  server.get('/v1/alert-rules', { config }, async () => ({
    rules: rules.map((rule) => ({ ...rule, sql: undefined })),
  }));
};
