/** The addon's door, as addon/addon.cpp opens it, and whether it is there. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Family } from '../../../kernel/address.ts';

/** The engine's handle; only the functions below know what it is. */
export type Engine = { readonly engine: unique symbol };

export interface EngineOptions {
  readonly threads: number;
  /** One more than allocations that may be alive at once: row 0 is nobody's. */
  readonly slots: number;
  readonly hairpin: 0 | 1 | 2;
  readonly bufferBytes: number;
  /** '' keeps the counters in memory alone. */
  readonly counterFile: string;
  /** One number, monotonic milliseconds, that the owner moves; undefined = the system's clock, which shows `now` now. */
  readonly clock: Float64Array | undefined;
  readonly now: number;
  readonly seed: number;
}

/** Addresses are 16 octets, IPv4 in its mapped form. An error is an errno, 0 for none. */
export interface Addon {
  create(options: EngineOptions, onNotices: () => void): Engine;
  /** Listeners are numbered in the order of their opening, all before `start`. */
  listen(engine: Engine, address: Uint8Array, port: number, family: Family): { error: number; port: number };
  start(engine: Engine): number;
  words(engine: Engine): BigUint64Array;
  /** A bound socket, or the negative of an errno. */
  bind(engine: Engine, address: Uint8Array, port: number, family: Family): number;
  /** Lets a worker, which has been told of the allocation, hear its relay socket. */
  watch(engine: Engine, worker: number, slot: number, fd: number): number;
  /** Sends from this thread, out of a listener. */
  send(engine: Engine, listener: number, address: Uint8Array, port: number, bytes: Uint8Array): number;
  tell(engine: Engine, worker: number, record: Uint8Array): void;
  drain(engine: Engine, worker: number, into: Uint8Array): number;
  count(engine: Engine, row: number, peerClass: number, leg: number, bytes: number): void;
  limit(engine: Engine, index: number, packetsPerSecond: number, bitsPerSecond: number, bytes: number): void;
  allows(engine: Engine, index: number, question: number, amount: number, now: number): number;
  workerOf(engine: Engine, address: Uint8Array, port: number): number;
  settle(
    engine: Engine,
    isIpv4: boolean,
    port: number,
    slot: number,
    generation: number,
    worker: number,
    app: number,
  ): void;
  leave(engine: Engine, isIpv4: boolean, port: number): void;
  service(engine: Engine, port: number, isOurs: boolean): void;
  stop(engine: Engine): void;
  /**
   * Hashes what lies in `memory` behind the octets of a key, by the numbers of native-hashes.ts, -1 octets of key making it no
   * HMAC; undefined where the process has no OpenSSL that can be called.
   */
  hasher(memory: Uint8Array): ((hash: number, keyLength: number, textLength: number) => void) | undefined;
}

/** Where the install leaves the addon, in the package's own directory (build-native.mjs). */
const ADDON = 'build/native/turnpike.node';

/** The addon, or why there is none. */
export function loadAddon(path = join(packageRoot(), ADDON)): Addon | Error {
  try {
    return createRequire(import.meta.url)(path) as Addon;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** The directory of package.json above this file, which lies in the sources or in dist/. */
function packageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json')) && dirname(directory) !== directory) {
    directory = dirname(directory);
  }
  return directory;
}
