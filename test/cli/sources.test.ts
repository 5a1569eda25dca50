import { describe, expect, it } from 'vitest';
import { configSchema } from '../../cli/config.ts';
import { sourcesOf } from '../../cli/sources.ts';
import { loadConfig } from '../../kernel/config.ts';
import { ManualClock } from '../../kernel/clock.ts';
import { createAuthority } from '../../kernel/principals.ts';

const janus = (change = {}) => ({ kind: 'janus', name: 'sfu', ...change });
const config = (...sources: object[]) => ({
  ...loadConfig(configSchema, { env: {}, flags: {} }),
  ...configSchema.parse({ sources }),
});
const authority = (...apps: string[]) => {
  const settings = apps.map((id) => ({
    id,
    tokenHashes: [],
    keys: [{ id: `${id}-key`, secrets: ['s'] }],
    origins: [],
  }));
  const hashes = { relayTokenHash: '', sourceTokenHash: '', operatorTokenHash: '' };
  return createAuthority({ apps: settings, ...hashes }, new ManualClock(0));
};

describe('the configured sources', () => {
  it('count for the only app, or for the one that they name', () => {
    expect(sourcesOf(config(janus()), authority('demo'))).toMatchObject([{ name: 'sfu', app: 'demo' }]);
    const named = config(janus({ app: 'shop' }));
    expect(sourcesOf(named, authority('demo', 'shop'))).toMatchObject([{ app: 'shop' }]);
  });

  it.each([
    [[janus()], ['demo', 'shop'], 'sources.0.app', 'must be given: there are several apps'],
    [[janus({ app: 'nobody' })], ['demo'], 'sources.0.app', 'is no app of this service'],
    [[janus({ name: 'turnpike' })], ['demo'], 'sources.0.name', 'is the name of the relays themselves'],
  ])('are refused by name: %j for %j', (sources, apps, path, message) => {
    expect(() => sourcesOf(config(...sources), authority(...apps))).toThrow(
      expect.objectContaining({ code: 'TP_KERNEL_CONFIG', issues: [{ path, message }] }),
    );
  });

  it.each([
    [[janus(), janus()], 'sources.1.name'],
    [[{ kind: 'livekit', name: 'lk' }], 'sources.0.url'],
    [[{ kind: 'livekit', name: 'lk', url: 'file:///etc/passwd' }], 'sources.0.url'],
    [[{ kind: 'json', name: 'j', url: 'http://x.test', pointer: 'total' }], 'sources.0.pointer'],
    [[{ kind: 'cloudflare', name: 'cf', dataset: 'turn', account: 'me', token: 'x' }], 'sources.0.account'],
    [
      [{ kind: 'cloudflare', name: 'cf', dataset: 'turn', account: '0'.repeat(32), token: 'x\r\ny' }],
      'sources.0.token',
    ],
    [[{ kind: 'cloudflare', name: 'cf', dataset: 'meet', account: '0'.repeat(32), token: 'x' }], 'sources.0.dataset'],
    [[{ kind: 'nobody', name: 'n' }], 'sources.0.kind'],
  ])('must make sense: %j', (sources, path) => {
    const parsed = configSchema.safeParse({ sources });
    expect(parsed.error?.issues.map((issue) => issue.path.join('.'))).toContain(path);
  });
});
