/** Secrets of the bootstrap app and of the service: from the environment, else generated once and kept, mode 0600. */
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { isLoopbackHost } from '../kernel/address.ts';
import type { Clock } from '../kernel/clock.ts';
import { TurnpikeError } from '../kernel/errors.ts';
import type { Issue } from '../kernel/errors.ts';
import { createAuthority, hashToken } from '../kernel/principals.ts';
import type { AppSettings, Authority } from '../kernel/principals.ts';
import type { Random } from '../kernel/random.ts';
import { entityName } from './config.ts';
import type { bootstrapEnv, Config } from './config.ts';

const secretNames = [
  'TURNPIKE_KEY_SECRET',
  'TURNPIKE_API_TOKEN',
  'TURNPIKE_RELAY_TOKEN',
  'TURNPIKE_SOURCE_TOKEN',
  'TURNPIKE_OPERATOR_TOKEN',
  'TURNPIKE_READER_PASSWORD',
] as const;
export type SecretName = (typeof secretNames)[number];
type Environment = Readonly<Record<string, string | undefined>>;

const savedSecrets = z.partialRecord(z.enum(secretNames), z.string().min(16));
type SavedSecrets = z.output<typeof savedSecrets>;

export interface Bootstrap {
  readonly appId: string;
  readonly keyId: string;
  /** Complete: what the environment and the kept file give together. */
  readonly secrets: Readonly<Record<SecretName, string>>;
}

/** Name of the file that holds the API token alone, so that `$(cat …)` works in a shell. */
export const API_TOKEN_FILE = 'api-token';
/** The same for the password of people's queries. */
export const READER_PASSWORD_FILE = 'reader-password';

/**
 * Environment first, then `<data>/secrets.json`. With `generate`, what is missing is made and kept; without, it is an
 * error that names all of it (a relay or collector on its own must share its secrets with the others).
 */
export function loadBootstrap(options: {
  readonly data: string;
  readonly env: Environment;
  readonly random: Random;
  readonly generate: boolean;
  /** Secrets that this command cannot do without; the others may stay unknown (random, so that nothing matches). */
  readonly needed: readonly SecretName[];
}): Bootstrap {
  const saved = readSaved(options.data);
  const missing: SecretName[] = [];
  const made: SavedSecrets = {};
  const pick = (name: SecretName): string => {
    const known = options.env[name] ?? saved[name];
    if (known !== undefined) return known;
    const fresh = options.random.bytes(32).toString('base64url');
    if (options.generate) made[name] = fresh;
    else if (options.needed.includes(name)) missing.push(name);
    return fresh;
  };
  const secrets = Object.fromEntries(secretNames.map((name) => [name, pick(name)])) as Record<SecretName, string>;
  const { TURNPIKE_APP: appId = 'default', TURNPIKE_KEY_ID: keyId = 'main' } = options.env;
  const issues = [
    ...missing.map((path) => ({ path, message: 'must be set: it is shared with the other roles' })),
    ...secretFaults(secrets),
    ...nameFaults({ TURNPIKE_APP: appId, TURNPIKE_KEY_ID: keyId }),
  ];
  if (issues.length > 0) {
    throw new TurnpikeError('TP_KERNEL_CONFIG', 'The bootstrap environment has faults.', { issues });
  }
  if (options.generate) keep(options.data, { ...saved, ...made }, secrets);
  return { appId, keyId, secrets };
}

/** Each opens a door of its own: whoever holds one of two equal ones would hold the other. */
function secretFaults(secrets: Readonly<Record<SecretName, string>>): Issue[] {
  return secretNames.flatMap((path, index) => {
    const twin = secretNames.slice(0, index).find((name) => secrets[name] === secrets[path]);
    return [
      ...(secrets[path].length < 16 ? [{ path, message: 'must be at least 16 characters' }] : []),
      ...(twin === undefined ? [] : [{ path, message: `must differ from ${twin}` }]),
    ];
  });
}

/** They stand in paths, usernames and usage records, as configured apps and keys do. */
function nameFaults(names: Readonly<Record<string, string>>): Issue[] {
  return Object.entries(names).flatMap(([path, name]) => {
    const message = entityName.safeParse(name).error?.issues[0]?.message;
    return message === undefined ? [] : [{ path, message }];
  });
}

function readSaved(data: string): SavedSecrets {
  const path = join(data, 'secrets.json');
  try {
    return savedSecrets.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return {};
    const fault =
      code === undefined
        ? `${path} cannot be read: it is damaged; restore it, or remove it to have new secrets made.`
        : `The data directory cannot be read: ${message}.`;
    throw new TurnpikeError('TP_KERNEL_CONFIG', fault, { cause: error });
  }
}

function keep(data: string, saved: SavedSecrets, secrets: Bootstrap['secrets']): void {
  try {
    mkdirSync(data, { recursive: true, mode: 0o700 });
    writePrivate(join(data, 'secrets.json'), `${JSON.stringify(saved, null, 2)}\n`);
    writePrivate(join(data, API_TOKEN_FILE), secrets.TURNPIKE_API_TOKEN);
    writePrivate(join(data, READER_PASSWORD_FILE), secrets.TURNPIKE_READER_PASSWORD);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new TurnpikeError('TP_KERNEL_CONFIG', `The data directory cannot be written: ${reason}.`, { cause: error });
  }
}

/** Whole or not at all, and readable by its owner only from the first byte on. */
function writePrivate(path: string, text: string): void {
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, text, { mode: 0o600 });
  chmodSync(temporary, 0o600);
  renameSync(temporary, path);
}

/** Apps as configured; when none are, the bootstrap app alone. */
export function authorityOf(config: Config, bootstrap: Bootstrap, clock: Clock): Authority {
  const { secrets } = bootstrap;
  const only: AppSettings = {
    id: bootstrap.appId,
    tokenHashes: [hashToken(secrets.TURNPIKE_API_TOKEN)],
    // A service that only this machine reaches is somebody's own: they may try out bad networks.
    keys: [
      { id: bootstrap.keyId, secrets: [secrets.TURNPIKE_KEY_SECRET], impairment: isLoopbackHost(config.http.host) },
    ],
    origins: ['*'],
  };
  return createAuthority(
    {
      apps: config.apps.length > 0 ? config.apps : [only],
      relayTokenHash: hashToken(secrets.TURNPIKE_RELAY_TOKEN),
      sourceTokenHash: hashToken(secrets.TURNPIKE_SOURCE_TOKEN),
      operatorTokenHash: hashToken(secrets.TURNPIKE_OPERATOR_TOKEN),
      readerPasswordHash: hashToken(secrets.TURNPIKE_READER_PASSWORD),
    },
    clock,
  );
}

/** The bootstrap values as environment, for the roles that `up` starts. */
export function bootstrapEnvironment(bootstrap: Bootstrap): Record<keyof typeof bootstrapEnv, string> {
  return { TURNPIKE_APP: bootstrap.appId, TURNPIKE_KEY_ID: bootstrap.keyId, ...bootstrap.secrets };
}
