/** What can go wrong, as callers are told. */
import { z } from 'zod';
import type { Answer } from './answer.ts';

/**
 * Every error a caller can meet over HTTP or on the command line, in one table: code, status, sentence.
 * Codes are `TP_<ROOM>_<FAULT>` and are never reused. The reference (docs/errors.md) is tested against this table.
 */
export const errorTable = {
  TP_KERNEL_NOT_FOUND: [404, 'There is no such route.'],
  TP_KERNEL_METHOD: [405, 'This route does not answer that method.'],
  TP_KERNEL_CONTENT_TYPE: [415, 'The body must be JSON (application/json), or a form where the route says so.'],
  TP_KERNEL_BODY_TOO_LARGE: [413, 'The body is larger than this route accepts.'],
  TP_KERNEL_BAD_HTTP: [400, 'The request is not well-formed HTTP/1.1.'],
  TP_KERNEL_HEADERS_TOO_LARGE: [431, 'The headers are larger than this server accepts.'],
  TP_KERNEL_TIMEOUT: [408, 'The request did not arrive in time.'],
  TP_KERNEL_BAD_JSON: [400, 'The body is not valid JSON.'],
  TP_KERNEL_INVALID: [400, 'The request does not have the expected shape.'],
  TP_KERNEL_UNAUTHORISED: [401, 'A valid token is required.'],
  TP_KERNEL_FORBIDDEN: [403, 'This token may not do that.'],
  TP_KERNEL_HOST: [403, 'The Host header names another server.'],
  TP_KERNEL_ORIGIN: [403, 'Requests from that origin are not allowed.'],
  TP_KERNEL_RATE_LIMITED: [429, 'Too many requests; try again later.'],
  TP_KERNEL_INTERNAL: [500, 'Something went wrong on our side; the log has the details.'],
  TP_KERNEL_CONFIG: [500, 'The configuration has faults.'],
  TP_RELAY_KEY: [404, 'There is no such TURN key.'],
  TP_RELAY_TTL: [400, 'ttl must be a whole number of seconds from 1 to 172800.'],
  TP_RELAY_LIMITS: [400, 'The limits asked for are above what this app allows.'],
  TP_RELAY_USERNAME: [400, 'This is no username that the key could have issued.'],
  TP_RELAY_REVOCATIONS: [429, 'The app has too many revocations in force; end the credentials by a shorter ttl.'],
  TP_RELAY_START: [500, 'The relay could not start.'],
  TP_RELAY_CERTIFICATE: [500, 'The TLS certificate cannot be used.'],
  TP_COLLECTOR_STORE_UNAVAILABLE: [
    503,
    'The store cannot be reached; nothing of this request was kept. Try again later.',
  ],
  TP_COLLECTOR_SPOOL_FULL: [
    503,
    'The store cannot be reached and there is no room for more on the disk; nothing of this request was kept. Try again later.',
  ],
  TP_COLLECTOR_STORE_LOCKED: [500, 'The data directory is in use by another service.'],
  TP_COLLECTOR_STORE_MISSING: [500, 'The embedded store is not available here; give a server with --clickhouse URL.'],
  TP_COLLECTOR_STORE_START: [500, 'The embedded store did not start.'],
  TP_COLLECTOR_STORE_NEWER: [500, 'The tables were made by a newer version of Turnpike.'],
  TP_COLLECTOR_STORE_CLUSTER: [
    500,
    'The tables of this database are not of the kind that clickhouse.cluster asks for: give another database.',
  ],
  TP_COLLECTOR_STORE_CERTIFICATE: [500, 'A certificate or key for the ClickHouse server cannot be used.'],
  TP_COLLECTOR_CLOCK: [
    400,
    'Times of the report are too far from now; nothing of it was kept. Correct its offset by serverTime.',
  ],
  TP_COLLECTOR_ENCODING: [
    415,
    'The content encoding must be gzip, deflate or br, or zstd where the system has libzstd.',
  ],
  TP_COLLECTOR_UPGRADE: [426, 'This route speaks WebSocket only.'],
  TP_COLLECTOR_COMPRESSION: [400, 'The body is not what its content encoding says.'],
  TP_COLLECTOR_FORMAT: [400, 'This is a recording in none of the formats that are understood.'],
  TP_COLLECTOR_DESYNC: [
    400,
    'The differences do not continue anything that was sent before: begin with a whole sample.',
  ],
  TP_COLLECTOR_EMPTY: [400, 'The recording has no connection in it.'],
  TP_COLLECTOR_RETENTION: [400, 'All of the recording is older than what the store keeps, or in the future.'],
  TP_COLLECTOR_QUERY: [403, 'Queries here only read.'],
  TP_COLLECTOR_CALL: [404, 'There is no such call.'],
  TP_COLLECTOR_ERASURE: [
    503,
    'The erasure is in force, but the store has not finished removing rows (see system.mutations); ask again later.',
  ],
  TP_BILLING_PERIOD: [400, 'The period must be a month such as 2026-11.'],
  TP_BILLING_RATE_CARD: [404, 'There is no such rate card.'],
  TP_BILLING_RATE_CARD_INVALID: [500, 'The rate card has faults.'],
  TP_BILLING_PARAMETER: [400, 'A model parameter is unknown or out of range.'],
  TP_RELAY_IMPAIRMENT: [403, 'This TURN key does not allow network conditions in its credentials.'],
  TP_CLI_IMPORT: [400, 'A recording could not be read.'],
  TP_CLI_USAGE: [400, 'The command line is not understood.'],
  TP_CLI_LISTEN: [500, 'An HTTP port could not be opened.'],
  TP_CLI_CHECK: [500, 'The server to be checked cannot be reached.'],
  TP_CLI_ROLE: [500, 'A part of the service did not start.'],
} as const satisfies Record<string, readonly [status: number, message: string]>;

