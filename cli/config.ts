/** The whole configuration: every key, its default and its sentence. docs/config.md is tested against this schema. */
import { z } from 'zod';
import { identifierPolicies } from '../collector/privacy/identifiers.ts';
import { sourceSettings } from '../collector/sources/source-settings.ts';
import type { ClientSettings } from '../collector/contract.ts';
import { tableNames, tables } from '../collector/store/tables.ts';
import { byteSize } from '../kernel/bytes.ts';
import { credentialLimits } from '../relay/contract.ts';
import { clickhouseSettings } from './clickhouse-config.ts';
import { cidr, httpUrl, port } from './config-values.ts';
import { privacySettings } from './privacy-config.ts';
import { turnSettings } from './turn-config.ts';

/** Id of an app, a TURN key or a relay. */
export const entityName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/, 'must be 1 to 32 characters of A-Z a-z 0-9 _ -');
const secretText = z.string().min(16, 'must be at least 16 characters').max(256);
const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in hex');

/** The most that an app may grant: bytes as a whole number, or in decimal units as text (`50 GB`). */
const ceilings = z.strictObject({
  ...credentialLimits.shape,
  bytes: byteSize.optional(),
  bytesPerMonth: byteSize.optional(),
});

/** A metering row must outlive its billing period and the grace for late readings: two months of 31 days. */
const LEAST_METERING_DAYS = 62;

/** Key of a table in the configuration. */
export const retentionKey = (table: string): string =>
  table.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

const daysOf = (table: string) =>
  z
    .int()
    .min(table === 'egress_samples' ? LEAST_METERING_DAYS : 1)
    .max(3_650);

const retention = Object.fromEntries(
  Object.values(tables).map(({ name, retentionDays }) => [
    retentionKey(name),
    daysOf(name).default(retentionDays).describe(`Days that ${name} keeps its rows.`),
  ]),
);

/** Days for the rows of one app, where they are others than everybody's. */
const appRetention = Object.fromEntries(tableNames.map((name) => [retentionKey(name), daysOf(name).optional()]));

const appSettings = z.strictObject({
  id: entityName,
  tokenHashes: z.array(sha256Hex).min(1).describe('SHA-256 in hex of each live API token.'),
  keys: z
    .array(
      z.strictObject({
        id: entityName,
        secrets: z.array(secretText).min(1),
        plainUsernames: z.boolean().optional().describe('Takes names that another backend mints, too.'),
        impairment: z.boolean().optional().describe('Lets credentials ask for loss, delay, jitter and a rate.'),
      }),
    )
    .min(1)
    .describe('TURN keys; the first secret signs, all of them verify.'),
  origins: z.array(z.string()).default(['*']).describe('Origins whose pages may report; * is any.'),
  ceilings: ceilings.optional().describe('The most that its credentials may carry; absent: no ceiling.'),
  peers: z
    .strictObject({
      only: z.array(cidr).min(1).optional(),
      deny: z.array(cidr).optional(),
      minPort: z.int().min(1).max(65_535).optional(),
    })
    .optional()
    .describe(
      'Peers that its clients may reach: `only` these ranges (an SFU), none in `deny`, no port below `minPort`.',
    ),
  privacy: z
    .strictObject({ customIdentifiers: z.enum(identifierPolicies).optional() })
    .optional()
    .describe('Of collector.privacy.*, what is otherwise for this app.'),
  retention: z.strictObject(appRetention).optional().describe('Days for its rows, by table; absent: as everybody.'),
});

function refuseTwinSources(sources: readonly { readonly name: string }[], context: z.RefinementCtx): void {
  for (const [at, { name }] of sources.entries()) {
    const first = sources.findIndex((other) => other.name === name);
    if (first === at) continue;
    context.addIssue({ code: 'custom', path: [at, 'name'], message: `is the name of sources.${first} already` });
  }
}

/**
 * A key id or a token that two apps share would let one spend as the other: every id and token is there once. A plain
 * username does not say its key: one key at most takes them.
 */
function refuseTwins(apps: readonly z.output<typeof appSettings>[], context: z.RefinementCtx): void {
  const seen = new Set<string>();
  let plain: string | undefined;
  const claim = (kind: string, value: string, path: PropertyKey[]) => {
    const name = `${kind} ${value}`;
    if (seen.has(name))
      context.addIssue({ code: 'custom', path, message: `is there twice: each ${kind} belongs to one app` });
    seen.add(name);
  };
  for (const [at, app] of apps.entries()) {
    claim('app id', app.id, [at, 'id']);
    for (const [index, hash] of app.tokenHashes.entries()) claim('token', hash, [at, 'tokenHashes', index]);
    for (const [index, key] of app.keys.entries()) {
      claim('key id', key.id, [at, 'keys', index, 'id']);
      if (key.plainUsernames !== true) continue;
      const path = [at, 'keys', index, 'plainUsernames'];
      const message = `is true of ${plain} already, and a plain username does not say which key is meant`;
      if (plain !== undefined) context.addIssue({ code: 'custom', path, message });
      plain ??= key.id;
    }
  }
}

