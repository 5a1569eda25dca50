/** The collector's HTTP side, put together from the rooms' plugins. Nothing is opened here: the caller listens. */
import type { FastifyInstance } from 'fastify';
import { statementRoutes } from '../billing/egress/statement-routes.ts';
import { alertRoutes } from '../billing/quality/alerts/alert-routes.ts';
import { standardRules } from '../billing/quality/alerts/alert-rules.ts';
import { audioScorer } from '../billing/quality/mos/scorer.ts';
import { callRoutes } from '../collector/calls/call-routes.ts';
import type { EgressReader } from '../collector/calls/egress-hours.ts';
import { clientRoutes } from '../collector/client-routes.ts';
import { CapWatch } from '../collector/control/caps.ts';
import { ControlFeed } from '../collector/control/control-feed.ts';
import { controlRoutes } from '../collector/control/control-routes.ts';
import { erasureRoutes } from '../collector/erasure/erasure-routes.ts';
import { Erasures } from '../collector/erasure/erasures.ts';
import { dumpRoutes } from '../collector/intake/dump-routes.ts';
import { DurableWriter } from '../collector/intake/durable-writer.ts';
import type { IntakeSpool } from '../collector/intake/intake-spool.ts';
import { egressRoutes, usageRoutes } from '../collector/intake/metering-routes.ts';
import { statsRoutes } from '../collector/intake/stats-routes.ts';
import { openAddressDatabase } from '../collector/privacy/address-database.ts';
import { ClientNetworks } from '../collector/privacy/client-network.ts';
import type { AddressLookup } from '../collector/privacy/client-network.ts';
import { IdentifyingWriter } from '../collector/privacy/identifiers.ts';
import { readerRoutes } from '../collector/reader/reader-routes.ts';
import { cloudflareClient } from '../collector/sources/cloudflare-client.ts';
import { CloudflarePoller } from '../collector/sources/cloudflare-poller.ts';
import { textFetcher } from '../collector/sources/fetch-text.ts';
import { janusRoutes } from '../collector/sources/janus-routes.ts';
import { JanusSource } from '../collector/sources/janus-source.ts';
import { livekitRoutes } from '../collector/sources/livekit-routes.ts';
import { Poller } from '../collector/sources/poller.ts';
import { PostedSources } from '../collector/sources/posted-sources.ts';
import { RedisListener } from '../collector/sources/redis-listener.ts';
import { SourceMetrics } from '../collector/sources/source-metrics.ts';
import { gradeOf, isPulled } from '../collector/sources/source-settings.ts';
import type { ClickHouseStore } from '../collector/store/clickhouse.ts';
import { keptIn } from '../collector/store/migrations.ts';
import type { Store, StoreEndpoint, StoreWriter } from '../collector/store/store.ts';
import { docsRoutes } from '../dashboards/console/docs-routes.ts';
import { consoleRoutes } from '../dashboards/console/routes.ts';
import type { Clock } from '../kernel/clock.ts';
import { TurnpikeError } from '../kernel/errors.ts';
import { check, createHttp } from '../kernel/http.ts';
import type { Logger } from '../kernel/log.ts';
import type { Metrics } from '../kernel/metrics.ts';
import type { Authority } from '../kernel/principals.ts';
import { openApiRoutes, recordCalls } from '../kernel/openapi.ts';
import { probes } from '../kernel/probes.ts';
import type { Random } from '../kernel/random.ts';
import { systemSleep } from '../kernel/sleep.ts';
import type { IceServersAnswer } from '../relay/contract.ts';
import { generateRequest } from '../relay/contract.ts';
import { issueIceServers } from '../relay/credentials/ice-servers.ts';
import { credentialRoutes } from '../relay/credentials/routes.ts';
import { cappedApps } from './config.ts';
import type { Config } from './config.ts';
import { identifiersOf } from './privacy-config.ts';
import { sourcesOf } from './sources.ts';
import { placeOf, reportDays, retentionOf } from './store.ts';
import { publicHost, serviceUrls } from './urls.ts';

