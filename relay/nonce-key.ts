/**
 * The key that seals nonces: made up once and kept, readable by the relay's own user alone, so that a relay that starts again
 * goes on accepting the nonces its clients hold, and does not send all of them for a new one (438) at the same moment.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Random } from '../kernel/random.ts';

const OCTETS = 32;

export function keptNonceKey(directory: string, random: Random): Uint8Array {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const file = join(directory, 'nonce-key');
  try {
    const kept = Buffer.from(readFileSync(file, 'utf8'), 'base64');
    if (kept.length === OCTETS) return kept;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const made = random.bytes(OCTETS);
  writeFileSync(file, `${made.toString('base64')}\n`, { mode: 0o600 });
  return made;
}
