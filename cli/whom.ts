/** Whom a command is about: the app, and the names of calls and participants that are given to it. */
import { issuesOf, TurnpikeError } from '../kernel/errors.ts';
import { systemRandom as random } from '../kernel/random.ts';
import { shortName } from '../relay/contract.ts';
import { loadBootstrap } from './bootstrap.ts';
import type { Config } from './config.ts';

/** The app of that name; without one, the only app. */
export function appOf(config: Config, asked: string | undefined): string {
  const { appId } = loadBootstrap({ data: config.data, env: process.env, random, generate: false, needed: [] });
  const known = config.apps.length > 0 ? config.apps.map(({ id }) => id) : [appId];
  const [only] = known;
  if (asked === undefined && known.length === 1 && only !== undefined) return only;
  if (asked !== undefined && known.includes(asked)) return asked;
  throw new TurnpikeError('TP_CLI_USAGE', `--app must be one of ${known.join(', ')}.`);
}

/** Of a call or a participant. Throws TP_CLI_USAGE for one that no credential could carry. */
export function nameOf(flag: string, name: string | undefined): string | undefined {
  const parsed = shortName.min(1).optional().safeParse(name);
  if (parsed.success) return parsed.data;
  throw new TurnpikeError('TP_CLI_USAGE', `${flag} ${issuesOf(parsed.error)[0]?.message ?? 'is no name'}.`);
}
