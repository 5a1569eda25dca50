/** The configured sources, each with the app that it counts for. */
import { RELAY_SOURCE } from '../collector/intake/metering.ts';
import type { SourceSettings } from '../collector/sources/source-settings.ts';
import { TurnpikeError } from '../kernel/errors.ts';
import type { Issue } from '../kernel/errors.ts';
import type { Authority } from '../kernel/principals.ts';
import type { Config } from './config.ts';

export type OwnedSource = SourceSettings & { readonly app: string };

/** Throws TP_KERNEL_CONFIG naming every source whose app is not clear, or is none of ours. */
export function sourcesOf(config: Config, authority: Pick<Authority, 'app' | 'apps'>): readonly OwnedSource[] {
  const [only, ...others] = authority.apps;
  const issues: Issue[] = [];
  const owned = config.sources.flatMap((source, index): OwnedSource[] => {
    const app = source.app ?? (others.length === 0 ? only?.id : undefined);
    if (source.name === RELAY_SOURCE)
      issues.push({ path: `sources.${index}.name`, message: 'is the name of the relays themselves' });
    if (app === undefined)
      issues.push({ path: `sources.${index}.app`, message: 'must be given: there are several apps' });
    else if (authority.app(app) === undefined)
      issues.push({ path: `sources.${index}.app`, message: 'is no app of this service' });
    return app === undefined ? [] : [{ ...source, app }];
  });
  if (issues.length > 0) throw new TurnpikeError('TP_KERNEL_CONFIG', undefined, { issues });
  return owned;
}
