/** docs/routes.md, /openapi.json and /docs against the routes that the composed services register. */
import { Validator } from '@seriousme/openapi-schema-validator';
import type { RouteOptions } from 'fastify';
import Fastify from 'fastify';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ManualClock } from '../../kernel/clock.ts';
import { Metrics } from '../../kernel/metrics.ts';
import type { OpenApiDocument } from '../../kernel/openapi.ts';
import { createAuthority, hashToken } from '../../kernel/principals.ts';
import { relayRoutes } from '../../relay/node.ts';
import { composedService, type ComposedService } from '../cli/composed-service.ts';
import { rowsUnder } from './markdown.ts';

const registered: RouteOptions[] = [];
vi.mock('../../kernel/http.ts', async (load) => {
  const http = await load<typeof import('../../kernel/http.ts')>();
  const createHttp: typeof http.createHttp = (options) => {
    const app = http.createHttp(options);
    app.addHook('onRoute', (route) => void registered.push(route));
    return app;
  };
  return { ...http, createHttp };
});

vi.mock('node:fs/promises', async (load) => {
  const { withoutScripts } = await import('../cli/without-scripts.ts');
  const files = await load<typeof import('node:fs/promises')>();
  const readdir = async (path: string): Promise<string[]> => [...(await files.readdir(path)), 'overview.js'];
  return { ...withoutScripts(files), readdir };
});

/**
 * `METHOD path who`, as the tables have them. HEAD and OPTIONS come with others and are in the prose; the console's own
 * scripts are one line, as their names come from the build.
 */
function linesOf(routes: readonly RouteOptions[]): string[] {
  const lines = routes
    .flatMap(({ method, url, config }) => [method].flat().map((verb) => ({ verb, url, allow: config?.allow })))
    .filter(({ verb }) => verb !== 'HEAD' && verb !== 'OPTIONS')
    .map(({ verb, url, allow }) => {
      const path = url.replace(/^\/console\/.+\.js$/, '/console/*');
      return `${verb} ${path} ${[allow ?? 'anyone'].flat().toSorted().join(', ')}`;
    });
  return [...new Set(lines)].toSorted();
}
const documented = (heading: string): string[] =>
  rowsUnder('routes.md', heading)
    .map(([verb = '', path = '', who = '']) => `${verb} ${path} ${who.split(', ').toSorted().join(', ')}`)
    .toSorted();

let service: ComposedService;

beforeAll(async () => {
  const clock = new ManualClock(Date.UTC(2026, 10, 20));
  const hash = hashToken('a token of some length');
  const app = {
    id: 'default',
    tokenHashes: [hash],
    keys: [{ id: 'main', secrets: ['a secret of some length'] }],
    origins: ['*'],
  };
  const authority = createAuthority(
    { apps: [app], relayTokenHash: hash, sourceTokenHash: hash, operatorTokenHash: hash },
    clock,
  );
  service = await composedService({
    authority,
    clock,
    reader: () => Promise.reject(new Error('there is none')),
  });
});
afterAll(() => service.close());

describe('docs/routes.md', () => {
  it('has exactly the collector’s routes, and who may call them', () => {
    expect(linesOf(registered).length).toBeGreaterThan(10);
    expect(documented('Collector')).toEqual(linesOf(registered));
  });

  it('has exactly the relay’s routes, and who may call them', async () => {
    const routes: RouteOptions[] = [];
    const app = Fastify();
    app.addHook('onRoute', (route) => void routes.push(route));
    await app.register(relayRoutes, { node: { checks: {} } as never, metrics: new Metrics() });
    await app.close();
    expect(documented('Relay')).toEqual(linesOf(routes));
  });

  it('says of each what it does', () => {
    const rows = [...rowsUnder('routes.md', 'Collector'), ...rowsUnder('routes.md', 'Relay')];
    expect(rows.filter(([, , , what = '']) => !what.endsWith('.'))).toEqual([]);
  });
});

describe('/openapi.json', () => {
  const read = async (): Promise<OpenApiDocument> => (await service.http.inject('/openapi.json')).json();

  it('is valid OpenAPI 3.1', async () => {
    const validator = new Validator();
    expect(await validator.validate({ ...(await read()) })).toEqual({ valid: true });
    expect(validator.version).toBe('3.1');
  });

  it('has exactly the routes that are served, but for the files of pages', async () => {
    const { paths } = await read();
    const described = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const served = registered.flatMap(({ method, url }) =>
      [method].flat().map((verb) => `${verb} ${url.replace(/:(\w+)/g, '{$1}').replace(/\*$/, '{path}')}`),
    );
    const calls = served.filter((route) => !/^(HEAD|OPTIONS) |^GET \/console\/.+\.\w+$/.test(route));
    expect(described.toSorted()).toEqual(calls.toSorted());
  });

  it('gives each call a name of its own', async () => {
    const names = Object.values((await read()).paths).flatMap((methods) =>
      Object.values(methods).map(({ operationId }) => operationId),
    );
    expect(new Set(names).size).toBe(names.length);
  });

  it('refers only to schemas that it has', async () => {
    const document = await read();
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)];
    const known = Object.keys(document.components.schemas);
    expect(new Set(references.map(([, name]) => name))).toEqual(new Set(known));
  });
});

describe('/docs', () => {
  it('lists every call of the document', async () => {
    const { paths }: OpenApiDocument = (await service.http.inject('/openapi.json')).json();
    const page = (await service.http.inject('/docs')).body;
    for (const [path, methods] of Object.entries(paths)) {
      for (const [method, { operationId }] of Object.entries(methods)) {
        expect(page).toContain(`id="${operationId}"`);
        expect(page).toContain(`<code>${method.toUpperCase()} ${path}</code>`);
      }
    }
  });

  it('links to nothing that is not on the page or served here, and loads nothing that needs a login', async () => {
    const page = (await service.http.inject('/docs')).body;
    const targets = [...page.matchAll(/(?:href|src)="([^"]*)"/g)].map(([, target = '']) => target);
    const ids = new Set([...page.matchAll(/id="([^"]+)"/g)].map(([, id]) => `#${id}`));
    const served = new Set(registered.map(({ url }) => url));
    expect(targets.filter((target) => !ids.has(target) && !served.has(target))).toEqual([]);
    const loaded = [...page.matchAll(/<(?:link|script|img)[^>]+(?:href|src)="([^"]+)"/g)].map(([, target]) => target);
    expect(loaded.length).toBeGreaterThan(0);
    const open = registered.filter(({ config }) => config?.allow === 'anyone').map(({ url }) => url);
    expect(open).toEqual(expect.arrayContaining(loaded));
  });
});