/** What the collector tells the SDK, in every answer to a report. */
const clientSettings = {
  intervalMs: z.int().min(500).max(60_000).default(2_000).describe('Milliseconds between two samples of a client.'),
  issueIntervalMs: z
    .int()
    .min(500)
    .max(60_000)
    .default(1_000)
    .describe('Milliseconds between two samples while the client itself sees something wrong.'),
  uploadMs: z.int().min(1_000).max(60_000).default(5_000).describe('Milliseconds between two reports of a client.'),
  sampledShare: z
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe('Share of connections that send samples; the others send events only.'),
  omittedMembers: z
    .array(z.string().regex(/^[A-Za-z0-9]{1,64}$/, 'must be a member of webrtc-stats'))
    .max(64)
    .default([])
    .describe('Members of webrtc-stats dictionaries that clients need not send.'),
} satisfies Record<keyof ClientSettings, z.ZodType>;

export const configSchema = z.strictObject({
  data: z.string().min(1).default('./data').describe('Directory for secrets, the embedded store and the spool.'),
  log: z
    .strictObject({
      level: z
        .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
        .default('info')
        .describe('Least severity that is logged.'),
    })
    .prefault({}),
  http: z
    .strictObject({
      host: z
        .string()
        .min(1)
        .default('127.0.0.1')
        .describe('Address that HTTP listens on. On loopback the console needs no login.'),
      port: port.default(8080).describe('Port of the API, the console and intake.'),
      trustProxy: z
        .array(cidr)
        .default([])
        .describe('Proxies in front of HTTP whose X-Forwarded-For is believed, as addresses and ranges.'),
      publicUrl: httpUrl
        .optional()
        .describe('URL under which clients reach this service, when it differs from host and port.'),
    })
    .prefault({}),
  turn: turnSettings,
  relay: z
    .strictObject({
      serverId: entityName.optional().describe('Name of this relay in usage records; made up and kept when absent.'),
      collector: httpUrl.optional().describe('Collector that usage is reported to.'),
      onControlTimeout: z
        .enum(['fail_open', 'fail_closed'])
        .default('fail_open')
        .describe(
          'Whether apps with a cap (ceilings.bytesPerMonth) go on while the collector cannot be heard, or are ended.',
        ),
      controlTimeout: z
        .int()
        .min(30)
        .max(86_400)
        .default(60)
        .describe('Seconds without an answer after which the collector counts as lost.'),
      metricsHost: z
        .string()
        .min(1)
        .default('127.0.0.1')
        .describe('Address of the relay’s own /metrics, /healthz and /readyz.'),
      metricsPort: port.default(8081).describe('Port of the relay’s own /metrics, /healthz and /readyz.'),
    })
    .prefault({}),
  apps: z
    .array(appSettings)
    .superRefine(refuseTwins)
    .prefault([])
    .describe('Apps, their API tokens and TURN keys. Empty: one app from the bootstrap environment.'),
  clickhouse: clickhouseSettings,
  collector: z
    .strictObject({
      spoolBytes: z
        .int()
        .min(1_000_000)
        .default(2_000_000_000)
        .describe('Rows kept on disk while ClickHouse is slow or away; beyond, reports are answered 503.'),
      reportsPerSecond: z
        .int()
        .min(1)
        .default(5_000)
        .describe(
          'Reports a second from all clients of one app, and twice as many at once; beyond, they are answered 429.',
        ),
      client: z.strictObject(clientSettings).prefault({}),
      privacy: privacySettings,
      streams: z
        .int()
        .min(1)
        .max(100_000)
        .default(2_000)
        .describe(
          'Streams of reports (WebSocket) open at once; where there are several apps, one may have half of them.',
        ),
      rollupSeconds: z
        .int()
        .min(1)
        .max(3_600)
        .default(30)
        .describe('Seconds between two rounds that bring the rollups up to date.'),
    })
    .prefault({}),
  sources: z
    .array(sourceSettings)
    .superRefine(refuseTwinSources)
    .prefault([])
    .describe('SFUs and other relays whose egress is counted, beside what is posted to /v1/egress.'),
  retention: z.strictObject(retention).prefault({}),
  billing: z
    .strictObject({
      rateCard: z.string().default('cloudflare-realtime').describe('Rate card that statements are made on.'),
    })
    .prefault({}),
  alerts: z
    .strictObject({
      alertmanager: httpUrl.optional().describe('Alertmanager to deliver to (its API v2).'),
      webhook: httpUrl.optional().describe('URL that every change of an alert is posted to.'),
      intervalSeconds: z.int().min(1).max(3_600).default(15).describe('Seconds between two evaluations.'),
    })
    .prefault({}),
});
export type Config = z.output<typeof configSchema>;

