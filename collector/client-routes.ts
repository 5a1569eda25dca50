/** Serves the browser SDK as built: a classic script with the global `turnpike`, and an ES module. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Call } from '../kernel/call.ts';

const SCRIPTS = {
  'turnpike.js': { name: 'readSdkScript', summary: 'The browser SDK, as a script.' },
  'turnpike.mjs': { name: 'readSdkModule', summary: 'The browser SDK, as an ES module.' },
} as const;

export interface ClientRoutesOptions {
  /** Where the bundles are; beside this file once built. */
  readonly directory?: string;
}

/** Anybody's page may load it: it holds no secret, and reporting needs a token of its own. */
const HEADERS = {
  'content-type': 'text/javascript; charset=utf-8',
  'cache-control': 'public, max-age=300, stale-while-revalidate=86400',
  'access-control-allow-origin': '*',
  'cross-origin-resource-policy': 'cross-origin',
  'x-content-type-options': 'nosniff',
} as const;

/** GET /turnpike.js and GET /turnpike.mjs, with an ETag each. Registering fails when the bundles were not built. */
export async function clientRoutes(app: FastifyInstance, options: ClientRoutesOptions): Promise<void> {
  const directory = options.directory ?? fileURLToPath(new URL('client', import.meta.url));
  for (const [name, said] of Object.entries(SCRIPTS)) {
    const call: Call = { ...said, group: 'Pages', answers: { 200: { 'text/javascript': null }, 304: {} } };
    const script = await readFile(`${directory}/${name}`);
    const etag = `"${createHash('sha256').update(script).digest('base64url').slice(0, 22)}"`;
    app.get(`/${name}`, { config: { allow: 'anyone', call } }, (request: FastifyRequest, reply: FastifyReply) => {
      void reply.headers({ ...HEADERS, etag });
      const known = request.headers['if-none-match']?.split(/\s*,\s*/).some((tag) => tag.replace(/^W\//, '') === etag);
      return known === true ? reply.status(304).send() : reply.send(script);
    });
  }
}
