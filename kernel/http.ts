/**
 * The HTTP side's common ground: one error shape, one way to say who may call, one check against DNS rebinding and
 * cross-site requests. Rooms export fastify plugins; cli/ mounts them on the instance made here.
 */
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import Fastify, { LogController } from 'fastify';
import type { FastifyBaseLogger, FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { bigintAsString } from './bytes.ts';
import { isLoopbackHost } from './address.ts';
import type { Audience, Call } from './call.ts';
import { issuesOf, TurnpikeError } from './errors.ts';
import type { Logger } from './log.ts';
import type { Authority, Principal } from './principals.ts';
import type { z } from 'zod';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call this route; `anyone` is public. */
    allow?: Audience;
    /** What the route is to its callers; files of pages have none. */
    call?: Call;
    /** Query parameter in which the token is accepted too (beacons cannot set headers; the TURN REST draft has `key`). */
    tokenInQuery?: 'token' | 'key';
    /** Header in which the token is accepted too (ClickHouse's clients over TLS have one of their own). */
    tokenInHeader?: 'x-clickhouse-key';
  }
  interface FastifyRequest {
    principal: Principal | undefined;
  }
}

export interface HttpOptions {
  readonly log: Logger;
  readonly authority: Authority;
  /** Address the server binds. On loopback, people need no login, but Host and Origin are checked. */
  readonly host: string;
  /** Further names under which the server is reached (a reverse proxy's public name). */
  readonly publicHosts?: readonly string[];
  /** Proxies whose X-Forwarded-For says who called, as addresses and ranges. */
  readonly trustProxy?: readonly string[];
  /** Largest body in bytes unless a route says otherwise. */
  readonly bodyLimit?: number;
}

const DEFAULT_BODY_LIMIT = 1_048_576;

export function createHttp(options: HttpOptions): FastifyInstance {
  const loggerInstance: FastifyBaseLogger = options.log;
  const app: FastifyInstance = Fastify({
    loggerInstance,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: options.bodyLimit ?? DEFAULT_BODY_LIMIT,
    routerOptions: { maxParamLength: 600 },
    requestTimeout: 60_000,
    trustProxy: [...(options.trustProxy ?? [])],
    forceCloseConnections: true,
    clientErrorHandler: refuseBytes,
    frameworkErrors: (error, request, reply) => void sendError(error, request, reply),
  });
  app.removeContentTypeParser('text/plain'); // JSON only, unless a route's plugin says otherwise
  const routes = recordRoutes(app);
  app.decorateRequest('principal', undefined);
  app.setSerializerCompiler(() => (data) => JSON.stringify(data, bigintAsString));
  app.setReplySerializer((data) => JSON.stringify(data, bigintAsString));
  app.addHook('onRequest', async (request) => {
    const allow = request.routeOptions.config.allow;
    if (allow === undefined || allow === 'anyone') return;
    request.principal = identify(request, options);
    if (request.principal === undefined) throw new TurnpikeError('TP_KERNEL_UNAUTHORISED');
    if (!allow.includes(request.principal.kind)) throw new TurnpikeError('TP_KERNEL_FORBIDDEN');
  });
  app.setErrorHandler((error: FastifyError | TurnpikeError, request, reply) => sendError(error, request, reply));
  app.setNotFoundHandler((request, reply) => {
    const methods = routes.methodsOf(request.url);
    if (methods.length === 0) return sendError(new TurnpikeError('TP_KERNEL_NOT_FOUND'), request, reply);
    void reply.header('allow', methods.join(', '));
    return sendError(new TurnpikeError('TP_KERNEL_METHOD'), request, reply);
  });
  return app;
}

/** Checks a body, query or parameters at the door; all faults are reported together. */
export function check<S extends z.ZodType>(
  schema: S,
  value: unknown,
  code: 'TP_KERNEL_INVALID' = 'TP_KERNEL_INVALID',
): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new TurnpikeError(code, undefined, { issues: issuesOf(result.error) });
}

/** Who calls: a token first, else a person in front of a loopback service. */
function identify(request: FastifyRequest, options: HttpOptions): Principal | undefined {
  const token = tokenOf(request);
  if (token !== undefined) return options.authority.authenticate(token);
  const allow = request.routeOptions.config.allow;
  if (!isLoopbackHost(options.host) || !Array.isArray(allow) || !allow.includes('operator')) return undefined;
  requireOwnPage(request, options);
  return { kind: 'operator' };
}

/** Bearer, or HTTP Basic with the token as password (a browser's own login box), or a query parameter where the route takes one. */
function tokenOf(request: FastifyRequest): string | undefined {
  const [scheme = '', value = ''] = (request.headers.authorization ?? '').split(' ');
  if (scheme.toLowerCase() === 'bearer' && value !== '') return value;
  if (scheme.toLowerCase() === 'basic' && value !== '') {
    requireSameOrigin(request);
    return Buffer.from(value, 'base64')
      .toString('utf8')
      .replace(/^[^:]*:/, '');
  }
  const { tokenInHeader: header, tokenInQuery: parameter } = request.routeOptions.config;
  const inHeader = header === undefined ? undefined : request.headers[header];
  if (typeof inHeader === 'string') return inHeader;
  if (parameter === undefined) return undefined;
  const inQuery = (request.query as Record<string, unknown>)[parameter];
  return typeof inQuery === 'string' ? inQuery : undefined;
}

