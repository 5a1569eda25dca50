/** The service as it is composed, with what a test does not care about: a store that has nothing, a spool of its own, no log. */
import type { FastifyInstance } from 'fastify';
import { configSchema } from '../../cli/config.ts';
import { createService } from '../../cli/service.ts';
import type { ServiceParts } from '../../cli/service.ts';
import { loadConfig } from '../../kernel/config.ts';
import { silentLog } from '../../kernel/log.ts';
import { Metrics } from '../../kernel/metrics.ts';
import { seededRandom } from '../../kernel/random.ts';
import { temporarySpool } from '../collector/temporary-spool.ts';

const emptyStore: ServiceParts['store'] = {
  select: () => Promise.resolve([]),
  insert: () => Promise.resolve(),
  command: () => Promise.resolve(),
  ping: () => Promise.resolve(true),
  close: () => Promise.resolve(),
};

export interface ComposedService {
  readonly http: FastifyInstance;
  /** The store is the caller's. */
  close(): Promise<void>;
}

/** Ready for requests. Whatever is not given is the default configuration's. */
export async function composedService(
  parts: Pick<ServiceParts, 'authority' | 'clock'> & Partial<ServiceParts>,
): Promise<ComposedService> {
  const temporary = temporarySpool();
  const http = await createService({
    config: loadConfig(configSchema, { env: {}, flags: {} }),
    store: emptyStore,
    spool: temporary.spool,
    log: silentLog,
    metrics: new Metrics(),
    random: seededRandom('service'),
    ...parts,
  });
  await http.ready();
  return {
    http,
    close: async () => {
      await http.close();
      await temporary.remove();
    },
  };
}
