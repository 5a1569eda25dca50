/**
 * Configuration from one YAML file, the environment and flags: environment wins over the file, flags win over both.
 * Everything is checked once, all faults are reported together with their path and where they came from, and the
 * result is frozen.
 */
import { z } from 'zod';
import { parse as parseYaml } from 'yaml';
import { TurnpikeError } from './errors.ts';
import type { Issue } from './errors.ts';

type Json = { [key: string]: unknown };

/** A scalar or list that one environment variable can set. */
export interface ConfigKey {
  /** `turn.relayPorts` */
  readonly path: string;
  /** `TURNPIKE_TURN_RELAY_PORTS` */
  readonly env: string;
  readonly type: 'string' | 'number' | 'boolean' | 'json';
  readonly description: string;
  readonly default: unknown;
}

export interface ConfigSources {
  /** Text of the YAML file, when one was given. */
  readonly file?: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Values by path, as the command line gave them. */
  readonly flags: Readonly<Record<string, unknown>>;
  /** Environment names that mean something outside the schema (bootstrap tokens, test switches). */
  readonly otherEnv?: readonly string[];
}

/** Every key of a configuration schema, for the loader and for the reference that is tested against it. */
export function configKeys(schema: z.ZodType): ConfigKey[] {
  return walk(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }), []);
}

function walk(node: Json, path: readonly string[]): ConfigKey[] {
  const properties = node['properties'] as Record<string, Json> | undefined;
  if (properties !== undefined)
    return Object.entries(properties).flatMap(([key, child]) => walk(child, [...path, key]));
  return [
    {
      path: path.join('.'),
      env: `TURNPIKE_${path.map((part) => part.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase()).join('_')}`,
      type: scalarType(node),
      description: typeof node['description'] === 'string' ? node['description'] : '',
      default: node['default'],
    },
  ];
}

function scalarType(node: Json): ConfigKey['type'] {
  if (node['type'] === 'integer' || node['type'] === 'number') return 'number';
  if (node['type'] === 'boolean') return 'boolean';
  if (node['type'] === 'array' || node['type'] === 'object') return 'json';
  return 'string';
}

/** Reads, merges and checks; throws TP_KERNEL_CONFIG with every fault found. */
export function loadConfig<S extends z.ZodType>(schema: S, sources: ConfigSources): z.output<S> {
  const faults: Issue[] = [];
  const merged: Json = readFile(sources.file, faults);
  const origin = new Map<string, string>();
  const keys = configKeys(schema);
  readEnv(keys, sources, merged, origin, faults);
  for (const [path, value] of Object.entries(sources.flags)) {
    if (value === undefined) continue;
    setPath(merged, path, value);
    origin.set(path, 'command line');
  }
  const result = schema.safeParse(merged);
  for (const issue of result.error?.issues ?? []) {
    const path = issue.path.map(String).join('.');
    const from = origin.get(path);
    faults.push({
      path: path === '' ? '(file)' : path,
      message: from === undefined ? issue.message : `${issue.message} (from ${from})`,
    });
  }
  if (result.success && faults.length === 0) return deepFreeze(result.data);
  const list = faults.map(({ path, message }) => `  ${path}: ${message}`).join('\n');
  throw new TurnpikeError('TP_KERNEL_CONFIG', `The configuration has ${faults.length} fault(s):\n${list}`, {
    issues: faults,
  });
}

function readFile(text: string | undefined, faults: Issue[]): Json {
  if (text === undefined) return {};
  try {
    const parsed: unknown = parseYaml(text) ?? {};
    if (typeof parsed === 'object' && !Array.isArray(parsed)) return structuredClone(parsed as Json);
    faults.push({ path: '(file)', message: 'must be a mapping of keys to values' });
  } catch (error) {
    faults.push({
      path: '(file)',
      message: error instanceof Error ? (error.message.split('\n')[0] ?? '') : 'is not YAML',
    });
  }
  return {};
}

function readEnv(
  keys: ConfigKey[],
  sources: ConfigSources,
  merged: Json,
  origin: Map<string, string>,
  faults: Issue[],
): void {
  const byEnv = new Map(keys.map((key) => [key.env, key]));
  for (const [name, text] of Object.entries(sources.env)) {
    if (!name.startsWith('TURNPIKE_') || text === undefined || sources.otherEnv?.includes(name) === true) continue;
    if (name.startsWith('TURNPIKE_TEST_')) continue;
    const key = byEnv.get(name);
    if (key === undefined) {
      faults.push({ path: name, message: 'is not an environment variable of Turnpike' });
      continue;
    }
    setPath(merged, key.path, envValue(key, text));
    origin.set(key.path, name);
  }
}

/** Numbers and booleans by the schema's type; lists as JSON or comma-separated. What does not parse stays text, for the schema to refuse. */
function envValue(key: ConfigKey, text: string): unknown {
  if (key.type === 'number') return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text;
  if (key.type === 'boolean') return text === 'true' ? true : text === 'false' ? false : text;
  if (key.type === 'string') return text;
  if (!/^\s*[[{]/.test(text)) return text === '' ? [] : text.split(',').map((part) => part.trim());
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

function setPath(target: Json, path: string, value: unknown): void {
  const parts = path.split('.');
  const last = parts.pop() ?? path;
  let node = target;
  for (const part of parts) {
    const next = (node[part] ??= {});
    if (typeof next !== 'object' || Array.isArray(next)) return; // no section: the schema says so
    node = next as Json;
  }
  node[last] = value;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(deepFreeze);
  }
  return value;
}
