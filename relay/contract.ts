/**
 * The relay's door: what it says to the rest of Turnpike, and what it accepts from it. Schemas and types, no behaviour.
 */
import { z } from 'zod';
import type { Answer } from '../kernel/answer.ts';
import { u64 } from '../kernel/bytes.ts';

/** Name given by an operator or an app: ≤ 64 UTF-8 bytes, no control characters. */
export const shortName = z
  .string()
  .refine((text) => Buffer.byteLength(text) <= 64, 'must be at most 64 UTF-8 bytes')
  // eslint-disable-next-line no-control-regex
  .regex(/^[^\u0000-\u001f\u007f]*$/, 'must not contain control characters')
  .describe('At most 64 UTF-8 bytes, without control characters.');

export const peerClassNames = ['internet', 'own_relay', 'sfu'] as const;

const classTotals = z.strictObject({
  client_rx_bytes: u64,
  client_tx_bytes: u64,
  peer_rx_bytes: u64,
  peer_tx_bytes: u64,
  client_rx_packets: u64,
  client_tx_packets: u64,
  peer_rx_packets: u64,
  peer_tx_packets: u64,
});

/**
 * One reading of one allocation's cumulative counters. Identity is (server_id, boot_id, allocation_id, seq): sending it
 * again is harmless. Bytes are those of relayed frames as handed to the socket: client side with ChannelData or
 * Data/Send framing (TCP/TLS: the TURN stream), peer side raw. `egress` = bytes sent to the client =
 * Σ classes.client_tx_bytes + client_control_tx_bytes.
 */
export const usageRecord = z.strictObject({
  server_id: shortName.min(1),
  boot_id: z.uuid(),
  allocation_id: z.uuid(),
  seq: z.int().nonnegative(),
  window_end: z.int().positive().describe('Unix milliseconds at which the counters were read.'),
  app_id: shortName.min(1),
  key_id: shortName.min(1),
  custom_id: shortName,
  call_id: shortName,
  participant_id: shortName,
  transport: z.enum(['udp', 'tcp', 'tls']),
  client_family: z.union([z.literal(4), z.literal(6)]),
  relay_family: z.union([z.literal(4), z.literal(6)]),
  final: z
    .boolean()
    .describe(
      'Whether this is the allocation’s last reading of this boot. One that outlives its relay’s process goes on in the next.',
    ),
  client_control_tx_bytes: u64,
  classes: z.strictObject({ internet: classTotals, own_relay: classTotals, sfu: classTotals }),
});
export type UsageRecord = z.output<typeof usageRecord>;

/** POST /v1/usage */
export const usageBatch = z
  .strictObject({ records: z.array(usageRecord).min(1).max(1000) })
  .describe('Cumulative readings, each known by (server_id, boot_id, allocation_id, seq).');
export type UsageBatch = z.output<typeof usageBatch>;

/** Seconds a credential may live: 1 s to 48 h. */
export const MAX_TTL_SECONDS = 172_800;
export const DEFAULT_TTL_SECONDS = 3_600;

/** Limits that ride in a credential. */
export const credentialLimits = z.strictObject({
  allocations: z.int().positive().max(10_000).optional(),
  bytes: u64.optional(),
  packetsPerSecond: z.int().positive().max(10_000_000).optional(),
  bitsPerSecond: z.int().positive().max(1_000_000_000_000).optional(),
  newPeersPerSecond: z.int().positive().max(100_000).optional(),
});
export type CredentialLimits = z.output<typeof credentialLimits>;

/** The longest that a packet may be delayed, and jitter sway it, in milliseconds. */
export const MAX_IMPAIRMENT_MS = 5_000;

/**
 * Network conditions for a credential's media, once per direction on its client's leg. TURN's own requests and answers are
 * left alone.
 */
export const impairment = z.strictObject({
  lossPercent: z.number().min(0).max(100).optional().describe('Percent of packets, to a hundredth.'),
  delayMs: z.int().min(0).max(MAX_IMPAIRMENT_MS).optional().describe('Milliseconds.'),
  jitterMs: z
    .int()
    .min(0)
    .max(MAX_IMPAIRMENT_MS)
    .optional()
    .describe('Milliseconds that each packet’s delay is more or less at most, uniformly; packets keep their order.'),
  rateKbps: z
    .int()
    .min(8)
    .max(10_000_000)
    .optional()
    .describe('Kilobits a second of relayed frames; 300 ms of it may wait, the rest is lost.'),
});
export type Impairment = z.output<typeof impairment>;

/** POST …/credentials/generate-ice-servers */
export const generateRequest = z.object({
  ttl: z.int().min(1).max(MAX_TTL_SECONDS).default(DEFAULT_TTL_SECONDS).describe('Seconds.'),
  customIdentifier: shortName.optional().describe('The customer, as statements name it: at most 64 UTF-8 bytes.'),
  call: shortName.optional(),
  participant: shortName.optional(),
  limits: credentialLimits.optional().describe('At most what the app’s ceilings allow.'),
  impairment: impairment.optional().describe('Network conditions, for keys that allow them.'),
});
export type GenerateRequest = z.output<typeof generateRequest>;

