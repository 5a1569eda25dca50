/** What the console's own routes are asked and answer. Schemas and types only: the pages share the types. */
import { z } from 'zod';
import type { Answer } from '../../kernel/answer.ts';

const relayServer = z.object({
  urls: z.array(z.string()),
  username: z.string().exactOptional(),
  credential: z.string().exactOptional(),
});
export type RelayServer = Answer<typeof relayServer>;

/** Network conditions for one peer's leg, as a credential takes them. */
const tryConditions = z.object({
  lossPercent: z.number(),
  delayMs: z.number(),
  jitterMs: z.number(),
  rateKbps: z.number().exactOptional().describe('No limit when left out.'),
});
export type TryConditions = Answer<typeof tryConditions>;

/** POST /try/session; may be left out. */
export const tryRequest = z.object({
  impairment: tryConditions.exactOptional().describe('Network conditions of peer A.'),
});
export type TryRequest = Answer<typeof tryRequest>;

/** What one peer of a call on /try needs. */
const tryPeer = z.object({
  participant: z.enum(['A', 'B']),
  iceServers: z.array(relayServer),
  reporting: z.object({ url: z.string(), token: z.string() }),
});
export type TryPeer = Answer<typeof tryPeer>;

/** 201 of POST /try/session */
export const trySession = z.object({ call: z.string(), peers: z.tuple([tryPeer, tryPeer]) });
export type TrySession = Answer<typeof trySession>;

/** GET /console/setup: what the pages tell a newcomer. */
export const consoleSetup = z.object({ keyId: z.string(), turnUrls: z.array(z.string()) });
export type ConsoleSetup = Answer<typeof consoleSetup>;
