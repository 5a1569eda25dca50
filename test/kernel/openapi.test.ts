import type { FastifyReply, FastifyRequest } from 'fastify';
import Fastify from 'fastify';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { docsPage } from '../../dashboards/console/docs-page.ts';
import { u64 } from '../../kernel/bytes.ts';
import { errorsOf, json } from '../../kernel/call.ts';
import type { Audience, Call } from '../../kernel/call.ts';
import { TurnpikeError } from '../../kernel/errors.ts';
import { recordCalls } from '../../kernel/openapi.ts';
import type { OpenApiDocument } from '../../kernel/openapi.ts';
import { faultsOf } from '../described.ts';

const toll = z.object({ bytes: z.string(), at: z.iso.datetime() }).meta({ id: 'Toll' });
const call: Call = {
  name: 'payToll',
  group: 'Tolls',
  summary: 'Pays `now` & <here>.',
  params: z.object({ gate: z.string().min(2).describe('Which one.') }),
  query: z.strictObject({ lane: z.enum(['left', 'right']), night: z.string().optional() }),
  body: json(z.strictObject({ bytes: u64, ttl: z.int().default(60) })),
  answers: { 200: json(z.object({ tolls: z.array(toll) })), 204: {} },
  errors: ['TP_RELAY_KEY'],
};

function documentOf(...calls: readonly (readonly [path: string, call: Call, allow?: Audience])[]): OpenApiDocument {
  const app = Fastify();
  const document = recordCalls(app);
  for (const [path, described, who] of calls) {
    const allow: Audience = who ?? ['app', 'operator'];
    app.post(path, { config: { allow, call: described } }, () => ({}));
  }
  return document();
}

const operation = documentOf(['/gates/:gate/tolls', call]).paths['/gates/{gate}/tolls']?.['post'];

describe('the OpenAPI document', () => {
  it('has parameters of the path and the query with their schemas', () => {
    expect(operation?.parameters).toEqual([
      { name: 'gate', in: 'path', required: true, description: 'Which one.', schema: { type: 'string', minLength: 2 } },
      { name: 'lane', in: 'query', required: true, schema: { type: 'string', enum: ['left', 'right'] } },
      { name: 'night', in: 'query', required: false, schema: { type: 'string' } },
    ]);
  });

  it('describes a body as it is sent: counts of bytes as text, what has a default as optional, nothing beside', () => {
    const schema = operation?.requestBody?.content['application/json']?.schema;
    expect(schema?.required).toEqual(['bytes']);
    expect(schema?.additionalProperties).toBe(false);
    expect(schema?.properties?.['bytes']?.anyOf?.map(({ type }) => type)).toEqual(['string', 'integer']);
  });

  it('describes answers as they are received: they may grow, and what has a name is written once', () => {
    const { components, paths } = documentOf(['/a', call], ['/b', { ...call, name: 'other' }]);
    const answer = paths['/a']?.['post']?.responses['200']?.content?.['application/json']?.schema;
    expect(answer?.properties?.['tolls']?.items).toEqual({ $ref: '#/components/schemas/Toll' });
    expect(components.schemas['Toll']).toEqual({
      type: 'object',
      properties: { bytes: { type: 'string' }, at: { type: 'string', format: 'date-time' } },
      required: ['bytes', 'at'],
    });
    expect(operation?.responses['204']).toEqual({ description: 'Done.' });
  });

  it('refuses two schemas of one name', () => {
    const named = z.object({ c: z.string(), d: z.int().default(1) }).meta({ id: 'Both' });
    const both: Call = { ...call, body: json(named), answers: { 200: json(named) } };
    expect(() => documentOf(['/a', both])).toThrow('two schemas have the id Both');
  });

  it('names for each status the codes that the route may answer', () => {
    const statuses = ['200', '204', '400', '401', '403', '404', '413', '415', 'default'];
    expect(Object.keys(operation?.responses ?? {})).toEqual(statuses);
    expect(operation?.responses['404']?.description).toBe('`TP_RELAY_KEY`: There is no such TURN key.');
  });

  it('says with which tokens a route may be called, and that anyone may where none is needed', () => {
    expect(operation?.security).toEqual([{ app: [] }, { operator: [] }, { basic: [] }]);
    expect(documentOf(['/a', call, 'anyone']).paths['/a']?.['post']?.security).toEqual([]);
  });
});

describe('the errors of a route', () => {
  it('follow from who may call and from what is asked for', () => {
    const plain = { name: 'a', group: 'b', summary: 'c', answers: { 204: {} } };
    expect(errorsOf(plain, 'anyone')).toEqual([]);
    expect(errorsOf({ ...plain, query: z.object({}) }, 'anyone')).toEqual(['TP_KERNEL_INVALID']);
    expect(errorsOf(plain, ['operator'])).toContain('TP_KERNEL_HOST');
    expect(errorsOf(plain, ['relay'])).not.toContain('TP_KERNEL_HOST');
  });
});

describe('the page of the calls', () => {
  const page = docsPage(documentOf(['/gates/:gate/tolls', call]));

  it('shows text as text', () => {
    expect(page).toContain('Pays <code>now</code> &amp; &lt;here&gt;.');
  });

  it('shows each member with what it is and whether it may be left out', () => {
    const text = page.replace(/<[^>]+>/g, ' ').replace(/\s+/g, ' ');
    expect(text).toContain('gate string, length at least 2 Which one.');
    expect(text).toContain('lane left , right');
    expect(text).toContain('ttl optional integer, default 60');
    expect(text).toContain('tolls list of Toll');
  });

  it('holds no script', () => {
    expect(page).not.toMatch(/<script|javascript:|\son\w+=/);
  });
});

describe('what a route did against what it says', () => {
  const at = '2026-11-21T08:00:00Z';
  const request = {
    params: { gate: 'north' },
    query: { lane: 'left' },
    body: { bytes: '5' },
    headers: { 'content-type': 'application/json' },
  };
  const judged = (statusCode: number, payload: unknown, asked: object = {}) =>
    faultsOf(
      { call, allow: ['app'] },
      { ...request, ...asked } as FastifyRequest,
      { statusCode, getHeader: () => 'application/json; charset=utf-8' } as unknown as FastifyReply,
      typeof payload === 'string' ? payload : JSON.stringify(payload),
    );
  const fault = (code: ConstructorParameters<typeof TurnpikeError>[0]) => new TurnpikeError(code).toBody();

  it('finds nothing where they agree', () => {
    expect(judged(200, { tolls: [{ at, bytes: '1' }] })).toEqual([]);
    expect(judged(204, '')).toEqual([]);
    expect(judged(404, fault('TP_RELAY_KEY'))).toEqual([]);
    expect(judged(500, fault('TP_KERNEL_INTERNAL'))).toEqual([]);
  });

  it.each([
    ['a member of another type', judged(200, { tolls: [{ at, bytes: 1 }] })],
    ['a member too many', judged(200, { tolls: [{ at, bytes: '1', more: 1 }] })],
    ['content where none is said', judged(204, { tolls: [] })],
    ['a status that is not said', judged(201, { tolls: [] })],
    ['a code that is not said', judged(400, fault('TP_RELAY_TTL'))],
    ['a body that it should not have taken', judged(200, { tolls: [] }, { body: { bytes: '5', more: 1 } })],
    ['a query that it should not have taken', judged(200, { tolls: [] }, { query: {} })],
  ])('finds %s', (_what, faults) => {
    expect(faults).toHaveLength(1);
  });
});
