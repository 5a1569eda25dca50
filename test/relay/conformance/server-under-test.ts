/** Runs the suite against a server on loopback, whoever's it is. */
import type { Endpoint } from '../../../kernel/address.ts';
import { systemClock } from '../../../kernel/clock.ts';
import { openLink } from '../../../relay/client/open-link.ts';
import type { Credentials } from '../../../relay/client/requests.ts';
import type { Transport } from '../../../relay/client/server-url.ts';
import { systemTimer } from '../../../relay/client/timer.ts';
import { freshLinks } from '../../../relay/conformance/fresh-links.ts';
import type { CheckResult, RunOptions } from '../../../relay/conformance/run.ts';
import { runChecks } from '../../../relay/conformance/run.ts';
import { suite } from '../../../relay/conformance/suite.ts';

export const quick = suite.filter((check) => !check.slow);
export const slow = suite.filter((check) => check.slow);

export function examine(
  server: Endpoint,
  [credentials, other]: readonly [Credentials, Credentials],
  options: Partial<RunOptions> = {},
): Promise<readonly CheckResult[]> {
  const transport: Transport = options.transport ?? 'udp';
  const link = { timer: systemTimer, connectWithin: 5_000, insecure: true };
  return runChecks({
    checks: quick,
    transport,
    open: freshLinks(() => openLink({ transport, host: server.address, port: server.port }, server, link)),
    credentials,
    other,
    seed: 'test',
    clock: systemClock,
    timer: systemTimer,
    together: 4,
    ...options,
  });
}

/** `name: got` of those that failed. */
export function failures(results: readonly CheckResult[]): string[] {
  return results.filter(({ verdict }) => verdict === 'fail').map(({ name, got }) => `${name}: ${got}`);
}

/** Names of the protocol checks that failed. Nothing else of a third party's results leaves this file. */
export function protocolFailures(results: readonly CheckResult[]): string[] {
  return results.filter(({ verdict, class: of }) => verdict === 'fail' && of === 'protocol').map(({ name }) => name);
}
