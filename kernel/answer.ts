import type { z } from 'zod';

/** What a schema of an answer stands for. Answers are read, not changed. */
export type Answer<S extends z.ZodType> = DeepReadonly<z.output<S>>;

type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;
