/** OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.1.html) of the routes that are served, made of what they say of themselves. */
import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import { z } from 'zod';
import { errorsOf, json } from './call.ts';
import type { Audience, Call, Content } from './call.ts';
import { errorBody, errorTable } from './errors.ts';
import type { ErrorCode } from './errors.ts';

/** A JSON Schema of draft 2020-12, as far as anything here looks into it. */
export interface JsonSchema {
  readonly [keyword: string]: unknown;
  readonly $ref?: string;
  readonly type?: string;
  readonly format?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly prefixItems?: readonly JsonSchema[];
  readonly anyOf?: readonly JsonSchema[];
  readonly allOf?: readonly JsonSchema[];
  readonly additionalProperties?: JsonSchema | boolean;
}

export type MediaTypes = Readonly<Record<string, { readonly schema?: JsonSchema }>>;

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query';
  readonly required: boolean;
  readonly description?: string;
  readonly schema: JsonSchema;
}

export interface Operation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly summary: string;
  readonly security: readonly Readonly<Record<string, readonly string[]>>[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly required: boolean; readonly content: MediaTypes };
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content?: MediaTypes }>>;
}

export interface OpenApiDocument {
  readonly openapi: '3.1.1';
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly tags: readonly { readonly name: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, JsonSchema>>;
    readonly securitySchemes: Readonly<Record<string, Readonly<Record<string, string>>>>;
  };
}

interface DescribedRoute {
  readonly method: string;
  readonly url: string;
  readonly allow: Audience;
  /** Further places in which the token is accepted: names of security schemes. */
  readonly places: readonly string[];
  readonly call: Call;
}

/** The version of the calls, which is in their paths; that of the software is nobody's concern who has no token. */
const API_VERSION = '1';

const DESCRIPTION = `Every error has one shape, \`Error\`; its \`code\` is stable. Counts of bytes are decimal strings, times ISO 8601 or Unix milliseconds as each field says. Readers ignore members that they do not know.`;

const securitySchemes = {
  app: { type: 'http', scheme: 'bearer', description: 'An app’s API token. It sees and spends what is its own.' },
  report: { type: 'http', scheme: 'bearer', description: 'The report token that came with the ICE servers.' },
  relay: { type: 'http', scheme: 'bearer', description: 'The token that relays report with.' },
  source: { type: 'http', scheme: 'bearer', description: 'The token that SFU sources report with.' },
  operator: {
    type: 'http',
    scheme: 'bearer',
    description: 'The operator token. Where the service is bound to loopback no login is needed.',
  },
  reader: { type: 'http', scheme: 'bearer', description: 'The password of people’s queries.' },
  basic: { type: 'http', scheme: 'basic', description: 'Any user, and one of the tokens as password.' },
  tokenInQuery: { type: 'apiKey', in: 'query', name: 'token', description: 'The token, for beacons.' },
  keyInQuery: { type: 'apiKey', in: 'query', name: 'key', description: 'The token, as the TURN REST draft has it.' },
  'x-clickhouse-key': {
    type: 'apiKey',
    in: 'header',
    name: 'X-ClickHouse-Key',
    description: 'The token, as clients of ClickHouse send it.',
  },
} as const;

/** Takes down what the routes say that are registered from now on. The answer makes the document of them, once. */
export function recordCalls(app: FastifyInstance): () => OpenApiDocument {
  const routes: DescribedRoute[] = [];
  let made: OpenApiDocument | undefined;
  app.addHook('onRoute', ({ method, url, config }) => {
    if (config?.call === undefined || config.allow === undefined || method === 'HEAD') return;
    const { allow, call, tokenInHeader, tokenInQuery } = config;
    const places = [
      ...(tokenInQuery === undefined ? [] : [`${tokenInQuery}InQuery`]),
      ...(tokenInHeader === undefined ? [] : [tokenInHeader]),
    ];
    for (const verb of [method].flat()) routes.push({ method: verb, url, allow, places, call });
  });
  const document = (): OpenApiDocument => (made ??= openApiOf(routes));
  // what cannot be described is a fault of ours, to be met at the start
  app.addHook('onReady', async () => void document());
  return document;
}

const openApiCall: Call = {
  name: 'readOpenApi',
  group: 'Service',
  summary: 'This document: OpenAPI 3.1 of every call.',
  answers: { 200: json(z.looseObject({ openapi: z.string() })) },
};

/** It says nothing of this service that is not in the published sources, and generators have no token: anyone may read it. */
export const openApiRoutes: FastifyPluginAsync<{ readonly document: () => OpenApiDocument }> = async (app, options) => {
  app.get('/openapi.json', { config: { allow: 'anyone', call: openApiCall } }, async () => options.document());
};

