/** What an orchestrator and Prometheus ask of every role: `/healthz`, `/readyz`, `/metrics`. */
import type { FastifyPluginAsync } from 'fastify';
import { z } from 'zod';
import { json } from './call.ts';
import type { Call } from './call.ts';
import type { Answer } from './answer.ts';
import type { Metrics } from './metrics.ts';
import type { PrincipalKind } from './principals.ts';

const readiness = z.object({
  ok: z.boolean(),
  detail: z.string().exactOptional().describe('One line for a person: what is up, or what is missing.'),
});
/** Its detail holds no secret: the probe may be public. */
export type Readiness = Answer<typeof readiness>;

const ready = json(z.object({ ready: z.boolean(), checks: z.record(z.string(), readiness) }));
const group = 'Service';
const calls = {
  metrics: {
    group,
    name: 'readMetrics',
    summary: 'Metrics, in Prometheus’ text format.',
    answers: { 200: { 'text/plain': null } },
  },
  alive: {
    group,
    name: 'isAlive',
    summary: 'Whether the process answers.',
    answers: { 200: json(z.object({ alive: z.literal(true) })) },
  },
  ready: {
    group,
    name: 'isReady',
    summary: 'Whether it takes traffic, and what of it is missing.',
    answers: { 200: ready, 503: ready },
  },
} as const satisfies Record<string, Call>;

export interface ProbeOptions {
  readonly metrics: Metrics;
  /** Everything that must hold for the role to take traffic, by name. */
  readonly checks: Readonly<Record<string, () => Readiness | Promise<Readiness>>>;
  /** Who may read `/metrics`: `anyone` only on a private port. */
  readonly metricsFor: readonly PrincipalKind[] | 'anyone';
}

export const probes: FastifyPluginAsync<ProbeOptions> = async (app, options) => {
  const { metrics, checks } = options;

  app.get('/metrics', { config: { allow: options.metricsFor, call: calls.metrics } }, async (_request, reply) =>
    reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
  );

  // Alive: the event loop answers. Nothing else, so that a broken neighbour never gets this process restarted.
  app.get('/healthz', { config: { allow: 'anyone', call: calls.alive } }, () => ({ alive: true }));

  app.get('/readyz', { config: { allow: 'anyone', call: calls.ready } }, async (_request, reply) => {
    const results = await Promise.all(
      Object.entries(checks).map(async ([name, check]) => [name, await judge(check)] as const),
    );
    const isReady = results.every(([, result]) => result.ok);
    return reply.status(isReady ? 200 : 503).send({ ready: isReady, checks: Object.fromEntries(results) });
  });
};

async function judge(check: () => Readiness | Promise<Readiness>): Promise<Readiness> {
  try {
    return await check();
  } catch (error) {
    return { ok: false, detail: error instanceof Error ? error.message : 'the check failed' };
  }
}