/** Milliseconds between two looks for other collectors' revocations: a relay hears of one within a second. */
const LOOK_MS = 500;

export interface ServiceParts {
  readonly config: Config;
  readonly authority: Authority;
  readonly store: Store & Pick<ClickHouseStore, 'command'>;
  /** The embedded store's way in for people's queries; absent where the store is a server of its own, which has its own. */
  readonly reader?: (() => Promise<StoreEndpoint>) | undefined;
  /** Where rows wait while the store is slow or away. */
  readonly spool: IntakeSpool;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly random: Random;
}

export async function createService(parts: ServiceParts): Promise<FastifyInstance> {
  const { authority, clock, config, log, metrics, random, spool, store } = parts;
  const { host, trustProxy } = config.http;
  const http = createHttp({ log, authority, host, publicHosts: publicHost(config), trustProxy });
  const document = recordCalls(http);
  const urls = serviceUrls(config);
  // The embedded store is this collector's alone; a server may have others, whose revocations are ours too.
  const isShared = config.clickhouse.url !== undefined;
  const feed = new ControlFeed({ store, clock, random, log, ...(isShared ? { lookMs: LOOK_MS } : {}) });
  await feed.start();
  const kept = retentionOf(config);
  const egress: EgressReader = { reader: store, keptOf: (table) => keptIn(table, kept) };
  const caps = new CapWatch({
    ...egress,
    ceilings: cappedApps(config),
    tell: (list) => feed.cap(list),
    clock,
    log,
  });
  await caps.start();
  http.addHook('onClose', () => caps.stop());
  await http.register(credentialRoutes, {
    authority,
    urls: () => urls,
    ceilingsOf: (app) => authority.app(app)?.ceilings,
    revoke: (app, revocation) => feed.revoke(app, revocation),
    metrics,
    clock,
    random,
  });
  await http.register(controlRoutes, { feed });
  const identifiers = identifiersOf(config);
  const erasures = new Erasures({
    store,
    place: placeOf(config),
    clock,
    sleep: systemSleep,
    log,
    formsOf: (app, participant) => identifiers.forms(app, participant),
  });
  await erasures.look();
  erasures.start();
  const durable = new DurableWriter({ store: erasures, spool, log, metrics, sleep: systemSleep });
  const writer = new IdentifyingWriter(durable, identifiers);
  const networks = await clientNetworks(http, parts);
  await http.register(statsRoutes, {
    writer,
    networkOf: (address) => networks.of(address),
    authority,
    score: audioScorer,
    clock,
    metrics,
    log,
    allowance: { appRequestsPerSecond: config.collector.reportsPerSecond },
    client: config.collector.client,
    streams: { streams: config.collector.streams },
  });
  await http.register(dumpRoutes, {
    writer,
    score: audioScorer,
    clock,
    metrics,
    log,
    keptDays: reportDays(config),
  });
  await http.register(usageRoutes, { writer, clock });
  await registerSources(http, parts, writer);
  // After the routes' own hooks, which may have something left to write.
  http.addHook('onClose', async () => {
    await durable.stop();
    await erasures.stop();
  });
  await http.register(callRoutes, { ...egress, clock });
  await http.register(erasureRoutes, { erasures });
  await http.register(statementRoutes, { reader: store, rateCard: config.billing.rateCard });
  await http.register(alertRoutes, { reader: store, clock, rules: standardRules });
  if (parts.reader !== undefined) await http.register(readerRoutes, { endpoint: parts.reader });
  await http.register(clientRoutes, {});
  await http.register(consoleRoutes, {
    issue: (request) => issueForTrying(parts, request),
    random,
    setup: { keyId: firstKey(authority).key.id, turnUrls: urls.turnUrls },
  });
  await http.register(openApiRoutes, { document });
  await http.register(docsRoutes, { document });
  const checks = {
    // A store that is away keeps readers waiting, not reports: as long as there is room on the disk, traffic is welcome.
    store: async () => {
      if (await store.ping())
        return { ok: true, detail: spool.isEmpty ? 'up' : `up, ${spool.rows} rows follow from disk` };
      return { ok: spool.hasRoom, detail: `no answer, ${spool.rows} rows wait on disk` };
    },
  };
  await http.register(probes, { metrics, checks, metricsFor: ['operator'] });
  return http;
}

