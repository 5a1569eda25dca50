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

/** The first app of a configuration, as read. */
const readApp = (more: object) =>
  loadConfig(configSchema, { file: JSON.stringify({ apps: [app('a', [key('k1')], more)] }), env: {}, flags: {} })
    .apps[0];

describe('what an app may at most', () => {
  it('is read with bytes in decimal units', () => {
    const ceilings = { allocations: 4, bytes: '1.5 GB', bitsPerSecond: 2_000_000 };
    const peers = { only: ['198.41.0.0/24'], deny: ['198.41.0.9/32'], minPort: 10_000 };
    expect(readApp({ ceilings, peers })).toMatchObject({
      ceilings: { allocations: 4, bytes: 1_500_000_000n, bitsPerSecond: 2_000_000 },
      peers,
    });
  });
  it('is refused by path where it makes no sense', () => {
    const faults = faultsOf([
      app('a', [key('k1')], {
        ceilings: { bytes: '1.5 pounds', allocations: 0, speed: 1 },
        peers: { only: ['everybody'], minPort: 0 },
      }),
    ]);
    expect(Object.keys(faults).toSorted()).toEqual([
      'apps.0.ceilings',
      'apps.0.ceilings.allocations',
      'apps.0.ceilings.bytes',
      'apps.0.peers.minPort',
      'apps.0.peers.only.0',
    ]);
    // Held to no range at all: nobody means that.
    expect(Object.keys(faultsOf([app('a', [key('k1')], { peers: { only: [] } })]))).toEqual(['apps.0.peers.only']);
  });
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
