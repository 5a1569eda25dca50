/** The relay's name in usage records, when its operator gave it none: made up once and kept beside its data. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Random } from '../kernel/random.ts';

export function keptServerId(directory: string, random: Random): string {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const file = join(directory, 'server-id');
  try {
    const kept = readFileSync(file, 'utf8').trim();
    if (/^[A-Za-z0-9_-]{1,64}$/.test(kept)) return kept;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const made = `relay-${random.bytes(6).toString('hex')}`;
  writeFileSync(file, `${made}\n`);
  return made;
}
