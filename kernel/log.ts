/** Structured logs. Secrets are redacted by name here as a second line of defence; the first is not to log them. */
import { destination, pino, stdSerializers } from 'pino';
import type { Logger } from 'pino';

export type { Logger };

const SECRET_NAMES = ['password', 'credential', 'secret', 'secrets', 'token', 'tokens', 'authorization', 'username'];

/** JSON lines on standard error (standard output belongs to what a command prints). */
export function createLog(name: string, level: string): Logger {
  return pino(
    {
      name,
      level,
      redact: { paths: SECRET_NAMES.flatMap((key) => [key, `*.${key}`, `req.headers.${key}`]), censor: '[redacted]' },
      serializers: { err: stdSerializers.err },
    },
    destination({ fd: 2, sync: true }),
  );
}

/** A log that keeps nothing, for tests and one-shot commands. */
export const silentLog: Logger = pino({ level: 'silent' });
