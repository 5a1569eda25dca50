import { describe, expect, it } from 'vitest';
import { configSchema } from '../../cli/config.ts';
import { loadConfig } from '../../kernel/config.ts';
import { TurnpikeError } from '../../kernel/errors.ts';
import { hashToken } from '../../kernel/principals.ts';

/** The faults of a configuration with these apps, by path. */
function faultsOf(apps: readonly unknown[]): Record<string, string> {
  try {
    loadConfig(configSchema, { file: JSON.stringify({ apps }), env: {}, flags: {} });
    return {};
  } catch (error) {
    if (!(error instanceof TurnpikeError)) throw error;
    return Object.fromEntries(error.issues.map(({ path, message }) => [path, message]));
  }
}

const key = (id: string, more: object = {}) => ({ id, secrets: ['a secret of some length'], ...more });
const app = (id: string, keys: readonly object[], more: object = {}) => ({
  id,
  tokenHashes: [hashToken(id)],
  keys,
  ...more,
});

describe('the keys of the configured apps', () => {
  it('may be many, one of them with plain usernames', () => {
    expect(faultsOf([app('a', [key('k1'), key('k2', { plainUsernames: true })]), app('b', [key('k3')])])).toEqual({});
  });
  it('take plain usernames only once, as such a name does not say its key', () => {
    const faults = faultsOf([
      app('a', [key('k1', { plainUsernames: true }), key('k2', { plainUsernames: false })]),
      app('b', [key('k3', { plainUsernames: true })]),
    ]);
    expect(Object.keys(faults)).toEqual(['apps.1.keys.0.plainUsernames']);
    expect(faults['apps.1.keys.0.plainUsernames']).toContain('k1');
  });
});
