/** docker-compose.yml and what it mounts, checked without Docker: every name in it leads somewhere. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { bootstrapEnv, configSchema } from '../../cli/config.ts';
import type { Config } from '../../cli/config.ts';
import { createProgram } from '../../cli/program.ts';
import { readerGrants, readerProfileXml } from '../../collector/store/reader-profile.ts';
import { DEFAULT_MOUNT, renderDashboards } from '../../dashboards/artifacts.ts';
import { CLICKHOUSE_PLUGIN, CLICKHOUSE_PLUGIN_VERSION } from '../../dashboards/grafana/clickhouse-query.ts';
import { datasourceEnv } from '../../dashboards/grafana/provisioning.ts';
import { scrapeJobs } from '../../dashboards/prometheus/rules.ts';
import { loadConfig } from '../../kernel/config.ts';
import { requirePart } from '../system-parts.ts';
import { rateCard } from './rate-card.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string): string => readFileSync(root + path, 'utf8');

const condition = z.enum(['service_started', 'service_healthy', 'service_completed_successfully']);
const service = z.looseObject({
  image: z.string(),
  build: z.string().optional(),
  restart: z.string(),
  command: z.array(z.string()).optional(),
  network_mode: z.string().optional(),
  environment: z.record(z.string(), z.union([z.string(), z.number(), z.null()])).default({}),
  ports: z.array(z.string()).default([]),
  volumes: z.array(z.string()).default([]),
  secrets: z.array(z.string()).default([]),
  healthcheck: z
    .object({ test: z.array(z.string()) })
    .loose()
    .optional(),
  depends_on: z.record(z.string(), z.object({ condition })).default({}),
});
const compose = z
  .looseObject({
    services: z.record(z.string(), service),
    volumes: z.record(z.string(), z.null()),
    secrets: z.record(z.string(), z.object({ environment: z.string() })),
  })
  .parse(parse(read('docker-compose.yml'), { merge: true }));
const services = Object.entries(compose.services);
const { relay, collector, grafana, clickhouse, prometheus } = compose.services;

const manifest = z.object({ version: z.string() }).parse(JSON.parse(read('package.json')));
const dockerfile = read('Dockerfile');

/** `NAME`, `NAME:-default`, `NAME:?message` as they stand in the file. */
const references = [...read('docker-compose.yml').matchAll(/\$\{(\w+)(?::([-?])([^}]*))?\}/g)].map(
  ([, name = '', kind, rest = '']) => ({ name, kind, rest }),
);
/** Names in .env.example: those to fill in, and those that may be set. */
const example = [...read('.env.example').matchAll(/^(#?)([A-Z_]+)=(.*)$/gm)].map(([, mark, name = '', value = '']) => ({
  name,
  value,
  optional: mark === '#',
}));

/** A filled-in .env. */
const filled: Readonly<Record<string, string>> = {
  TURNPIKE_TURN_HOST: '192.0.2.10',
  TURNPIKE_TURN_URLS: 'stun:turn.example.org:3478,turn:turn.example.org:3478?transport=udp',
  TURNPIKE_HTTP_PUBLIC_URL: 'https://turnpike.example.org',
};
function interpolate(text: string): string {
  return text.replace(/\$\{(\w+)(?::([-?])([^}]*))?\}/g, (_, name: string, kind: string | undefined, rest: string) => {
    if (filled[name] !== undefined) return filled[name];
    return kind === '-' ? rest : 'a-secret-of-some-length';
  });
}
/** The environment that a container of the service has; a name without a value is passed on only if .env has it. */
const environmentOf = (found: z.output<typeof service> | undefined): Record<string, string> =>
  Object.fromEntries(
    Object.entries(found?.environment ?? {}).flatMap(([name, value]) =>
      value === null ? [] : [[name, interpolate(String(value))]],
    ),
  );
function configOf(found: z.output<typeof service> | undefined): Config {
  const env = Object.fromEntries(Object.entries(environmentOf(found)).filter(([name]) => name.startsWith('TURNPIKE_')));
  return loadConfig(configSchema, { env, flags: {}, otherEnv: Object.keys(bootstrapEnv) });
}
const ours = services.filter(([, { build }]) => build !== undefined);

