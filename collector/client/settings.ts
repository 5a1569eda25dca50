/** How this connection is sampled and reported: what the app asked for, else what the collector says, within bounds. */
import type { ClientSettings } from '../contract.ts';
import type { ObserveOptions } from './api.ts';

export interface Settings {
  /** Milliseconds until the next sample. */
  interval(hasIssue: boolean): number;
  /** Milliseconds until the next report. */
  upload(): number;
  /** Whether this connection is one of those that send samples. */
  sampled(): boolean;
  omits(member: string): boolean;
  take(given: Partial<ClientSettings>): void;
}

const DEFAULTS: ClientSettings = {
  intervalMs: 2_000,
  issueIntervalMs: 1_000,
  uploadMs: 5_000,
  sampledShare: 1,
  omittedMembers: [],
};
const BOUNDS = {
  intervalMs: [500, 60_000],
  issueIntervalMs: [500, 60_000],
  uploadMs: [1_000, 60_000],
  sampledShare: [0, 1],
} as const;

/** `dice`, uniform in [0, 1), decides once for the connection whether it is in the share. */
export function createSettings({ interval }: Pick<ObserveOptions, 'interval'>, dice: number): Settings {
  const asked: Partial<ClientSettings> = typeof interval === 'number' ? { intervalMs: interval } : {};
  let settings = merge(DEFAULTS, asked);
  let omitted = new Set(settings.omittedMembers);
  return {
    interval: (hasIssue) => Math.min(settings.intervalMs, hasIssue ? settings.issueIntervalMs : Infinity),
    upload: () => settings.uploadMs,
    sampled: () => dice < settings.sampledShare,
    omits: (member) => omitted.has(member),
    take(given) {
      settings = merge(settings, { ...given, ...asked });
      omitted = new Set(settings.omittedMembers);
    },
  };
}

/** What is not what it should be changes nothing. */
function merge(before: ClientSettings, given: Partial<ClientSettings>): ClientSettings {
  const number = (name: keyof typeof BOUNDS) => {
    const [least, most] = BOUNDS[name];
    const value = given[name];
    if (typeof value !== 'number' || !Number.isFinite(value)) return before[name];
    return Math.min(most, Math.max(least, value));
  };
  const { omittedMembers } = given;
  return {
    intervalMs: number('intervalMs'),
    issueIntervalMs: number('issueIntervalMs'),
    uploadMs: number('uploadMs'),
    sampledShare: number('sampledShare'),
    omittedMembers: Array.isArray(omittedMembers) ? omittedMembers : before.omittedMembers,
  };
}
