/** A database of addresses in MaxMind's format, read again when its file is another one. */
import { unwatchFile, watchFile } from 'node:fs';
import { open } from 'maxmind';
import type { Reader, Response } from 'maxmind';
import { TurnpikeError } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/log.ts';
import type { AddressLookup } from './client-network.ts';

export interface AddressDatabase {
  readonly lookup: AddressLookup;
  close(): void;
}

/** Milliseconds between two looks at the file. */
const LOOK_MS = 5_000;

/** Throws TP_KERNEL_CONFIG, naming the key, when there is no such database; one that is broken later leaves the last one in use. */
export async function openAddressDatabase(
  { key, path, log }: { readonly key: string; readonly path: string; readonly log: Logger },
  lookMs = LOOK_MS,
): Promise<AddressDatabase> {
  let reader: Reader<Response>;
  try {
    reader = await open(path);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new TurnpikeError('TP_KERNEL_CONFIG', `${key}: ${path} is no database of addresses: ${message}`, {
      cause: error,
    });
  }
  const readAgain = async (): Promise<void> => {
    try {
      reader = await open(path);
      log.info({ path }, 'a database of addresses was read again');
    } catch (error) {
      log.warn({ err: error, path }, 'a database of addresses cannot be read; the last one stays in use');
    }
  };
  const changed = (): void => void readAgain();
  watchFile(path, { persistent: false, interval: lookMs }, changed);
  return {
    lookup: (address) => reader.get(address),
    close: () => unwatchFile(path, changed),
  };
}
