/** What a route says of itself against what it did: the status, the answer, the error code, and what it took for a good request. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { anywhere, errorsOf } from '../kernel/call.ts';
import type { Audience, Call, Content } from '../kernel/call.ts';
import { errorBody } from '../kernel/errors.ts';

interface Described {
  readonly call: Call;
  readonly allow: Audience;
}

export function faultsOf(
  { call, allow }: Described,
  request: FastifyRequest,
  reply: FastifyReply,
  payload: unknown,
): string[] {
  const status = reply.statusCode;
  const content = call.answers[status];
  if (content === undefined && typeof payload !== 'string' && call.answers.default !== undefined) return [];
  if (content === undefined) {
    const error = errorBody.safeParse(typeof payload === 'string' ? JSON.parse(payload) : payload);
    if (!error.success) return ['neither an answer nor an error that is described'];
    const { code } = error.data.error;
    const codes: readonly string[] = [...anywhere, ...errorsOf(call, allow)];
    return codes.includes(code) ? [] : [`${code} is not among its errors`];
  }
  const faults = contentFaults(content, reply.getHeader('content-type'), payload);
  return status >= 300 || status === 207 ? faults : [...faults, ...requestFaults(call, request)];
}

function contentFaults(content: Content, header: unknown, payload: unknown): string[] {
  if (Object.keys(content).length === 0) return payload === undefined || payload === '' ? [] : ['has content'];
  const type = mediaType(header);
  const schema = content[Object.hasOwn(content, type) ? type : '*/*'];
  if (schema === undefined) return [`the type ${type}`];
  if (schema === null) return [];
  const said: unknown = JSON.parse(String(payload));
  const read = schema.safeParse(said);
  if (!read.success) return [z.prettifyError(read.error)];
  // members that are not described are left out by the schema
  return JSON.stringify(sorted(read.data)) === JSON.stringify(sorted(said)) ? [] : ['members that are not described'];
}

function requestFaults(call: Call, { params, query, body, headers }: FastifyRequest): string[] {
  const schema = call.body?.[mediaType(headers['content-type'])];
  const judged = [
    ['parameters', call.params, params],
    ['query', call.query, query],
    ['body', schema, body],
  ] as const;
  return judged.flatMap(([name, described, value]) => {
    if (described === undefined || described === null || (value === undefined && call.bodyOptional === true)) return [];
    const read = described.safeParse(value);
    return read.success ? [] : [`took a ${name} that is not described: ${z.prettifyError(read.error)}`];
  });
}

const mediaType = (header: unknown): string => String(header).split(';')[0] ?? '';

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]) => [name, sorted(member)]),
  );
}