export type ErrorCode = keyof typeof errorTable;

/** Where something is wrong, and what. */
export const issue = z
  .object({ path: z.string().describe('Members and indexes, with dots between.'), message: z.string() })
  .meta({ id: 'Issue' });
export type Issue = Answer<typeof issue>;

/** The one error shape of the HTTP side. */
export const errorBody = z
  .object({
    error: z.object({
      code: z
        .enum(Object.keys(errorTable) as ErrorCode[])
        .describe('Stable, and never reused. Each call names those that it may answer.'),
      message: z.string().describe('A sentence for people.'),
      issues: z.array(issue).exactOptional().describe('Each fault of the request, where it has several.'),
    }),
    serverTime: z.number().exactOptional().describe('Unix milliseconds at receipt, beside TP_COLLECTOR_CLOCK.'),
  })
  .meta({ id: 'Error' });
export type ErrorBody = Answer<typeof errorBody>;

interface ErrorOptions {
  readonly issues?: readonly Issue[];
  readonly cause?: unknown;
  /** Members of the answer beside `error`. */
  readonly beside?: Readonly<Record<string, number>>;
}

/** An error with a stable code. `detail` replaces the table's sentence where something more exact is known. */
export class TurnpikeError extends Error {
  readonly code: ErrorCode;
  readonly status: number;
  readonly issues: readonly Issue[];
  readonly beside: Readonly<Record<string, number>>;
  constructor(code: ErrorCode, detail?: string, options: ErrorOptions = {}) {
    const [status, message] = errorTable[code];
    super(detail ?? message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'TurnpikeError';
    this.code = code;
    this.status = status;
    this.issues = options.issues ?? [];
    this.beside = options.beside ?? {};
  }
  toBody(): ErrorBody {
    return {
      ...this.beside,
      error: {
        code: this.code,
        message: this.message,
        ...(this.issues.length > 0 ? { issues: this.issues } : {}),
      },
    };
  }
}

/** The faults of a zod check as path and sentence, ready for an error body. */
export function issuesOf(error: { issues: readonly { path: readonly PropertyKey[]; message: string }[] }): Issue[] {
  return error.issues.map((issue) => ({ path: issue.path.map(String).join('.'), message: issue.message }));
}
