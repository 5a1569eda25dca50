/** Hashes by the addon, in memory that it shares with JavaScript: no object is made and no octet converted for one. */
import { type Hashes, nodeHashes } from '../../stun/hashes.ts';
import type { Addon } from './addon.ts';

/** As addon/hashes.hpp numbers them. */
const numbers = { md5: 0, sha1: 1, sha256: 2 } as const;

/** Where in the memory the key and the text lie (addon/addon.cpp); what does not fit is node:crypto's. */
const KEY = 64;
const TEXT = 256;
const MEMORY_BYTES = 8192;

/** node:crypto's where this process has no OpenSSL that the addon could call. */
export function nativeHashes(addon: Addon): Hashes {
  const memory = Buffer.alloc(MEMORY_BYTES);
  const run = addon.hasher(memory);
  if (run === undefined) return nodeHashes;
  const results = { md5: memory.subarray(0, 16), sha1: memory.subarray(0, 20), sha256: memory.subarray(0, 32) };
  return {
    hmac(hash, key, text) {
      const fits = key.length <= TEXT - KEY && roomFor(text) <= MEMORY_BYTES - TEXT;
      if (!fits) return nodeHashes.hmac(hash, key, text);
      memory.set(key, KEY);
      run(numbers[hash], key.length, write(memory, text));
      return results[hash];
    },
    digest(hash, text) {
      if (roomFor(text) > MEMORY_BYTES - TEXT) return nodeHashes.digest(hash, text);
      run(numbers[hash], -1, write(memory, text));
      return new Uint8Array(results[hash]);
    },
  };
}

/** No UTF-16 unit becomes more than three octets. */
function roomFor(text: Uint8Array | string): number {
  return typeof text === 'string' ? text.length * 3 : text.length;
}

function write(memory: Buffer, text: Uint8Array | string): number {
  if (typeof text === 'string') return memory.write(text, TEXT);
  memory.set(text, TEXT);
  return text.length;
}
