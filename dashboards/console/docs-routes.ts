/** GET /docs: the calls of the service, for people. Nothing of it is secret: anyone may read it, as the document it is made of. */
import type { FastifyPluginAsync } from 'fastify';
import type { Call } from '../../kernel/call.ts';
import type { OpenApiDocument } from '../../kernel/openapi.ts';
import { docsPage } from './docs-page.ts';
import { PAGE_HEADERS } from './routes.ts';

export interface DocsRouteOptions {
  readonly document: () => OpenApiDocument;
}

const call: Call = {
  name: 'readDocs',
  group: 'Service',
  summary: 'The same for people, as a page.',
  answers: { 200: { 'text/html': null } },
};

export const docsRoutes: FastifyPluginAsync<DocsRouteOptions> = async (app, { document }) => {
  app.get('/docs', { config: { allow: 'anyone', call } }, async (_request, reply) =>
    reply.headers({ ...PAGE_HEADERS, 'content-type': 'text/html; charset=utf-8' }).send(docsPage(document())),
  );
};
