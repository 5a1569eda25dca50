/** How a route describes itself to those who call it: once, beside its handler, with the schemas that the handler works by. */
import type { z } from 'zod';
import type { ErrorCode } from './errors.ts';
import type { PrincipalKind } from './principals.ts';

/** What a body may be, by media type: JSON of a schema, or what the type alone says (null). */
export type Content = Readonly<Record<string, z.ZodType | null>>;

export interface Call {
  /** Unique, in camelCase: OpenAPI's operationId. */
  readonly name: string;
  /** The heading that it stands under. */
  readonly group: string;
  /** What it does, in a sentence. */
  readonly summary: string;
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: Content;
  /** Whether the body may be left out. */
  readonly bodyOptional?: true;
  /** By status; without content, `{}`. `default` stands for answers that are passed on from another service. */
  readonly answers: { readonly [status: number]: Content; readonly default?: Content };
  /** Beside those that follow from who may call and from what is asked for: see `errorsOf`. */
  readonly errors?: readonly ErrorCode[];
}

export type Audience = readonly PrincipalKind[] | 'anyone';

export const json = (schema: z.ZodType): Content => ({ 'application/json': schema });

/** What any route may answer, whatever it is asked. */
export const anywhere = [
  'TP_KERNEL_BAD_HTTP',
  'TP_KERNEL_NOT_FOUND',
  'TP_KERNEL_METHOD',
  'TP_KERNEL_TIMEOUT',
  'TP_KERNEL_HEADERS_TOO_LARGE',
  'TP_KERNEL_INTERNAL',
] as const satisfies readonly ErrorCode[];

/** Every code that this route may answer, without those of `anywhere`. */
export function errorsOf(call: Call, allow: Audience): ErrorCode[] {
  const asks = call.params !== undefined || call.query !== undefined || call.body !== undefined;
  return [
    ...new Set<ErrorCode>([
      ...(asks ? (['TP_KERNEL_INVALID'] as const) : []),
      ...(call.body === undefined
        ? []
        : (['TP_KERNEL_BAD_JSON', 'TP_KERNEL_CONTENT_TYPE', 'TP_KERNEL_BODY_TOO_LARGE'] as const)),
      ...(allow === 'anyone' ? [] : (['TP_KERNEL_UNAUTHORISED', 'TP_KERNEL_FORBIDDEN', 'TP_KERNEL_ORIGIN'] as const)),
      ...(allow.includes('operator') ? (['TP_KERNEL_HOST'] as const) : []),
      ...(call.errors ?? []),
    ]),
  ];
}
