/**
 * One ClickHouse server for the whole run of unit tests: the embedded one in a directory of its own. Where the platform
 * has no engine, the tests that need a store say so.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestProject } from 'vitest/node';
import { startEmbedded } from '../collector/store/embedded/server.ts';
import type { StoreEndpoint } from '../collector/store/store.ts';
import { TurnpikeError } from '../kernel/errors.ts';
import { silentLog } from '../kernel/log.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Undefined where this platform has no embedded engine. */
    embeddedStore: StoreEndpoint | undefined;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const directory = await mkdtemp(path.join(tmpdir(), 'turnpike-test-store-'));
  try {
    const server = await startEmbedded({ directory, log: silentLog });
    project.provide('embeddedStore', server.endpoint());
    return async () => {
      await server.stop();
      await rm(directory, { recursive: true, force: true });
    };
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    if (!(error instanceof TurnpikeError) || error.code !== 'TP_COLLECTOR_STORE_MISSING') throw error;
    project.provide('embeddedStore', undefined);
    return async () => {};
  }
}