/** App → bytes that it may carry in a calendar month. */
export function cappedApps({ apps }: Config): ReadonlyMap<string, bigint> {
  return new Map(
    apps.flatMap(({ id, ceilings }): [string, bigint][] =>
      ceilings?.bytesPerMonth === undefined ? [] : [[id, ceilings.bytesPerMonth]],
    ),
  );
}

/** Environment that bootstraps one app and the service's own tokens; everything else is a key of the schema. */
export const bootstrapEnv = {
  TURNPIKE_APP: 'Id of the bootstrap app.',
  TURNPIKE_KEY_ID: 'Id of its TURN key.',
  TURNPIKE_KEY_SECRET: 'Secret of its TURN key.',
  TURNPIKE_API_TOKEN: 'Its API token.',
  TURNPIKE_RELAY_TOKEN: 'Token that relays report with.',
  TURNPIKE_SOURCE_TOKEN: 'Token that SFU sources report with.',
  TURNPIKE_OPERATOR_TOKEN: 'Token of the operator: console, alerts, /metrics.',
  TURNPIKE_READER_PASSWORD: 'Password of people’s queries at /clickhouse/.',
} as const;

/** Environment of `turnpike check`: what should not stand in a command line, where others can read it. */
export const checkEnv = {
  TURNPIKE_CHECK_USERNAME: 'Username for turnpike check.',
  TURNPIKE_CHECK_CREDENTIAL: 'Its credential.',
  TURNPIKE_CHECK_OTHER_USERNAME: 'Username of the second user.',
  TURNPIKE_CHECK_OTHER_CREDENTIAL: 'Its credential.',
} as const;
export type CheckVariable = keyof typeof checkEnv;

/** Flags of the command line that set configuration keys. */
export const configFlags = {
  '--data <dir>': ['data', 'directory for secrets, the embedded store and the spool'],
  '--host <host>': ['http.host', 'address of HTTP'],
  '--port <port>': ['http.port', 'port of HTTP'],
  '--turn-host <ip>': ['turn.host', 'address of the relay'],
  '--turn-port <port>': ['turn.port', 'port of the relay, UDP and TCP'],
  '--turn-tls-port <port>': ['turn.tls.port', 'port of the relay for TLS, when a certificate is given'],
  '--turn-tls-cert <file>': ['turn.tls.certFile', 'PEM file of the certificate and its chain'],
  '--turn-tls-key <file>': ['turn.tls.keyFile', 'PEM file of its private key'],
  '--external-ip <ip>': ['turn.externalIp', 'address told to clients, behind a 1:1 NAT'],
  '--relay-ports <range>': ['turn.relayPorts', 'ports for relayed addresses, such as 49152-65535'],
  '--plane <plane>': ['turn.plane', 'what moves the packets: auto, native or dgram'],
  '--allow-peer <cidr...>': ['turn.allowPeers', 'lift the peer policy for a range (repeatable)'],
  '--collector <url>': ['relay.collector', 'collector that usage is reported to'],
  '--metrics-port <port>': ['relay.metricsPort', "port of the relay's own /metrics"],
  '--clickhouse <url>': ['clickhouse.url', 'ClickHouse server instead of the embedded one'],
  '--cluster <name>': ['clickhouse.cluster', 'cluster of that server on which the tables are made'],
  '--log-level <level>': ['log.level', 'least severity that is logged'],
} as const satisfies Record<string, readonly [path: string, description: string]>;
export type ConfigFlag = keyof typeof configFlags;

/** Keys whose flag gives text that stands for a number. */
const numericPaths: ReadonlySet<string> = new Set(['http.port', 'turn.port', 'turn.tls.port', 'relay.metricsPort']);

/** What a flag's text means to the schema: a number where the key is one, else the text, for the schema to judge. */
export function flagValue(path: string, value: unknown): unknown {
  if (typeof value !== 'string' || !numericPaths.has(path)) return value;
  return /^\d+$/.test(value) ? Number(value) : value;
}
