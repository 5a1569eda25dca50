/** The pages that the service itself serves: the overview at /, a call through the relay at /try, and what they need. */
import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { json } from '../../kernel/call.ts';
import type { Call } from '../../kernel/call.ts';
import type { Random } from '../../kernel/random.ts';
import { consoleSetup, tryRequest, trySession } from './session.ts';
import type { ConsoleSetup, TryPeer, TryRequest, TrySession } from './session.ts';

/** Access for one peer: a credential, and where and how to report. */
export type IssuedAccess = Pick<TryPeer, 'iceServers' | 'reporting'>;

export interface ConsoleRoutesOptions {
  /** Issues one credential. `ttl` is in seconds. */
  readonly issue: (request: {
    readonly ttl: number;
    readonly call: string;
    readonly participant: string;
    /** As it came: whoever issues the credential judges it. */
    readonly impairment?: unknown;
  }) => IssuedAccess | Promise<IssuedAccess>;
  readonly random: Random;
  /** Shown to a newcomer; nothing of it is secret. */
  readonly setup: ConsoleSetup;
  /** Where the built pages are; beside this file once built. */
  readonly directory?: string;
}

/** Long enough to look around, short enough to be worth nothing to a thief. */
const TTL_SECONDS = 1_800;

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Nothing inline, nothing from elsewhere, framed by nobody. */
export const PAGE_HEADERS = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "media-src 'self' blob: mediastream:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(self), microphone=(self), geolocation=()',
} as const;

const allow = ['operator'] as const;
const group = 'Pages';
const page = { group, answers: { 200: { 'text/html': null }, 304: {} } } as const;

const pages: Readonly<Record<string, { readonly path: string; readonly call: Call }>> = {
  'overview.html': {
    path: '/',
    call: { ...page, name: 'readOverview', summary: 'The console: calls, live and past.' },
  },
  'try.html': {
    path: '/try',
    call: { ...page, name: 'readTry', summary: 'A two-party call through the relay, in the page.' },
  },
};

/** What the page of the calls wears, which anyone may read. */
const publicFiles = new Set(['console.css', 'icon.svg']);

const setupCall: Call = {
  group,
  name: 'readSetup',
  summary: 'What the console tells a newcomer.',
  answers: { 200: json(consoleSetup) },
};

const tryCall: Call = {
  group,
  name: 'openTrySession',
  summary: 'Credentials for the two peers of a call on /try.',
  body: json(tryRequest),
  bodyOptional: true,
  answers: { 201: json(trySession) },
  errors: ['TP_RELAY_KEY', 'TP_RELAY_LIMITS'],
};

export async function consoleRoutes(app: FastifyInstance, options: ConsoleRoutesOptions): Promise<void> {
  const directory = options.directory ?? fileURLToPath(new URL('web', import.meta.url));
  await servePages(app, directory);
  app.get('/console/setup', { config: { allow, call: setupCall } }, () => options.setup);
  app.post('/try/session', { config: { allow, call: tryCall } }, async (request, reply) => {
    const session = await openSession(options, (request.body as TryRequest | undefined)?.impairment);
    return reply.status(201).header('cache-control', 'no-store').send(session);
  });
}

/** Every built file is read once; only those that were there at the start are ever served. */
async function servePages(app: FastifyInstance, directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const type = TYPES[extname(name)];
    if (type === undefined) continue;
    const body = await readFile(`${directory}/${name}`);
    const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
    const headers = { ...PAGE_HEADERS, 'content-type': type, 'cache-control': 'no-cache', etag };
    const { path, call } = pages[name] ?? { path: `/console/${name}`, call: undefined };
    const config = { allow: publicFiles.has(name) ? ('anyone' as const) : allow, ...(call && { call }) };
    app.get(path, { config }, (request: FastifyRequest, reply: FastifyReply) => {
      void reply.headers(headers);
      return request.headers['if-none-match'] === etag ? reply.status(304).send() : reply.send(body);
    });
  }
}

/** Network conditions are peer A's; B has none of its own. */
async function openSession({ issue, random }: ConsoleRoutesOptions, impairment: unknown): Promise<TrySession> {
  const call = `try-${random.bytes(6).toString('hex')}`;
  const peer = async (participant: TryPeer['participant']): Promise<TryPeer> => {
    const { iceServers, reporting } = await issue({
      ttl: TTL_SECONDS,
      call,
      participant,
      ...(participant === 'A' && impairment !== undefined ? { impairment } : {}),
    });
    // the page reports to the server it came from, whatever name it was reached by
    return { participant, iceServers, reporting: { url: new URL(reporting.url).pathname, token: reporting.token } };
  };
  return { call, peers: [await peer('A'), await peer('B')] };
}
