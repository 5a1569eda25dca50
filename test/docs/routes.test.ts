/** docs/routes.md against the routes that the composed services register: path, method and who may call. */
import type { RouteOptions } from 'fastify';
import Fastify from 'fastify';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { temporarySpool } from '../collector/temporary-spool.ts';
import { configSchema } from '../../cli/config.ts';
import { createService } from '../../cli/service.ts';
import type { Store } from '../../collector/store/store.ts';
import { ManualClock } from '../../kernel/clock.ts';
import { loadConfig } from '../../kernel/config.ts';
import { silentLog } from '../../kernel/log.ts';
import { Metrics } from '../../kernel/metrics.ts';
import { createAuthority, hashToken } from '../../kernel/principals.ts';
import { seededRandom } from '../../kernel/random.ts';
import { relayRoutes } from '../../relay/node.ts';
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

/** The scripts that the build makes are not beside the sources; what is in them does not matter to a route. */
vi.mock('node:fs/promises', async (load) => {
  const files = await load<typeof import('node:fs/promises')>();
  const readFile = (path: string): Promise<Buffer> =>
    /\.m?js$/.test(path) ? Promise.resolve(Buffer.alloc(0)) : files.readFile(path);
  return { ...files, readFile };
});

/**
 * `METHOD path who`, as the tables have them. HEAD and OPTIONS come with others and are in the prose; the console's own
 * files are one line, as their names come from the build.
 */
function linesOf(routes: readonly RouteOptions[]): string[] {
  const lines = routes
    .flatMap(({ method, url, config }) => [method].flat().map((verb) => ({ verb, url, allow: config?.allow })))
    .filter(({ verb }) => verb !== 'HEAD' && verb !== 'OPTIONS')
    .map(({ verb, url, allow }) => {
      const path = url.replace(/^\/console\/.+\.\w+$/, '/console/*');
      return `${verb} ${path} ${[allow ?? 'anyone'].flat().toSorted().join(', ')}`;
    });
  return [...new Set(lines)].toSorted();
}
const documented = (heading: string): string[] =>
  rowsUnder('routes.md', heading)
    .map(([verb = '', path = '', who = '']) => `${verb} ${path} ${who.split(', ').toSorted().join(', ')}`)
    .toSorted();

const store: Store = {
  select: () => Promise.resolve([]),
  insert: () => Promise.resolve(),
  ping: () => Promise.resolve(true),
  close: () => Promise.resolve(),
};

describe('docs/routes.md', () => {
  let service: Awaited<ReturnType<typeof createService>>;
  const spool = temporarySpool();

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
    service = await createService({
      config: loadConfig(configSchema, { env: {}, flags: {} }),
      authority,
      store,
      reader: () => Promise.reject(new Error('there is none')),
      spool: spool.spool,
      log: silentLog,
      metrics: new Metrics(),
      clock,
      random: seededRandom('routes'),
    });
    await service.ready();
  });
  afterAll(async () => {
    await service.close();
    await spool.remove();
  });

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