/** Seconds that the TURN REST draft recommends (draft-uberti-behave-turn-rest-00 §2.2), and Twilio's default and maximum. */
export const TURN_REST_TTL_SECONDS = 86_400;
export const MAX_TWILIO_TTL_SECONDS = 86_400;

/** Whole seconds as text: of a query, of a form. */
const secondsText = (most: number) =>
  z
    .string()
    .regex(/^\d{1,6}$/, 'must be a whole number of seconds')
    .transform(Number)
    .pipe(z.int().min(1).max(most));

/** GET /turn: the TURN REST draft's parameters; `key` is the API token, `ttl` an addition of ours. */
export const turnRestRequest = z.object({
  service: z.literal('turn'),
  username: shortName.optional().describe('Becomes the customer.'),
  ttl: secondsText(MAX_TTL_SECONDS).default(TURN_REST_TTL_SECONDS).describe('Seconds; 86400 when left out.'),
});

/** POST …/Tokens.json: the form of Twilio's Network Traversal Service. */
export const twilioRequest = z.object({
  Ttl: secondsText(MAX_TWILIO_TTL_SECONDS).default(MAX_TWILIO_TTL_SECONDS).describe('Seconds; 86400 when left out.'),
});

export const iceServer = z
  .object({ urls: z.array(z.string()), username: z.string().exactOptional(), credential: z.string().exactOptional() })
  .describe('As RTCPeerConnection takes it.');
export type IceServer = Answer<typeof iceServer>;

const reporting = z
  .object({ url: z.string(), token: z.string() })
  .describe('Where and with which token a client reports its getStats.');

export const iceServersAnswer = z.object({ iceServers: z.array(iceServer), reporting }).meta({ id: 'IceServers' });
export type IceServersAnswer = Answer<typeof iceServersAnswer>;

/** Answer of Cloudflare's older …/credentials/generate. */
export const legacyIceServersAnswer = z.object({ iceServers: iceServer, reporting });
export type LegacyIceServersAnswer = Answer<typeof legacyIceServersAnswer>;

/** Answer of the TURN REST draft. */
export const turnRestAnswer = z.object({
  username: z.string(),
  password: z.string(),
  ttl: z.int().describe('Seconds.'),
  uris: z.array(z.string()),
});
export type TurnRestAnswer = Answer<typeof turnRestAnswer>;

/** Answer of Twilio's Network Traversal Service. */
export const twilioTokenAnswer = z.object({
  username: z.string(),
  password: z.string(),
  ttl: z.string().describe('Seconds, as text.'),
  account_sid: z.string(),
  date_created: z.string().describe('RFC 2822.'),
  date_updated: z.string(),
  ice_servers: z.array(
    z.object({
      url: z.string(),
      urls: z.string(),
      username: z.string().exactOptional(),
      credential: z.string().exactOptional(),
    }),
  ),
});
export type TwilioTokenAnswer = Answer<typeof twilioTokenAnswer>;

/** What a sealed username carries, readable only by relays that hold the key's secret. */
export interface CredentialClaims {
  readonly customId: string;
  readonly call: string;
  readonly participant: string;
  readonly limits: CredentialLimits;
  readonly impairment?: Impairment | undefined;
}

/** GET /v1/relays/control: what a relay has already, as the last answer said; nothing for a relay that has nothing. */
export const controlQuery = z.object({ cursor: z.string().max(64).optional() });

/** Revocations in one answer at most; a cursor that is behind gets the rest at once with the next question. */
export const MAX_REVOCATIONS = 1_000;

/** A credential that its app has taken back. There is no way to give it again. */
export const revocation = z.object({
  username: z.string().min(1).max(508),
  until: z
    .int()
    .positive()
    .describe('Unix milliseconds after which nobody can use the credential any more, whatever a relay knows.'),
});
export type Revocation = z.output<typeof revocation>;

/** An app that has carried, over all relays, what it may. */
export const appCap = z.object({
  app: shortName.min(1),
  until: z
    .int()
    .positive()
    .describe('Unix milliseconds after which it may go on, whatever a relay knows: the end of the billing period.'),
});
export type AppCap = z.output<typeof appCap>;

/** Members that a relay does not know are ignored: collectors are upgraded first. */
export const controlAnswer = z.object({
  cursor: z.string().min(1).max(64).describe('To be sent with the next question.'),
  revocations: z
    .array(revocation)
    .max(MAX_REVOCATIONS)
    .describe('Those that the cursor of the question did not cover; all that are in force when it was unknown.'),
  caps: z
    .array(appCap)
    .max(10_000)
    .optional()
    .describe(
      'All that are in force, whatever the cursor; absent when the collector does not know yet, and those heard before stay.',
    ),
});
export type ControlAnswer = z.output<typeof controlAnswer>;