/** What is kept of clients' addresses, with the databases that they are looked up in. */
async function clientNetworks(
  http: FastifyInstance,
  { clock, config, log, random }: ServiceParts,
): Promise<ClientNetworks> {
  const { addresses, asnDatabase, geoDatabase } = config.collector.privacy;
  const opened = async (name: string, path: string | undefined): Promise<AddressLookup | undefined> => {
    if (path === undefined) return undefined;
    const database = await openAddressDatabase({ key: `collector.privacy.${name}`, path, log });
    http.addHook('onClose', async () => database.close());
    return database.lookup;
  };
  const [geo, asn] = [await opened('geoDatabase', geoDatabase), await opened('asnDatabase', asnDatabase)];
  return new ClientNetworks({ addresses, geo, asn, clock, random });
}

/** Egress that others count: what is pushed has a route, what is pulled is asked for while this service runs. */
async function registerSources(http: FastifyInstance, parts: ServiceParts, writer: StoreWriter): Promise<void> {
  const { authority, clock, config, log, metrics, store: reader } = parts;
  const shown = new SourceMetrics(metrics, clock);
  const sources = sourcesOf(config, authority);
  const livekit = sources.filter((source) => source.kind === 'livekit');
  const heard = sources.filter((source) => source.kind === 'coturn-redis');
  const cloudflare = sources.filter((source) => source.kind === 'cloudflare');
  const pulled = sources.filter(isPulled);
  for (const source of sources) shown.expect(source.name, source.kind, gradeOf(source));
  const common = { reader, writer, sleep: systemSleep, clock, log, metrics: shown };
  const pushing = sources
    .filter((source) => source.kind === 'janus')
    .map((settings) => new JanusSource({ ...common, settings }));
  const names = new Set(sources.map(({ name }) => name));
  const posted = new PostedSources({ clock, log, metrics: shown, sleep: systemSleep, known: names });
  await http.register(egressRoutes, { writer, clock, authority, posted });
  await http.register(janusRoutes, { sources: pushing });
  await http.register(livekitRoutes, { sources: livekit, writer, clock, log, metrics: shown });
  const running = [
    ...pushing,
    ...pulled.map((settings) => new Poller({ ...common, settings, fetch: textFetcher() })),
    ...heard.map((settings) => new RedisListener({ ...common, settings })),
    ...cloudflare.map((settings) => {
      return new CloudflarePoller({ ...common, settings, ask: cloudflareClient(settings.url, settings.token) });
    }),
  ];
  http.addHook('onReady', async () => running.forEach((source) => source.start()));
  http.addHook('onClose', async () => void (await Promise.all([...running, posted].map((source) => source.stop()))));
}

/** A credential of the first app, for the page that tries the relay out. */
function issueForTrying(
  { authority, clock, config, random }: ServiceParts,
  request: { ttl: number; call: string; participant: string; impairment?: unknown },
): IceServersAnswer {
  const { app, key } = firstKey(authority);
  // Whoever may try the relay out may do so under any conditions.
  return issueIceServers(check(generateRequest, request), {
    app: app.id,
    key: { ...key, impairment: true },
    urls: serviceUrls(config),
    ceilings: app.ceilings,
    clock,
    random,
  });
}

function firstKey(authority: Authority) {
  const [app] = authority.apps;
  const key = app?.keys[0];
  if (app === undefined || key === undefined) throw new TurnpikeError('TP_RELAY_KEY', 'No app has a TURN key.');
  return { app, key };
}
