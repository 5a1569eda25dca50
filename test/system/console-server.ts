/** The console as built, in front of an API that says what a test wants, and a TURN server that is not ours. */
import { createSocket } from 'node:dgram';
import { existsSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { FastifyInstance } from 'fastify';
import TurnServer from 'node-turn';
import type { AlertView, Statement } from '../../billing/contract.ts';
import { clientRoutes } from '../../collector/client-routes.ts';
import type { CallDetail, Report } from '../../collector/contract.ts';
import { consoleRoutes } from '../../dashboards/console/routes.ts';
import { createHttp } from '../../kernel/http.ts';
import { silentLog } from '../../kernel/log.ts';
import { seededRandom } from '../../kernel/random.ts';
import { reportIn } from '../collector/client/sent-report.ts';
import { summaryOnly } from '../dashboards/console/sample-call.ts';

const dist = join(import.meta.dirname, '../../dist');
const authority = { apps: [], authenticate: () => undefined, app: () => undefined, key: () => undefined };
const [USER, PASSWORD] = ['peer', 'secret-of-the-peer'];

/** What the API answers; a test changes it as it goes. Null: 503. */
export interface ConsoleWorld {
  calls: CallDetail[] | null;
  /** Instead of a stored call: made anew for each question. */
  detail: ((call: string) => CallDetail | undefined) | undefined;
  statement: Statement | null;
  alerts: AlertView[];
  turnUrl: string;
}

export interface ConsoleServer {
  readonly url: string;
  readonly world: ConsoleWorld;
  readonly reports: Report[];
  close(): Promise<void>;
}

export async function serveConsole(): Promise<ConsoleServer> {
  if (!existsSync(join(dist, 'dashboards/console/web/try.html'))) throw new Error('run `npm run build` first');
  const turn = await startTurn();
  const world: ConsoleWorld = { calls: [], detail: undefined, statement: null, alerts: [], turnUrl: turn.url };
  const reports: Report[] = [];
  const app = createHttp({ log: silentLog, authority, host: '127.0.0.1' });
  await app.register(clientRoutes, { directory: join(dist, 'collector/client') });
  await app.register(consoleRoutes, {
    directory: join(dist, 'dashboards/console/web'),
    random: seededRandom('console'),
    setup: { keyId: 'default', turnUrls: [turn.url] },
    issue: () => ({
      iceServers: [{ urls: [world.turnUrl], username: USER, credential: PASSWORD }],
      reporting: { url: 'http://elsewhere.example/v1/stats', token: 'report-token' },
    }),
  });
  serveApi(app, world, reports);
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    world,
    reports,
    async close() {
      await app.close();
      turn.stop();
    },
  };
}

function serveApi(app: FastifyInstance, world: ConsoleWorld, reports: Report[]): void {
  const open = { config: { allow: 'anyone' } } as const;
  const unavailable = { error: { code: 'TP_COLLECTOR_STORE_UNAVAILABLE', message: 'The store cannot be reached.' } };
  const find = (call: string) => world.detail?.(call) ?? world.calls?.find((one) => one.call === call);
  app.get<{ Querystring: { call?: string } }>('/v1/calls', open, ({ query: { call } }, reply) => {
    if (world.calls === null) return reply.status(503).send(unavailable);
    const calls = call === undefined ? world.calls : [find(call) ?? []].flat();
    return reply.send({ calls: calls.map(summaryOnly) });
  });
  app.get<{ Params: { call: string } }>('/v1/calls/:call', open, ({ params: { call } }, reply) => {
    const found = find(call);
    if (found !== undefined) return reply.send(found);
    return reply.status(404).send({ error: { code: 'TP_COLLECTOR_CALL', message: 'There is no such call.' } });
  });
  app.get('/v1/statements/:period', open, (_request, reply) =>
    world.statement === null ? reply.status(503).send(unavailable) : reply.send(world.statement),
  );
  app.get('/v1/alerts', open, () => ({ alerts: world.alerts }));
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    const isCompressed = request.headers['content-encoding'] === 'gzip';
    done(null, (isCompressed ? gunzipSync(body) : body).toString());
  });
  app.post('/v1/stats', open, (request) => {
    reports.push(reportIn(String(request.body)));
    return { stored: { streams: 0, connections: 0, events: 0 }, serverTime: Date.now() };
  });
}

async function startTurn(): Promise<{ url: string; stop(): void }> {
  const port = await freeUdpPort();
  const server = new TurnServer({
    authMech: 'long-term',
    credentials: { [USER]: PASSWORD },
    listeningIps: ['127.0.0.1'],
    relayIps: ['127.0.0.1'],
    listeningPort: port,
    minPort: 40_000,
    maxPort: 49_000,
  });
  server.start();
  return { url: `turn:127.0.0.1:${port}?transport=udp`, stop: () => server.stop() };
}

function freeUdpPort(): Promise<number> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1', () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}