function openApiOf(routes: readonly DescribedRoute[]): OpenApiDocument {
  const schemas = new Schemas();
  const paths: Record<string, Record<string, Operation>> = {};
  for (const route of routes) {
    const path = route.url.replace(/:(\w+)/g, '{$1}').replace(/\*$/, '{path}');
    (paths[path] ??= {})[route.method.toLowerCase()] = operationOf(route, schemas);
  }
  return {
    openapi: '3.1.1',
    info: { title: 'Turnpike', version: API_VERSION, description: DESCRIPTION },
    tags: [...new Set(routes.map(({ call }) => call.group))].map((name) => ({ name })),
    paths,
    components: { schemas: schemas.named, securitySchemes },
  };
}

function operationOf({ url, allow, places, call }: DescribedRoute, schemas: Schemas): Operation {
  const inPath = [...url.matchAll(/:(\w+)|\*$/g)].map(([, name]) => name ?? 'path');
  const asked = call.params === undefined ? undefined : schemas.of(call.params, 'input').properties;
  const parameters: Parameter[] = [
    ...inPath.map((name) => parameter('path', name, asked?.[name] ?? { type: 'string' }, true)),
    ...(call.query === undefined ? [] : queryOf(schemas.of(call.query, 'input'))),
  ];
  return {
    operationId: call.name,
    tags: [call.group],
    summary: call.summary,
    security: securityOf(allow, places),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(call.body === undefined
      ? {}
      : { requestBody: { required: call.bodyOptional !== true, content: schemas.content(call.body, 'input') } }),
    responses: { ...faultsOf(errorsOf(call, allow), schemas), ...answersOf(call, schemas) },
  };
}

function queryOf({ properties = {}, required = [] }: JsonSchema): Parameter[] {
  return Object.entries(properties).map(([name, schema]) => parameter('query', name, schema, required.includes(name)));
}

function parameter(where: Parameter['in'], name: string, asked: JsonSchema, required: boolean): Parameter {
  const { description, ...schema } = asked;
  return { name, in: where, required, ...(description === undefined ? {} : { description }), schema };
}

function securityOf(allow: Audience, places: readonly string[]): Operation['security'] {
  if (allow === 'anyone') return [];
  return [...allow, 'basic', ...places].map((scheme) => ({ [scheme]: [] }));
}

function answersOf(call: Call, schemas: Schemas): Operation['responses'] {
  const answers = Object.entries(call.answers).map(([status, answer]) => {
    const content = schemas.content(answer, 'output');
    const isEmpty = Object.keys(content).length === 0;
    return [status, { description: isEmpty ? 'Done.' : 'The answer.', ...(isEmpty ? {} : { content }) }] as const;
  });
  return Object.fromEntries(answers);
}

/** One response for each status, which names its codes; `default` is what any call may meet. */
function faultsOf(codes: readonly ErrorCode[], schemas: Schemas): Operation['responses'] {
  const error = schemas.of(errorBody, 'output');
  const withCode = (of: readonly ErrorCode[]): JsonSchema => ({
    allOf: [error, { properties: { error: { properties: { code: { enum: of } } } } }],
  });
  const statuses = [...new Set(codes.map((code) => errorTable[code][0]))].toSorted((a, b) => a - b);
  const faults = statuses.map((status) => {
    const own = codes.filter((code) => errorTable[code][0] === status);
    const description = own.map((code) => `\`${code}\`: ${errorTable[code][1]}`).join('\n\n');
    return [status, { description, content: { 'application/json': { schema: withCode(own) } } }] as const;
  });
  return {
    ...Object.fromEntries(faults),
    default: { description: 'Any other fault.', content: { 'application/json': { schema: error } } },
  };
}

/** JSON Schemas of zod's, where what has an id (`.meta({ id })`) is written once. */
class Schemas {
  readonly named: Record<string, JsonSchema> = {};

  of(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
    const made: unknown = z.toJSONSchema(schema, { io, override: ({ jsonSchema }) => plain(jsonSchema, io) });
    const text = JSON.stringify(made).replaceAll('"#/$defs/', '"#/components/schemas/');
    const {
      $schema: _dialect,
      $defs = {},
      ...own
    } = JSON.parse(text) as JsonSchema & { $defs?: Record<string, JsonSchema> };
    for (const [id, definition] of Object.entries($defs)) {
      const known = (this.named[id] ??= definition);
      if (JSON.stringify(known) !== JSON.stringify(definition)) throw new Error(`two schemas have the id ${id}`);
    }
    return own;
  }

  content(content: Content, io: 'input' | 'output'): MediaTypes {
    const ofType = (type: string, schema: z.ZodType | null) => {
      if (schema !== null) return { schema: this.of(schema, io) };
      return type.startsWith('text/') ? { schema: { type: 'string' } } : {};
    };
    return Object.fromEntries(Object.entries(content).map(([type, schema]) => [type, ofType(type, schema)]));
  }
}

/** A format says it better than zod's pattern of it, and answers may grow members. */
function plain(schema: z.core.JSONSchema.BaseSchema, io: 'input' | 'output'): void {
  if (schema.format !== undefined) delete schema.pattern;
  if (io === 'output' && schema.additionalProperties === false) delete schema.additionalProperties;
}
