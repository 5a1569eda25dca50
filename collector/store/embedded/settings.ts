/**
 * The files that the embedded server reads at its start. They hold secrets, are written 0600 into a directory of 0700,
 * and say the same on every start.
 */
import { createHash } from 'node:crypto';
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import type { Random } from '../../../kernel/random.ts';
import { readerGrants, readerProfileXml } from '../reader-profile.ts';

/** The service's own login. */
export const ADMIN = 'turnpike';
/** The login for people's queries (Grafana, clickhouse-client): SELECT on our database, bounded. */
export const READER = 'reader';

const passwords = z.strictObject({ admin: z.string().min(20), reader: z.string().min(20) });
export type Passwords = z.output<typeof passwords>;

/** A file that other users cannot read, and that never exists half-written. */
export async function writePrivately(file: string, text: string, random: Random): Promise<void> {
  const draft = `${file}.${random.bytes(6).toString('hex')}`;
  await writeFile(draft, text, { mode: 0o600, flag: 'wx' });
  await rename(draft, file);
}

/** Generated on the first start and kept: a running collector keeps its login over a restart of the server. */
async function readOrMakePasswords(file: string, random: Random): Promise<Passwords> {
  try {
    return passwords.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const made = { admin: random.bytes(24).toString('base64url'), reader: random.bytes(24).toString('base64url') };
  await writePrivately(file, JSON.stringify(made), random);
  return made;
}

export interface ServerSettings {
  readonly passwords: Passwords;
  readonly configFile: string;
  readonly storePath: string;
}

/** Writes configuration and users; answers where they are. */
export async function writeSettings(options: {
  directory: string;
  database: string;
  maxMemoryBytes: number;
  random: Random;
}): Promise<ServerSettings> {
  const { directory, random } = options;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await chmod(directory, 0o700);
  const made = await readOrMakePasswords(path.join(directory, 'passwords.json'), random);
  const usersFile = path.join(directory, 'users.xml');
  const configFile = path.join(directory, 'config.xml');
  await writePrivately(usersFile, usersXml(made, options.database), random);
  await writePrivately(configFile, configXml(usersFile, made, options.maxMemoryBytes), random);
  return { passwords: made, configFile, storePath: path.join(directory, 'store') };
}

export function basicAuthorization(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

/**
 * `clickhouse local` boots as the user `default` without a password, and that user cannot be taken away. So the HTTP
 * interface has no handler at all, except for requests whose Authorization header is, to the letter, one of our two:
 * whoever lacks a password cannot reach a place where `default` could be named.
 */
function configXml(usersFile: string, made: Passwords, maxMemoryBytes: number): string {
  const rule = (user: string, password: string) =>
    `    <rule><headers><Authorization>${basicAuthorization(user, password)}</Authorization></headers>
      <handler><type>dynamic_query_handler</type><query_param_name>query</query_param_name></handler></rule>`;
  return `<clickhouse>
  <users_config>${escapeXml(usersFile)}</users_config>
  <max_server_memory_usage>${maxMemoryBytes}</max_server_memory_usage>
  <mark_cache_size>${Math.floor(maxMemoryBytes / 8)}</mark_cache_size>
  <max_connections>256</max_connections>
  <keep_alive_timeout>10</keep_alive_timeout>
  <access_control_improvements>
    <settings_constraints_replace_previous>true</settings_constraints_replace_previous>
  </access_control_improvements>
  <http_handlers>
${rule(ADMIN, made.admin)}
${rule(READER, made.reader)}
  </http_handlers>
</clickhouse>
`;
}

function usersXml(made: Passwords, database: string): string {
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
  const loopback = '<networks><ip>127.0.0.1</ip><ip>::1</ip></networks>';
  const login = (password: string, profile: string) =>
    `<password_sha256_hex>${sha256(password)}</password_sha256_hex>${loopback}<profile>${profile}</profile><quota>default</quota>`;
  const grants = readerGrants(database).map((grant) => `<query>${grant}</query>`);
  return `<clickhouse>
  <profiles>
    <default/>
    <${READER}>
${readerProfileXml('      ')}    </${READER}>
  </profiles>
  <quotas><default/></quotas>
  <users>
    <default><no_password/>${loopback}<profile>default</profile><quota>default</quota>
      <grants><query>GRANT SYSTEM LISTEN ON *.*</query></grants></default>
    <${ADMIN}>${login(made.admin, 'default')}<access_management>1</access_management></${ADMIN}>
    <${READER}>${login(made.reader, READER)}
      <grants>${grants.join('')}</grants></${READER}>
  </users>
</clickhouse>
`;
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
