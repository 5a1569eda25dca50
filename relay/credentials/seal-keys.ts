/** The keys under which one TURN key's names are sealed, one for each of its secrets; derived once for its settings. */
import type { KeySettings } from '../../kernel/principals.ts';
import { deriveKey } from '../../kernel/report-token.ts';
import { SEAL_KEY_BYTES } from './username.ts';

const known = new WeakMap<KeySettings, ReadonlyMap<Buffer, string>>();

/** Seal key → secret, in the order of the secrets: the first one signs. */
export function sealKeysOf(key: KeySettings): ReadonlyMap<Buffer, string> {
  const before = known.get(key);
  if (before !== undefined) return before;
  const derived = new Map(key.secrets.map((secret) => [deriveKey(secret, 'seal', SEAL_KEY_BYTES), secret]));
  known.set(key, derived);
  return derived;
}
