/** What a request of ClickHouse's HTTP interface asks, in one form: a text, parameters, and the headers that matter. */
import type { FastifyRequest } from 'fastify';
import { TurnpikeError } from '../../kernel/errors.ts';

export interface Question {
  readonly sql: string;
  /** Settings, `param_…`, format and database, as they came. */
  readonly search: URLSearchParams;
  readonly headers: Readonly<Record<string, string>>;
}

/** Below what the server reads of a query (`max_query_size`, 262144), so that it always sees the whole of it. */
export const MAX_QUERY_BYTES = 256_000;

/** The service has a login of its own at the store; who asks is known already. */
const CREDENTIALS = ['user', 'password'];
/** A session would outlive its request and keep memory; `decompress` and external tables hide the query's text. */
const REFUSED = ['session_id', 'session_timeout', 'session_check', 'close_session', 'decompress'];
const PASSED_ON = ['accept-encoding', 'x-clickhouse-format'];

/** Throws TP_KERNEL_INVALID, TP_KERNEL_CONTENT_TYPE or TP_KERNEL_BODY_TOO_LARGE for what cannot be read as one query. */
export function readQuestion(request: FastifyRequest): Question {
  const { 'content-type': type = '', 'content-encoding': encoding = 'identity' } = request.headers;
  if (/^multipart\//i.test(type) || encoding !== 'identity') {
    throw new TurnpikeError('TP_KERNEL_CONTENT_TYPE', 'The query must be plain text, in the body or in ?query=.');
  }
  const search = new URL(request.url, 'http://turnpike').searchParams;
  const refused = REFUSED.filter((name) => search.has(name));
  const issues = refused.map((path) => ({ path, message: 'is not offered here' }));
  const sql = [...search.getAll('query'), bodyOf(request)].filter((part) => part.trim() !== '').join('\n');
  if (issues.length === 0 && sql === '') issues.push({ path: 'query', message: 'must be there, or a body' });
  if (issues.length > 0) throw new TurnpikeError('TP_KERNEL_INVALID', undefined, { issues });
  if (Buffer.byteLength(sql) > MAX_QUERY_BYTES) throw new TurnpikeError('TP_KERNEL_BODY_TOO_LARGE');
  const database = search.get('database') ?? request.headers['x-clickhouse-database'];
  for (const name of ['query', 'database', ...CREDENTIALS]) search.delete(name);
  if (typeof database === 'string') search.set('database', database);
  const headers = PASSED_ON.flatMap((name) => {
    const value = request.headers[name];
    return typeof value === 'string' ? [[name, value] as const] : [];
  });
  return { sql, search, headers: Object.fromEntries(headers) };
}

/** ClickHouse's SQL is UTF-8; bytes that are not become U+FFFD, for the inspection and for the query alike. */
function bodyOf({ body }: FastifyRequest): string {
  return Buffer.isBuffer(body) ? body.toString('utf8') : '';
}
