/** What an orchestrator and Prometheus ask of every role: `/healthz`, `/readyz`, `/metrics`. */
import type { FastifyPluginAsync } from 'fastify';
import type { Metrics } from './metrics.ts';
import type { PrincipalKind } from './principals.ts';

export interface Readiness {
  readonly ok: boolean;
  /** One line for a person: what is up, or what is missing. Holds no secret; the probe may be public. */
  readonly detail?: string;
}

export interface ProbeOptions {
  readonly metrics: Metrics;
  /** Everything that must hold for the role to take traffic, by name. */
  readonly checks: Readonly<Record<string, () => Readiness | Promise<Readiness>>>;
  /** Who may read `/metrics`: `anyone` only on a private port. */
  readonly metricsFor: readonly PrincipalKind[] | 'anyone';
}

export const probes: FastifyPluginAsync<ProbeOptions> = async (app, options) => {
  const { metrics, checks } = options;

  app.get('/metrics', { config: { allow: options.metricsFor } }, async (_request, reply) =>
    reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
  );

  // Alive: the event loop answers. Nothing else, so that a broken neighbour never gets this process restarted.
  app.get('/healthz', { config: { allow: 'anyone' } }, () => ({ alive: true }));

  app.get('/readyz', { config: { allow: 'anyone' } }, async (_request, reply) => {
    const results = await Promise.all(
      Object.entries(checks).map(async ([name, check]) => [name, await judge(check)] as const),
    );
    const ready = results.every(([, result]) => result.ok);
    return reply.status(ready ? 200 : 503).send({ ready, checks: Object.fromEntries(results) });
  });
};

async function judge(check: () => Readiness | Promise<Readiness>): Promise<Readiness> {
  try {
    return await check();
  } catch (error) {
    return { ok: false, detail: error instanceof Error ? error.message : 'the check failed' };
  }
}
