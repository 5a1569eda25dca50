/**
 * Holds every route that any unit test asks to what it says of itself in /openapi.json (test/described.ts). What does not fit
 * fails the test in which it happened.
 */
import { subscribe } from 'node:diagnostics_channel';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { afterEach } from 'vitest';
import { faultsOf } from './described.ts';

const broken = new Set<string>();

subscribe('fastify.initialization', (message) => {
  const { fastify } = message as { fastify: FastifyInstance };
  fastify.addHook('onRoute', (route) => {
    const { allow, call } = route.config ?? {};
    if (call === undefined || allow === undefined || route.method === 'HEAD') return;
    const judge = async (request: FastifyRequest, reply: FastifyReply, payload: unknown) => {
      for (const fault of faultsOf({ call, allow }, request, reply, payload)) {
        broken.add(`${String(route.method)} ${route.url} ${reply.statusCode}: ${fault}`);
      }
      return payload;
    };
    // after a route's own hooks, which may still change what is sent
    route.onSend = [...[route.onSend ?? []].flat(), judge];
  });
});

afterEach(() => {
  const found = [...broken];
  broken.clear();
  if (found.length > 0) throw new Error(`Its description in /openapi.json does not say:\n${found.join('\n')}`);
});
