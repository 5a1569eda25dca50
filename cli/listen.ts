/** Opening an HTTP port, with a word on what to do when it cannot be had. */
import type { FastifyInstance } from 'fastify';
import { TurnpikeError } from '../kernel/errors.ts';
import type { ConfigFlag } from './config.ts';

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there',
  EADDRNOTAVAIL: 'this machine has no such address',
  EACCES: 'this user may not',
  ENOTFOUND: 'the name has no address',
};

/** `flag` is the one that gives another port. Throws TP_CLI_LISTEN. */
export async function listen(
  http: FastifyInstance,
  { host, port, flag }: { host: string; port: number; flag: ConfigFlag },
): Promise<void> {
  try {
    await http.listen({ host, port });
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    const detail = `Cannot listen on ${host} port ${port} (TCP): ${REASONS[code] ?? message}. Choose another with ${flag}.`;
    throw new TurnpikeError('TP_CLI_LISTEN', detail, { cause: error });
  }
}
