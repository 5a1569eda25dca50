import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { authorityOf, bootstrapEnvironment, loadBootstrap } from '../../cli/bootstrap.ts';
import { configSchema } from '../../cli/config.ts';
import { ManualClock } from '../../kernel/clock.ts';
import { loadConfig } from '../../kernel/config.ts';
import { TurnpikeError } from '../../kernel/errors.ts';
import { seededRandom } from '../../kernel/random.ts';

let data: string;
beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), 'turnpike-bootstrap-'));
});
afterEach(() => rmSync(data, { recursive: true }));

const load = (options: Partial<Parameters<typeof loadBootstrap>[0]> = {}) =>
  loadBootstrap({ data, env: {}, random: seededRandom('boot'), generate: true, needed: [], ...options });
const config = loadConfig(configSchema, { env: {}, flags: {} });
const clock = new ManualClock(1_795_000_000_000);

function faultsOf(run: () => unknown): Record<string, string> {
  try {
    run();
  } catch (error) {
    if (error instanceof TurnpikeError)
      return Object.fromEntries(error.issues.map(({ path, message }) => [path, message]));
  }
  throw new Error('no fault was reported');
}

describe('bootstrap secrets', () => {
  it('are made on the first start and kept, readable by their owner only', () => {
    const first = load();
    const second = load({ random: seededRandom('another') });
    expect(second.secrets).toEqual(first.secrets);
    const files = ['secrets.json', 'api-token', 'reader-password'];
    for (const file of files) expect(statSync(join(data, file)).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(data, 'reader-password'), 'utf8')).toBe(first.secrets.TURNPIKE_READER_PASSWORD);
    expect(readFileSync(join(data, 'api-token'), 'utf8')).toBe(first.secrets.TURNPIKE_API_TOKEN);
  });
  it('are all different', () => {
    expect(new Set(Object.values(load().secrets)).size).toBe(6);
  });
  it('come from the environment first, and what came from there is not written down', () => {
    const secret = 'a secret from the environment';
    expect(load({ env: { TURNPIKE_KEY_SECRET: secret } }).secrets.TURNPIKE_KEY_SECRET).toBe(secret);
    expect(readFileSync(join(data, 'secrets.json'), 'utf8')).not.toContain(secret);
  });
  it('must be given to a role on its own: all that are missing are named', () => {
    const needed = ['TURNPIKE_KEY_SECRET', 'TURNPIKE_RELAY_TOKEN'] as const;
    expect(Object.keys(faultsOf(() => load({ generate: false, needed: [...needed] })))).toEqual(needed);
  });
  it('that are too short are refused', () => {
    expect(faultsOf(() => load({ env: { TURNPIKE_API_TOKEN: 'short' } }))).toEqual({
      TURNPIKE_API_TOKEN: 'must be at least 16 characters',
    });
  });
  it('that are equal are refused, since the holder of one would hold the other', () => {
    const env = { TURNPIKE_API_TOKEN: 'sixteen characters', TURNPIKE_OPERATOR_TOKEN: 'sixteen characters' };
    expect(faultsOf(() => load({ env }))).toEqual({ TURNPIKE_OPERATOR_TOKEN: 'must differ from TURNPIKE_API_TOKEN' });
  });
  it('come with names that a path, a username and a usage record can carry', () => {
    const env = { TURNPIKE_APP: 'a b', TURNPIKE_KEY_ID: 'x'.repeat(65) };
    expect(Object.keys(faultsOf(() => load({ env })))).toEqual(['TURNPIKE_APP', 'TURNPIKE_KEY_ID']);
  });
  it('that cannot be written stop the start', () => {
    writeFileSync(join(data, 'file'), '');
    expect(() => load({ data: join(data, 'file') })).toThrow('The data directory cannot be read: ENOTDIR');
  });
  it('in a file that cannot be read stop the start rather than being replaced', () => {
    writeFileSync(join(data, 'secrets.json'), '{ torn');
    expect(() => load()).toThrow('cannot be read');
  });
});

describe('the bootstrap app', () => {
  it('is known by its token and its key when no apps are configured', () => {
    const bootstrap = load({ env: { TURNPIKE_APP: 'shop', TURNPIKE_KEY_ID: 'web' } });
    const authority = authorityOf(config, bootstrap, clock);
    expect(authority.authenticate(bootstrap.secrets.TURNPIKE_API_TOKEN)).toEqual({ kind: 'app', app: 'shop' });
    expect(authority.authenticate(bootstrap.secrets.TURNPIKE_RELAY_TOKEN)).toEqual({ kind: 'relay' });
    expect(authority.key('web')?.app.id).toBe('shop');
    expect(authority.authenticate('something else')).toBeUndefined();
  });
  it('gives way to configured apps', () => {
    const apps = [
      {
        id: 'bank',
        tokenHashes: ['0'.repeat(64)],
        keys: [{ id: 'k', secrets: ['sixteen characters'] }],
        origins: ['*'],
      },
    ];
    const bootstrap = load();
    const authority = authorityOf({ ...config, apps }, bootstrap, clock);
    expect(authority.apps.map((app) => app.id)).toEqual(['bank']);
    expect(authority.authenticate(bootstrap.secrets.TURNPIKE_API_TOKEN)).toBeUndefined();
  });
  it('reaches the roles that are started through their environment', () => {
    const bootstrap = load();
    const role = load({ generate: false, env: bootstrapEnvironment(bootstrap) });
    expect(role).toEqual(bootstrap);
  });
});

describe('configured apps', () => {
  const shop = { id: 'shop', tokenHashes: ['0'.repeat(64)], keys: [{ id: 'web', secrets: ['sixteen characters'] }] };
  const bank = { id: 'bank', tokenHashes: ['1'.repeat(64)], keys: [{ id: 'app', secrets: ['sixteen characters'] }] };
  const loadApps = (...apps: object[]) =>
    loadConfig(configSchema, { env: { TURNPIKE_APPS: JSON.stringify(apps) }, flags: {} });
  it('may be several', () => {
    expect(loadApps(shop, bank).apps.map(({ id }) => id)).toEqual(['shop', 'bank']);
  });
  it.each([
    ['id', { ...bank, id: 'shop' }, 'apps.1.id'],
    ['token', { ...bank, tokenHashes: shop.tokenHashes }, 'apps.1.tokenHashes.0'],
    ['key id', { ...bank, keys: shop.keys }, 'apps.1.keys.0.id'],
  ])('share no %s, or one could spend as the other', (_what, twin, path) => {
    expect(Object.keys(faultsOf(() => loadApps(shop, twin)))).toEqual([path]);
  });
});
