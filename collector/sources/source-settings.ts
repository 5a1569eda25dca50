/** Where egress is counted besides our own relays: the `sources` of the configuration. */
import { z } from 'zod';
import { shortName } from '../../relay/contract.ts';

/**
 * How far a source's counter can be trusted for a bill. `exact`: every byte, as it is sent. `late`: every byte, but only when a
 * session has ended, so that a call over the end of a month counts in the next. `lossy`: as it is sent, but some may be missing.
 * `sampled`: its provider's estimate, which need not be what it bills. `estimated`: ours, from rates.
 */
export const grades = ['exact', 'late', 'lossy', 'sampled', 'estimated'] as const;
export type Grade = (typeof grades)[number];

/** What a server is that counts: an SFU, or a TURN server that is not ours. */
export const meters = ['sfu', 'turn'] as const;
export type Meter = (typeof meters)[number];

const base = {
  name: z.string().regex(/^[a-z][a-z0-9_-]{0,31}$/, 'must be lower-case letters, digits, _ and -'),
  /** Who is charged; absent: the only app there is. */
  app: shortName.min(1).optional(),
};
const pulled = {
  ...base,
  url: z.url({ protocol: /^https?$/ }),
  /** Value of an Authorization header. */
  authorization: z.string().min(1).max(4_096).optional(),
  intervalSeconds: z.int().min(1).max(3_600).default(15),
};

/** One file each says what these know: scraped.ts. */
export const presets = ['jitsi-videobridge', 'coturn', 'eturnal'] as const;

export const sourceSettings = z.discriminatedUnion('kind', [
  z.strictObject({
    ...pulled,
    kind: z.literal('prometheus'),
    metric: z.string().regex(/^[a-zA-Z_:][a-zA-Z0-9_:]*$/),
    /** Labels that a series must have. */
    match: z.record(z.string(), z.string()).default({}),
    grade: z.enum(grades).default('exact'),
    meter: z.enum(meters).default('sfu'),
  }),
  z.strictObject({
    ...pulled,
    kind: z.literal('json'),
    /** JSON Pointer (RFC 6901) to the counter. */
    pointer: z.string().regex(/^(\/[^/]*)+$/),
    grade: z.enum(grades).default('exact'),
    meter: z.enum(meters).default('sfu'),
  }),
  z.strictObject({ ...pulled, kind: z.literal('galene'), intervalSeconds: z.int().min(1).max(60).default(5) }),
  z.strictObject({
    ...pulled,
    kind: z.literal('ant-media'),
    /** An application of the server: what is asked lies below it. */
    url: pulled.url.refine((url) => !/[?#]|\/$/.test(url), 'must end with the name of an application'),
  }),
  z.strictObject({
    ...pulled,
    kind: z.literal('livekit'),
    /** Secrets of the API keys that sign its webhooks, by key, as `keys` of LiveKit's own configuration has them. */
    webhookKeys: z.record(z.string().min(1).max(64), z.string().min(1).max(256)).default({}),
  }),
  ...presets.map((kind) => z.strictObject({ ...pulled, kind: z.literal(kind) })),
  z.strictObject({
    ...base,
    kind: z.literal('coturn-redis'),
    /** The Redis of coturn's `--redis-statsdb`, one coturn to a Redis. */
    url: z.url({ protocol: /^rediss?$/ }),
  }),
  z.strictObject({
    ...base,
    kind: z.literal('janus'),
    /** What your application puts into `opaque_id`. */
    opaqueId: z.enum(['participant', 'customer']).default('participant'),
    /** How long it may tell nothing of calls that it carries: longer than its `stats_period`. */
    silentSeconds: z.int().min(2).max(3_600).default(60),
  }),
  z.strictObject({
    ...base,
    kind: z.literal('cloudflare'),
    dataset: z.enum(meters),
    /** Account tag. */
    account: z.string().regex(/^[0-9a-f]{32}$/, 'must be 32 hexadecimal digits'),
    /** API token with the permission "Account Analytics: Read". */
    token: z.string().regex(/^[\x21-\x7e]{1,4096}$/, 'must be printable ASCII without spaces'),
    /** The only TURN key or SFU app that is meant; absent: all of the account. */
    owner: z.string().min(1).max(64).optional(),
    /** How long after its end a quarter of an hour is asked for. */
    settleSeconds: z.int().min(60).max(86_400).default(600),
    url: z.url({ protocol: /^https?$/ }).default('https://api.cloudflare.com/client/v4/graphql'),
  }),
]);
export type SourceSettings = z.output<typeof sourceSettings>;
export type PulledSettings = Exclude<SourceSettings, { kind: 'janus' | 'coturn-redis' | 'cloudflare' }>;
export type LiveKitSettings = Extract<SourceSettings, { kind: 'livekit' }>;
export type JanusSettings = Extract<SourceSettings, { kind: 'janus' }>;
export type CloudflareSettings = Extract<SourceSettings, { kind: 'cloudflare' }>;

/** Whether its server is asked for counters: the others push them, publish them, or tell something else. */
export function isPulled<S extends SourceSettings>(settings: S): settings is S & PulledSettings {
  return settings.kind !== 'janus' && settings.kind !== 'coturn-redis' && settings.kind !== 'cloudflare';
}

/** What the counters of each kind are worth, where the configuration does not say (docs/config.md). */
const gradesOfKinds: Readonly<Record<Exclude<SourceSettings['kind'], 'prometheus' | 'json'>, Grade>> = {
  janus: 'exact',
  livekit: 'exact',
  'jitsi-videobridge': 'late',
  coturn: 'late',
  'coturn-redis': 'lossy',
  eturnal: 'late',
  cloudflare: 'sampled',
  galene: 'estimated',
  'ant-media': 'lossy',
};

export function gradeOf(settings: SourceSettings): Grade {
  return settings.kind === 'prometheus' || settings.kind === 'json' ? settings.grade : gradesOfKinds[settings.kind];
}