describe('docker-compose.yml', () => {
  it('has the roles and what watches them', () => {
    expect(services.map(([name]) => name)).toEqual(
      expect.arrayContaining(['relay', 'collector', 'clickhouse', 'prometheus', 'alertmanager', 'grafana']),
    );
  });

  it('pins every image; ours is this version', () => {
    const unpinned = services.map(([, { image }]) => image).filter((image) => !/:v?\d+\.\d+(\.\d+)+$/.test(image));
    expect(unpinned).toEqual([]);
    expect(new Set(ours.map(([, { image }]) => image))).toEqual(new Set([`turnpike:${manifest.version}`]));
  });

  it.each(ours)('runs %s as the command line takes it', (_, { command = [] }) => {
    const program = createProgram(command);
    for (const known of program.commands) known.exitOverride().action(() => undefined);
    expect(() => program.parse(command, { from: 'user' })).not.toThrow();
  });

  it.each(ours)('gives %s an environment that the configuration accepts', (_, found) => {
    expect(configOf(found)).toBeDefined();
  });

  it('passes on only configuration keys, where .env decides whether there is a value', () => {
    const passed = services.flatMap(([, { environment }]) =>
      Object.entries(environment).flatMap(([name, value]) => (value === null ? [name] : [])),
    );
    const optional = example.filter((entry) => entry.optional).map(({ name }) => name);
    expect(optional).toEqual(expect.arrayContaining(passed));
    const env = { TURNPIKE_TURN_EXTERNAL_IP: '203.0.113.5' };
    expect(passed).toEqual(Object.keys(env));
    expect(loadConfig(configSchema, { env, flags: {} }).turn.externalIp).toBe('203.0.113.5');
  });

  it('asks .env for what it needs, and .env.example asks for nothing else', () => {
    const passed = services.flatMap(([, { environment }]) =>
      Object.keys(environment).filter((name) => environment[name] === null),
    );
    const fromSecrets = Object.values(compose.secrets).map(({ environment }) => environment);
    const asked = new Set([...references.map(({ name }) => name), ...passed, ...fromSecrets]);
    expect(new Set(example.map(({ name }) => name))).toEqual(asked);
    const required = references.filter(({ kind }) => kind === '?').map(({ name }) => name);
    expect(new Set(example.filter(({ optional }) => !optional).map(({ name }) => name))).toEqual(new Set(required));
    const defaults = new Map(references.filter(({ kind }) => kind === '-').map(({ name, rest }) => [name, rest]));
    const shown = example.filter(({ optional, value }) => optional && value !== '');
    expect(new Map(shown.map(({ name, value }) => [name, value]))).toEqual(defaults);
  });

  it('has no default for anything secret', () => {
    const secret = /PASSWORD|SECRET|TOKEN|ADMIN/;
    expect(references.filter(({ name, kind }) => secret.test(name) && kind !== '?')).toEqual([]);
    const literal = services.flatMap(([, { environment }]) =>
      Object.entries(environment).filter(([name, value]) => secret.test(name) && !/^\$\{\w+:\?/.test(String(value))),
    );
    expect(literal).toEqual([]);
    expect(example.filter(({ name, value }) => secret.test(name) && value !== '')).toEqual([]);
  });

  it('mounts volumes that are declared and files that exist', () => {
    const sources = services.flatMap(([, { volumes }]) => volumes.map((volume) => volume.split(':')[0] ?? ''));
    const paths = sources.filter((source) => source.startsWith('./'));
    expect(paths.filter((path) => !existsSync(root + path))).toEqual([]);
    const named = sources.filter((source) => !source.startsWith('./'));
    expect(new Set(named)).toEqual(new Set(Object.keys(compose.volumes)));
    const secrets = services.flatMap((entry) => entry[1].secrets);
    expect(new Set(secrets)).toEqual(new Set(Object.keys(compose.secrets)));
  });

  it('waits for services that exist, and for health only where it is checked', () => {
    const waits = services.flatMap(([, { depends_on }]) => Object.entries(depends_on));
    expect(waits.length).toBeGreaterThan(4);
    for (const [name, wait] of waits) {
      const target = compose.services[name];
      const checked = target?.healthcheck !== undefined || (target?.build !== undefined && target.restart !== 'no');
      const ends = target?.restart === 'no';
      const expected = {
        service_started: target !== undefined,
        service_healthy: checked,
        service_completed_successfully: ends,
      };
      expect({ name, holds: expected[wait.condition] }).toEqual({ name, holds: true });
    }
  });

  it('checks the health of everything that stays up', () => {
    const unchecked = services.filter(
      ([, { restart, build, healthcheck }]) => restart !== 'no' && build === undefined && healthcheck === undefined,
    );
    expect(unchecked).toEqual([]);
    expect(dockerfile).toMatch(/^HEALTHCHECK /m);
  });

  it('publishes on loopback only, but for the relay, which has the host’s network', () => {
    const published = services.flatMap(([, { ports }]) => ports);
    expect(published.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([]);
    expect(services.filter(([, { network_mode }]) => network_mode === 'host').map(([name]) => name)).toEqual(['relay']);
    expect(clickhouse?.ports).toEqual([]);
  });

  it('agrees with itself about ports and addresses', () => {
    const http = configOf(collector).http;
    expect(http).toMatchObject({ host: '0.0.0.0', port: 8080 });
    expect(collector?.ports).toEqual([`127.0.0.1:${http.port}:${http.port}`]);
    expect(dockerfile).toContain(`HEALTH_URL=http://127.0.0.1:${http.port}/healthz`);

    const { collector: reportsTo, metricsHost, metricsPort } = configOf(relay).relay;
    expect(reportsTo).toBe(`http://127.0.0.1:${http.port}`);
    expect(relay?.environment['HEALTH_URL']).toBe(`http://${metricsHost}:${metricsPort}/healthz`);
    expect(compose['networks']).toMatchObject({ default: { ipam: { config: [{ gateway: metricsHost }] } } });

    const jobs = new Map(prometheusConfig.scrape_configs.map((job) => [job.job_name, job]));
    expect(jobs.get(scrapeJobs.collector)?.static_configs).toEqual([{ targets: [`collector:${http.port}`] }]);
    expect(jobs.get(scrapeJobs.relay)?.static_configs).toEqual([{ targets: [`${metricsHost}:${metricsPort}`] }]);
    expect(configOf(collector).alerts.alertmanager).toBe(`http://${prometheusConfig.alertmanager}`);
  });

  it('lets relay and collector share the key’s secret and the relay’s token', () => {
    for (const name of ['TURNPIKE_APP', 'TURNPIKE_KEY_ID', 'TURNPIKE_KEY_SECRET', 'TURNPIKE_RELAY_TOKEN']) {
      expect(relay?.environment[name]).toBe(collector?.environment[name]);
    }
  });

  it('points the collector and Grafana at one database', () => {
    const store = configOf(collector).clickhouse;
    const server = environmentOf(clickhouse);
    expect(store).toMatchObject({
      url: 'http://clickhouse:8123',
      user: server['CLICKHOUSE_USER'],
      database: server['CLICKHOUSE_DB'],
    });
    expect(environmentOf(grafana)).toMatchObject({
      CLICKHOUSE_HOST: 'clickhouse',
      CLICKHOUSE_HTTP_PORT: '8123',
      CLICKHOUSE_HTTP_PATH: '/',
      CLICKHOUSE_DATABASE: store.database,
    });
  });
});

const prometheusConfig = z
  .looseObject({
    rule_files: z.array(z.string()),
    scrape_configs: z.array(
      z.looseObject({ job_name: z.string(), static_configs: z.array(z.object({ targets: z.array(z.string()) })) }),
    ),
    alerting: z.object({
      alertmanagers: z.array(z.object({ static_configs: z.array(z.object({ targets: z.array(z.string()) })) })),
    }),
  })
  .transform((config) => ({
    ...config,
    alertmanager: config.alerting.alertmanagers[0]?.static_configs[0]?.targets[0] ?? '',
  }))
  .parse(parse(read('deploy/prometheus.yml')));

describe('what the services are given', () => {
  const written = renderDashboards({ rateCard });

  it('has Prometheus load the rules that are written to the shared volume', () => {
    expect(prometheus?.volumes).toContain(`dashboards:${DEFAULT_MOUNT}:ro`);
    expect(prometheusConfig.rule_files).toEqual([`${DEFAULT_MOUNT}/prometheus/*.yaml`]);
    expect([...written.keys()]).toContain('prometheus/turnpike.rules.yaml');
    const [secret] = prometheus?.secrets ?? [];
    const authorised = prometheusConfig.scrape_configs.find(({ job_name }) => job_name === scrapeJobs.collector);
    expect(authorised).toMatchObject({ authorization: { credentials_file: `/run/secrets/${secret}` } });
    expect(compose.secrets[secret ?? '']).toEqual({ environment: 'TURNPIKE_OPERATOR_TOKEN' });
  });

  it('has Grafana find the provisioning, the plugin in its version, and every name that the data source takes', () => {
    const environment = environmentOf(grafana);
    expect(grafana?.volumes).toContain(`dashboards:${DEFAULT_MOUNT}:ro`);
    expect(environment['GF_PATHS_PROVISIONING']).toBe(`${DEFAULT_MOUNT}/grafana/provisioning`);
    expect(environment['GF_PLUGINS_PREINSTALL_SYNC']).toBe(`${CLICKHOUSE_PLUGIN}@${CLICKHOUSE_PLUGIN_VERSION}`);
    expect(Object.keys(environment)).toEqual(expect.arrayContaining(Object.keys(datasourceEnv)));
  });

  it('has ClickHouse know Grafana’s user, who reads the database and takes its password from the environment', () => {
    const users = read('deploy/clickhouse/reader.xml');
    expect(users).toContain(`<${environmentOf(grafana)['CLICKHOUSE_READER']}>`);
    expect(users).toContain('<password from_env="CLICKHOUSE_READER_PASSWORD"/>');
    expect(clickhouse?.environment).toHaveProperty('CLICKHOUSE_READER_PASSWORD');
    expect(users).toContain(`<turnpike_reader>\n${readerProfileXml('      ')}    </turnpike_reader>`);
    const grants = [...users.matchAll(/<query>(.*?)<\/query>/g)].map((match) => match[1] ?? '');
    expect(grants).toEqual(readerGrants(environmentOf(grafana)['CLICKHOUSE_DATABASE'] ?? ''));
  });

  const prometheusPart = requirePart('prometheus');
  prometheusPart.describe('the Prometheus configuration', () => {
    it('is accepted by promtool', () => {
      const promtool = prometheusPart.path('promtool');
      const check = ['check', 'config', '--syntax-only', `${root}deploy/prometheus.yml`];
      expect(execFileSync(promtool, check, { encoding: 'utf8', stdio: 'pipe' })).toContain('SUCCESS');
    });
  });

  const alertmanagerPart = requirePart('alertmanager');
  alertmanagerPart.describe('the Alertmanager configuration', () => {
    it('is accepted by amtool', () => {
      const check = ['check-config', `${root}deploy/alertmanager.yml`];
      const output = execFileSync(alertmanagerPart.path('amtool'), check, { encoding: 'utf8', stdio: 'pipe' });
      expect(output).toContain('SUCCESS');
    });
  });
});

describe('Dockerfile', () => {
  const stages = dockerfile.split(/^FROM /m).slice(1);
  const final = stages.at(-1) ?? '';

  it('builds in stages of one base, with a compiler only where the addon is built', () => {
    const slim = 'node:20-bookworm-slim';
    expect(stages.map((stage) => stage.split(/\s/)[0])).toEqual([slim, 'node:20-bookworm', slim, slim]);
    expect(stages[1]).toContain('build-native.mjs --required');
  });

  it('runs as nobody special', () => {
    expect(final).toMatch(/^USER node$/m);
    expect(final.indexOf('USER node')).toBeLessThan(final.indexOf('ENTRYPOINT'));
  });

  it('leaves the tools that build behind', () => {
    expect(final).not.toMatch(/^RUN .*\b(npm ci|apt-get)\b/m);
    expect(final).toContain('rm -rf /usr/local/lib/node_modules');
    expect(stages[2]).toContain('npm ci --omit=dev');
    expect([...final.matchAll(/^COPY --from=(\w+) (\S+)/gm)].map(([, stage, path]) => [stage, path])).toEqual([
      ['packages', '/src/node_modules'],
      ['build', '/src/dist'],
      ['native', '/src/build'],
    ]);
  });

  it('keeps secrets and what is made elsewhere out of the build', () => {
    expect(read('.dockerignore').split('\n')).toEqual(expect.arrayContaining(['.env', '.git', 'data', 'node_modules']));
  });

  it('starts the program that the package names', () => {
    const { bin } = z.object({ bin: z.object({ turnpike: z.string() }) }).parse(JSON.parse(read('package.json')));
    expect(final).toContain(`ENTRYPOINT ["node", "/app/${bin.turnpike}"]`);
  });
});
