/** `turnpike credentials`: ICE servers from the secrets at hand, without asking a running service. */
import type { Command } from 'commander';
import { systemClock } from '../kernel/clock.ts';
import { issuesOf, TurnpikeError } from '../kernel/errors.ts';
import { systemRandom } from '../kernel/random.ts';
import { generateRequest } from '../relay/contract.ts';
import { issueIceServers } from '../relay/credentials/ice-servers.ts';
import { authorityOf, loadBootstrap } from './bootstrap.ts';
import { settingsOf } from './settings.ts';
import { serviceUrls } from './urls.ts';

export function credentials(command: Command): void {
  const options = command.opts<{ key: string; ttl: string; id?: string; call?: string; participant?: string }>();
  const config = settingsOf(command);
  const bootstrap = loadBootstrap({
    data: config.data,
    env: process.env,
    random: systemRandom,
    generate: false,
    needed: config.apps.length > 0 ? [] : ['TURNPIKE_KEY_SECRET'],
  });
  const found = authorityOf(config, bootstrap, systemClock).key(options.key);
  if (found === undefined) throw new TurnpikeError('TP_RELAY_KEY', `There is no TURN key named ${options.key}.`);
  const request = generateRequest.safeParse({
    ttl: Number(options.ttl),
    customIdentifier: options.id,
    call: options.call,
    participant: options.participant,
  });
  if (!request.success) throw new TurnpikeError('TP_CLI_USAGE', undefined, { issues: issuesOf(request.error) });
  const answer = issueIceServers(request.data, {
    app: found.app.id,
    key: found.key,
    urls: serviceUrls(config),
    clock: systemClock,
    random: systemRandom,
  });
  process.stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
}
