/** `turnpike up`: the whole service on this machine. Three supervised parts: ClickHouse, collector, relay. */
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { startEmbedded } from '../collector/store/embedded/server.ts';
import { createLog } from '../kernel/log.ts';
import type { Logger } from '../kernel/log.ts';
import { Lifecycle, onReloadSignal, onStopSignal } from '../kernel/lifecycle.ts';
import { systemRandom } from '../kernel/random.ts';
import { API_TOKEN_FILE, bootstrapEnvironment, loadBootstrap, READER_PASSWORD_FILE } from './bootstrap.ts';
import type { Bootstrap } from './bootstrap.ts';
import { startChild } from './child.ts';
import type { Config } from './config.ts';
import { freeTcpPort, freeTurnPort } from './free-port.ts';
import { hostsOf } from './turn-listeners.ts';
import { publicUrl, turnUrls, urlHost } from './urls.ts';
import { settingsOf } from './settings.ts';
import { embeddedOptions } from './store.ts';
import { Supervisor } from './supervisor.ts';
import type { SupervisedPart } from './supervisor.ts';

const program = fileURLToPath(new URL('./main.js', import.meta.url));

/** Runs until SIGINT or SIGTERM, then stops the parts in order. `userArgs` are the flags that `up` itself was given. */
export async function up(command: Command, userArgs: readonly string[]): Promise<void> {
  const config = await withConcretePorts(settingsOf(command));
  const log = createLog('up', config.log.level);
  const bootstrap = loadBootstrap({
    data: config.data,
    env: process.env,
    random: systemRandom,
    generate: true,
    needed: [],
  });
  const lifecycle = new Lifecycle(log);
  const stop = new AbortController();
  onStopSignal(() => stop.abort());
  const stopped = once(stop.signal, 'abort');
  onReloadSignal(() => void lifecycle.reload());
  try {
    for (const part of partsOf(config, bootstrap, userArgs, log)) {
      const supervisor = new Supervisor(part, log);
      lifecycle.onClose(part.name, () => supervisor.stop());
      lifecycle.onReload(part.name, () => supervisor.reload());
      await Promise.race([supervisor.start(), stopped]);
      if (stop.signal.aborted) return;
    }
    process.stdout.write(welcome(config, bootstrap));
    await stopped;
  } finally {
    // Newest first: the relay hands its last readings to a collector and a store that are still there.
    await lifecycle.close();
  }
}

/** In the order in which they need each other. */
function partsOf(config: Config, bootstrap: Bootstrap, userArgs: readonly string[], log: Logger): SupervisedPart[] {
  const { http, turn, relay } = config;
  const ports = {
    '--port': http.port,
    '--turn-port': turn.port,
    '--turn-tls-port': turn.tls.port,
    '--metrics-port': relay.metricsPort,
  };
  const concrete = Object.entries(ports).flatMap(([flag, port]) => [flag, String(port)]);
  const env = { ...process.env, ...bootstrapEnvironment(bootstrap) };
  const role = (name: string, more: readonly string[]): SupervisedPart => ({
    name,
    start(abort) {
      const drainSeconds = name === 'relay' && turn.onStop === 'end' ? turn.drainSeconds : 0;
      return startChild({ program, args: [name, ...userArgs, ...concrete, ...more], env, drainSeconds }, abort);
    },
  });
  const store: SupervisedPart = {
    name: 'clickhouse',
    async start() {
      const server = await startEmbedded(embeddedOptions(config, log));
      return { ended: server.exited, stop: () => server.stop() };
    },
  };
  return [
    ...(config.clickhouse.url === undefined ? [store] : []),
    role('collector', []),
    role('relay', ['--collector', `http://${urlHost(http.host)}:${http.port}`]),
  ];
}

async function withConcretePorts(config: Config): Promise<Config> {
  const { http, turn, relay } = config;
  return {
    ...config,
    http: { ...http, port: http.port === 0 ? await freeTcpPort(http.host) : http.port },
    turn: {
      ...turn,
      port: turn.port === 0 ? await freeTurnPort(hostsOf(turn)) : turn.port,
      tls: { ...turn.tls, port: turn.tls.port === 0 ? await freeTurnPort(hostsOf(turn)) : turn.tls.port },
    },
    relay: {
      ...relay,
      metricsPort: relay.metricsPort === 0 ? await freeTcpPort(relay.metricsHost) : relay.metricsPort,
    },
  };
}

function welcome(config: Config, bootstrap: Bootstrap): string {
  const base = publicUrl(config);
  const key = config.apps[0]?.keys[0]?.id ?? bootstrap.keyId;
  const app = config.apps[0]?.id ?? bootstrap.appId;
  const isBootstrap = config.apps.length === 0;
  const token = join(config.data, API_TOKEN_FILE);
  return `
Turnpike is up.

  console    ${base}/
  try it     ${base}/try
  TURN       ${turnUrls(config).turn.join(' ')}
  key id     ${key} (app ${app})
  API token  ${isBootstrap ? `in ${token}` : 'as configured'}
${readerLine(config)}
ICE servers for a client:

  curl -sX POST ${base}/v1/turn/keys/${key}/credentials/generate-ice-servers -H "Authorization: Bearer ${isBootstrap ? `$(cat ${token})` : '$TURNPIKE_API_TOKEN'}" -H 'Content-Type: application/json' -d '{"ttl":3600}'

`;
}

/** The embedded store alone has our door before it. */
function readerLine(config: Config): string {
  if (config.clickhouse.url !== undefined) return '';
  return `  SQL        ${publicUrl(config)}/clickhouse/ (user reader, password in ${join(config.data, READER_PASSWORD_FILE)})\n`;
}
