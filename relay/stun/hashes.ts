/** The hash functions behind integrity, keys and nonces, as a seam: who has a faster way to OpenSSL than node:crypto brings it. */
import { createHmac, hash as digest } from 'node:crypto';

export interface Hashes {
  /** 20 or 32 octets, valid until the next call. */
  hmac(hash: 'sha1' | 'sha256', key: Uint8Array, text: Uint8Array | string): Uint8Array;
  /** 16 or 32 octets of the caller's own. A string is taken as UTF-8. */
  digest(hash: 'md5' | 'sha256', text: string): Uint8Array;
}

export const nodeHashes: Hashes = {
  hmac: (hash, key, text) => createHmac(hash, key).update(text).digest(),
  digest: (hash, text) => digest(hash, text, 'buffer'),
};
