/**
 * Where the running embedded server is found: `connection.json` in its directory, 0600, written once it answers and
 * removed when it stops. The collector and the command line read it; the server's port changes with every start.
 */
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import type { Random } from '../../../kernel/random.ts';
import type { StoreEndpoint } from '../store.ts';
import { writePrivately } from './settings.ts';

const login = z.strictObject({ user: z.string(), password: z.string() });
const connectionFile = z.strictObject({
  url: z.url(),
  database: z.string(),
  admin: login,
  reader: login,
  /** Process of the server: a file left behind by a killed one is not believed. */
  pid: z.int().positive(),
});
export type EmbeddedConnection = z.output<typeof connectionFile>;

const fileIn = (directory: string) => path.join(directory, 'connection.json');

export async function publishConnection(
  directory: string,
  connection: EmbeddedConnection,
  random: Random,
): Promise<void> {
  await writePrivately(fileIn(directory), JSON.stringify(connection), random);
}

/** Removes the file if it still speaks of this server. */
export async function withdrawConnection(directory: string, pid: number): Promise<void> {
  if ((await readFileOf(directory))?.pid === pid) await rm(fileIn(directory), { force: true });
}

/** The server running on this directory now; undefined when none does. */
export async function readConnection(directory: string): Promise<EmbeddedConnection | undefined> {
  const connection = await readFileOf(directory);
  return connection !== undefined && isAlive(connection.pid) ? connection : undefined;
}

/** The service's own way in. */
export function adminEndpoint(connection: EmbeddedConnection): StoreEndpoint {
  return { url: connection.url, database: connection.database, ...connection.admin };
}

/** The way in for people's queries. */
export function readerEndpoint(connection: EmbeddedConnection): StoreEndpoint {
  return { url: connection.url, database: connection.database, ...connection.reader };
}

async function readFileOf(directory: string): Promise<EmbeddedConnection | undefined> {
  try {
    return connectionFile.safeParse(JSON.parse(await readFile(fileIn(directory), 'utf8'))).data;
  } catch {
    return undefined; // absent or torn: no server to be found
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
