/** GET /v1/alerts and GET /v1/alert-rules. An app sees the alerts that concern it. */
import type { FastifyPluginAsync } from 'fastify';
import { z } from 'zod';
import type { StoreReader } from '../../../collector/store/store.ts';
import { json } from '../../../kernel/call.ts';
import type { Call } from '../../../kernel/call.ts';
import type { Clock } from '../../../kernel/clock.ts';
import { check } from '../../../kernel/http.ts';
import { alertRulesAnswer, alertsAnswer, alertStates } from '../../contract.ts';
import { listedAlerts } from './alert-history.ts';
import type { AlertRule } from './alert-rules.ts';

export interface AlertRouteOptions {
  readonly reader: StoreReader;
  readonly clock: Clock;
  readonly rules: readonly AlertRule[];
}

/** How long a resolved alert stays in the list. */
const RESOLVED_FOR = 86_400_000;

const query = z.strictObject({ state: z.enum(alertStates).optional() });

const alertsCall: Call = {
  name: 'listAlerts',
  group: 'Alerts',
  summary: 'Alerts in their newest state; resolved ones for a day.',
  query,
  answers: { 200: json(alertsAnswer) },
  errors: ['TP_COLLECTOR_STORE_UNAVAILABLE'],
};

const rulesCall: Call = {
  name: 'listAlertRules',
  group: 'Alerts',
  summary: 'The rules that are evaluated.',
  answers: { 200: json(alertRulesAnswer) },
};

export const alertRoutes: FastifyPluginAsync<AlertRouteOptions> = async (server, { reader, clock, rules }) => {
  const allow = ['operator', 'app'] as const;

  server.get('/v1/alerts', { config: { allow, call: alertsCall } }, async (request) => {
    const { state } = check(query, request.query);
    const app = request.principal?.kind === 'app' ? request.principal.app : undefined;
    const listed = await listedAlerts(reader, clock.now() - RESOLVED_FOR, app);
    return { alerts: listed.filter((alert) => state === undefined || alert.state === state) };
  });

  server.get('/v1/alert-rules', { config: { allow, call: rulesCall } }, async () => ({
    rules: rules.map((rule) => ({ ...rule, sql: undefined })),
  }));
};