/** Refuses another server's name (DNS rebinding) and another site's page (cross-site requests). */
function requireOwnPage(request: FastifyRequest, options: HttpOptions): void {
  const host = request.headers.host ?? '';
  const name = host.replace(/:\d+$/, '').toLowerCase();
  const known = isLoopbackHost(name) || (options.publicHosts ?? []).includes(name);
  if (!known) throw new TurnpikeError('TP_KERNEL_HOST');
  requireSameOrigin(request);
}

function requireSameOrigin(request: FastifyRequest): void {
  const { origin, host } = request.headers;
  const site = request.headers['sec-fetch-site'];
  if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`) {
    throw new TurnpikeError('TP_KERNEL_ORIGIN');
  }
  // A link from another page may open the console (a navigation); nothing else crosses sites.
  const navigation = request.headers['sec-fetch-mode'] === 'navigate' && request.method === 'GET';
  if ((site === 'cross-site' || site === 'same-site') && !navigation) throw new TurnpikeError('TP_KERNEL_ORIGIN');
}

const FASTIFY_FAULTS: Readonly<Record<string, ConstructorParameters<typeof TurnpikeError>[0]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'TP_KERNEL_BODY_TOO_LARGE',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'TP_KERNEL_CONTENT_TYPE',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'TP_KERNEL_BAD_JSON',
  FST_ERR_CTP_INVALID_JSON_BODY: 'TP_KERNEL_BAD_JSON',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'TP_KERNEL_INVALID',
  FST_ERR_BAD_URL: 'TP_KERNEL_NOT_FOUND',
  FST_ERR_MAX_PARAM_LENGTH: 'TP_KERNEL_NOT_FOUND',
};

function sendError(error: FastifyError | TurnpikeError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const known = asTurnpikeError(error);
  if (known.status >= 500) request.log.error({ err: error, route: request.routeOptions.url }, 'request failed');
  if (known.code === 'TP_KERNEL_UNAUTHORISED') void reply.header('www-authenticate', challengeFor(request));
  if (known.status === 503 && !reply.hasHeader('retry-after')) void reply.header('retry-after', '2');
  return reply.status(known.status).type('application/json').send(known.toBody());
}

/** What Node's parser says of bytes that never become a request; everything else is not HTTP. */
const PARSER_FAULTS: Readonly<Record<string, ConstructorParameters<typeof TurnpikeError>[0]>> = {
  HPE_HEADER_OVERFLOW: 'TP_KERNEL_HEADERS_TOO_LARGE',
  ERR_HTTP_REQUEST_TIMEOUT: 'TP_KERNEL_TIMEOUT',
};

/** Answers bytes that are no request in the one error shape, and hangs up. */
function refuseBytes(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const fault = new TurnpikeError(PARSER_FAULTS[error.code ?? ''] ?? 'TP_KERNEL_BAD_HTTP');
  const body = JSON.stringify(fault.toBody());
  const head = [
    `HTTP/1.1 ${fault.status} ${STATUS_CODES[fault.status] ?? ''}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}

/** What an error of a route is answered with. */
export function asTurnpikeError(error: FastifyError | TurnpikeError): TurnpikeError {
  if (error instanceof TurnpikeError) return error;
  const mapped = FASTIFY_FAULTS[error.code];
  if (mapped !== undefined) return new TurnpikeError(mapped);
  if (error instanceof SyntaxError && error.statusCode === 400) return new TurnpikeError('TP_KERNEL_BAD_JSON');
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500) {
    return new TurnpikeError('TP_KERNEL_INVALID', error.message);
  }
  return new TurnpikeError('TP_KERNEL_INTERNAL', undefined, { cause: error });
}

/** A browser opening a page gets a login box, a program gets the scheme it should use. */
function challengeFor(request: FastifyRequest): string {
  const wantsPage = (request.headers.accept ?? '').includes('text/html');
  return wantsPage ? 'Basic realm="Turnpike", charset="UTF-8"' : 'Bearer';
}

/** Remembers the routes, so that a wrong method is told apart from an unknown path, and each route is known to have its guard. */
function recordRoutes(app: FastifyInstance): { methodsOf(url: string): string[] } {
  const known: { pattern: RegExp; methods: string[] }[] = [];
  app.addHook('onRoute', (route) => {
    if (route.config?.allow === undefined && route.method !== 'OPTIONS') {
      throw new Error(`route ${route.url} does not say who may call it`);
    }
    const escaped = route.url
      .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
      .replace(/:[A-Za-z]+/g, '[^/]+')
      .replace(/\*$/, '.*');
    known.push({ pattern: new RegExp(`^${escaped}$`), methods: [route.method].flat() });
  });
  return {
    methodsOf(url) {
      const path = decoded(url.split('?')[0] ?? '');
      return [...new Set(known.filter((route) => route.pattern.test(path)).flatMap((route) => route.methods))];
    },
  };
}

/** As the router reads it; what it cannot read never comes here. */
function decoded(path: string): string {
  try {
    return decodeURI(path);
  } catch {
    return path;
  }
}
